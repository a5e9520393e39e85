/* One stream of "look again" a page. wuzha.live(address, {queue: f, file: f}). Says when it is cut, and when it is back. */
window.wuzha = window.wuzha || {};
window.wuzha.live = function (address, on) {
  'use strict';
  var bar = document.getElementById('live-bar'), words = document.body.dataset, cut = false, late = null, source;
  if (!window.EventSource) return;
  function say(text) { bar.textContent = text; bar.hidden = !text; }
  source = new EventSource(address);
  source.addEventListener('hello', function () {
    clearTimeout(late); late = null; if (window.wuzha.phone) window.wuzha.phone();
    if (cut) { cut = false; say(words.alive); setTimeout(function () { say(''); }, 3000); if (on.queue) on.queue(); if (on.file) on.file(); }
  });
  source.addEventListener('queue', function () { if (on.queue) on.queue(); });
  source.addEventListener('file', function () { if (on.file) on.file(); });
  source.addEventListener('people', function () { if (on.people) on.people(); });
  source.addEventListener('phone', function () { if (window.wuzha.phone) window.wuzha.phone(); if (on.phone) on.phone(); });
  source.addEventListener('ended', function () {
    source.close(); say(words.ended + ' ');
    var a = document.createElement('a'); a.href = '/login?next=' + encodeURIComponent(location.pathname + location.search); a.textContent = words.login; bar.appendChild(a);
  });
  source.onerror = function () { if (!late) late = setTimeout(function () { cut = true; say(words.cut); }, 4000); };
  window.addEventListener('pagehide', function () { source.close(); });
};
