"""Reading what looking back found: figures, pages, one report with its chain and what would have caught it.

Kept true here: figures and pages count the same rows; a page of a key set neither skips nor repeats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import lookback_match as match
from . import lookback_near
from .lookback import CLASSES

PAGE = 100
#: Evidence so long around the loss is told as what the engine saw of it.
_NEAR = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What was asked to see; unknown values are dropped. ``day``: of the report, in the deployment's zone."""

    klass: str = ""
    unit: int | None = None
    day: date | None = None
    after: str = ""

    @classmethod
    def of(cls, query: dict[str, str]) -> Filters:
        """Filters of an address."""
        unit, day = query.get("unit", ""), query.get("day", "")
        return cls(
            klass=query.get("class", "") if query.get("class") in CLASSES else "",
            unit=int(unit) if unit.isascii() and unit.isdigit() and len(unit) < 18 else None,
            day=clock.day_of(day),
            after=query.get("after", "") if _cursor(query.get("after", "")) else "",
        )

    def address(self, **changes: Any) -> str:
        """The query string of these filters with ``changes``; the page starts anew."""
        f = replace(self, **{"after": "", **changes})
        pairs = {
            "class": f.klass,
            "unit": "" if f.unit is None else str(f.unit),
            "day": "" if f.day is None else f.day.isoformat(),
            "after": f.after,
        }
        return urlencode({k: v for k, v in pairs.items() if v})


def _cursor(text: str) -> tuple[datetime, int] | None:
    at, _, number = text.partition("~")
    try:
        when = datetime.fromisoformat(at)
        return (when, int(number)) if when.tzinfo is not None and number.isascii() and len(number) < 18 else None
    except ValueError:
        return None


def cursor(row: dict[str, Any]) -> str:
    """What the next page's address carries."""
    return f"{row['reported_at'].isoformat()}~{row['report_id']}"


def day_of(day: date) -> tuple[datetime, datetime]:
    """Its two midnights in the deployment's zone."""
    start = datetime(day.year, day.month, day.day, tzinfo=clock.zone())
    return start, datetime(*(day + timedelta(days=1)).timetuple()[:3], tzinfo=clock.zone())


def _where(f: Filters) -> tuple[str, dict[str, Any]]:
    clauses, values = ["true"], dict[str, Any]()
    if f.klass:
        clauses.append("l.class = %(class)s")
        values["class"] = f.klass
    if f.unit is not None:
        clauses.append("l.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %(unit)s)")
        values["unit"] = f.unit
    if f.day is not None:
        clauses.append("l.reported_at >= %(start)s AND l.reported_at < %(end)s")
        values["start"], values["end"] = day_of(f.day)
    return " AND ".join(clauses), values


_SELECT = """
SELECT l.*, r.report, r.source, r.scam_type, r.person_id, r.ts, n.name AS unit_name, p.name, s.value AS person
  FROM wuzha.lookbacks l JOIN wuzha.reports r USING (report_id)
  LEFT JOIN wuzha.units n ON n.unit_id = l.unit_id
  LEFT JOIN wuzha.subjects s ON s.subject_id = r.person_id
  LEFT JOIN wuzha.persons p ON p.person_id = r.person_id
"""


def rows(conn: psycopg.Connection[Any], actor: Actor, f: Filters) -> list[dict[str, Any]]:
    """A page, newest report first; one row more than PAGE means that there is another."""
    require(actor, "desk.read")
    where, values = _where(f)
    if at := _cursor(f.after):
        where += " AND (l.reported_at, l.report_id) < (%(at)s, %(number)s)"
        values |= {"at": at[0], "number": at[1]}
    return (
        conn.cursor(row_factory=dict_row)
        .execute(f"{_SELECT} WHERE {where} ORDER BY l.reported_at DESC, l.report_id DESC LIMIT {PAGE + 1}", values)
        .fetchall()
    )


def counts(
    conn: psycopg.Connection[Any], actor: Actor, start: datetime, end: datetime, *, unit: int | None = None
) -> dict[str, Any]:
    """Of the reports of a period: ``classes`` (how many by class, all of CLASSES), ``warned`` (with any warning here),
    ``all``, ``loss_fen`` of those warned, and ``units`` (name, how many by class), the most reports first."""
    require(actor, "desk.read")
    found = conn.execute(
        "SELECT l.class, l.unit_id, n.name, count(*), sum(l.loss_fen) FROM wuzha.lookbacks l"
        " LEFT JOIN wuzha.units n ON n.unit_id = l.unit_id"
        " WHERE l.reported_at >= %(start)s AND l.reported_at < %(end)s AND (%(unit)s::bigint IS NULL OR l.unit_id IN"
        " (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %(unit)s)) GROUP BY 1, 2, 3",
        {"start": start, "end": end, "unit": unit},
    ).fetchall()
    classes = dict.fromkeys(CLASSES, 0)
    units: dict[int, dict[str, Any]] = {}
    lost = 0
    for klass, unit_id, name, n, fen in found:
        classes[klass] += n
        lost += int(fen or 0) if klass != "no_warning" else 0
        row = units.setdefault(unit_id, {"unit_id": unit_id, "name": name, "all": 0, **dict.fromkeys(CLASSES, 0)})
        row[klass] += n
        row["all"] += n
    every = sum(classes.values())
    return {
        "classes": classes,
        "all": every,
        "warned": every - classes["no_warning"],
        "loss_fen": lost,
        "units": sorted(units.values(), key=lambda u: (-u["all"], u["name"] or ""))[:20],
    }


