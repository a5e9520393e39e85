"""Figures, each by its one definition in ``metrics.toml``.

Kept true here: a figure, the rows behind it and its words come from one entry; a share over nothing is None, never 0 or
infinity; what the officer's scope hides is not counted.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.events import clock

from .public import Actor, Refused, require

UNITS = ("persons", "alerts", "fen", "seconds", "share")
#: An alert that another has taken in is told by that one: it is neither a second alert nor closed work.
LIVING = "a.merged_into IS NULL"


@dataclass(frozen=True, kw_only=True)
class Metric:
    """One definition. ``where`` and ``value`` are SQL over ``alerts a``; a share has ``of`` instead."""

    name: str
    zh: str
    en: str
    formula: dict[str, str]
    unit: str
    where: str = ""
    value: str = ""
    of: tuple[str, str] | None = None


def read(text: str, name: str = "metrics.toml") -> dict[str, Metric]:
    """Definitions by name. ValueError names the entry that is wrong."""
    found: dict[str, Metric] = {}
    for key, row in tomllib.loads(text).items():
        try:
            metric = Metric(name=key, **{**row, "of": tuple(row["of"]) if "of" in row else None})
        except TypeError as error:
            raise ValueError(f"{name}: [{key}]: {error}") from error
        if metric.unit not in UNITS:
            raise ValueError(f"{name}: [{key}] has the unknown unit {metric.unit!r}")
        if not metric.formula.get("zh") or not metric.formula.get("en"):
            raise ValueError(f"{name}: [{key}] lacks its formula in zh or en")
        if (metric.of is None) == (not metric.where or not metric.value):
            raise ValueError(f"{name}: [{key}] wants either where and value, or of")
        found[key] = metric
    for metric in found.values():
        for other in metric.of or ():
            if other not in found:
                raise ValueError(f"{name}: [{metric.name}] is made of the unknown figure {other!r}")
    return found


@lru_cache(maxsize=1)
def metrics() -> dict[str, Metric]:
    """The shipped definitions by name."""
    return read((files(__package__) / "metrics.toml").read_text("utf-8"))


def day(at: datetime) -> tuple[datetime, datetime]:
    """Midnight of ``at``'s day in the deployment's zone, and ``at``."""
    local = at.astimezone(clock.zone())
    return local.replace(hour=0, minute=0, second=0, microsecond=0), at


def figure(conn: psycopg.Connection[Any], name: str, start: datetime, end: datetime) -> float | int | None:
    """The figure over ``start <= t < end``; None where there is nothing to count it over (it is shown as —).

    A count over nothing is 0; a sum, median or share over nothing is None.
    """
    metric = metrics()[name]
    if metric.of is not None:
        part, whole = (figure(conn, other, start, end) for other in metric.of)
        return None if not whole or part is None else part / whole
    row = conn.execute(
        f"SELECT {metric.value} FROM wuzha.alerts a WHERE {LIVING} AND {metric.where}",
        {"start": start, "end": end},
    ).fetchone()
    value = row[0] if row else None
    if value is None:
        return None
    if metric.unit == "seconds":
        return float(value) / clock.clock().speed
    return int(value)


def rows(
    conn: psycopg.Connection[Any], actor: Actor, name: str, start: datetime, end: datetime
) -> list[dict[str, Any]]:
    """The alerts behind a figure, newest first, 500 at most; a share's are those of its part."""
    require(actor, "desk.read")
    if name not in metrics():
        raise Refused("not_found")
    metric = metrics()[name]
    if metric.of is not None:
        return rows(conn, actor, metric.of[0], start, end)
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT a.alert_id, a.committed_at, a.level, a.scam_type, a.state, a.outcome, a.amount_fen, a.avoided_fen,"
            f" a.lost_fen, n.name AS unit_name FROM wuzha.alerts a JOIN wuzha.units n USING (unit_id)"
            f" WHERE {LIVING} AND {metric.where}"
            " ORDER BY a.committed_at DESC LIMIT 500",
            {"start": start, "end": end},
        )
        .fetchall()
    )


@dataclass(frozen=True, kw_only=True)
class Wall:
    """What the wall shows of one moment, all of it read in one transaction."""

    today: dict[str, float | int | None]
    yesterday: dict[str, float | int | None]
    last_year: dict[str, float | int | None]
    hours: dict[str, list[int]]
    types: list[tuple[str, int]]
    #: Those with most alerts first, twelve at most; ``units`` of a row is how many there are.
    units: list[dict[str, Any]]
    feed: list[dict[str, Any]]


