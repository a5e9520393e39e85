"""The documentation is true: its examples run, its lists are those of the code, and it reads without a network.

A fenced block of the language ``console`` is run: each line that begins with ``$ `` is a command, the lines under it
are what it prints (standard output and error together, in which ``…`` stands for anything). The blocks of one page run
in order in one empty folder, each page in its own. ``wuzha`` is this project's. Other languages are not run.
"""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.browser import find_chromium, launch_options

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
PAGES = sorted([*DOCS.rglob("*.md"), *ROOT.glob("*.md")])
CONSOLE = re.compile(r"^(?P<pad> *)```console\n(?P<body>.*?)^ *```$", re.M | re.S)


@dataclass(frozen=True, kw_only=True)
class Example:
    page: Path
    line: int
    command: str
    expected: str


def examples(page: Path) -> list[Example]:
    """The commands of a page in order, each with what it should print."""
    found: list[Example] = []
    text = page.read_text("utf-8")
    for block in CONSOLE.finditer(text):
        first = text.count("\n", 0, block.start()) + 2
        command, line, expected = "", 0, []
        for number, raw in enumerate([*block["body"].splitlines(), "$ "], first):
            row = raw.removeprefix(block["pad"])
            if command.endswith("\\"):
                command = command[:-1] + row.strip()
            elif row.startswith("$ "):
                if command:
                    found.append(Example(page=page, line=line, command=command, expected="\n".join(expected)))
                command, line, expected = row[2:], number, []
            else:
                expected.append(row)
    return found


def matches(expected: str, printed: str) -> bool:
    """Whether ``printed`` is ``expected``: runs of blanks are one, ``…`` stands for anything, also for nothing."""

    def squeeze(text: str) -> str:
        return re.sub(r"\s+", " ", text).strip()

    pattern = ".*?".join(re.escape(squeeze(part)) for part in expected.split("…"))
    return re.fullmatch(rf"\s*{pattern}\s*".replace(r"\ ", r"\s*"), squeeze(printed), re.S) is not None


def relative(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", [p for p in PAGES if examples(p)], ids=relative)
def test_examples_run_and_print_what_they_say(page: Path, tmp_path: Path) -> None:
    program = tmp_path / "bin" / "wuzha"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m wuzha "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "work"
    folder.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith("WUZHA_")}
    env |= {"PATH": f"{program.parent}:{os.environ['PATH']}", "NO_COLOR": "1", "COLUMNS": "120", "PYTHONUTF8": "1"}
    for example in examples(page):
        done = subprocess.run(
            ["sh", "-c", example.command], cwd=folder, env=env, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=900, check=False,
        )  # fmt: skip
        where = f"{relative(page)}:{example.line}: $ {example.command}\n"
        assert done.returncode in (0, 3), f"{where}exit {done.returncode}\n{done.stdout}"
        if example.expected.strip():
            assert matches(example.expected, done.stdout), (
                f"{where}--- says\n{example.expected}\n--- prints\n{done.stdout}"
            )


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("rows 3", "rows   3\n", True),
        ("rows 3", "rows 4\n", False),
        ("rows …", "rows 12\n", True),
        ("rows …\nfiles 1", "rows 12\nsecs 3\nfiles  1\n", True),
        ("a.b", "axb", False),
        ("…rows 3…", "rows 3", True),
    ],
)
def test_comparing_of_examples(expected: str, printed: str, same: bool) -> None:
    assert matches(expected, printed) is same