def one(conn: psycopg.Connection[Any], actor: Actor, report_id: int) -> dict[str, Any]:
    """A report: its row, ``files`` (every file of the person in the window with its own chain), ``warnings`` by feed,
    ``evidence`` (rules that fired, before or after the loss, and whether the file stood below the level at which
    anybody is called), ``suspects`` that the report names and what was known of each, ``shadows`` (rules on trial that
    fired on any of them), and ``near``: what caught it or came nearest, the nearest first. Refused("not_found")."""
    require(actor, "desk.read")
    many = conn.cursor(row_factory=dict_row)
    found = many.execute(f"{_SELECT} WHERE l.report_id = %s", (report_id,)).fetchone()
    if found is None:
        raise Refused("not_found")
    loss, person = found["loss_at"], found["person_id"]
    every = {"ids": found["alert_ids"], "person": person, "loss": loss, "near": _NEAR}
    mine = "(a.alert_id = ANY(%(ids)s) OR a.person_id = %(person)s)"
    found["files"] = many.execute(
        "SELECT a.alert_id, a.level, a.scam_type, a.state, a.outcome, a.committed_at, n.name AS unit_name,"
        " a.committed_at < %(loss)s AS before FROM wuzha.alerts a LEFT JOIN wuzha.units n USING (unit_id)"
        f" WHERE {mine} ORDER BY a.committed_at",
        every,
    ).fetchall()
    found["warnings"] = many.execute(
        "SELECT w.ts, w.source, coalesce(w.issued_by, q.title, w.source) AS issuer, w.source_no, w.level_upstream,"
        " w.alert_id, w.ts < %(loss)s AS before FROM wuzha.alert_warnings w JOIN wuzha.alerts a USING (alert_id)"
        f" LEFT JOIN wuzha.sources q ON q.name = w.source WHERE {mine} ORDER BY w.ts",
        every,
    ).fetchall()
    found["evidence"] = many.execute(
        "SELECT e.rule, e.rule_version, e.args, e.at, e.weight, a.alert_id, a.level, e.at < %(loss)s AS before,"
        " a.level_rank = 0 AS below, a.committed_at FROM wuzha.evidence e JOIN wuzha.alerts a USING (alert_id)"
        f" WHERE {mine} AND e.withdrawn_at IS NULL AND e.at < %(loss)s + %(near)s ORDER BY e.at LIMIT 100",
        every,
    ).fetchall()
    found["suspects"] = many.execute(
        "SELECT s.kind, s.value, i.role, x.typology, x.first_at, x.first_at < %(loss)s AS before,"
        " (SELECT count(*) FROM wuzha.report_identifiers o JOIN wuzha.reports t ON t.source = o.source"
        "   AND t.report = o.report WHERE o.subject_id = i.subject_id AND t.reported_at < %(loss)s) AS reports_before"
        " FROM wuzha.report_identifiers i JOIN wuzha.subjects s USING (subject_id)"
        " LEFT JOIN wuzha.suspects x USING (subject_id) WHERE i.source = %(source)s AND i.report = %(report)s"
        " AND i.role IN ('suspect', 'payee', 'contact') ORDER BY x.first_at NULLS LAST, s.subject_id LIMIT 50",
        {**every, "source": found["source"], "report": found["report"]},
    ).fetchall()
    found["shadows"] = lookback_near.shadows(conn, match.subjects(conn, found), loss - _NEAR, loss + _NEAR)
    found["near"] = lookback_near.nearest(found)
    return found


def of_alert(conn: psycopg.Connection[Any], alert_id: int) -> list[dict[str, Any]]:
    """Reports whose looking back names this file, newest first: report_id, report, class, loss_at, loss_fen."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT l.report_id, r.report, l.class, l.loss_at, l.loss_fen, l.reported_at FROM wuzha.lookbacks l"
            " JOIN wuzha.reports r USING (report_id) WHERE l.alert_ids @> ARRAY[%s::bigint]"
            " ORDER BY l.reported_at DESC LIMIT 10",
            (alert_id,),
        )
        .fetchall()
    )
