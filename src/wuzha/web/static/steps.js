/* A step that did not come about. A refusal is told by the page itself where it can; where the answer is another page
   (the file is out of sight, the page too old) or none at all, this page stays as it is, with all that was typed, and
   says so at the top. A button works again at once: its click has a key, so that a second try is never a second step. */
(function () {
  'use strict';
  var bar = document.getElementById('live-bar');
  function say(text) { bar.textContent = text; bar.hidden = false; }
  function told(xhr) {
    var at = new DOMParser().parseFromString(xhr.responseText || '', 'text/html').getElementById('refusal');
    return at ? at.textContent.replace(/\s+/g, ' ').trim() : '';
  }
  document.addEventListener('htmx:beforeSwap', function (e) {
    var to = e.detail.target, page;
    if (e.detail.xhr.status < 400 || !to || !to.id) return;
    page = new DOMParser().parseFromString(e.detail.xhr.responseText || '', 'text/html');
    if (!page.getElementById(to.id)) { e.detail.shouldSwap = false; say(told(e.detail.xhr) || document.body.dataset.unsent); }
  });
  document.addEventListener('htmx:sendError', function () { say(document.body.dataset.unsent); });
  document.addEventListener('htmx:timeout', function () { say(document.body.dataset.unsent); });
  document.addEventListener('htmx:afterSettle', function () {
    var note = document.querySelector('#file > .note.bad'); if (note) note.scrollIntoView({ block: 'center' });
  });
})();