def test_examples_are_found_with_their_lines(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# T\n\n```console\n$ wuzha a \\\n    --b\nrows 3\n$ wuzha c\n```\n\n```sh\n$ no\n```\n")
    found = [(e.line, e.command, e.expected) for e in examples(page)]
    assert found == [(4, "wuzha a --b", "rows 3"), (7, "wuzha c", "")]


@pytest.mark.parametrize(
    ("module", "page"), [("wuzha.events.reference", "tables.md"), ("wuzha.cli.reference", "commands.md")]
)
def test_reference_pages_are_current(module: str, page: str) -> None:
    done = subprocess.run([sys.executable, "-m", module], capture_output=True, text=True, check=True)
    assert done.stdout == (DOCS / "reference" / page).read_text("utf-8"), "run make reference"


def test_every_command_is_told_of() -> None:
    """In a page that people wrote, not only in the generated list."""
    written = "\n".join(p.read_text("utf-8") for p in PAGES if p.parent.name != "reference")
    commands = re.findall(r"^## (wuzha .+)$", (DOCS / "reference" / "commands.md").read_text("utf-8"), re.M)
    assert not [c for c in commands if c not in written]


def settings_in_code() -> set[str]:
    """Every ``WUZHA_…`` that a file reads by name, and every field of a settings class."""
    found: set[str] = set()
    files = [
        *(ROOT / "src").rglob("*.py"),
        *(ROOT / "tests").rglob("*.py"),
        ROOT / "bootstrap.py",
        ROOT / "Makefile",
        ROOT / ".ci" / "run",
    ]
    for path in files:
        text = path.read_text("utf-8")
        if path != Path(__file__):
            found |= set(re.findall(r"\bWUZHA_[A-Z][A-Z_]*[A-Z]\b", text))
        for node in ast.walk(ast.parse(text)) if path.suffix == ".py" else ():
            if isinstance(node, ast.ClassDef) and any(ast.unparse(b) == "BaseSettings" for b in node.bases):
                fields = [
                    f.target.id for f in node.body if isinstance(f, ast.AnnAssign) and isinstance(f.target, ast.Name)
                ]
                prefix = re.search(r"env_prefix='(WUZHA_\w*)'", ast.unparse(node))
                found |= {f"{prefix[1] if prefix else 'WUZHA_'}{name.upper()}" for name in fields}
    return found


def test_settings_page_is_what_the_code_reads() -> None:
    told = set(re.findall(r"`(WUZHA_[A-Z_]+)`", (DOCS / "settings.md").read_text("utf-8")))
    read = settings_in_code()
    assert (sorted(read - told), sorted(told - read)) == ([], [])


def test_settings_page_tells_the_defaults() -> None:
    from wuzha.live.settings import Settings as Live
    from wuzha.store.settings import Settings as Store

    rows = re.findall(r"^\| `(WUZHA_[A-Z_]+)` \| ([^|]*) \|", (DOCS / "settings.md").read_text("utf-8"), re.M)
    told = dict(rows)
    fields = {**Store.model_fields, **Live.model_fields}
    wrong = {
        name: (told[f"WUZHA_{name.upper()}"], shown)
        for name, field in fields.items()
        if field.default_factory is None
        and told[f"WUZHA_{name.upper()}"] != (shown := "—" if field.default is None else str(field.default))
    }
    assert not wrong


def test_make_targets_are_told_of() -> None:
    targets = set(re.findall(r"^([a-z]+):  ## ", (ROOT / "Makefile").read_text("utf-8"), re.M))
    told = set(re.findall(r"\bmake ([a-z]+)", (ROOT / "CONTRIBUTING.md").read_text("utf-8")))
    assert (sorted(targets - told), sorted(told - targets)) == ([], [])


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for page in PAGES:
        for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text("utf-8")):
            path, _, _ = target.partition("#")
            if path and "://" not in path and not path.startswith("mailto:") and not (page.parent / path).exists():
                broken.append(f"{relative(page)}: {target}")
    assert not broken, broken


def test_both_readmes_tell_the_same() -> None:
    """The same commands in the same order, and as many sections."""
    english, chinese = (Path(ROOT / f"README{x}.md").read_text("utf-8") for x in ("", ".zh-CN"))
    block = re.compile(r"^```\w*\n(.*?)^```$", re.M | re.S)

    def commands(text: str) -> list[str]:
        return [line.split("#")[0].strip() for b in block.findall(text) for line in b.splitlines()]

    assert [c for c in commands(english) if c.startswith(("make", "wuzha", "$"))] == [
        c for c in commands(chinese) if c.startswith(("make", "wuzha", "$"))
    ]
    assert len(re.findall(r"^## ", english, re.M)) == len(re.findall(r"^## ", chinese, re.M))


def test_the_site_builds_and_asks_no_other_host(tmp_path: Path) -> None:
    site = tmp_path / "site"
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    env = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (site / "index.html").is_file()
    loads = re.compile(r"""<(?:script|img|iframe|source)[^>]+src=["']?(?:https?:)?//|<link[^>]+rel=["']?(?:stylesheet|preconnect|preload|icon)[^>]*href=["']?(?:https?:)?//|@import\s+(?:url\()?["']?https?:|url\(["']?(?:https?:)?//""")  # fmt: skip  # noqa: E501
    files = [p for p in site.rglob("*") if p.suffix in (".html", ".css")]
    foreign = {str(p.relative_to(site)): m[0] for p in files if (m := loads.search(p.read_text("utf-8")))}
    assert not foreign
    asked = requests_of(site / "index.html")
    assert not [url for url in asked if not url.startswith(("file:", "data:"))]


def requests_of(page: Path) -> list[str]:
    """What a browser asks for when it opens the page, scripts included; nothing where there is no browser."""
    chromium = find_chromium()
    if chromium is None:
        return []
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(**launch_options(chromium))
        opened = browser.new_page()
        opened.on("request", lambda request: asked.append(request.url))
        opened.goto(page.as_uri(), wait_until="networkidle")
        browser.close()
    assert asked
    return asked
