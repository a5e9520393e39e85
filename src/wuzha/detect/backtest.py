"""What a changed book would have done on a log that is over: who would have been named, rightly or not, at what cost.

Kept true here: both books read the same blocks through the same engine; what fired is counted whether or not an alert
came of it; a share of nothing is null, never 0 or 1.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa

from wuzha.events import LEVELS

from .changes import moment
from .encode import Block
from .engine import Engine
from .files import Collected
from .firings import Firing, fired
from .rulebook import RuleBook

#: Codes of findings (`alert_closed`) that say the alert was right, or was not; all others leave it open.
RIGHT, WRONG = frozenset({"dissuaded", "half_believing", "deceived"}), frozenset({"false_alarm"})
#: An officer's minutes on one alert, from signing to closing, where nothing better is known.
MINUTES = 20.0
#: Two rules overlap on a subject where they fire within this time of each other.
NEAR = timedelta(hours=24)
_SHOWN = 50
_RANK = {level: len(LEVELS) - i for i, level in enumerate(LEVELS)}


@dataclass
class Truth:
    """What is known of subjects (by key): settled rightly or wrongly named, and who reported a loss."""

    settled: dict[str, bool] = field(default_factory=dict)
    reported: set[str] = field(default_factory=set)

    def findings(self, rows: pa.Table) -> None:
        """Take in rows of ``findings``; of one subject the last word counts."""
        for subject, kind, code in zip(*(rows.column(c).to_pylist() for c in ("subject", "kind", "code")), strict=True):
            if kind == "alert_closed" and code in RIGHT | WRONG:
                self.settled[subject] = code in RIGHT
            elif kind in ("suspect_confirmed", "suspect_cleared"):
                self.settled[subject] = kind == "suspect_confirmed"

    def reports(self, rows: pa.Table) -> None:
        """Take in rows of ``reports``."""
        self.reported |= {f"person:{p}" for p in rows.column("person").to_pylist() if p}

    def take(self, tables: Mapping[str, pa.Table]) -> None:
        """Take in what ``tables`` hold of either."""
        if "findings" in tables:
            self.findings(tables["findings"])
        if "reports" in tables:
            self.reports(tables["reports"])

    def join(self, later: Truth) -> None:
        """Take in what was known later."""
        self.settled |= later.settled
        self.reported |= later.reported


@dataclass
class Run:
    """What one book made of the log. ``first``, ``last``: from when to when it counts."""

    book: RuleBook
    found: Collected
    firings: list[Firing] = field(default_factory=list)
    first: datetime | None = None
    last: datetime | None = None
    events: int = 0


class _Reading:
    """One book's reading of the log."""

    def __init__(self, book: RuleBook) -> None:
        self.run = Run(book, Collected(book))
        self._engine, self._at = Engine(book), 0

    def feed(self, block: Block) -> None:
        run = self.run
        if len(block):
            newest, oldest = moment(int(block.due.max())), moment(int(block.due.min()))
            run.last = newest if run.last is None else max(run.last, newest)
            run.first = oldest if run.first is None else min(run.first, oldest)
        run.events += len(block)
        run.found.add(self._engine.feed(block))
        fresh, self._at = fired(self._engine, self._at)
        run.firings += fresh


def read(book: RuleBook, blocks: Iterable[Block]) -> Run:
    """What ``book`` makes of the log."""
    reading = _Reading(book)
    for block in blocks:
        reading.feed(block)
    return reading.run


