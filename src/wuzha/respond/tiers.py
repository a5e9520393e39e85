"""The desk's clocks: which tier table is in force, and the deadline that governs an alert.

Kept true here: a deadline is computed in `joins` only, on reading, for the queue, the file and the steps alike. It is
the stricter of the tier's (seconds of the officer's day, from the moment that the alert reached its level) and the
earliest of its warnings' own: their sign-by until somebody has signed, their feedback-by after it.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files

from wuzha.events import LEVELS
from wuzha.events.clock import clock, zone

#: Which clock runs in a state: to be signed for, to be contacted, to be met or answered; none once closed.
CLOCK = {"new": "sign", "signed": "contact", "contacting": "contact", "reached": "meet"}


@dataclass(frozen=True, kw_only=True)
class Tier:
    """Wall seconds that a level allows for each clock."""

    sign_s: int
    contact_s: int
    meet_s: int


@dataclass(frozen=True, kw_only=True)
class Tiers:
    """One dated table."""

    since: date
    undo_s: int
    reveal_s: int
    code_s: int
    levels: dict[str, Tier]


def read(text: str, name: str = "tiers.toml") -> list[Tiers]:
    """The dated tables, oldest first. ValueError names what is missing or wrong."""
    tables = []
    for i, row in enumerate(tomllib.loads(text).get("tier", []), 1):
        try:
            table = Tiers(
                since=row["from"],
                undo_s=row["undo_s"],
                reveal_s=row["reveal_s"],
                code_s=row["code_s"],
                levels={level: Tier(**row[level]) for level in LEVELS},
            )
        except (KeyError, TypeError) as error:
            raise ValueError(f"{name}: table {i}: {error}") from error
        for level, tier in table.levels.items():
            if not 0 < tier.sign_s <= tier.contact_s <= tier.meet_s:
                raise ValueError(f"{name}: table {i}, {level}: want 0 < sign_s <= contact_s <= meet_s")
        tables.append(table)
    if not tables:
        raise ValueError(f"{name}: no [[tier]]")
    return sorted(tables, key=lambda t: t.since)


@lru_cache(maxsize=1)
def _shipped() -> list[Tiers]:
    return read((files(__package__) / "tiers.toml").read_text("utf-8"))


def tiers(at: datetime) -> Tiers:
    """The table in force at ``at``: the newest that had begun on that day in the deployment's zone."""
    day = at.astimezone(zone()).date()
    tables = _shipped()
    return next((t for t in reversed(tables) if t.since <= day), tables[0])


def left(deadline: datetime | None, now: datetime) -> int | None:
    """The officer's own seconds until ``deadline``, negative once it has passed; None where no clock runs."""
    return None if deadline is None else round((deadline - now).total_seconds() / clock().speed)


def waited(since: datetime, now: datetime) -> int:
    """The officer's own seconds since ``since``."""
    return max(0, round((now - since).total_seconds() / clock().speed))


def _tier_join(now: datetime) -> str:
    speed = clock().speed
    rows = ", ".join(
        f"('{level}', interval '{t.sign_s * speed} s', interval '{t.contact_s * speed} s',"
        f" interval '{t.meet_s * speed} s')"
        for level, t in tiers(now).levels.items()
    )
    return f"JOIN (VALUES {rows}) AS tier (level, sign, contact, meet) ON tier.level = a.level"


def overdue(now: datetime) -> tuple[str, str]:
    """SQL for counting only: a join, and a condition ``due < %(now)s`` of `joins` that asks an alert's warnings only
    where its tier has not run out yet; over tens of thousands of open alerts that is most of the work."""
    return (
        _tier_join(now),
        """(
        CASE a.state WHEN 'new' THEN a.level_at + tier.sign WHEN 'signed' THEN a.level_at + tier.contact
                     WHEN 'contacting' THEN a.level_at + tier.contact
                     WHEN 'reached' THEN a.level_at + tier.meet END < %(now)s
        OR EXISTS (SELECT 1 FROM wuzha.alert_warnings w WHERE w.alert_id = a.alert_id AND a.state <> 'closed'
                      AND CASE a.state WHEN 'new' THEN w.sign_by ELSE w.feedback_by END < %(now)s))""",
    )


def joins(now: datetime) -> str:
    """SQL that gives each row ``a`` of alerts its clocks: ``sign_due``, ``contact_due``, ``meet_due``, and ``due``, the
    one that runs in its state (null once closed). Numbers come from our own file only.
    """
    return f"""
    {_tier_join(now)}
    CROSS JOIN LATERAL (SELECT min(w.sign_by) AS sign_by, min(w.feedback_by) AS feedback_by
                          FROM wuzha.alert_warnings w WHERE w.alert_id = a.alert_id AND a.state <> 'closed') own
    CROSS JOIN LATERAL (SELECT least(a.level_at + tier.sign, own.sign_by) AS sign_due,
                               least(a.level_at + tier.contact, own.feedback_by) AS contact_due,
                               least(a.level_at + tier.meet, own.feedback_by) AS meet_due) clocks
    CROSS JOIN LATERAL (SELECT CASE a.state WHEN 'new' THEN sign_due WHEN 'signed' THEN contact_due
                                            WHEN 'contacting' THEN contact_due
                                            WHEN 'reached' THEN meet_due END AS due) d
    """
