/* Keys. [data-key] names an element's key: a button is pressed, a details opened, a field focused. Nothing happens while
   one types, or with Ctrl, Alt or Meta held. Drafts ([data-draft]) are kept in this tab until they are sent. */
(function () {
  'use strict';
  var help = document.getElementById('keys'), before = null;
  function typing(el) { return el && (el.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(el.tagName) && !/^(radio|checkbox|button|submit)$/.test(el.type)); }
  function open(el) {
    var d = el.tagName === 'DETAILS' ? el : el.closest('details');
    if (d) d.open = true;
    if (el.scrollIntoView) el.scrollIntoView({ block: 'nearest' });
    var first = el.querySelector('[data-first]:not([disabled])') || el.querySelector('input[type=radio]:checked') || el.querySelector('.buttons button:not([disabled])') || el.querySelector('button:not([disabled]), input:not([type=hidden])');
    if (first) first.focus();
  }
  function press(el) {
    if (el.dataset.open) { var target = document.getElementById(el.dataset.open); if (target) open(target); return; }
    if (el.tagName === 'SUMMARY') {
      var others = document.querySelectorAll('.rung[open]'), own = el.parentNode, i;
      for (i = 0; i < others.length; i++) if (others[i] !== own && own.classList.contains('rung')) others[i].open = false;
      open(own); return;
    }
    if (typing(el)) { el.focus(); if (el.select) el.select(); return; }
    el.click();
  }
  function toggleHelp(on) {
    if (on === !help.hidden) return;
    if (on) { before = document.activeElement; help.hidden = false; help.querySelector('h2').tabIndex = -1; help.querySelector('h2').focus(); }
    else { help.hidden = true; if (before && before.focus) before.focus(); }
  }
  document.addEventListener('keydown', function (e) {
    if (e.ctrlKey && e.key === 'Enter' && e.target.tagName === 'TEXTAREA' && e.target.form) { e.preventDefault(); e.target.form.querySelector('button').click(); return; }
    if (e.ctrlKey || e.altKey || e.metaKey || e.isComposing) return;
    if (e.key === 'Escape') { toggleHelp(false); if (typing(e.target)) e.target.blur(); return; }
    if (typing(e.target)) return;
    if (e.key === '?') { e.preventDefault(); toggleHelp(help.hidden); return; }
    if (!help.hidden) return;
    var at = document.activeElement;
    if (/^Arrow(Left|Right)$/.test(e.key) && at && at.parentNode && at.parentNode.classList.contains('buttons')) {
      var to = e.key === 'ArrowRight' ? at.nextElementSibling : at.previousElementSibling;
      if (to && !to.disabled) { e.preventDefault(); to.focus(); } return;
    }
    if (e.key === 'Enter' && at && at !== document.body && /^(A|BUTTON|SUMMARY|INPUT)$/.test(at.tagName)) {
      if (at.tagName === 'A' && at.dataset.open) { e.preventDefault(); press(at); } return;
    }
    var name = e.key.length === 1 ? e.key.toLowerCase() : e.key, el = document.querySelector('[data-key="' + name.replace(/["\\]/g, '') + '"]');
    if (el && !el.hidden && !el.disabled) { e.preventDefault(); press(el); return; }
    document.dispatchEvent(new CustomEvent('wuzha:key', { detail: name }));
  });
  document.addEventListener('click', function (e) {
    var el = e.target.closest ? e.target.closest('[data-open]') : null;
    if (el) { e.preventDefault(); press(el); return; }
    if (e.target === help) toggleHelp(false);
  });
  function restore() {
    var all = document.querySelectorAll('[data-draft]'), i, kept;
    for (i = 0; i < all.length; i++) { kept = sessionStorage.getItem(all[i].dataset.draft); if (kept && !all[i].value) all[i].value = kept; }
  }
  document.addEventListener('input', function (e) { if (e.target.dataset && e.target.dataset.draft) sessionStorage.setItem(e.target.dataset.draft, e.target.value); });
  function sent(form) { var all = form.querySelectorAll('[data-draft]'), i; for (i = 0; i < all.length; i++) sessionStorage.removeItem(all[i].dataset.draft); }
  document.addEventListener('htmx:afterRequest', function (e) { if (e.detail.xhr && e.detail.xhr.status < 400 && e.detail.elt.tagName === 'FORM') sent(e.detail.elt); });
  document.addEventListener('submit', function (e) { if (!window.htmx) sent(e.target); });
  document.addEventListener('htmx:afterSettle', function () { restore(); var m = document.getElementById('main'); if (m && document.activeElement === document.body) m.focus({ preventScroll: true }); });
  restore();
})();
