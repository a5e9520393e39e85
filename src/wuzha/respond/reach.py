"""The chance of reaching somebody at this hour: a table, and what a unit's own calls have taught.

Kept true here: the order of work moves with the part of the day and with nothing smaller; what is learned is counts of
a unit's calls by part of the day and age, nobody's own; a few calls move the table's figure a little, many replace it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg

from wuzha.command.public import Actor
from wuzha.events import clock, datafile

from .codes import codes

#: Channels whose tries are learned from: an officer's voice.
CHANNELS = ("call", "own_phone")


@dataclass(frozen=True, kw_only=True)
class Reach:
    """The file ``reach.toml``. ``bands``: (first hour, code), by hour; ``ages``: from_age -> chance by band."""

    days: int
    weight: int
    bands: tuple[tuple[int, str], ...]
    ages: dict[int, dict[str, float]]

    def band(self, at: datetime) -> str:
        """The part of the day of ``at`` in the deployment's zone."""
        hour = at.astimezone(clock.zone()).hour
        return next((code for start, code in reversed(self.bands) if start <= hour), self.bands[-1][1])


def read(text: str, name: str = "reach.toml") -> Reach:
    """`events.datafile.DataFileError` with the place of what is wrong."""
    file = datafile.parse(text, name)
    if unknown := file.data.keys() - {"learn", "band", "age"}:
        raise file.error(min(unknown), "", f"no such table {min(unknown)}")
    learn = file.data.get("learn", {})
    for key, most in (("days", 400), ("weight", 100_000)):
        if type(learn.get(key)) is not int or not 0 < learn[key] <= most:
            raise file.error("learn", key, f"{key} is a whole number from 1 to {most}")
    bands = [(b.get("from"), b.get("code")) for b in file.data.get("band", [])]
    hours = [start for start, _ in bands]
    if not bands or any(type(h) is not int or not 0 <= h < 24 for h in hours) or hours != sorted(set(hours)):
        raise file.error("band", "from", "bands begin at whole hours from 0 to 23, each later than the one before")
    names = [code for _, code in bands]
    if len(set(names)) < len(names) or not all(isinstance(n, str) and n for n in names):
        raise file.error("band", "code", "bands have codes of their own")
    ages: dict[int, dict[str, float]] = {}
    for row in file.data.get("age", []):
        start, chance = row.get("from_age"), row.get("chance")
        if type(start) is not int or not -1 <= start <= 120 or start in ages:
            raise file.error("age", "from_age", "from_age is a whole number from -1 to 120, each once")
        if not isinstance(chance, dict) or set(chance) != set(names):
            raise file.error("age", "chance", f"chance has a number for each of {', '.join(names)}")
        if any(isinstance(v, bool) or not isinstance(v, int | float) or not 0 <= v <= 1 for v in chance.values()):
            raise file.error("age", "chance", "a chance is a number from 0 to 1")
        ages[start] = {code: float(v) for code, v in chance.items()}
    if -1 not in ages or 0 not in ages:
        raise file.error("age", "from_age", "the ages -1 (not known) and 0 are wanted")
    return Reach(days=learn["days"], weight=learn["weight"], bands=tuple(bands), ages=ages)


@lru_cache(maxsize=1)
def reach() -> Reach:
    """The shipped table."""
    return read((files(__package__) / "reach.toml").read_text("utf-8"))


#: The part of the day for which this process has put each root's units in force.
_turned: dict[tuple[str, int], tuple[str, Any]] = {}


