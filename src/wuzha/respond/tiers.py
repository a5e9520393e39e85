"""The desk's clocks: which tier table is in force, and the deadline that governs an alert.

Kept true here: a deadline is computed in `joins` only, on reading, for the queue, the file and the steps alike. It is
the stricter of the tier's (seconds of the officer's day, from the moment that the alert reached its level) and the
earliest of its warnings' own (kept in the alert by the database): their sign-by until somebody has signed, their
feedback-by after it. A deployment's own
``tiers.toml`` stands in for the shipped one; where it is wrong the last good table stays in force.
"""

from __future__ import annotations

import os
import re
import tomllib
from dataclasses import dataclass
from datetime import date, datetime
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import psycopg
import structlog

from wuzha.command.public import Actor
from wuzha.events import LEVELS
from wuzha.events.clock import clock, zone
from wuzha.store import Settings, audit

log = structlog.get_logger(__name__)

#: Columns of a table with the least and the most that they may be.
_COLUMNS: dict[str, tuple[type, float, float]] = {
    "undo_s": (int, 1, 600),
    "reveal_s": (int, 60, 604_800),
    "code_s": (int, 60, 604_800),
    "calls_per_hour": (float, 0.1, 1000),
    "unit_after": (float, 0, 100),
}
_CLOCKS = ("sign_s", "contact_s", "meet_s")


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
    calls_per_hour: float = 12.0
    unit_after: float = 0.5


class TiersError(ValueError):
    """The table of clocks is wrong; the message names file and line."""


def read(text: str, name: str = "tiers.toml") -> list[Tiers]:
    """The dated tables, oldest first. TiersError with the line of what is missing or wrong."""
    try:
        raw = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.search(r"line (\d+)", str(error))
        raise TiersError(f"{name}:{found[1] if found else 1}: {error}") from error
    places = _places(text)

    def fail(i: int, level: str, key: str, why: str) -> TiersError:
        line = places.get((i, level, key)) or places.get((i, level, "")) or places.get((i, "", "")) or 1
        return TiersError(f"{name}:{line}: {f'[tier.{level}] ' if level else ''}{key}{' ' if key else ''}{why}")

    if unknown := raw.keys() - {"tier"}:
        raise TiersError(f"{name}:1: no such table {', '.join(sorted(unknown))}")
    rows = raw.get("tier")
    if not rows or not isinstance(rows, list):
        raise TiersError(f"{name}:1: no [[tier]]")
    return sorted((_table(row, i, fail) for i, row in enumerate(rows)), key=lambda t: t.since)


def _table(row: dict[str, Any], i: int, fail: Any) -> Tiers:
    if type(row.get("from")) is not date:
        raise fail(i, "", "from", "is a day, such as 2026-01-01")
    if unknown := row.keys() - _COLUMNS.keys() - {"from", *LEVELS}:
        raise fail(i, "", min(unknown), "is no column")
    for key, (kind, least, most) in _COLUMNS.items():
        value = row.get(key)
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else int):
            raise fail(i, "", key, "is missing or no number")
        if not least <= value <= most:
            raise fail(i, "", key, f"is not between {least} and {most}")
    levels: dict[str, Tier] = {}
    for level in LEVELS:
        tier = row.get(level)
        if not isinstance(tier, dict):
            raise fail(i, level, "", "is missing")
        if unknown := tier.keys() - set(_CLOCKS):
            raise fail(i, level, min(unknown), "is no clock")
        for key in _CLOCKS:
            if type(tier.get(key)) is not int:
                raise fail(i, level, key, "is missing or no whole number of seconds")
        levels[level] = Tier(**tier)
        if not 0 < tier["sign_s"] <= tier["contact_s"] <= tier["meet_s"] <= 31_536_000:
            raise fail(i, level, "sign_s", "want 0 < sign_s <= contact_s <= meet_s <= a year")
    return Tiers(since=row["from"], levels=levels, **{key: row[key] for key in _COLUMNS})


def _places(text: str) -> dict[tuple[int, str, str], int]:
    """Lines of tables and keys: (which [[tier]], level, key) -> line."""
    places: dict[tuple[int, str, str], int] = {}
    i, level = -1, ""
    for number, line in enumerate(text.splitlines(), 1):
        bare = line.split("#")[0].strip()
        if bare.startswith("[["):
            i, level = i + 1, ""
            places[i, "", ""] = number
        elif bare.startswith("["):
            level = bare.strip("[] ").partition(".")[2].strip("\"' ")
            places[i, level, ""] = number
        elif "=" in bare:
            places[i, level, bare.partition("=")[0].strip("\"' ")] = number
    return places


def own_file() -> Path:
    """Where a deployment's own table stands, if it has one."""
    return _home(os.environ.get("WUZHA_HOME", "")) / "tiers.toml"


@lru_cache(maxsize=4)
def _home(_: str) -> Path:
    return Settings().home


@lru_cache(maxsize=1)
def _shipped() -> list[Tiers]:
    return read((files(__package__) / "tiers.toml").read_text("utf-8"))


#: The deployment's own file as it was last read: (path, time, length) and the last good tables.
_own: dict[Path, tuple[tuple[int, int], list[Tiers] | None]] = {}


