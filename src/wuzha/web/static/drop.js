/* A workbook dropped anywhere on the desk is the same as one chosen in the form. */
(function () {
  'use strict';
  var form = document.getElementById('drop');
  if (!form) return;
  var input = document.getElementById('drop-file'), said = document.getElementById('drop-said'), depth = 0;
  function files(e) { return e.dataTransfer && Array.prototype.indexOf.call(e.dataTransfer.types, 'Files') >= 0; }
  function fits() {
    var file = input.files[0], ok = !file || file.size <= Number(form.dataset.limit);
    if (!ok) said.textContent = form.dataset.over;
    return ok;
  }
  document.addEventListener('dragenter', function (e) { if (files(e)) { depth++; document.body.classList.add('dropping'); } });
  document.addEventListener('dragleave', function () { if (depth && !--depth) document.body.classList.remove('dropping'); });
  document.addEventListener('dragover', function (e) { if (files(e)) e.preventDefault(); });
  document.addEventListener('drop', function (e) {
    if (!files(e)) return;
    e.preventDefault(); depth = 0; document.body.classList.remove('dropping');
    if (!e.dataTransfer.files.length) return;
    input.files = e.dataTransfer.files;
    if (fits()) form.requestSubmit();
  });
  form.addEventListener('submit', function (e) { if (!fits()) e.preventDefault(); });
})();
