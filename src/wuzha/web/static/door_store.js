/* What the phone keeps: closed with a key that the server gives with a session and that is thrown away with it, so that
   what was not sent outlives the session and nobody reads it meanwhile. */
(function () {
  'use strict';
  var base = null, key = null, door = window.door = window.door || {};

  function request(r) { return new Promise(function (ok, no) { r.onsuccess = function () { ok(r.result); }; r.onerror = function () { no(r.error); }; }); }
  function table(name, mode) { return base.transaction(name, mode || 'readonly').objectStore(name); }

  var store = door.store = {
    able: !!(window.indexedDB && window.crypto && window.crypto.subtle),
    open: function () {
      var r = indexedDB.open('wuzha-door', 1);
      r.onupgradeneeded = function () { r.result.createObjectStore('meta'); r.result.createObjectStore('vault'); };
      return request(r).then(function (opened) {
        base = opened;
        return store.meta('me');
      }).then(function (me) { key = me && me.key || null; return me; });
    },
    meta: function (name) { return request(table('meta').get(name)); },
    /* The officer's session: the key cannot be read out of it again. */
    unlock: function (me) {
      var raw = Uint8Array.from(atob(me.key), function (c) { return c.charCodeAt(0); });
      return crypto.subtle.importKey('raw', raw, 'AES-GCM', false, ['encrypt', 'decrypt']).then(function (made) {
        key = made;
        return request(table('meta', 'readwrite').put({ ref: me.ref, officer: me.officer, unit: me.unit, until: me.until, skew: me.skew, key: made }, 'me'));
      });
    },
    /* What was not sent under a former pairing, closed anew for this one: all of it or, where anything fails, nothing. */
    carry: function (former, me) {
      function imported(text) { return crypto.subtle.importKey('raw', Uint8Array.from(atob(text), function (c) { return c.charCodeAt(0); }), 'AES-GCM', false, ['encrypt', 'decrypt']); }
      return Promise.all([imported(former), imported(me.key), Promise.all(['item:', 'left:', 'draft:', 'mine:'].map(store.ids))]).then(function (got) {
        var old = got[0], fresh = got[1], ids = [].concat.apply([], got[2]);
        return Promise.all(ids.map(function (id) {
          var iv = crypto.getRandomValues(new Uint8Array(12)), bound = new TextEncoder().encode(id);
          return request(table('vault').get(id)).then(function (row) {
            return crypto.subtle.decrypt({ name: 'AES-GCM', iv: row.iv, additionalData: bound }, old, row.data);
          }).then(function (text) {
            return crypto.subtle.encrypt({ name: 'AES-GCM', iv: iv, additionalData: bound }, fresh, text);
          }).then(function (data) { return { id: id, row: { iv: iv, data: data } }; });
        })).then(function (rows) {
          var t = base.transaction(['vault', 'meta'], 'readwrite'), vault = t.objectStore('vault');
          vault.clear();
          rows.forEach(function (r) { vault.put(r.row, r.id); });
          t.objectStore('meta').put({ ref: me.ref, officer: me.officer, unit: me.unit, until: me.until, skew: me.skew, key: fresh }, 'me');
          return new Promise(function (ok, no) { t.oncomplete = ok; t.onabort = t.onerror = function () { no(t.error); }; });
        }).then(function () { key = fresh; });
      });
    },
    lock: function () {
      key = null;
      return store.meta('me').then(function (me) {
        if (!me || !me.key) return;
        delete me.key;
        return request(table('meta', 'readwrite').put(me, 'me'));
      });
    },
    locked: function () { return !key; },
    wipe: function () { key = null; return request(table('vault', 'readwrite').clear()).then(function () { return request(table('meta', 'readwrite').clear()); }); },
    put: function (id, value) {
      if (!key) return Promise.reject(new Error('locked'));
      var iv = crypto.getRandomValues(new Uint8Array(12));
      return crypto.subtle.encrypt({ name: 'AES-GCM', iv: iv, additionalData: new TextEncoder().encode(id) }, key, new TextEncoder().encode(JSON.stringify(value))).then(function (data) {
        return request(table('vault', 'readwrite').put({ iv: iv, data: data }, id));
      });
    },
    get: function (id) {
      if (!key) return Promise.resolve(undefined);
      return request(table('vault').get(id)).then(function (row) {
        if (!row) return undefined;
        return crypto.subtle.decrypt({ name: 'AES-GCM', iv: row.iv, additionalData: new TextEncoder().encode(id) }, key, row.data).then(function (text) { return JSON.parse(new TextDecoder().decode(text)); });
      });
    },
    drop: function (id) { return request(table('vault', 'readwrite').delete(id)); },
    ids: function (prefix) { return request(table('vault').getAllKeys(IDBKeyRange.bound(prefix, prefix + '\uffff'))); }
  };

  door.id = function () {
    var b = crypto.getRandomValues(new Uint8Array(16));
    b[6] = b[6] & 15 | 64; b[8] = b[8] & 63 | 128;
    var h = Array.from(b, function (x) { return ('0' + x.toString(16)).slice(-2); }).join('');
    return h.slice(0, 8) + '-' + h.slice(8, 12) + '-' + h.slice(12, 16) + '-' + h.slice(16, 20) + '-' + h.slice(20);
  };
  /* Waits in the order in which it was written. */
  door.queue = function (item) { return store.put('item:' + String(Date.now()).padStart(15, '0') + ':' + String(door.queue.n++).padStart(5, '0') + ':' + item.id, item); };
  door.queue.n = 0;
})();
