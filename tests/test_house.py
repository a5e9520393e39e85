"""The house: floors, words, sizes and lists that must agree with the code. Named invariants, one test each."""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SRC = ROOT / "src" / "wuzha"

#: From the ground up; a package imports only from rows above its own, and packages in one row not from each other.
FLOORS: tuple[tuple[str, ...], ...] = (
    ("events",),
    ("ingest", "detect", "trace", "link", "text"),
    ("store",),
    ("live",),
    ("respond", "orders", "cases", "cards", "outreach", "command"),
    ("api", "web", "cli"),
    ("city",),
    ("bench",),
)
DESKS = FLOORS[4]
FLOOR_OF = {package: floor for floor, packages in enumerate(FLOORS) for package in packages}

MODULES = sorted(SRC.rglob("*.py"))
LONGEST = 450


def name(path: Path) -> str:
    parts = path.relative_to(SRC.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Line and full module name of every import in a file: in functions and under TYPE_CHECKING too."""
    own = name(path).split(".")
    package = own if path.name == "__init__.py" else own[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *(node.module.split(".") if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def forbidden(importer: str, imported: str) -> str | None:
    """Why ``importer`` may not import ``imported``, or None where it may."""
    theirs = imported.split(".")
    if theirs[0] != "wuzha" or len(theirs) < 2 or theirs[1] not in FLOOR_OF:
        return None
    ours = importer.split(".")
    if len(ours) < 2 or ours[1] not in FLOOR_OF:
        return f"{importer} stands below all floors and imports {imported}" if ours != ["wuzha", "__main__"] else None
    mine, other = ours[1], theirs[1]
    if mine == other or FLOOR_OF[other] < FLOOR_OF[mine]:
        return None
    if mine in DESKS and other in DESKS and theirs[2:3] == ["public"]:
        return None
    return f"{importer} (floor of {mine}) imports {imported} (floor of {other})"


def test_imports_go_only_upward_in_the_plan() -> None:
    broken = [
        f"{path.relative_to(ROOT)}:{line}: {why}"
        for path in MODULES
        for line, imported in imports(path)
        if (why := forbidden(name(path), imported))
    ]
    assert not broken, "\n".join(broken)


@pytest.mark.parametrize(
    ("importer", "imported", "allowed"),
    [
        ("wuzha.detect.engine", "wuzha.events.TABLES", True),
        ("wuzha.detect.engine", "wuzha.store.log", False),
        ("wuzha.detect.engine", "wuzha.ingest.read", False),
        ("wuzha.respond.sign", "wuzha.command.public.units", True),
        ("wuzha.respond.sign", "wuzha.command.units", False),
        ("wuzha.cli.main", "wuzha.city.cli", False),
        ("wuzha.city.replay", "wuzha.cli.output", True),
        ("wuzha.compiled", "wuzha.detect", False),
        ("wuzha.web.desk", "numpy", True),
    ],
)
def test_the_import_rule_itself(importer: str, imported: str, allowed: bool) -> None:
    assert (forbidden(importer, imported) is None) is allowed


def test_the_import_rule_sees_every_way_of_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"{__name__}.SRC", tmp_path / "wuzha")
    module = tmp_path / "wuzha" / "detect" / "engine.py"
    module.parent.mkdir(parents=True)
    module.write_text(
        "from typing import TYPE_CHECKING\n"
        "from .. import store\n"
        "from ..ingest import read\n"
        "if TYPE_CHECKING:\n    import wuzha.live.worker\n"
        "def f():\n    from wuzha.api import app\n"
    )
    found = [imported for _, imported in imports(module) if forbidden("wuzha.detect.engine", imported)]
    assert found == ["wuzha.store", "wuzha.ingest.read", "wuzha.live.worker", "wuzha.api.app"]


def test_desks_import_each_other_without_circles() -> None:
    needs: dict[str, set[str]] = {desk: set() for desk in DESKS}
    for path in MODULES:
        mine = name(path).split(".")[1:2]
        for _, imported in imports(path):
            other = imported.split(".")[1:2] if imported.startswith("wuzha.") else []
            if mine and other and mine != other and mine[0] in DESKS and other[0] in DESKS:
                needs[mine[0]].add(other[0])

    def reaches(start: str, end: str, seen: frozenset[str] = frozenset()) -> bool:
        return any(n == end or (n not in seen and reaches(n, end, seen | {n})) for n in needs[start])

    assert not [desk for desk in DESKS if reaches(desk, desk)]


def test_every_package_stands_on_a_floor() -> None:
    packages = {p.name for p in SRC.iterdir() if p.is_dir() and any(p.rglob("*.py"))}
    assert packages <= set(FLOOR_OF), sorted(packages - set(FLOOR_OF))


def test_cli_loads_city_and_bench_only_as_entry_points() -> None:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"].get("entry-points", {})
    targets = [target.split(":")[0].split(".")[1] for target in points.get("wuzha.commands", {}).values()]
    assert set(targets) <= {"city", "bench"}


def test_every_module_says_what_it_is_for() -> None:
    silent = [str(p.relative_to(ROOT)) for p in MODULES if p.stat().st_size and not ast.get_docstring(tree(p))]
    assert not silent, silent


def test_every_package_says_what_it_is_for() -> None:
    packages = {p.parent for p in MODULES}
    silent = [str(p.relative_to(ROOT)) for p in packages if not (p / "__init__.py").is_file()]
    assert not silent, f"without __init__.py: {silent}"


#: Files that have outgrown the limit and wait to be parted by meaning. Nothing may be added; what is parted leaves.
OUTGROWN: set[str] = set()


def test_files_hold_one_thing() -> None:
    everything = [*MODULES, *(ROOT / "tests").rglob("*.py"), *ROOT.glob("*.py"), *(ROOT / "packaging").glob("*.py")]
    long = {str(p.relative_to(ROOT)): n for p in everything if (n := len(p.read_text("utf-8").splitlines())) > LONGEST}
    assert long.keys() == OUTGROWN, {k: long.get(k) for k in long.keys() ^ OUTGROWN}


def test_no_module_is_a_drawer() -> None:
    drawers = {"utils", "util", "helpers", "helper", "manager", "managers", "base", "common", "misc"}
    assert not [str(p.relative_to(ROOT)) for p in MODULES if p.stem in drawers or p.parent.name in drawers]


def test_nothing_is_left_for_later() -> None:
    later = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|X" + r"XX)\b|lorem " + "ipsum", re.ASCII)
    files = [*MODULES, *(ROOT / "tests").rglob("*.py"), *(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")]
    found = [
        f"{p.relative_to(ROOT)}:{number}"
        for p in files
        for number, line in enumerate(p.read_text("utf-8").splitlines(), 1)
        if later.search(line)
    ]
    assert not found, found


#: The clock itself, and doctor, which asks whether the machine's own clock and the database's agree.
MAY_READ_THE_CLOCK = ("wuzha.events.clock", "wuzha.cli.doctor")


def test_only_the_clock_reads_the_wall_clock() -> None:
    """A deadline, an end or a "now" from elsewhere would not follow a replayed city. Durations are free."""
    found = []
    for path in MODULES:
        if name(path) in MAY_READ_THE_CLOCK:
            continue
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
                called = ast.unparse(node.func)
                if called.split(".", 1)[-1] in ("now", "utcnow", "today") and called.split(".")[0] in (
                    "datetime",
                    "date",
                    "dt",
                ):
                    found.append(f"{path.relative_to(ROOT)}:{node.lineno}: {called}")
    assert not found, "\n".join(found)


def test_locks_hold_every_dependency_with_hashes_and_no_host() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]

    def names(requirements: list[str]) -> set[str]:
        return {re.split(r"[^A-Za-z0-9._-]", r)[0].lower().replace("_", "-") for r in requirements}

    run, dev = ((ROOT / "requirements" / f"{lock}.txt").read_text("utf-8") for lock in ("run", "dev"))
    extras = [r for extra in project["optional-dependencies"].values() for r in extra]
    for text, wanted in ((run, names(project["dependencies"])), (dev, names(project["dependencies"] + extras))):
        locked = {m.lower() for m in re.findall(r"^([A-Za-z0-9._-]+)==", text, re.M)}
        assert wanted <= locked, f"run make lock: {sorted(wanted - locked)}"
        pins = re.split(r"\n(?=[A-Za-z])", text)
        assert not [pin.split("=")[0] for pin in pins if "==" in pin.split("\n")[0] and "--hash=sha256:" not in pin]
        assert "://" not in text
    lock = (ROOT / "frontend" / "package-lock.json").read_text("utf-8")
    assert '"resolved"' not in lock
    assert lock.count('"integrity"') == lock.count('"node_modules/')


def test_run_and_dev_lock_the_same_versions() -> None:
    def pins(lock: str) -> set[str]:
        text = (ROOT / "requirements" / f"{lock}.txt").read_text("utf-8")
        return set(re.findall(r"^([A-Za-z0-9._-]+==\S+)", text, re.M))

    assert pins("run") | pins("build") <= pins("dev")


def test_files_of_tests_that_go_first_are_there() -> None:
    from tests.conftest import LONGEST

    assert not [name for name in LONGEST if not (ROOT / "tests" / name).is_file()]
    assert len(set(LONGEST)) == len(LONGEST)
