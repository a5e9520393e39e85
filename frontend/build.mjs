// Copies the minified style sheets and scripts, with their licences, to src/wuzha/web/static/vendor.
//
// Kept true: the pages load everything from Wuzha itself (police networks have no internet), so a file that
// points to another host is refused; every file's package, version and licence stand in LICENSES.txt beside it.
// A new library: `npm install --save-dev NAME` here, then a line in FILES.

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const MODULES = join(HERE, "node_modules");
const OUT = join(HERE, "..", "src", "wuzha", "web", "static", "vendor");

/**
 * Name in the package we ship -> package and file in it.
 *
 * Tabler stays at 1.1: from 1.2 on its colours need color-mix() and oklch(), which the Chromium 86 to 110 kernels of
 * the browsers that stand in offices do not know. htmx stays at 2 for the same reason. CodeMirror stays at 5: it comes as
 * plain files that such browsers read, where 6 comes as modules that must be bundled first.
 */
const FILES = {
  "tabler.min.css": ["@tabler/core", "dist/css/tabler.min.css"],
  "htmx.min.js": ["htmx.org", "dist/htmx.min.js"],
  "codemirror.js": ["codemirror", "lib/codemirror.js"],
  "codemirror.css": ["codemirror", "lib/codemirror.css"],
  "codemirror-toml.js": ["codemirror", "mode/toml/toml.js"],
  "codemirror-hint.js": ["codemirror", "addon/hint/show-hint.js"],
  "codemirror-hint.css": ["codemirror", "addon/hint/show-hint.css"],
};

/** Packages that name their licence in package.json and in the file's banner, but ship no licence file. */
const WITHOUT_FILE = {
  "@tabler/core": `MIT License

Copyright (c) 2018-2026 The Tabler Authors, codecalm.net Paweł Kuna

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated
documentation files (the "Software"), to deal in the Software without restriction, including without limitation the
rights to use, copy, modify, merge, publish, distribute, sublicense, and/or sell copies of the Software, and to permit
persons to whom the Software is furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial portions of the
Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT NOT LIMITED TO THE
WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR
COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR
OTHERWISE, ARISING FROM, OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
`,
};

function licence(name) {
  const folder = join(MODULES, name);
  const about = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const texts = readdirSync(folder)
    .filter((file) => /^(licen[cs]e|notice)/i.test(file) && /(^[^.]+|\.(md|txt))$/i.test(file))
    .sort()
    .map((file) => join(folder, file))
    .filter((file) => statSync(file).isFile())
    .map((file) => readFileSync(file, "utf8").trim());
  if (texts.length === 0 && WITHOUT_FILE[name]) texts.push(WITHOUT_FILE[name].trim());
  if (texts.length === 0) throw new Error(`${name} ships no licence text; look it up and add it to WITHOUT_FILE`);
  return `${name} ${about.version} (${about.license ?? "text below"})\n${"=".repeat(78)}\n\n${texts.join("\n\n")}\n`;
}

/** The file without the pointer to a source map that we do not ship. */
function withoutMap(text) {
  return text.replace(/\n?\/[/*]# sourceMappingURL=[^\s*]+(\s*\*\/)?\s*$/, "\n");
}

function refuseOtherHosts(name, text) {
  const found = name.endsWith(".css") && text.match(/(?:@import\s+|url\(\s*)["']?(?:https?:)?\/\/[^"')]+/);
  if (found) throw new Error(`${name} loads from another host: ${found[0]}`);
}

const beside = `${OUT}.new`;
rmSync(beside, { recursive: true, force: true });
mkdirSync(beside, { recursive: true });
for (const [name, [module, file]] of Object.entries(FILES)) {
  const text = withoutMap(readFileSync(join(MODULES, module, file), "utf8"));
  refuseOtherHosts(name, text);
  writeFileSync(join(beside, name), text);
}
const names = [...new Set(Object.values(FILES).map(([module]) => module))].sort();
writeFileSync(join(beside, "LICENSES.txt"), names.map(licence).join("\n\n"));
if (existsSync(OUT)) rmSync(OUT, { recursive: true });
renameSync(beside, OUT);
process.stdout.write(`${Object.keys(FILES).length} files in src/wuzha/web/static/vendor\n`);