def turn(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Round: where the part of the day has turned, learn from the calls and put it in force; the clocks' round then
    ranks anew. Returns how many figures were changed."""
    table = reach()
    here = (conn.info.dsn, actor.unit_id)
    mark = (table.band(now), now.astimezone(clock.zone()).date())
    if _turned.get(here) == mark:
        return 0
    changed = _table(conn, table) + _learn(conn, actor, table, now)
    changed += conn.execute(
        "UPDATE wuzha.desk_hour SET band = %(band)s, turned_at = %(now)s, version = version + 1"
        " WHERE band IS DISTINCT FROM %(band)s OR %(changed)s > 0",
        {"band": mark[0], "now": now, "changed": changed},
    ).rowcount
    _turned[here] = mark
    return changed


def _table(conn: psycopg.Connection[Any], table: Reach) -> int:
    rows = [(age, band, chance) for age, chances in table.ages.items() for band, chance in chances.items()]
    return conn.execute(
        "WITH want AS (SELECT * FROM unnest(%(ages)s::smallint[], %(bands)s::text[], %(chances)s::real[])"
        "   AS w (from_age, band, chance)),"
        " gone AS (DELETE FROM wuzha.reach_table t WHERE NOT EXISTS"
        "   (SELECT 1 FROM want w WHERE (w.from_age, w.band) = (t.from_age, t.band)) RETURNING 1)"
        " INSERT INTO wuzha.reach_table AS t (from_age, band, chance) SELECT from_age, band, chance FROM want"
        " ON CONFLICT (band, from_age) DO UPDATE SET chance = excluded.chance WHERE t.chance <> excluded.chance",
        _columns(rows),
    ).rowcount


def _columns(rows: Iterable[tuple[Any, ...]]) -> dict[str, list[Any]]:
    ages, bands, chances = zip(*rows, strict=True)
    return {"ages": list(ages), "bands": list(bands), "chances": list(chances)}


def _learn(conn: psycopg.Connection[Any], actor: Actor, table: Reach, now: datetime) -> int:
    """The calls of the last days, by unit, part of the day and age, joined with the table's figure by their weight."""
    results = codes()["result"]
    spoken = [code for code, result in results.items() if result.reached]
    ends = [code for code, result in results.items() if not result.begins]
    tried = conn.execute(
        "WITH calls AS (SELECT a.unit_id, c.code,"
        "   extract(hour FROM c.at AT TIME ZONE %(zone)s)::int AS hour,"
        "   coalesce(extract(year FROM age(c.at, p.born))::int, -1) AS age"
        "  FROM wuzha.contacts c JOIN wuzha.alerts a USING (alert_id)"
        "  LEFT JOIN wuzha.persons p ON p.person_id = a.person_id"
        "  WHERE c.kind IN ('call', 'own_phone') AND c.at > %(since)s AND c.at <= %(now)s AND c.code = ANY(%(ends)s)"
        "   AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id))"
        " SELECT unit_id, (SELECT max(g) FROM unnest(%(ages)s::int[]) g WHERE g <= greatest(age, -1)), hour, count(*),"
        " count(*) FILTER (WHERE code = ANY(%(spoken)s)) FROM calls GROUP BY 1, 2, 3",
        {
            "zone": str(clock.zone()), "since": now - timedelta(days=table.days), "now": now, "ends": ends,
            "spoken": spoken, "ages": list(table.ages),
        },
    ).fetchall()  # fmt: skip
    counts: dict[tuple[int, int, str], list[int]] = {}
    for unit, age, hour, tries, reached in tried:
        band = next((code for start, code in reversed(table.bands) if start <= hour), table.bands[-1][1])
        one = counts.setdefault((unit, age, band), [0, 0])
        one[0] += tries
        one[1] += reached
    changed = 0
    for (unit, age, band), (tries, reached) in sorted(counts.items()):
        chance = (reached + table.weight * table.ages[age][band]) / (tries + table.weight)
        changed += conn.execute(
            "INSERT INTO wuzha.reach_learned AS l (unit_id, from_age, band, tries, reached, chance)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (unit_id, band, from_age) DO UPDATE"
            " SET tries = excluded.tries, reached = excluded.reached, chance = excluded.chance"
            " WHERE l.chance <> excluded.chance",
            (unit, age, band, tries, reached, round(chance, 2)),
        ).rowcount
    return changed
