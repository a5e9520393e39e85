/* A card's field is copied by a click or Enter. */
(function () {
  'use strict';
  function copy(el) {
    var text = el.textContent.trim(), mark = function () { el.classList.add('copied'); setTimeout(function () { el.classList.remove('copied'); }, 900); };
    if (navigator.clipboard && window.isSecureContext) { navigator.clipboard.writeText(text).then(mark); return; }
    var area = document.createElement('textarea'); area.value = text; document.body.appendChild(area); area.select();
    if (document.execCommand('copy')) mark();
    area.remove();
  }
  Array.prototype.forEach.call(document.querySelectorAll('[data-copy]'), function (el) {
    el.tabIndex = 0;
    el.addEventListener('click', function () { copy(el); });
    el.addEventListener('keydown', function (e) { if (e.key === 'Enter') { e.preventDefault(); copy(el); } });
  });
})();
