"""Scam scripts: TOML, one a file, read strictly.

Kept true here: a key that is unknown, missing, of the wrong type or out of range is refused with file, line and key, so
that a typing slip never silently becomes the default. The format is told in ``docs/city.md``.
"""

from __future__ import annotations

import re
import tomllib
from dataclasses import MISSING, dataclass, field, fields
from importlib.resources import files
from pathlib import Path
from typing import Any

from wuzha.events.scam_types import scam_types

from . import texts
from .stage import ACTIONS, CHANNELS, PAY_CHANNELS
from .world import OCC

FEEDS = ("ministry", "province", "carrier", "bank", "app")
STAGES = ("approach", "trust", "act", "pay")
DOINGS = (
    "call",
    "message",
    "visit",
    "app",
    "trial",
    "credit",
    "loan",
    "pay",
    "cash",
    "gold",
    "ride",
    "courier",
    "hotel",
    "forward",
)
LINES = ("own", "hotel", "watch", "goip")
EXITS = ("cash", "crypto", "merchant")


class ScriptError(ValueError):
    """A script cannot be used; the message names file, line and key."""


@dataclass(frozen=True, kw_only=True)
class Victim:
    """Whom the script looks for: ``share`` of the victims have an age within ``age``, the rest any."""

    age: tuple[int, int] = (14, 95)
    share: float = 0.8
    female: float = 0.5
    occupations: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Crew:
    """Who runs it: victims a crew, kinds of lines by weight, how many of the crew's own are newly opened."""

    victims: tuple[int, int] = (4, 10)
    lines: dict[str, float] = field(default_factory=lambda: {"own": 1.0})
    new_lines: float = 0.25
    #: chance that the next call comes from another of the crew's lines
    switch: float = 0.2


@dataclass(frozen=True, kw_only=True)
class Attempts:
    """Contacts a victim that lead nowhere, and what they look like."""

    per_victim: tuple[int, int] = (10, 30)
    do: str = "call"
    answered: float = 0.6
    seconds: tuple[float, float] = (14, 90)
    channel: str = "sms"
    texts: str = "lure"


@dataclass(frozen=True, kw_only=True)
class Money:
    """Where the money goes: first-level accounts a victim, layers, hops (minutes), what stays, exits by weight."""

    accounts: tuple[int, int] = (1, 3)
    corporate: float = 0.0
    depth: tuple[int, int] = (2, 3)
    fan_out: tuple[int, int] = (2, 5)
    hop: tuple[float, float] = (1.5, 15)
    keep: tuple[float, float] = (0.0, 0.02)
    exits: dict[str, float] = field(default_factory=lambda: {"cash": 0.4, "crypto": 0.3, "merchant": 0.3})
    #: share of first-level accounts that were tried with one to ten yuan, that slept, that are new
    tested: float = 0.7
    dormant: float = 0.55
    fresh: float = 0.25


