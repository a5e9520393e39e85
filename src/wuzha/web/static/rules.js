/* A rule as one writes it: features complete as one types, the text is checked on every pause and the mistake marked in
   its place, and what holds is tried on the past. Without the editor the plain field does the same. */
(function () {
  'use strict';
  var form = document.getElementById('rule-form'), field = document.getElementById('rule-text'), find = document.getElementById('rules-find');
  if (find) find.addEventListener('input', function () {
    var wanted = find.value.trim().toLowerCase();
    Array.prototype.forEach.call(document.querySelectorAll('.rules-list li'), function (li) { li.hidden = wanted !== '' && li.textContent.toLowerCase().indexOf(wanted) < 0; });
  });
  if (!form) return;
  var said = document.getElementById('rule-said'), test = document.getElementById('test'), days = document.getElementById('test-days');
  var csrf = form.querySelector('input[name=csrf]').value, known = null, editor = null, marks = [], turn = 0, asked = '', typing = 0, pausing = 0, polling = 0;

  function text() { return editor ? editor.getValue() : field.value; }
  function post(to, more) {
    var body = new URLSearchParams(Object.assign({ csrf: csrf, text: text() }, more || {}));
    return fetch(to, { method: 'POST', credentials: 'same-origin', body: body }).then(function (r) { if (!r.ok) throw new Error(String(r.status)); return r.json(); });
  }

  /* ---- completion */
  function subject() { var m = /^\s*subject\s*=\s*"(\w*)"/m.exec(text()); return m && known.features[m[1]] ? m[1] : 'person'; }
  function item(name, words) {
    return { text: name, render: function (li) { var b = document.createElement('b'), s = document.createElement('span'); b.textContent = name; s.textContent = words || ''; li.appendChild(b); li.appendChild(s); } };
  }
  function inside(cm, at) {
    for (var n = at.line; n >= 0; n--) {
      var line = cm.getLine(n), key = /^\s*(\w+)\s*=/.exec(line);
      if (/^\s*\[\s*weights\s*\]/.test(line)) return 'weights';
      if (key) return n === at.line && at.ch <= line.indexOf('=') ? 'key' : key[1];
      if (/^\s*\[/.test(line)) return n === at.line ? '' : 'key';
    }
    return '';
  }
  function section(cm, at) { for (var n = at.line; n >= 0; n--) { var m = /^\s*\[\s*(\w+)\s*\]/.exec(cm.getLine(n)); if (m) return m[1]; } return ''; }
  function hint(cm) {
    if (!known) return null;
    var at = cm.getCursor(), line = cm.getLine(at.line), from = at.ch, list;
    while (from > 0 && /[\w]/.test(line.charAt(from - 1))) from--;
    var typed = line.slice(from, at.ch).toLowerCase(), place = section(cm, at) === 'weights' ? 'weights' : inside(cm, at);
    if (place === 'when' || place === 'zh' || place === 'en') {
      list = known.features[subject()].map(function (f) { return item(f[0], f[1] + ' · ' + f[2]); });
      if (place === 'when') list = list.concat(known.words.map(function (w) { return item(w, ''); }));
      else if (line.charAt(from - 1) !== '{') return null;
    } else if (place === 'weights') list = known.typologies[subject()].map(function (t) { return item(t[0], t[1]); });
    else if (place === 'subject') list = known.subjects.map(function (s) { return item(s, ''); });
    else if (place === 'stage') list = known.stages.map(function (s) { return item(s, ''); });
    else list = known.keys.map(function (k) { return item(k, ''); });
    var begins = list.filter(function (i) { return i.text.toLowerCase().indexOf(typed) === 0; });
    var holds = list.filter(function (i) { return begins.indexOf(i) < 0 && i.text.toLowerCase().indexOf(typed) > 0; });
    list = begins.concat(holds);
    if (list.length === 1 && list[0].text === typed) return null;
    return { list: list, from: { line: at.line, ch: from }, to: at };
  }

  /* ---- checks and trials */
  function mark(answer) {
    marks.forEach(function (m) { m.clear(); }); marks = [];
    if (!editor) return;
    for (var n = 0; n < editor.lineCount(); n++) editor.removeLineClass(n, 'background', 'wrong-line');
    if (answer.ok) return;
    var line = Math.min(answer.line, editor.lineCount()) - 1, row = editor.getLine(line), ch = Math.min(answer.column - 1, row.length), word = /^\w+|^./.exec(row.slice(ch));
    editor.addLineClass(line, 'background', 'wrong-line');
    marks.push(editor.markText({ line: line, ch: word ? ch : Math.max(ch - 1, 0) }, { line: line, ch: ch + (word ? word[0].length : 0) }, { className: 'wrong-mark' }));
  }
  function check() {
    var mine = ++turn;
    return post('/rules/check').then(function (answer) {
      if (mine !== turn) return false;
      said.innerHTML = answer.html; mark(answer); form.dataset.ok = answer.ok ? '1' : '';
      return answer.ok;
    }, function () { said.textContent = document.body.dataset.unsent || ''; return false; });
  }
  function poll(id) {
    clearTimeout(polling);
    fetch('/rules/backtest/' + id, { credentials: 'same-origin' }).then(function (r) { return r.ok ? r.text() : ''; }).then(function (html) {
      if (id !== asked) return;
      if (html) test.innerHTML = html;
      var state = test.querySelector('.test');
      if (state && /waiting|running/.test(state.dataset.state)) polling = setTimeout(function () { poll(id); }, 700);
    }, function () { polling = setTimeout(function () { poll(id); }, 3000); });
  }
  function tryIt() {
    post('/rules/backtest', { days: days.value }).then(function (answer) { if (answer.ok) { asked = answer.id; poll(asked); } }, function () {});
  }
  function changed() {
    clearTimeout(typing); clearTimeout(pausing);
    typing = setTimeout(function () { check().then(function (ok) { if (ok) pausing = setTimeout(tryIt, 900); }); }, 250);
  }

  if (window.CodeMirror) {
    editor = window.CodeMirror.fromTextArea(field, {
      mode: 'text/x-toml', lineNumbers: true, lineWrapping: true, indentUnit: 2, readOnly: field.readOnly, viewportMargin: Infinity,
      extraKeys: { 'Ctrl-Space': function (cm) { cm.showHint({ hint: hint, completeSingle: false }); }, Tab: false, 'Shift-Tab': false }
    });
    editor.getInputField().setAttribute('aria-label', document.querySelector('label[for=rule-text]').textContent);
  }
  if (!form.dataset.live) return;
  if (editor) {
    editor.on('change', function () { editor.save(); changed(); });
    editor.on('inputRead', function (cm, change) { if (/[\w{]$/.test(change.text[change.text.length - 1]) && !cm.state.completionActive) cm.showHint({ hint: hint, completeSingle: false }); });
  } else field.addEventListener('input', changed);
  days.addEventListener('change', function () { if (form.dataset.ok) tryIt(); });
  fetch('/rules/known', { credentials: 'same-origin' }).then(function (r) { return r.json(); }).then(function (words) { known = words; });
  var now = document.getElementById('test-now');
  now.addEventListener('click', function () { check().then(function (ok) { if (ok) tryIt(); }); });
  if (form.querySelector('input[name=rule]').value) check();
})();
