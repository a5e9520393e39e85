/* The record of a visit on the phone: ticks with their times, a finger's signature, pictures made small, place. */
(function () {
  'use strict';
  var door = window.door, form = document.getElementById('form'), pad = document.getElementById('pad'), ctx = pad.getContext('2d');
  var draft = null, save = function () {}, words = document.body.dataset;

  function now() { return new Date().toISOString(); }
  function clock(iso) { var d = new Date(iso); return ('0' + d.getHours()).slice(-2) + ':' + ('0' + d.getMinutes()).slice(-2); }
  function fresh() { return { checks: {}, result: '', signature: null, refused: '', refused_why: '', notice_at: '', place: '', lat: null, lon: null, accuracy: null, pictures: [], kin_present: false, kin_told: false, kin_reason: '', kin_what: '', mind: '', words: '' }; }

  function paint() {
    form.querySelectorAll('[name=check]').forEach(function (box) {
      var at = draft.checks[box.value];
      box.checked = !!at; box.parentNode.classList.toggle('on', !!at); box.parentNode.querySelector('time').textContent = at ? clock(at) : '';
    });
    form.querySelectorAll('[name=result],[name=mind]').forEach(function (r) { r.checked = draft[r.name] === r.value; r.parentNode.classList.toggle('on', r.checked); });
    ['refused', 'kin_present', 'kin_told'].forEach(function (n) { form[n].checked = !!draft[n]; form[n].parentNode.classList.toggle('on', !!draft[n]); });
    ['refused_why', 'place', 'kin_what', 'words'].forEach(function (n) { if (form[n].value !== draft[n]) form[n].value = draft[n]; });
    if (draft.kin_reason) form.kin_reason.value = draft.kin_reason;
    document.getElementById('refused-why').hidden = !draft.refused;
    document.getElementById('kin-told').hidden = !draft.kin_told;
    document.getElementById('gps-got').textContent = draft.lat === null ? '' : words.placeGot.replace('{n}', Math.round(draft.accuracy || 0));
    var shots = document.getElementById('shots');
    shots.textContent = '';
    draft.pictures.forEach(function (p, i) {
      var f = document.createElement('figure'), img = document.createElement('img'), b = document.createElement('button');
      img.src = p.data; img.alt = ''; b.type = 'button'; b.className = 'plain'; b.textContent = words.removed;
      b.addEventListener('click', function () { draft.pictures.splice(i, 1); changed(); });
      f.appendChild(img); f.appendChild(b); shots.appendChild(f);
    });
  }
  function changed() { paint(); save(draft); }

  form.addEventListener('change', function (e) {
    var t = e.target;
    if (t.name === 'check') { if (t.checked) draft.checks[t.value] = now(); else delete draft.checks[t.value]; }
    else if (t.type === 'radio') draft[t.name] = t.value;
    else if (t.type === 'checkbox') { draft[t.name] = t.checked; if (t.name === 'refused' && t.checked) draft.notice_at = now(); }
    else if (t.name && t.type !== 'file') draft[t.name] = t.value;
    changed();
  });
  form.addEventListener('input', function (e) { if (e.target.name && /^(text|textarea|)$/.test(e.target.type)) { draft[e.target.name] = e.target.value; save(draft); } });

  /* The signature. */
  var drawing = false, inked = false;
  function point(e) { var r = pad.getBoundingClientRect(); return [(e.clientX - r.left) * pad.width / r.width, (e.clientY - r.top) * pad.height / r.height]; }
  function blank() { ctx.fillStyle = '#fff'; ctx.fillRect(0, 0, pad.width, pad.height); }
  pad.addEventListener('pointerdown', function (e) { drawing = true; inked = true; pad.setPointerCapture(e.pointerId); var p = point(e); ctx.lineWidth = 5; ctx.lineCap = 'round'; ctx.strokeStyle = '#111'; ctx.beginPath(); ctx.moveTo(p[0], p[1]); e.preventDefault(); });
  pad.addEventListener('pointermove', function (e) { if (!drawing) return; var p = point(e); ctx.lineTo(p[0], p[1]); ctx.stroke(); });
  function lifted() { if (!drawing) return; drawing = false; draft.signature = { id: door.id(), data: pad.toDataURL('image/png'), at: now() }; draft.notice_at = now(); draft.refused = false; changed(); }
  pad.addEventListener('pointerup', lifted); pad.addEventListener('pointercancel', lifted);
  document.getElementById('pad-clear').addEventListener('click', function () { blank(); inked = false; draft.signature = null; changed(); });
  function showSignature() {
    blank();
    if (draft.signature) { var img = new Image(); img.onload = function () { ctx.drawImage(img, 0, 0); }; img.src = draft.signature.data; }
  }

  /* Pictures: 1280 at the long side, as small as it takes to cross. */
  function small(file) {
    return new Promise(function (ok, no) {
      var reader = new FileReader();
      reader.onerror = no;
      reader.onload = function () {
        var img = new Image();
        img.onerror = no;
        img.onload = function () {
          var scale = Math.min(1, 1280 / Math.max(img.width, img.height)), c = document.createElement('canvas'), q = 0.8, data;
          c.width = Math.max(1, Math.round(img.width * scale)); c.height = Math.max(1, Math.round(img.height * scale));
          c.getContext('2d').drawImage(img, 0, 0, c.width, c.height);
          do { data = c.toDataURL('image/jpeg', q); q -= 0.15; } while (data.length > 760000 && q > 0.1);
          if (data.length > 780000) no(); else ok(data);
        };
        img.src = reader.result;
      };
      reader.readAsDataURL(file);
    });
  }
  document.getElementById('camera').addEventListener('change', function (e) {
    var files = Array.from(e.target.files), limit = Number(words.limit);
    e.target.value = '';
    files.reduce(function (before, file) {
      return before.then(function () {
        if (draft.pictures.length >= limit) { door.say(words.tooMany.replace('{n}', limit), 'bad'); return; }
        return small(file).then(function (data) { draft.pictures.push({ id: door.id(), data: data, at: now() }); changed(); }, function () { door.say(words.badPicture, 'bad'); });
      });
    }, Promise.resolve());
  });
  document.getElementById('gps').addEventListener('click', function () {
    var told = document.getElementById('gps-got');
    if (!navigator.geolocation) { told.textContent = words.placeNone; return; }
    navigator.geolocation.getCurrentPosition(function (p) { draft.lat = p.coords.latitude; draft.lon = p.coords.longitude; draft.accuracy = p.coords.accuracy; changed(); }, function () { told.textContent = words.placeNone; }, { enableHighAccuracy: true, timeout: 15000, maximumAge: 60000 });
  });

  door.form = {
    show: function (order, kept, onsave) {
      draft = kept || fresh(); save = onsave;
      var select = form.kin_reason, forbidden = order.kin.forbidden;
      select.textContent = '';
      order.kin.reasons.forEach(function (r) { var o = document.createElement('option'); o.value = r.code; o.textContent = r.word; select.appendChild(o); });
      document.getElementById('kin-no').hidden = !forbidden;
      document.getElementById('kin-tell').hidden = forbidden;
      var who = document.getElementById('kin-who'); who.textContent = '';
      order.kin.people.forEach(function (k) {
        var li = document.createElement('li'); li.textContent = k.role + ' ' + k.name + ' ';
        if (k.tel) { var a = document.createElement('a'); a.href = 'tel:' + k.tel; a.textContent = k.line; li.appendChild(a); }
        who.appendChild(li);
      });
      if (forbidden) { draft.kin_told = false; }
      paint(); showSignature();
    },
    /* The items of this record: pictures that have not been queued yet, then the record; or what is missing. */
    items: function (ref, revision) {
      var out = [], ids = [], signed = draft.signature && !draft.refused, d = draft;
      if (!d.result) return { missing: words.needResult };
      if (d.refused && !d.refused_why.trim() || d.result === 'met' && !signed && !d.refused) return { missing: words.needNotice };
      if (d.kin_told && !d.kin_reason) d.kin_reason = form.kin_reason.value;
      if (d.kin_told && (!d.kin_reason || !d.kin_what.trim())) return { missing: words.needKin };
      function picture(p, what) {
        var at = p.data.indexOf(',');
        if (!p.queued) out.push({ kind: 'picture', id: p.id, order: ref, at: p.at, what: what, mime: p.data.slice(5, p.data.indexOf(';')), data: p.data.slice(at + 1) });
        return p.id;
      }
      d.pictures.forEach(function (p) { ids.push(picture(p, 'photo')); });
      out.push({
        kind: 'record', id: door.id(), order: ref, at: now(), revision: revision, result: d.result,
        checks: Object.keys(d.checks).map(function (c) { return { code: c, at: d.checks[c] }; }),
        notice: { state: signed ? 'signed' : d.refused ? 'refused' : 'none', reason: d.refused_why, at: d.notice_at || null },
        signature: signed ? picture(d.signature, 'signature') : null, pictures: ids,
        place: { text: d.place, lat: d.lat, lon: d.lon, accuracy: d.accuracy },
        kin: { present: d.kin_present, told: d.kin_told, reason: d.kin_told ? d.kin_reason : '', what: d.kin_told ? d.kin_what : '' },
        mind: d.mind || null, words: d.words
      });
      out.sort(function (a, b) { return (a.kind === 'record') - (b.kind === 'record'); });
      return { items: out };
    },
    queued: function () { draft.pictures.forEach(function (p) { p.queued = true; }); if (draft.signature) draft.signature.queued = true; save(draft); }
  };
})();