@dataclass(frozen=True, kw_only=True)
class Report:
    """How many go to the police, and how long after the last transfer (minutes: median, 95th percentile)."""

    share: float = 0.75
    delay: tuple[float, float] = (35, 1200)
    wrong_type: float = 0.08


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happens. Times are minutes, median and 95th percentile."""

    stage: str
    do: str
    p: float = 1.0
    times: tuple[int, int] = (1, 1)
    after: tuple[float, float] = (5, 30)
    gap: tuple[float, float] = (5, 30)
    seconds: tuple[float, float] = (60, 300)
    outgoing: float = 0.0
    missed: float = 0.0
    channel: str = "im"
    texts: str = ""
    reply: float = 0.0
    app: str = "crew"
    action: str = "install"
    yuan: tuple[float, float] = (1000, 10000)
    grow: float = 1.0
    back: float = 0.0
    same_payee: float = 0.4
    pay_by: dict[str, float] = field(default_factory=lambda: {"mobile": 1.0})
    night: bool = False
    #: chance that the person breaks off here
    quit: float = 0.0
    #: chance a feed warns of it
    warned: dict[str, float] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Script:
    """One script."""

    name: str
    title: str
    scam_type: str
    weight: float
    hours: tuple[float, ...]
    workdays_only: bool = False
    #: share of victims of whom hardly anything shows before the first loss
    silent: float = 0.12
    #: days before the city's first day at which the first contact may lie
    lead_days: float = 1.0
    victim: Victim = field(default_factory=Victim)
    crew: Crew = field(default_factory=Crew)
    attempts: Attempts = field(default_factory=Attempts)
    money: Money = field(default_factory=Money)
    report: Report = field(default_factory=Report)
    texts: dict[str, list[str]] = field(default_factory=dict)
    steps: tuple[Step, ...] = ()


# -------------------------------------------------------------------- reading


class Reader:
    """One file's tables, with the line of every key."""

    def __init__(self, name: str, source: str) -> None:
        self.name, self.source = name, source
        self.lines = _key_lines(source)

    def fail(self, path: tuple[Any, ...], words: str) -> ScriptError:
        """The error for a key, at its line or at its table's."""
        at: tuple[Any, ...] = path
        while at and at not in self.lines:
            at = at[:-1]
        where = f"line {self.lines[at]}" if at in self.lines else "line 1"
        shown = ".".join(str(p) for p in path)
        return ScriptError(f"{self.name}, {where}: {shown}: {words}" if shown else f"{self.name}, {where}: {words}")


_HEADER = re.compile(r"\s*(\[\[?)\s*([\w.\-\"]+)\s*\]\]?\s*(#.*)?$")
_KEY = re.compile(r"\s*([\w\-\"]+)\s*=")


def _key_lines(source: str) -> dict[tuple[Any, ...], int]:
    lines: dict[tuple[Any, ...], int] = {}
    table: tuple[Any, ...] = ()
    counts: dict[str, int] = {}
    depth = 0
    for number, line in enumerate(source.split("\n"), 1):
        bare = re.sub(r'"(?:[^"\\]|\\.)*"|\'[^\']*\'', '""', line).split("#")[0]
        if depth == 0:
            header = _HEADER.match(line)
            if header and header[1] == "[[":
                k = counts[header[2]] = counts.get(header[2], 0) + 1
                table = (header[2], k)
                lines[table] = number
            elif header:
                table = tuple(header[2].split("."))
                lines[table] = number
            elif key := _KEY.match(line):
                lines[(*table, key[1].strip('"'))] = number
        depth += bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")
        if depth < 0 or _HEADER.match(line):
            depth = 0
    return lines


_INT_PAIRS = {"age", "victims", "per_victim", "accounts", "depth", "fan_out", "times"}
_SHARES = {
    "share",
    "female",
    "new_lines",
    "switch",
    "answered",
    "corporate",
    "tested",
    "dormant",
    "fresh",
    "p",
    "outgoing",
    "missed",
    "reply",
    "same_payee",
    "quit",
    "silent",
    "wrong_type",
}
_ENUMS: dict[str, tuple[str, ...]] = {
    "do": DOINGS, "channel": CHANNELS, "action": ACTIONS, "stage": STAGES, "app": ("crew", "meeting", "known"),
}  # fmt: skip
_WEIGHTS: dict[str, tuple[str, ...]] = {
    "occupations": tuple(OCC), "lines": LINES, "exits": EXITS, "pay_by": PAY_CHANNELS, "warned": FEEDS,
}  # fmt: skip


def _number(v: Any) -> bool:
    return isinstance(v, int | float) and not isinstance(v, bool)


