/* Visits on the phone: the list and one order, with a network and without; what was written goes out item by item. */
(function () {
  'use strict';
  var door = window.door, store = door.store, words = document.body.dataset, me = null, orders = [], ref = (location.pathname.match(/^\/door\/(\d+)$/) || [])[1];
  function $(id) { return document.getElementById(id); }
  function show(id) { ['locked', 'list', 'order'].forEach(function (s) { $(s).hidden = s !== id; }); document.querySelector('.back').hidden = id !== 'order'; }
  door.say = function (text, kind) { var s = $('say'); s.hidden = !text; s.textContent = text || ''; s.className = 'say ' + (kind || ''); if (text) s.scrollIntoView({ block: 'center' }); };

  function ask(path, body) {
    var stop = new AbortController(), late = setTimeout(function () { stop.abort(); }, 30000);
    return fetch(path, { method: body ? 'POST' : 'GET', credentials: 'same-origin', cache: 'no-store', signal: stop.signal, headers: body ? { 'Content-Type': 'application/json' } : {}, body: body ? JSON.stringify(body) : undefined }).then(function (r) {
      clearTimeout(late); net(true);
      return r.json().catch(function () { return {}; }).then(function (told) { return { status: r.status, told: told }; });
    }, function (error) { clearTimeout(late); net(false); throw error; }).then(function (got) {
      if (got.status !== 401) return got;
      return store.ids('item:').then(function (ids) {
        if (got.told.reason !== 'revoked') return store.lock().then(lockedNow);
        return store.wipe().then(lockedNow).then(function () { if (ids.length) door.say(words.wiped.replace('{n}', ids.length), 'bad'); });
      }).then(function () { throw new Error('ended'); });
    });
  }
  function net(on) { $('net').textContent = on ? words.online : words.offline; document.querySelector('.bar').classList.toggle('off', !on); }
  function lockedNow() {
    me = null;
    return store.ids('item:').then(function (ids) { $('locked-n').textContent = ids.length ? words.waiting.replace('{n}', ids.length) : ''; door.say(''); show('locked'); });
  }
  function expired() { return !me || Date.now() + (me.skew || 0) >= Date.parse(me.until); }
  function guard() { if (me && expired()) return store.lock().then(lockedNow); return Promise.resolve(); }

  /* Sending. One at a time: an answer belongs to one item, and a picture fills a letter. */
  var running = null;
  function counted() { return store.ids('item:').then(function (ids) { $('queue').textContent = ids.length ? words.waiting.replace('{n}', ids.length) : words.allSent; return ids; }); }
  function sync() {
    if (running) return running;
    if (!me) return Promise.resolve();
    running = counted().then(function (ids) {
      if (ids.length) $('queue').textContent = words.sending;
      return ids.reduce(function (before, id) { return before.then(function () { return send(id); }); }, Promise.resolve());
    }).then(function () { running = null; return counted(); }, function () { running = null; return counted(); }).then(function () { if (me) return refresh(); }).catch(function () {});
    return running;
  }
  door.sync = sync;
  function send(id) {
    return store.get(id).then(function (item) {
      if (!item) return store.drop(id);
      return ask('/door/api/sync', { now: new Date().toISOString(), items: [item] }).then(function (got) {
        var one = got.told.items && got.told.items[0], why = one ? one.reason : got.told.reason;
        if (one && (one.status === 'kept' || one.status === 'again')) return store.drop(id);
        if (got.status >= 500 || got.status === 429) throw new Error('later');
        return store.put('left:' + item.order + ':' + item.id, { why: why || 'form', item: item }).then(function () { return store.drop(id); });
      });
    });
  }

  /* Orders. A list that was asked for before an order was opened here knows nothing of it, and is asked for again. */
  var opens = 0;
  function refresh() {
    var before = opens;
    return ask('/door/api/orders').then(function (got) {
      if (got.status !== 200) return;
      if (opens !== before) return refresh();
      orders = got.told.orders;
      var here = {};
      return store.put('orders', orders.filter(function (o) { return !o.open; })).then(function () {
        return Promise.all(orders.filter(function (o) { return o.open; }).map(function (o) { here['order:' + o.ref] = 1; return store.put('order:' + o.ref, o); }));
      }).then(function () { return store.ids('order:'); }).then(function (ids) {
        return Promise.all(ids.filter(function (id) { return !here[id]; }).map(function (id) { return store.drop(id).then(function () { return store.drop('draft:' + id.slice(6)); }); }));
      }).then(render);
    });
  }
  function kept() {
    return store.get('orders').then(function (masked) {
      return store.ids('order:').then(function (ids) { return Promise.all(ids.map(store.get)); }).then(function (full) { orders = full.concat(masked || []); });
    });
  }
  function minutes(iso) { return Math.round((Date.parse(iso) - Date.now() - (me && me.skew || 0)) / 60000); }
  function rest(o) {
    var n = minutes(o.meet_by), m = words.minutes.replace('{n}', Math.abs(n));
    return (n < 0 ? words.late : words.left).replace('{n}', m);
  }
  function text(parent, tag, value, kind) { var e = document.createElement(tag); e.textContent = value; if (kind) e.className = kind; parent.appendChild(e); return e; }
  function toldLeft(left) { if (left) door.say(words.leftOut.replace('{why}', words['refused' + left.why.charAt(0).toUpperCase() + left.why.slice(1)] || left.why), 'bad'); }
  function renderList() {
    var rows = $('rows'); rows.textContent = '';
    $('me').textContent = me.officer + ' · ' + me.unit; $('none').hidden = orders.length > 0;
    orders.slice().sort(function (a, b) { return !!a.ended - !!b.ended || (a.meet_by < b.meet_by ? -1 : 1); }).forEach(function (o) {
      var li = document.createElement('li'), a = document.createElement('a');
      a.href = '/door/' + o.ref; a.className = o.ended ? 'over' : o.level;
      text(a, 'span', o.mark + ' ' + o.level_word + ' ', 'level'); text(a, 'b', o.name); a.appendChild(document.createElement('br'));
      text(a, 'span', o.what); a.appendChild(document.createElement('br'));
      if (o.ended) text(a, 'span', o.ended + (o.outcome ? ' · ' + o.outcome : ''));
      else text(a, 'span', rest(o), minutes(o.meet_by) < 0 ? 'late' : '');
      if (o.records.some(function (r) { return r.mine; })) text(a, 'span', ' · ' + words.mine);
      li.appendChild(a); rows.appendChild(li);
    });
    store.ids('left:').then(function (ids) { if (ids.length) return store.get(ids[0]).then(toldLeft); });
    show('list');
  }
  var shown = null;
  function renderOrder() {
    var o = orders.find(function (x) { return x.ref === ref; });
    show('order');
    if (!o) { $('ask').hidden = $('file').hidden = true; door.say(words.gone, 'bad'); return; }
    $('ask').hidden = o.open; $('file').hidden = !o.open;
    if (!o.open) { $('ask-name').textContent = o.mark + ' ' + o.level_word + ' ' + o.name + ' · ' + o.what; return; }
    $('ended').hidden = !o.ended; $('ended').textContent = o.ended; $('going').hidden = !!o.ended || o.records.length > 0;
    $('o-name').textContent = o.name; $('o-who').textContent = o.who; $('o-route').textContent = o.route;
    var places = $('o-places'); places.textContent = ''; o.places.forEach(function (p) { text(places, 'div', p); });
    $('o-tel').hidden = !o.tel; $('o-tel').textContent = '☎ ' + o.line; if (o.tel) $('o-tel').href = 'tel:' + o.tel;
    $('o-level').textContent = o.mark + ' ' + o.level_word; $('o-what').textContent = o.what; $('o-amount').textContent = o.amount; $('o-reason').textContent = o.reason;
    $('o-first').textContent = o.first; var flags = $('o-flags'); flags.textContent = ''; o.flags.forEach(function (f) { text(flags, 'div', f.name + '：' + f.handling, 'flag'); });
    $('o-number').textContent = o.number; $('o-from').textContent = o.unit + ' ← ' + o.sender + ' ' + o.sent; $('o-by').textContent = o.ended ? '' : rest(o);
    ['approach', 'opening', 'next_line', 'answer', 'turn', 'ending'].forEach(function (k) { $('t-' + k).textContent = o.talk[k] || ''; });
    $('t-questions').textContent = (o.talk.questions || []).join('\n');
    var told = $('records'); told.textContent = ''; if (o.refused && o.refused.length) door.say(o.refused.join(' '), 'bad');
    if (o.records.length) {
      var all = o.records.map(function (r) { return r.officer + ' ' + r.result + ' ' + r.at; }).join('；');
      text(told, 'div', (o.differs ? words.conflict : words.oneOutcome).replace('{all}', all).replace('{one}', o.outcome), 'say ' + (o.differs ? 'bad' : 'good'));
    }
    $('submit').textContent = o.records.some(function (r) { return r.mine; }) ? words.correct : words.submit;
    store.ids('left:' + ref + ':').then(function (ids) {
      if (ids.length) return store.get(ids[0]).then(toldLeft);
    });
    if (shown === o.ref + o.version) return; // what is being written stays under the officer's thumb
    shown = o.ref + o.version;
    store.get('draft:' + ref).then(function (draft) { door.form.show(o, draft, function (d) { store.put('draft:' + ref, d).catch(function () {}); }); });
  }
  function render() { if (me) { if (ref) renderOrder(); else renderList(); } }

  $('open').addEventListener('click', function () {
    door.say(words.opening);
    ask('/door/api/open', { now: new Date().toISOString(), id: door.id(), order: ref, at: new Date().toISOString() }).then(function (got) {
      if (got.status !== 200) { door.say(words.gone, 'bad'); return; }
      door.say(''); opens += 1;
      orders = orders.filter(function (o) { return o.ref !== ref; }).concat([got.told]);
      return store.put('order:' + ref, got.told).then(function () { return store.put('orders', orders.filter(function (o) { return !o.open; })); }).then(render);
    }, function () { if (me) door.say(words.openNeedsNet, 'bad'); });
  });
  $('going').addEventListener('click', function () {
    $('going').hidden = true;
    door.queue({ kind: 'going', id: door.id(), order: ref, at: new Date().toISOString() }).then(sync);
  });
  $('form').addEventListener('submit', function (e) {
    e.preventDefault();
    var o = orders.find(function (x) { return x.ref === ref; }), button = $('submit');
    if (button.disabled) return;
    button.disabled = true;
    store.get('mine:' + ref).then(function (mine) {
      var told = o.records.filter(function (r) { return r.mine; }).map(function (r) { return r.revision; });
      var revision = Math.max.apply(null, [mine || 0].concat(told)) + 1, made = door.form.items(ref, revision);
      if (made.missing) { door.say(made.missing, 'bad'); return; }
      return store.ids('left:' + ref + ':').then(function (ids) { return Promise.all(ids.map(store.drop)); }).then(function () {
        return made.items.reduce(function (before, item) { return before.then(function () { return door.queue(item); }); }, Promise.resolve());
      }).then(function () { return store.put('mine:' + ref, revision); }).then(function () {
        door.form.queued(); door.say(words.saved, 'good'); $('submit').textContent = words.correct; $('going').hidden = true;
        return sync();
      });
    }).then(function () { button.disabled = false; }, function (error) { button.disabled = false; if (me) door.say(String(error && error.message || error), 'bad'); });
  });
  $('logout').addEventListener('click', function () {
    sync().then(counted).then(function (ids) {
      if (ids.length) { door.say(words.unsentOut, 'bad'); return; }
      return ask('/door/api/logout', {}).then(function () { return store.wipe(); }).then(function () { location.href = '/door/login'; });
    });
  });

  /* The phone was paired anew: what was not sent goes on with the same officer's new pairing; another's is not thrown away
     unasked. Gives how many records were carried over. */
  var carried = 0;
  function taken(known, told) {
    if (!known || !known.ref || known.ref === told.ref) return store.unlock(told).then(function () { return 0; });
    return Promise.all([store.ids('item:'), store.ids('left:')]).then(function (ids) {
      var n = ids[0].length + ids[1].length;
      if (!n) return store.wipe().then(function () { return store.unlock(told); }).then(function () { return 0; });
      return ask('/door/api/former', { ref: known.ref }).then(function (got) {
        if (got.status === 200) return store.carry(got.told.key, told).then(function () { return n; });
        me = null;
        $('locked-n').textContent = words.stranded.replace('{n}', n).replace('{officer}', known.officer);
        $('discard').hidden = false; show('locked');
        $('discard').addEventListener('click', function () { store.wipe().then(function () { location.reload(); }); });
        throw new Error('stranded');
      });
    });
  }

  if (!store.able) { net(navigator.onLine); door.say(words.noStore, 'bad'); return; }
  if ('serviceWorker' in navigator) navigator.serviceWorker.register('/door-worker.js', { scope: '/door' }).catch(function () {});
  if (navigator.storage && navigator.storage.persist) navigator.storage.persist();
  store.open().then(function (known) {
    me = known && known.key ? known : null;
    return ask('/door/api/me').then(function (got) {
      var told = got.told;
      if (got.status !== 200) return;
      told.skew = Date.parse(told.now) - Date.now();
      return taken(known, told).then(function (n) { me = told; carried = n; });
    }, function () {});
  }).then(guard).then(function () {
    if (!me) return lockedNow();
    return kept().then(render).then(function () { if (carried) door.say(words.carried.replace('{n}', carried), 'good'); }).then(sync).then(function () { document.body.dataset.ready = '1'; });
  }).catch(function (error) { if (error.message !== 'stranded') door.say(String(error && error.message || error), 'bad'); });
  window.addEventListener('online', function () { sync(); });
  window.addEventListener('offline', function () { net(false); });
  setInterval(function () { guard().then(function () { if (me) { if (!ref) renderList(); return sync(); } }); }, 20000);
})();
