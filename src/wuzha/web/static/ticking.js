/* Clocks that run: [data-left] counts the officer's seconds down, [data-since] up. Times come from the server at the
   moment of rendering; this only adds what has passed on this screen, so a wrong clock here changes nothing. */
(function () {
  'use strict';
  var born = new WeakMap(), zh = document.documentElement.lang.indexOf('zh') === 0;
  function two(n) { return n < 10 ? '0' + n : '' + n; }
  function countdown(s) { s = Math.abs(s); if (s >= 86400) return duration(s); return s >= 3600 ? Math.floor(s / 3600) + ':' + two(Math.floor(s / 60) % 60) + ':' + two(s % 60) : two(Math.floor(s / 60)) + ':' + two(s % 60); }
  function duration(s) {
    var u = zh ? ['天', '小时', '分', '秒'] : ['d ', 'h ', 'm ', 's'];
    if (s >= 86400) return (Math.floor(s / 86400) + u[0] + Math.floor(s / 3600) % 24 + u[1]).trim();
    if (s >= 3600) return (Math.floor(s / 3600) + u[1] + Math.floor(s / 60) % 60 + u[2]).trim();
    return s >= 60 ? Math.floor(s / 60) + u[2] + s % 60 + u[3] : s + u[3];
  }
  function passed(el, now, value) {
    var at = born.get(el);
    if (!at || at.value !== value) { at = { t: now, value: value }; born.set(el, at); }
    return Math.floor((now - at.t) / 1000);
  }
  function tick() {
    var now = performance.now(), i, el, n, all = document.querySelectorAll('[data-left]');
    for (i = 0; i < all.length; i++) {
      el = all[i]; n = Number(el.dataset.left) - passed(el, now, el.dataset.left);
      if (el.classList.contains('ends')) {
        if (n <= 0) { if (el.closest('form')) el.closest('form').hidden = true; } else el.querySelector('b').textContent = n;
        continue;
      }
      el.textContent = (n >= 0 ? el.dataset.word : el.dataset.over) + ' ' + countdown(n);
      el.classList.toggle('late3', n <= 0);
      el.classList.toggle('late2', n > 0 && n <= Number(el.dataset.total) / 3);
    }
    all = document.querySelectorAll('[data-since]');
    for (i = 0; i < all.length; i++) {
      el = all[i]; n = Number(el.dataset.since) + passed(el, now, el.dataset.since);
      if (!el.dataset.prefix && el.dataset.prefix !== '') el.dataset.prefix = el.classList.contains('big') ? '' : el.textContent.trim().split(' ')[0] + ' ';
      el.textContent = el.dataset.prefix + duration(n);
    }
    el = document.getElementById('wall-clock');
    if (el) { n = Math.floor(Number(el.dataset.clock) + passed(el, now, el.dataset.clock) * Number(el.dataset.speed)) % 86400; el.textContent = two(Math.floor(n / 3600)) + ':' + two(Math.floor(n / 60) % 60) + ':' + two(n % 60); }
  }
  setInterval(tick, 250); tick();
  document.addEventListener('htmx:afterSettle', tick);
})();