def wall(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> Wall:
    """The wall: today so far, yesterday until this hour, the same day last year, hours, types, units, feed."""
    require(actor, "wall.read")
    now = now or clock.now()
    start, end = day(now)
    back = timedelta(days=1)
    try:
        year = (start.replace(year=start.year - 1), now.astimezone(clock.zone()).replace(year=now.year - 1))
    except ValueError:  # 29 February
        year = (start - timedelta(days=365), now - timedelta(days=365))
    names = list(metrics())
    cohort = {"start": start, "end": end}
    many = conn.cursor(row_factory=dict_row)
    types = conn.execute(
        "SELECT scam_type, count(DISTINCT person_id) AS n FROM wuzha.alerts a"
        f" WHERE {LIVING} AND committed_at >= %(start)s AND committed_at < %(end)s"
        " GROUP BY 1 ORDER BY 2 DESC, 1 LIMIT 5",
        cohort,
    ).fetchall()
    units = many.execute(
        "SELECT n.unit_id, n.name, count(DISTINCT a.person_id) AS alerts,"
        " count(DISTINCT a.person_id) FILTER (WHERE a.reached_at IS NOT NULL) AS reached,"
        " percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM a.contacted_at - a.committed_at)) AS contact_s"
        ", count(*) OVER () AS units FROM wuzha.alerts a JOIN wuzha.units n USING (unit_id)"
        f" WHERE {LIVING} AND a.committed_at >= %(start)s AND a.committed_at < %(end)s"
        " GROUP BY 1, 2 ORDER BY 3 DESC, 2 LIMIT 12",
        cohort,
    ).fetchall()
    for row in units:
        row["contact_s"] = None if row["contact_s"] is None else row["contact_s"] / clock.clock().speed
    feed = many.execute(
        "SELECT * FROM (SELECT 'alert' AS what, a.alert_id, a.committed_at AS at, a.level, a.scam_type,"
        "  a.amount_fen AS fen,"
        "  a.outcome, n.name AS unit_name, p.name FROM wuzha.alerts a JOIN wuzha.units n USING (unit_id)"
        "  LEFT JOIN wuzha.persons p ON p.person_id = a.person_id"
        f" WHERE {LIVING} AND a.level_rank >= 1 AND a.committed_at < %(end)s"
        "  ORDER BY a.committed_at DESC LIMIT 7) fresh UNION ALL"
        " SELECT * FROM (SELECT 'closed', a.alert_id, a.closed_at, a.level, a.scam_type,"
        "  coalesce(a.avoided_fen, a.lost_fen), a.outcome, n.name, p.name FROM wuzha.alerts a"
        "  JOIN wuzha.units n USING (unit_id) LEFT JOIN wuzha.persons p ON p.person_id = a.person_id"
        f"  WHERE {LIVING} AND a.closed_at < %(end)s ORDER BY a.closed_at DESC LIMIT 7) done ORDER BY at DESC LIMIT 7",
        cohort,
    ).fetchall()
    return Wall(
        today={n: figure(conn, n, start, end) for n in names},
        yesterday={n: figure(conn, n, start - back, end - back) for n in names},
        last_year={n: figure(conn, n, *year) for n in names},
        hours={
            "alerts": _by_hour(conn, "committed_at", start, end),
            "reached": _by_hour(conn, "reached_at", start, end),
            "last_week": _by_hour(conn, "committed_at", start - 7 * back, start - 6 * back),
        },
        types=[(str(r[0]), int(r[1])) for r in types],
        units=units,
        feed=feed,
    )


def _by_hour(conn: psycopg.Connection[Any], column: str, start: datetime, end: datetime) -> list[int]:
    """People by hour since ``start``: 24 numbers, those of hours to come 0."""
    hours = [0] * 24
    for hour, n in conn.execute(
        f"SELECT floor(extract(epoch FROM {column} - %(start)s) / 3600)::int, count(DISTINCT person_id)"
        f" FROM wuzha.alerts a WHERE {LIVING} AND {column} >= %(start)s AND {column} < %(end)s GROUP BY 1",
        {"start": start, "end": end},
    ):
        if 0 <= hour < 24:
            hours[hour] = n
    return hours
