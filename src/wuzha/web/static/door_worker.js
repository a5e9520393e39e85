/* Keeps the door page for the time without a network: the shell, which holds nobody's data, and its own files. Never an
   order, a picture or an answer of /door/api. KEPT: the files' addresses, written in by the server. */
const CACHE = 'door-' + KEPT.join('|');
const SHELL = '/door';

function keep(cache, answer) {
  if (answer.ok && !answer.redirected) return cache.put(SHELL, answer.clone()).then(function () { return answer; });
  return answer;
}

self.addEventListener('install', function (event) {
  event.waitUntil(caches.open(CACHE).then(function (cache) {
    return cache.addAll(KEPT).then(function () { return fetch(SHELL, { credentials: 'same-origin' }); })
      .then(function (answer) { return keep(cache, answer); });
  }).then(function () { return self.skipWaiting(); }));
});

self.addEventListener('activate', function (event) {
  event.waitUntil(caches.keys().then(function (names) {
    return Promise.all(names.filter(function (n) { return n.indexOf('door-') === 0 && n !== CACHE; }).map(function (n) { return caches.delete(n); }));
  }).then(function () { return self.clients.claim(); }));
});

function shell(request) {
  return caches.open(CACHE).then(function (cache) {
    return new Promise(function (resolve, reject) {
      var late = setTimeout(function () { cache.match(SHELL).then(function (kept) { if (kept) resolve(kept); }); }, 4000);
      fetch(request).then(function (answer) {
        clearTimeout(late);
        resolve(new URL(request.url).pathname.indexOf('/door/login') === 0 ? answer : keep(cache, answer));
      }, function (error) {
        clearTimeout(late);
        cache.match(SHELL).then(function (kept) { if (kept) resolve(kept); else reject(error); });
      });
    });
  });
}

self.addEventListener('fetch', function (event) {
  var request = event.request, url = new URL(request.url);
  if (request.method !== 'GET' || url.origin !== self.location.origin) return;
  if (request.mode === 'navigate') {
    if (url.pathname === '/door' || (url.pathname.indexOf('/door/') === 0 && url.pathname.indexOf('/door/api/') !== 0 && url.pathname.indexOf('/door/login') !== 0)) event.respondWith(shell(request));
  } else if (url.pathname.indexOf('/static/') === 0) {
    event.respondWith(caches.open(CACHE).then(function (cache) {
      return cache.match(request).then(function (kept) { return kept || fetch(request); });
    }));
  }
});
