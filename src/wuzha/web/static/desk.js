/* The queue: rows keep their place while one reads; new ones gather in the bar until N. */
(function () {
  'use strict';
  var box = document.getElementById('queue'), bar = document.getElementById('new-bar'), said = document.getElementById('urgent-said');
  if (!box) return;
  var body = document.getElementById('rows'), fresh = null, at = null, busy = false, again = false, known = {}, soundOff = localStorage.getItem('wuzha-sound') === 'off', audio;
  function rows() { return Array.prototype.slice.call(body.querySelectorAll('tr[data-id]')); }
  rows().forEach(function (r) { known[r.dataset.id] = 1; });
  function select(row) {
    if (at) at.classList.remove('at');
    at = row; if (!row) return;
    row.classList.add('at'); row.querySelector('a').focus({ preventScroll: true }); row.scrollIntoView({ block: 'nearest' });
  }
  function beep() {
    if (soundOff || !window.AudioContext) return;
    try { audio = audio || new AudioContext(); var o = audio.createOscillator(), g = audio.createGain(); o.frequency.value = 880; g.gain.value = 0.08; o.connect(g); g.connect(audio.destination); o.start(); o.stop(audio.currentTime + 0.18); } catch (e) { /* no sound card is no reason to stop */ }
  }
  function merge(text) {
    var page = document.createElement('div'); page.innerHTML = text;
    var next = page.querySelector('#rows'), counts = page.querySelector('#counts'), updated = page.querySelector('#updated'), here = {}, n = 0, urgent = 0;
    if (!next) return;
    document.getElementById('counts').innerHTML = counts.innerHTML;
    document.getElementById('updated').textContent = updated.textContent;
    var duty = page.querySelector('#duty-line'), line = document.getElementById('duty-line'); if (duty && line) line.innerHTML = duty.innerHTML;
    Array.prototype.forEach.call(next.querySelectorAll('tr[data-id]'), function (row) {
      var old = document.getElementById(row.id); here[row.dataset.id] = 1;
      if (old) {
        if (old.dataset.version !== row.dataset.version || old.dataset.level !== row.dataset.level || old.classList.contains('gone')) row.classList.add('moved');
        var chosen = old === at, focused = old.contains(document.activeElement);
        row = document.importNode(row, true); old.parentNode.replaceChild(row, old);
        if (chosen) { at = row; row.classList.add('at'); } if (focused) row.querySelector('a').focus({ preventScroll: true });
      } else { n++; if (row.dataset.level === 'urgent' && !known[row.dataset.id]) urgent++; known[row.dataset.id] = 1; }
    });
    rows().forEach(function (row) { if (!here[row.dataset.id]) { row.classList.add('gone'); row.querySelector('.state').textContent = box.dataset.gone; } });
    fresh = next;
    if (urgent) { said.textContent = box.dataset.urgent.replace('{n}', urgent); beep(); }
    if (n && !rows().length) { show(); return; }
    bar.hidden = !n; bar.textContent = box.dataset.new.replace('{n}', n);
  }
  function show() {
    if (!fresh) return;
    var keep = at && at.dataset.id, empty = document.getElementById('empty');
    body.innerHTML = fresh.innerHTML; bar.hidden = true; at = null;
    if (empty && rows().length) empty.hidden = true;
    if (keep) { var row = document.getElementById('a' + keep); if (row) select(row); }
  }
  function look() {
    if (busy) { again = true; return; }
    busy = true;
    fetch(box.dataset.address, { credentials: 'same-origin', headers: { 'HX-Request': 'true' } }).then(function (r) { return r.ok ? r.text() : ''; }).then(merge, function () {}).then(function () {
      setTimeout(function () { busy = false; if (again) { again = false; look(); } }, 700);
    });
  }
  bar.addEventListener('click', show);
  body.addEventListener('click', function (e) {
    var row = e.target.closest('tr[data-id]');
    if (row && !e.target.closest('a') && !String(window.getSelection())) location.href = row.querySelector('a').href;
  });
  document.addEventListener('wuzha:key', function (e) {
    var all = rows(), i = all.indexOf(at);
    if (e.detail === 'j' || e.detail === 'ArrowDown') select(all[Math.min(all.length - 1, i + 1)]);
    else if (e.detail === 'k' || e.detail === 'ArrowUp') select(all[Math.max(0, i - 1)]);
    else if (e.detail === 'Enter') { var row = at || all[0]; if (row) location.href = row.querySelector('a').href; }
    else if (e.detail === 'm') { soundOff = !soundOff; localStorage.setItem('wuzha-sound', soundOff ? 'off' : 'on'); said.textContent = soundOff ? box.dataset.soundOff : box.dataset.soundOn; var lb = document.getElementById('live-bar'); lb.textContent = said.textContent; lb.hidden = false; setTimeout(function () { lb.hidden = true; }, 2500); }
  });
  Array.prototype.forEach.call(document.querySelectorAll('#pick select'), function (s) { s.addEventListener('change', function () { s.form.submit(); }); });
  if (!box.dataset.calm) window.wuzha.live('/live', { queue: look });
})();