def backtest(
    blocks: Iterable[Block],
    before: RuleBook,
    after: RuleBook,
    rule: str,
    truth: Truth,
    *,
    days: float | None = None,
    minutes: float = MINUTES,
    step: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """What ``rule`` of the book ``after`` would have done in the last ``days`` of the log (None: all of it), beside the
    book ``before``. ``truth`` is read when the blocks are through, so who yields them may fill it meanwhile."""
    without, with_it = _Reading(before), _Reading(after)
    for block in blocks:
        without.feed(block)
        with_it.feed(block)
        if step is not None:
            step(len(block))
    return compared(without.run, with_it.run, rule, truth, days=days, minutes=minutes)


def compared(
    without: Run, with_it: Run, rule: str, truth: Truth, *, days: float | None = None, minutes: float = MINUTES
) -> dict[str, Any]:
    """As `backtest`, of two books' runs over the same log."""
    first, last = with_it.first, with_it.last
    if first is None or last is None:
        return {"rule": rule, "events": 0, "days": 0.0, "firings": 0}
    since = first if days is None else max(first, last - timedelta(days=days))
    span = max((last - since) / timedelta(days=1), 1 / 24)
    return {"rule": rule, "events": with_it.events, "since": since.isoformat(), "until": last.isoformat(),
            "days": round(span, 2)} | _said(without, with_it, rule, truth, since, span, minutes)  # fmt: skip


def _said(
    without: Run, with_it: Run, rule: str, truth: Truth, since: datetime, span: float, minutes: float
) -> dict[str, Any]:
    numbers = {r.number: r.id for r in with_it.book.rules.values()}
    mine: dict[str, list[Firing]] = defaultdict(list)
    others: dict[str, list[Firing]] = defaultdict(list)
    for f in with_it.firings:
        if f.known_at >= since:
            (mine if numbers.get(f.number) == rule else others)[f.subject].append(f)
    was, now = _highest(without.found, since), _highest(with_it.found, since)
    new = sorted(p for p in now if p not in was)
    settled = [truth.settled[s] for s in mine if s in truth.settled]
    near: Counter[str] = Counter()
    covered = 0
    for subject, pieces in mine.items():
        beside = {
            numbers.get(o.number, "") for o in others.get(subject, []) for f in pieces if abs(o.at - f.at) <= NEAR
        }
        near.update(beside)
        covered += bool(beside)
    shown = sorted(mine.items(), key=lambda item: (-len(item[1]), item[0]))[:_SHOWN]
    return {
        "firings": sum(map(len, mine.values())),
        "subjects": len(mine),
        "subjects_per_day": round(len(mine) / span, 2),
        "alerts": {
            "new": len(new),
            "raised": sum(p in was and _RANK[now[p]] > _RANK[was[p]] for p in now),
            "lowered": sum(p in now and _RANK[now[p]] < _RANK[was[p]] for p in was),
            "gone": sum(p not in now for p in was),
            "before": len(was),
            "after": len(now),
        },
        "precision": {
            "settled": len(settled), "right": sum(settled), "share": _share(sum(settled), len(settled)),
            "new_alerts_right": sum(truth.settled.get(p, False) for p in new),
            "new_alerts_wrong": sum(not truth.settled.get(p, True) for p in new),
            "reported_a_loss": sum(s in truth.reported for s in mine),
        },
        "hours_a_day": round(len(new) * minutes / 60 / span, 2),
        "minutes_an_alert": minutes,
        "overlap": {
            "subjects_share": _share(covered, len(mine)),
            "rules": [{"rule": r, "share": _share(n, len(mine))} for r, n in near.most_common(8)],
            "already_alerted_share": _share(sum(s in was for s in mine), len(mine)),
        },
        "on_whom": [
            {
                "subject": subject, "times": len(pieces), "first_at": min(f.at for f in pieces).isoformat(),
                "level_before": was.get(subject), "level_after": now.get(subject),
                "settled": truth.settled.get(subject), "reported": subject in truth.reported,
            }
            for subject, pieces in shown
        ],
    }  # fmt: skip


def _highest(found: Collected, since: datetime) -> dict[str, str]:
    """By person (key) the highest level of the alerts that had evidence since then; suspects count as ``high``."""
    out: dict[str, str] = {}
    for alert in found.alerts.values():
        person = f"person:{alert.person}"
        if alert.last_evidence_at >= since and (person not in out or _RANK[alert.level] > _RANK[out[person]]):
            out[person] = alert.level
    for suspect in found.suspects.values():
        if suspect.last_at >= since:
            out.setdefault(suspect.subject, "high")
    return out


def _share(n: int, of: int) -> float | None:
    return round(n / of, 4) if of else None
