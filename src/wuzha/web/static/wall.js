/* The wall follows what happens, at most once in three seconds, and stands still on P. */
(function () {
  'use strict';
  var wall = document.getElementById('wall'), paused = false, waiting = false, last = 0;
  if (!wall) return;
  function mark() { var p = document.getElementById('wall-paused'); if (p) { p.hidden = !paused; p.textContent = wall.dataset.paused; } }
  function look() {
    if (paused) { waiting = true; return; }
    var wait = 3000 - (Date.now() - last);
    if (wait > 0) { if (!waiting) { waiting = true; setTimeout(function () { waiting = false; look(); }, wait); } return; }
    last = Date.now();
    fetch(wall.dataset.address, { credentials: 'same-origin', headers: { 'HX-Request': 'true' } }).then(function (r) { return r.ok ? r.text() : ''; }).then(function (text) { if (text && !paused) { wall.innerHTML = text; mark(); } }, function () {});
  }
  document.addEventListener('wuzha:key', function (e) {
    if (e.detail === 'p' || e.detail === ' ') { paused = !paused; mark(); if (!paused) { waiting = false; last = 0; look(); } }
    else if (e.detail === 'b') location.href = '/desk';
  });
  window.wuzha.live('/live?wall=1', { queue: look });
  setInterval(look, 60000);
})();