def _value(r: Reader, path: tuple[Any, ...], key: str, v: Any) -> Any:
    """One value, checked by its key."""
    if key in _INT_PAIRS or key in ("after", "gap", "seconds", "yuan", "hop", "keep", "delay"):
        whole = key in _INT_PAIRS
        if not (isinstance(v, list) and len(v) == 2 and all(_number(x) for x in v)):
            raise r.fail(
                path,
                f"want two numbers [least, most], got {v!r}" if whole else f"want two numbers [median, p95], got {v!r}",
            )
        if whole and not all(isinstance(x, int) for x in v):
            raise r.fail(path, f"want whole numbers, got {v!r}")
        if v[0] < 0 or v[0] > v[1] or (not whole and key != "keep" and v[0] <= 0):
            raise r.fail(path, f"the first number must be above 0 and not above the second, got {v!r}")
        if max(v) > 10**9:
            raise r.fail(path, f"{v!r} is beyond any scam")
        return tuple(v)
    if key in _SHARES:
        if not _number(v) or not 0 <= v <= 1:
            raise r.fail(path, f"want a share from 0 to 1, got {v!r}")
        return float(v)
    if key in _WEIGHTS:
        if not isinstance(v, dict) or not all(_number(x) and x >= 0 for x in v.values()):
            raise r.fail(path, f"want a table of weights, got {v!r}")
        for name in v:
            if name not in _WEIGHTS[key]:
                raise r.fail(path, f"unknown {name!r}; one of {', '.join(_WEIGHTS[key])}")
        if key == "warned" and any(x > 1 for x in v.values()):
            raise r.fail(path, f"want shares from 0 to 1, got {v!r}")
        if key not in ("warned", "occupations") and sum(v.values()) <= 0:
            raise r.fail(path, "at least one weight must be above 0")
        return {k: float(x) for k, x in v.items()}
    if key in _ENUMS:
        if v not in _ENUMS[key]:
            raise r.fail(path, f"unknown {v!r}; one of {', '.join(_ENUMS[key])}")
        return v
    if key in ("grow", "weight", "back", "lead_days"):
        least = 0 if key in ("back", "lead_days", "weight") else 0.01
        if not _number(v) or not least <= v <= 1000:
            raise r.fail(path, f"want a number from {least} to 1000, got {v!r}")
        return float(v)
    if key in ("night", "workdays_only"):
        if not isinstance(v, bool):
            raise r.fail(path, f"want true or false, got {v!r}")
        return v
    if not isinstance(v, str) or not v:
        raise r.fail(path, f"want a text, got {v!r}")
    return v


def _build(r: Reader, kind: Any, path: tuple[Any, ...], rows: Any, skip: tuple[str, ...] = ()) -> Any:
    if not isinstance(rows, dict):
        raise r.fail(path, "want a table")
    known = {f.name: f for f in fields(kind) if f.name not in skip}
    for key in rows:
        if key not in known and key not in skip:
            raise r.fail((*path, key), f"unknown key; one of {', '.join(known)}")
    for name, f in known.items():
        if name not in rows and f.default is MISSING and f.default_factory is MISSING:
            raise r.fail(path, f"{name} is missing")
    return {k: _value(r, (*path, k), k, v) for k, v in rows.items() if k not in skip}


def _hours(r: Reader, v: Any) -> tuple[float, ...]:
    if isinstance(v, list) and len(v) == 24 and all(_number(x) and x >= 0 for x in v) and sum(v) > 0:
        return tuple(float(x) for x in v)
    if isinstance(v, str) and re.fullmatch(r"\d{1,2}-\d{1,2}(\s*,\s*\d{1,2}-\d{1,2})*", v):
        out = [0.0] * 24
        for part in v.split(","):
            a, b = (int(x) for x in part.split("-"))
            if a > 23 or b > 24 or a == b:
                raise r.fail(("hours",), f"{part.strip()!r} is no span of hours")
            for h in range(a, b if b > a else b + 24):
                out[h % 24] = 1.0
        return tuple(out)
    raise r.fail(("hours",), f'want 24 weights or spans like "10-12, 14-17", got {v!r}')


