/* The money page: it grows live as answers come; the slider replays the run. What is looked at with the slider stays
   until it is moved back; the officer's focus and scroll stay where they are. */
(function () {
  'use strict';
  var box = document.getElementById('money'), at = null, asked = 0, waiting = null;
  function part() { return '/cases/' + box.dataset.case + '/money/part' + (at === null ? '' : '?at=' + at); }
  function look() {
    var mine = ++asked, wide = box.querySelector('.wide-box'), left = wide ? wide.scrollLeft : 0, id = document.activeElement && document.activeElement.id;
    fetch(part(), { credentials: 'same-origin', headers: { 'X-Part': '1' } }).then(function (r) {
      if (!r.ok || r.redirected) throw new Error(String(r.status));
      return r.text();
    }).then(function (text) {
      if (mine !== asked) return;
      box.innerHTML = text;
      wide = box.querySelector('.wide-box'); if (wide) wide.scrollLeft = left;
      if (id && document.getElementById(id)) document.getElementById(id).focus({ preventScroll: true });
    }).catch(function () { /* the stream says when the server is away; the page stays as it is */ });
  }
  box.addEventListener('input', function (e) {
    if (e.target.id !== 'slider') return;
    at = Number(e.target.value) >= Number(e.target.max) ? null : Number(e.target.value);
    clearTimeout(waiting); waiting = setTimeout(look, 120);
  });
  box.addEventListener('click', function (e) { if (e.target.id === 'to-now') { at = null; look(); } });
  setInterval(function () { if (at === null && !document.hidden) look(); }, 15000);  // chances fall with time
  if (window.wuzha && window.wuzha.live) window.wuzha.live('/live?case=' + box.dataset.case, { file: function () { if (at === null) look(); } });
})();
