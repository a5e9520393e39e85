/* The telephone: who calls in, on every page with a stream; and on a file, how its own call fares. */
window.wuzha = window.wuzha || {};
(function () {
  'use strict';
  var bar = document.getElementById('call-bar'), asked = 0;
  if (!bar) return;
  function part(id, from) {
    var here = document.querySelector(id), there = from.querySelector(id);
    if (!here || !there || here.contains(document.activeElement) && /^(INPUT|TEXTAREA|SELECT)$/.test(document.activeElement.tagName)) return;
    here.replaceWith(there);
    if (window.htmx) window.htmx.process(there);
  }
  function file() {
    var panel = document.getElementById('phone');
    if (!panel || !panel.dataset.watch) return;  // no call of this officer's on this file: nothing to read again
    fetch(location.pathname + location.search, { credentials: 'same-origin' }).then(function (r) { return r.ok ? r.text() : ''; }).then(function (text) {
      if (!text) return;
      var from = new DOMParser().parseFromString(text, 'text/html');
      part('#phone', from); part('.file-best', from);
    }).catch(function () {});
  }
  window.wuzha.phone = function () {
    var mine = ++asked;
    fetch('/calls/now', { credentials: 'same-origin', headers: { 'HX-Request': 'true' } }).then(function (r) { return r.ok ? r.text() : ''; }).then(function (text) {
      if (mine !== asked) return;
      bar.innerHTML = text; bar.hidden = !text.trim();
    }).catch(function () {});
    file();
  };
})();