def parse(name: str, source: str) -> Script:
    """The script in a file's text. ScriptError says where it breaks the format."""
    try:
        data = tomllib.loads(source)
    except tomllib.TOMLDecodeError as error:
        raise ScriptError(f"{name}: {error}") from error
    r = Reader(name, source)
    parts = ("victim", "crew", "attempts", "money", "report", "texts", "steps", "hours", "name", "step")
    if "steps" in data or "name" in data:
        key = "steps" if "steps" in data else "name"
        raise r.fail((key,), "unknown key; steps are [[step]] tables, the name is the file's")
    if "hours" not in data:
        raise r.fail((), "hours is missing")
    top = _build(r, Script, (), data, parts)
    if top["scam_type"] not in scam_types() or top["scam_type"] == "none":
        raise r.fail(
            ("scam_type",),
            f"unknown scam type {top['scam_type']!r}; one of {', '.join(t for t in scam_types() if t != 'none')}",
        )
    top["hours"] = _hours(r, data["hours"])
    for key, kind in (("victim", Victim), ("crew", Crew), ("attempts", Attempts), ("money", Money), ("report", Report)):
        if key in data:
            top[key] = kind(**_build(r, kind, (key,), data[key]))
    top["texts"] = _texts(r, data.get("texts", {}))
    steps = data.get("step", [])
    if not isinstance(steps, list) or not steps:
        raise r.fail(("step",), "at least one [[step]] is needed")
    top["steps"] = tuple(Step(**_build(r, Step, ("step", i), s)) for i, s in enumerate(steps, 1))
    if not any(s.do == "pay" for s in top["steps"]):
        raise r.fail(("step",), 'no step has do = "pay": nobody would lose anything')
    named: list[tuple[tuple[Any, ...], str]] = [
        (("step", i, "texts"), s.texts) for i, s in enumerate(top["steps"], 1) if s.do == "message" or s.texts
    ]
    attempts = top.get("attempts", Attempts())
    if attempts.do not in ("call", "message"):
        raise r.fail(("attempts", "do"), f"unknown {attempts.do!r}; one of call, message")
    if attempts.do == "message":
        named.append((("attempts", "texts"), attempts.texts))
    for path, group in named:
        if group not in top["texts"]:
            raise r.fail(path, f"there are no [texts] called {group!r}")
    ages = top.get("victim", Victim()).age
    if ages[1] < 14:
        raise r.fail(("victim", "age"), "victims need an account, which begins at 14")
    return Script(name=Path(name).stem, **top)


def _texts(r: Reader, groups: Any) -> dict[str, list[str]]:
    if not isinstance(groups, dict):
        raise r.fail(("texts",), "want a table of lists")
    for key, group in groups.items():
        if not isinstance(group, list) or not group or not all(isinstance(t, str) and t for t in group):
            raise r.fail(("texts", key), "want a list of texts")
        for t in group:
            for slot in texts.slots(t):
                if slot not in texts.SLOTS:
                    raise r.fail(("texts", key), f"unknown slot {{{slot}}}; one of {', '.join(texts.SLOTS)}")
    return groups


def load(folder: Path | None = None) -> list[Script]:
    """The shipped scripts, and those of ``folder``, which replace shipped ones of the same name. In order of names."""
    found: dict[str, tuple[str, str]] = {}
    shipped = files(__package__) / "scripts"
    for item in sorted(shipped.iterdir(), key=lambda p: p.name):
        if item.name.endswith(".toml"):
            found[item.name] = (item.name, item.read_text("utf-8"))
    if folder is not None:
        if not folder.is_dir():
            raise ScriptError(f"{folder} is no folder of scripts")
        own = sorted(folder.glob("*.toml"))
        if not own:
            raise ScriptError(f"{folder} holds no *.toml")
        for path in own:
            try:
                found[path.name] = (str(path), path.read_text("utf-8"))
            except UnicodeDecodeError as error:
                raise ScriptError(f"{path}: not UTF-8 ({error.reason} at byte {error.start})") from error
    scripts = [parse(name, source) for name, source in (found[k] for k in sorted(found))]
    scripts = [s for s in scripts if s.weight > 0]
    if not scripts:
        raise ScriptError("every script has weight 0")
    return scripts
