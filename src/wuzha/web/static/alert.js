/* The file: learns that it has changed elsewhere, and says so instead of moving under the officer's hands. */
(function () {
  'use strict';
  var file = document.getElementById('file'), bar = document.getElementById('live-bar'), own = 0;
  if (!file) return;
  document.addEventListener('htmx:beforeRequest', function () { own = Date.now(); });
  document.addEventListener('htmx:afterRequest', function () { own = Date.now(); });
  function refresh() { sessionStorage.setItem('wuzha-scroll', String(window.scrollY)); location.href = location.pathname + location.search; }
  window.wuzha.live('/live?alert=' + file.dataset.live, {
    people: function () {
      fetch('/alerts/' + file.dataset.live + '/people', { credentials: 'same-origin', headers: { 'HX-Request': 'true' } }).then(function (r) { return r.ok ? r.text() : ''; }).then(function (text) {
        var box = document.createElement('div'), at = document.getElementById('people'); box.innerHTML = text;
        if (at && box.firstElementChild) at.innerHTML = box.firstElementChild.innerHTML;
      }, function () {});
    },
    file: function () {
      if (Date.now() - own < 3000) return;
      bar.textContent = file.dataset.changed; bar.hidden = false;
    }
  });
  document.addEventListener('htmx:afterSwap', function () { bar.hidden = true; });
  document.addEventListener('wuzha:key', function (e) {
    var section;
    if (e.detail === 'r') refresh();
    else if (e.detail === 'b') location.href = '/desk';
    else if (e.detail === 't') { var note = document.getElementById('note'); if (note) note.focus(); }
    else if (e.detail === 'o') { section = document.getElementById('outcome'); var first = section.querySelector('.buttons button:not([disabled])'); section.scrollIntoView({ block: 'nearest' }); if (first) first.focus(); }
  });
  var y = sessionStorage.getItem('wuzha-scroll'); if (y) { sessionStorage.removeItem('wuzha-scroll'); window.scrollTo(0, Number(y)); }
})();