def tables() -> list[Tiers]:
    """The tables in force: the deployment's own where it has a good one, else the shipped."""
    path = own_file()
    try:
        stat = path.stat()
    except OSError:
        _own.pop(path, None)
        return _shipped()
    stamp = (stat.st_mtime_ns, stat.st_size)
    known = _own.get(path)
    if known is None or known[0] != stamp:
        good = known[1] if known else None
        try:
            good = read(path.read_text("utf-8"), str(path))
        except (OSError, ValueError) as error:
            log.error("the deployment's table of clocks is wrong; the last good one stays", error=str(error))
        _own[path] = known = (stamp, good)
    return known[1] or _shipped()


def tiers(at: datetime) -> Tiers:
    """The table in force at ``at``: the newest that had begun on that day in the deployment's zone."""
    day = at.astimezone(zone()).date()
    known = tables()
    return next((t for t in reversed(known) if t.since <= day), known[0])


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
    """SQL for counting only: a join, and the condition ``due < %(now)s`` of `joins`."""
    return (
        _tier_join(now),
        """(CASE a.state WHEN 'new' THEN least(a.level_at + tier.sign, a.own_sign_by)
                         WHEN 'signed' THEN least(a.level_at + tier.contact, a.own_feedback_by)
                         WHEN 'contacting' THEN least(a.level_at + tier.contact, a.own_feedback_by)
                         WHEN 'reached' THEN CASE WHEN wuzha.meeting_done(a.met_at, a.outcome) THEN a.own_feedback_by
                              ELSE least(a.level_at + tier.meet, a.own_feedback_by) END END < %(now)s)""",
    )


def joins(now: datetime) -> str:
    """SQL that gives each row ``a`` of alerts its clocks: ``sign_due``, ``contact_due``, ``meet_due``, and ``due``, the
    one that runs in its state (null once closed; once met, the upstream's alone). Numbers come from our own file only.
    """
    return f"""
    {_tier_join(now)}
    CROSS JOIN LATERAL (SELECT a.own_sign_by AS sign_by, a.own_feedback_by AS feedback_by) own
    CROSS JOIN LATERAL (SELECT least(a.level_at + tier.sign, own.sign_by) AS sign_due,
                               least(a.level_at + tier.contact, own.feedback_by) AS contact_due,
                               least(a.level_at + tier.meet, own.feedback_by) AS meet_due) clocks
    CROSS JOIN LATERAL (SELECT CASE a.state WHEN 'new' THEN sign_due WHEN 'signed' THEN contact_due
                                            WHEN 'contacting' THEN contact_due
                                            WHEN 'reached' THEN CASE
                                                WHEN wuzha.meeting_done(a.met_at, a.outcome) THEN own.feedback_by
                                                ELSE meet_due END END AS due) d
    """


#: Alerts ranked again in one round, so that nobody waits for a lock when the clocks or the hour turn.
_AT_ONCE = 5000
#: Versions of ``desk_tiers`` and ``desk_hour`` by which this process has seen all open alerts of a root ranked.
_ranked: dict[tuple[str, int], int] = {}


def put_in_force(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Bring the clocks that the database ranks by to those in force, and rank again what stands by others.

    Returns how many clocks and alerts were changed.
    """
    speed = clock().speed
    changed = 0
    table = tiers(now)
    for level, t in table.levels.items():
        changed += conn.execute(
            "UPDATE wuzha.desk_tiers SET sign = %(s)s * interval '1 s', contact = %(c)s * interval '1 s',"
            " meet = %(m)s * interval '1 s', unit_after = %(u)s, version = version + 1"
            " WHERE level = %(level)s AND (sign, contact, meet, unit_after)"
            " IS DISTINCT FROM (%(s)s * interval '1 s', %(c)s * interval '1 s', %(m)s * interval '1 s', %(u)s)",
            {
                "level": level, "s": t.sign_s * speed, "c": t.contact_s * speed, "m": t.meet_s * speed,
                "u": table.unit_after,
            },
        ).rowcount  # fmt: skip
    row = conn.execute(
        "SELECT (SELECT sum(version) FROM wuzha.desk_tiers) + (SELECT version FROM wuzha.desk_hour)"
    ).fetchone()
    version, here = int(row[0]) if row else 0, (conn.info.dsn, actor.unit_id)
    if changed:
        _tell(conn, actor, table, now)
    if _ranked.get(here) != version:
        again = conn.execute(
            "UPDATE wuzha.alerts SET tries = tries WHERE alert_id IN (SELECT a.alert_id FROM wuzha.alerts a"
            " JOIN wuzha.desk_tiers t ON t.level = a.level, wuzha.desk_hour h WHERE a.state <> 'closed'"
            " AND a.rank_with IS DISTINCT FROM t.version + h.version LIMIT %s FOR UPDATE OF a SKIP LOCKED)",
            (_AT_ONCE,),
        ).rowcount
        if again == 0:  # what somebody holds this moment comes in the next round
            _ranked[here] = version
        changed += again
    return changed


def _tell(conn: psycopg.Connection[Any], actor: Actor, table: Tiers, now: datetime) -> None:
    """The clocks that are in force from now on stand in the audit, whoever wrote the file."""
    detail = {level: [t.sign_s, t.contact_s, t.meet_s] for level, t in table.levels.items()}
    audit.append(
        conn, at=now, actor=actor.login, user_id=None, unit_id=actor.unit_id, action="clocks.in_force",
        object=f"clocks:{table.since.isoformat()}", detail={**detail, "calls_per_hour": table.calls_per_hour,
                                                            "unit_after": table.unit_after},
    )  # fmt: skip
