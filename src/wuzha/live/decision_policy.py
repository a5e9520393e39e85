"""What is to be done with a pending transfer: the policy's steps, their basis in law, and the words.

Kept true here: nothing is delayed or held without a basis in force, an end and a remedy; which step holds follows from
the facts and the amount alone; a policy with a mistake is refused at the line where it stands.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wuzha.events.datafile import DataFile, parse
from wuzha.events.scam_types import scam_types
from wuzha.text import patterns

if TYPE_CHECKING:  # the engine takes a second to import: only a policy that is read is worth it
    from wuzha.detect.predicate import Program

#: From the mildest.
ACTIONS = ("allow", "warn", "delay", "hold")
#: What `when` may read, in the order of `Facts`.
FACTS = (
    "payer_level", "payer_was", "payer_fired", "payer_interdict", "payer_suspect", "payer_confirmed", "payee_suspect",
    "payee_confirmed", "payee_level", "payee_cleared", "stranger", "own", "merchant", "payer_known", "payee_known",
    "payer_missing", "payee_missing",
)  # fmt: skip
#: Small whole numbers, one for each of `FACTS`.
Facts = tuple[int, ...]
#: The longest that anything is delayed or held.
_MOST_HOURS = 72
_96110 = "96110"


@dataclass(frozen=True, kw_only=True)
class Ground:
    """A basis in law or a remedy, with the day from which it is in force."""

    id: str
    since: date
    zh: str
    en: str


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step of the policy."""

    id: str
    action: str
    program: Program
    from_fen: int
    hours: int
    basis: Ground | None
    remedy: Ground | None
    zh: str
    en: str


@dataclass(frozen=True, kw_only=True)
class Policy:
    """A policy file. ``digest`` is the SHA-256 of its text."""

    id: str
    since: date
    deadline_ms: int
    steps: tuple[Step, ...]
    customer: dict[str, dict[str, str]]
    clerk: dict[str, dict[str, str]]
    scams: dict[str, dict[str, Any]]
    text: str
    digest: str
    _amounts: tuple[int, ...] = ()
    _known: dict[tuple[Facts, int], Step | None] = field(default_factory=dict, compare=False, repr=False)

    def step(self, facts: Facts, amount_fen: int) -> Step | None:
        """The step that holds; None: allow."""
        asked = facts, sum(amount_fen >= a for a in self._amounts)
        if asked not in self._known:
            self._known[asked] = self._find(facts, amount_fen)
        return self._known[asked]

    def _find(self, facts: Facts, amount_fen: int) -> Step | None:
        values = dict(zip(FACTS, map(float, facts), strict=True))
        for step in self.steps:  # from the strictest
            if amount_fen >= step.from_fen and _holds(step.program, values):
                return step
        return None

    def words(self, step: Step | None, scam_type: str) -> dict[str, Any]:
        """What the customer and the clerk are told, in Chinese and English. Empty where there is nothing to say."""
        if step is None:
            return {}
        scam = self.scams.get(scam_type.partition(".")[0]) or self.scams["other"]
        eight = {f.number: f for f in patterns.shipped().fanshi}
        named = {
            "zh": "".join(f"{eight[n].zh}，都是诈骗。" for n in scam["fanshi"]),
            "en": "".join(f"{eight[n].en} is a fraud. " for n in scam["fanshi"]),
        }
        return {
            "customer": {
                language: self.customer[step.action][language].format(fanshi=named[language], hours=step.hours)
                for language in ("zh", "en")
            },
            "clerk": {
                language: {
                    "why": step.zh if language == "zh" else step.en,
                    "do": self.clerk[step.action][language],
                    "ask": scam[language],
                }
                for language in ("zh", "en")
            },
        }


def ends_at(step: Step | None, now: datetime) -> datetime | None:
    """When a delay or a hold ends by itself."""
    return now + timedelta(hours=step.hours) if step is not None and step.hours else None


def _holds(program: Program, values: dict[str, float]) -> bool:
    from wuzha.detect.figures import run

    ops, args = np.array(program.ops, np.int64), np.array(program.args, np.float64)
    given = np.array([values[name] for name in program.features] or [0.0])
    return bool(run(ops, args, 0, len(ops), given, np.zeros(64)) == 1.0)


# ---------------------------------------------------------------------- reading


def _row(d: DataFile, table: str, row: Any, need: dict[str, type], may: dict[str, type]) -> dict[str, Any]:
    if not isinstance(row, dict):
        raise d.error(table, "", f"[{table}] is a table")
    for key, kind in {**need, **may}.items():
        if key in need and key not in row:
            raise d.error(table, "", f"[{table}] wants {key}")
        if key in row and (not isinstance(row[key], kind) or isinstance(row[key], bool)):
            raise d.error(table, key, f"{key} is {row[key]!r}, of the wrong kind")
    for key in row:
        if key not in need and key not in may:
            raise d.error(table, key, f"[{table}] knows no {key!r}")
    return row


def _grounds(d: DataFile, name: str) -> dict[str, Ground]:
    out = {}
    for key, row in d.data.get(name, {}).items():
        row = _row(d, f"{name}.{key}", row, {"from": date, "zh": str, "en": str}, {})
        out[key] = Ground(id=key, since=row["from"], zh=row["zh"], en=row["en"])
    return out


