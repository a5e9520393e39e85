"""What the law lets us do to protect a person, as dated tables read from ``measures.toml``.

Kept true here: a police measure lasts 48 hours at most, whatever the file says; every kind names whom it is asked of,
on which bases and for how long; what is wrong with the file is told with its line.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from typing import Any, TypeVar

from wuzha.command.public import ACTS
from wuzha.events import datafile, subjects
from wuzha.events.clock import zone

BASES = ("own_act", "consent", "bank_duty", "police")
EXECUTORS = ("bank", "carrier")
#: No table can make a police measure longer.
POLICE_H = 48


@dataclass(frozen=True, kw_only=True)
class Basis:
    """What a measure rests on. ``rank``: its place in the order that is gone through, 1 first."""

    rank: int
    zh: str
    en: str
    law_zh: str
    law_en: str
    approver: str
    sends: bool
    revocable: bool
    longest_h: int


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What can be done. ``money``: a living amount must stay; ``reaches``: numbers that a line must still reach."""

    zh: str
    en: str
    target: tuple[str, ...]
    to: str
    bases: tuple[str, ...]
    money: bool = False
    reaches: tuple[str, ...] = ()
    longest_h: int = 0


@dataclass(frozen=True, kw_only=True)
class Notice:
    """The words of the notice; ``{living}``, ``{numbers}`` and ``{unit}`` are filled in."""

    title: str
    opening: str
    living: str
    reaches: str
    term: str
    remedy_law: str
    remedy: str
    consent: str
    documents: tuple[str, ...]
    form_title: str
    form_fields: tuple[str, ...]
    answer_fields: tuple[str, ...]
    receipt_title: str
    receipt_fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Order:
    """The words of what goes to a bank or carrier; ``{living}`` and ``{numbers}`` are filled in."""

    title: str
    to_bank: str
    to_carrier: str
    opening: str
    living: str
    reaches: str
    term: str
    receipt_title: str
    receipt_fields: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Law:
    """One dated table."""

    since: date
    chain_days: int
    draft_h: int
    release_escalate_h: int
    reason_chars: int
    basis: dict[str, Basis]
    kind: dict[str, Kind]
    notice: Notice
    order: Order

    def longest_h(self, kind: str, basis: str) -> int:
        """The longest single term of this kind on this basis, hours."""
        own = self.kind[kind].longest_h
        return min(h for h in (self.basis[basis].longest_h, own, POLICE_H if basis == "police" else 0) if h)

    def earlier(self, kind: str, basis: str) -> list[int]:
        """The ranks that stand before this basis for this kind and must have been thought of, ascending."""
        own = self.basis[basis].rank
        return sorted({self.basis[b].rank for b in self.kind[kind].bases if self.basis[b].rank < own})


T = TypeVar("T")


def _row(cls: type[T], row: dict[str, Any]) -> T:
    known = {f.name for f in fields(cls)}  # type: ignore[arg-type]
    if unknown := row.keys() - known:
        raise ValueError(f"has no column {', '.join(sorted(unknown))}")
    return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in row.items()})


def read(text: str, name: str = "measures.toml") -> list[Law]:
    """The dated tables, oldest first. DataFileError names file, line and what is wrong."""
    file = datafile.parse(text, name)
    laws = []
    for i, raw in enumerate(file.data.get("law", [])):
        found: dict[str, dict[str, Any]] = {"basis": {}, "kind": {}}
        for part, cls in (("basis", Basis), ("kind", Kind)):
            for code, row in raw.get(part, {}).items():
                try:
                    found[part][code] = _row(cls, row)
                except (TypeError, ValueError) as error:
                    raise file.error(f"law.{part}.{code}", "", f"[law.{part}.{code}] {error}") from error
        _check(file, found["basis"], found["kind"])
        papers: dict[str, Any] = {}
        for part, paper in (("notice", Notice), ("order", Order)):
            try:
                papers[part] = _row(paper, raw.get(part, {}))
            except (TypeError, ValueError) as error:
                raise file.error(f"law.{part}", "", f"[law.{part}] {error}") from error
        try:
            law = Law(
                since=raw["from"], chain_days=raw["chain_days"], draft_h=raw["draft_h"],
                release_escalate_h=raw["release_escalate_h"],
                reason_chars=raw["reason_chars"], basis=found["basis"], kind=found["kind"],
                notice=papers["notice"], order=papers["order"],
            )  # fmt: skip
        except KeyError as error:
            raise file.error(f"law[{i}]", "", f"lacks {error}") from error
        laws.append(law)
    if not laws:
        raise file.error("", "", "no [[law]]")
    return sorted(laws, key=lambda law: law.since)


def _check(file: datafile.DataFile, bases: dict[str, Basis], kinds: dict[str, Kind]) -> None:
    if set(bases) != set(BASES):
        raise file.error("", "", f"the bases are {', '.join(BASES)}")
    for code, basis in bases.items():
        at = f"law.basis.{code}"
        if basis.longest_h <= 0 or (code == "police" and basis.longest_h > POLICE_H):
            raise file.error(at, "longest_h", f"want 1 to {POLICE_H if code == 'police' else 'any number of'} hours")
        if basis.approver and basis.approver not in ACTS:
            raise file.error(at, "approver", f"the unknown right {basis.approver!r}")
        if code == "police" and not basis.approver:
            raise file.error(at, "approver", "a police measure wants an approver")
    for code, kind in kinds.items():
        at = f"law.kind.{code}"
        if wrong := set(kind.bases) - set(bases):
            raise file.error(at, "bases", f"the unknown basis {', '.join(sorted(wrong))}")
        if wrong := set(kind.target) - set(subjects.KINDS):
            raise file.error(at, "target", f"the unknown subject kind {', '.join(sorted(wrong))}")
        if kind.to not in EXECUTORS:
            raise file.error(at, "to", f"one of {', '.join(EXECUTORS)}")
        if "line" in kind.target and not {"110", "119", "120", "96110"} <= set(kind.reaches):
            raise file.error(at, "reaches", "a line must still reach 110, 119, 120 and 96110")
        if {"account", "wallet"} & set(kind.target) and not kind.money:
            raise file.error(at, "money", "a measure on money leaves a living amount")


@lru_cache(maxsize=1)
def _shipped() -> list[Law]:
    return read((files(__package__) / "measures.toml").read_text("utf-8"))


def law(at: datetime) -> Law | None:
    """The table in force at ``at``, None where there was none yet."""
    day = at.astimezone(zone()).date()
    return next((one for one in reversed(_shipped()) if one.since <= day), None)


def law_of(since: date) -> Law:
    """The table that a decision stands on. LookupError where it has been taken out of the file."""
    for one in _shipped():
        if one.since == since:
            return one
    raise LookupError(f"no table of law begins on {since}")


def words() -> dict[str, dict[str, str]]:
    """What the pages call bases and kinds, by catalogue key."""
    found: dict[str, dict[str, str]] = {}
    for one in _shipped():
        found |= {f"measure_basis.{code}": {"zh": b.zh, "en": b.en} for code, b in one.basis.items()}
        found |= {f"measure_law.{code}": {"zh": b.law_zh, "en": b.law_en} for code, b in one.basis.items()}
        found |= {f"measure_kind.{code}": {"zh": k.zh, "en": k.en} for code, k in one.kind.items()}
    return found
