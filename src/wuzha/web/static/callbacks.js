/* The list of call-backs is read again when a call comes in or is settled, unless one types. */
(function () {
  'use strict';
  var list = document.getElementById('callbacks');
  if (!list || !window.wuzha.live) return;
  function again() {
    if (list.contains(document.activeElement) && document.activeElement.tagName === 'INPUT') return;
    fetch(location.pathname, { credentials: 'same-origin' }).then(function (r) { return r.ok ? r.text() : ''; }).then(function (text) {
      var fresh = text && new DOMParser().parseFromString(text, 'text/html').getElementById('callbacks');
      if (fresh) { list.replaceWith(fresh); list = fresh; }
    }).catch(function () {});
  }
  window.wuzha.live('/live', { phone: again });
})();
