/* One stream of "look again" a page. wuzha.live(address, {queue: f, file: f}). Says when it is cut, and when it is back.
   A browser keeps six connections to one host, and a stream is one of them: of the tabs that are out of sight only the one
   that was looked at last keeps its stream; the others take theirs up again, and look, when they are looked at. */
window.wuzha = window.wuzha || {};
window.wuzha.live = function (address, on) {
  'use strict';
  var bar = document.getElementById('live-bar'), words = document.body.dataset, room = window.BroadcastChannel ? new BroadcastChannel('wuzha-live') : null,
    cut = false, missed = false, over = false, late = null, source = null;
  if (!window.EventSource) return;
  function say(text) { bar.textContent = text; bar.hidden = !text; }
  function look() { if (on.queue) on.queue(); if (on.file) on.file(); }
  function shut() { if (source) source.close(); source = null; clearTimeout(late); late = null; }
  function open() {
    if (source || over) return;
    source = new EventSource(address);
    source.addEventListener('hello', function () {
      clearTimeout(late); late = null; if (window.wuzha.phone) window.wuzha.phone();
      if (cut) { say(words.alive); setTimeout(function () { say(''); }, 3000); }
      if (cut || missed) look();
      cut = missed = false;
    });
    source.addEventListener('queue', function () { if (on.queue) on.queue(); });
    source.addEventListener('file', function () { if (on.file) on.file(); });
    source.addEventListener('people', function () { if (on.people) on.people(); });
    source.addEventListener('phone', function () { if (window.wuzha.phone) window.wuzha.phone(); if (on.phone) on.phone(); });
    source.addEventListener('ended', function () {
      over = true; shut(); say(words.ended + ' ');
      var a = document.createElement('a'); a.href = '/login?next=' + encodeURIComponent(location.pathname + location.search); a.textContent = words.login; bar.appendChild(a);
    });
    source.onerror = function () { if (!late) late = setTimeout(function () { cut = true; say(words.cut); }, 4000); };
  }
  function seen() { if (room) room.postMessage('seen'); open(); }
  if (room) room.onmessage = function () { if (document.hidden && source) { shut(); missed = true; } };
  document.addEventListener('visibilitychange', function () { if (!document.hidden) seen(); });
  if (!document.hidden) seen(); else missed = true;
  window.addEventListener('pagehide', function () { over = true; shut(); });
};
