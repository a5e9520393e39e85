/* The money page: it grows live as answers come; the slider replays the run. What is looked at with the slider stays
   until it is moved back, or replays by itself from the first loss to now; the officer's focus and scroll stay where they are. */
(function () {
  'use strict';
  var box = document.getElementById('money'), at = null, asked = 0, waiting = null, playing = null, STEPS = 30;
  function part() { return '/cases/' + box.dataset.case + '/money/part' + (at === null ? '' : '?at=' + at); }
  function look() {
    var mine = ++asked, wide = box.querySelector('.wide-box'), left = wide ? wide.scrollLeft : 0, id = document.activeElement && document.activeElement.id;
    return fetch(part(), { credentials: 'same-origin', headers: { 'X-Part': '1' } }).then(function (r) {
      if (!r.ok || r.redirected) throw new Error(String(r.status));
      return r.text();
    }).then(function (text) {
      if (mine !== asked) return;
      box.innerHTML = text;
      wide = box.querySelector('.wide-box'); if (wide) wide.scrollLeft = left;
      if (playing !== null) { var play = document.getElementById('play'); if (play) play.textContent = play.dataset.stop; }
      if (id && document.getElementById(id)) document.getElementById(id).focus({ preventScroll: true });
    }).catch(function () { /* the stream says when the server is away; the page stays as it is */ });
  }
  /* One step after the other: the next is asked for when this one has been drawn. */
  function step() {
    var slider = document.getElementById('slider'), end = Number(slider.max);
    at = Math.min((at === null ? 0 : at + Math.max(end / STEPS, 1)) | 0, end);
    if (at >= end) { stop(); at = null; look(); return; }
    look().then(function () { if (playing !== null) playing = setTimeout(step, 300); });
  }
  function stop() { clearTimeout(playing); playing = null; }
  box.addEventListener('input', function (e) {
    if (e.target.id !== 'slider') return;
    stop();
    at = Number(e.target.value) >= Number(e.target.max) ? null : Number(e.target.value);
    clearTimeout(waiting); waiting = setTimeout(look, 120);
  });
  box.addEventListener('click', function (e) { 
    if (e.target.id === 'to-now') { stop(); at = null; look(); }
    if (e.target.id === 'play') { if (playing !== null) { stop(); look(); } else { at = null; playing = 0; step(); } }
  });
  setInterval(function () { if (at === null && !document.hidden) look(); }, 15000);  // chances fall with time
  if (window.wuzha && window.wuzha.live) window.wuzha.live('/live?case=' + box.dataset.case, { file: function () { if (at === null) look(); } });
})();
