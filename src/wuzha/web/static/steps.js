/* A step that did not come about. A refusal is told by the page itself where it can; where the answer is another page
   (the file is out of sight, the page too old) or none at all, this page stays as it is, with all that was typed, and
   says so at the top. A button works again at once: its click has a key, so that a second try is never a second step. */
(function () {
  'use strict';
  var bar = document.getElementById('live-bar'), kept = null;
  function say(text) { bar.textContent = text; bar.hidden = false; }
  function told(xhr) {
    var at = new DOMParser().parseFromString(xhr.responseText || '', 'text/html').getElementById('refusal');
    return at ? at.textContent.replace(/\s+/g, ' ').trim() : '';
  }
  // A refused form comes back as it was filled in: found by the name behind its click's key.
  function named(form) { var at = form.querySelector('input[name=click]'); return at ? at.value.replace(/^[^-]*-/, '') : ''; }
  function fields(form) { return Array.prototype.filter.call(form.elements, function (f) { return f.name && !/^(hidden|submit|button|file|password)$/.test(f.type); }); }
  function written(form) {
    if (!form || form.tagName !== 'FORM' || !named(form)) return null;
    return { form: named(form), values: fields(form).map(function (f) { return [f.name, f.value, f.checked]; }) };
  }
  function refill(from) {
    Array.prototype.forEach.call(document.forms, function (form) {
      if (named(form) !== from.form) return;
      fields(form).forEach(function (f, i) {
        var was = from.values[i]; if (!was || was[0] !== f.name) return;
        if (/^(radio|checkbox)$/.test(f.type)) f.checked = was[2]; else f.value = was[1];
      });
      for (var box = form.closest('details'); box; box = box.parentNode.closest('details')) box.open = true;
    });
  }
  document.addEventListener('htmx:beforeSwap', function (e) {
    var to = e.detail.target, page;
    if (e.detail.xhr.status < 400 || !to || !to.id) return;
    page = new DOMParser().parseFromString(e.detail.xhr.responseText || '', 'text/html');
    kept = page.getElementById(to.id) && e.detail.requestConfig ? written(e.detail.requestConfig.elt) : null;
    if (!page.getElementById(to.id)) { e.detail.shouldSwap = false; say(told(e.detail.xhr) || document.body.dataset.unsent); }
  });
  document.addEventListener('htmx:sendError', function () { say(document.body.dataset.unsent); });
  document.addEventListener('htmx:timeout', function () { say(document.body.dataset.unsent); });
  document.addEventListener('htmx:afterSettle', function () {
    if (kept) { refill(kept); kept = null; }
    var note = document.querySelector('#file > .note.bad'); if (note) setTimeout(function () { note.scrollIntoView({ block: 'center' }); }, 0);  // after the focus has found its place
  });
})();