def _step(d: DataFile, i: int, row: Any, since: date, grounds: dict[str, dict[str, Ground]]) -> Step:
    from wuzha.detect.predicate import PredicateError, compile_text

    table = f"step[{i}]"
    row = _row(
        d, table, row, {"id": str, "action": str, "when": str, "zh": str, "en": str},
        {"from_yuan": int, "hours": int, "basis": str, "remedy": str},
    )  # fmt: skip
    if row["action"] not in ACTIONS[1:]:
        raise d.error(table, "action", f"{row['action']!r} is none of {', '.join(ACTIONS[1:])}")
    try:
        program = compile_text(row["when"], list(FACTS), predicate=True)
    except PredicateError as error:
        raise d.error(table, "when", str(error), line=error.line, column=error.column) from error
    found: dict[str, Ground | None] = {"basis": None, "remedy": None}
    restricts = row["action"] in ("delay", "hold")
    for kind in found:
        if kind not in row:
            if restricts:
                raise d.error(table, "", f"a {row['action']} wants {kind}")
            continue
        found[kind] = grounds[kind].get(row[kind])
        ground = found[kind]
        if ground is None:
            raise d.error(table, kind, f"there is no [{kind}.{row[kind]}]")
        if ground.since > since:
            raise d.error(table, kind, f"{ground.id} is in force from {ground.since} only, the policy from {since}")
    hours = row.get("hours", 0)
    if restricts != bool(hours) or not 0 <= hours <= _MOST_HOURS:
        raise d.error(table, "hours", f"a delay or a hold ends after 1 to {_MOST_HOURS} hours, a warning has none")
    return Step(
        id=row["id"], action=row["action"], program=program, from_fen=row.get("from_yuan", 0) * 100, hours=hours,
        zh=row["zh"], en=row["en"], **found,
    )  # fmt: skip


def _words(d: DataFile, name: str) -> dict[str, dict[str, str]]:
    out = {}
    for action in ACTIONS[1:]:
        table = f"{name}.{action}"
        row = _row(d, table, d.data.get(name, {}).get(action, {}), {"zh": str, "en": str}, {})
        for language, words in row.items():
            try:
                words.format(fanshi="", hours=1)
            except (KeyError, IndexError, ValueError):
                raise d.error(table, language, "only {fanshi} and {hours} are filled in") from None
            if "://" in words or "www." in words:
                raise d.error(table, language, "no link to a customer: that is what frauds send")
            if name == "customer" and _96110 not in words:
                raise d.error(table, language, f"the customer is told of {_96110}")
        out[action] = dict(row)
    return out


def _scams(d: DataFile) -> dict[str, dict[str, Any]]:
    out = {}
    for scam, row in d.data.get("scam", {}).items():
        table = f"scam.{scam}"
        row = _row(d, table, row, {"fanshi": list, "zh": list, "en": list}, {})
        if scam not in scam_types():
            raise d.error(table, "", f"there is no scam type {scam!r}")
        if any(n not in range(1, 9) for n in row["fanshi"]):
            raise d.error(table, "fanshi", "the eight 凡是 are 1 to 8")
        if not row["zh"] or len(row["zh"]) != len(row["en"]):
            raise d.error(table, "en", "as many questions in English as in Chinese, one at the least")
        out[scam] = dict(row)
    if "other" not in out:
        raise d.error("scam", "", "wants [scam.other], for whatever has no words of its own")
    return out


def read(text: str, file: str) -> Policy:
    """The policy of a file's text. DataFileError says where a mistake stands."""
    d = parse(text, file)
    for name in d.data:
        if name not in ("policy", "basis", "remedy", "step", "customer", "clerk", "scam"):
            raise d.error(name, "", f"unknown table {name!r}")
    head = _row(d, "policy", d.data.get("policy", {}), {"id": str, "from": date, "deadline_ms": int}, {})
    if not 20 <= head["deadline_ms"] <= 5000:
        raise d.error("policy", "deadline_ms", "a deadline is 20 to 5000 ms")
    grounds = {name: _grounds(d, name) for name in ("basis", "remedy")}
    steps = [_step(d, i, row, head["from"], grounds) for i, row in enumerate(d.data.get("step", []))]
    if len({s.id for s in steps}) != len(steps):
        raise d.error("step", "", "two steps have the same id")
    return Policy(
        id=head["id"], since=head["from"], deadline_ms=head["deadline_ms"],
        steps=tuple(sorted(steps, key=lambda s: -ACTIONS.index(s.action))), customer=_words(d, "customer"),
        clerk=_words(d, "clerk"), scams=_scams(d), text=text, digest=hashlib.sha256(text.encode()).hexdigest(),
        _amounts=tuple(sorted({s.from_fen for s in steps})),
    )  # fmt: skip


@lru_cache(maxsize=1)
def shipped() -> Policy:
    """The policy in the package."""
    return read((files(__package__) / "decisions.toml").read_text("utf-8"), "decisions.toml")


def _own(home: Path) -> Policy | None:
    own = home / "decisions.toml"
    return read(own.read_text("utf-8"), str(own)) if own.is_file() else None


def of(home: Path) -> Policy:
    """A deployment's own policy (``decisions.toml`` in its data folder), else the shipped one."""
    return _own(home) or shipped()


def check(home: Path) -> None:
    """DataFileError where a deployment's own policy has a mistake."""
    _own(home)
