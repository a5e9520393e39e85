"""The queue: whom do I call next?

Kept true here: one order for everybody — danger first, strictly; inside a level by ``rank_at``, in which time left,
money and tries without a word stand together (migration 0007 holds the formula, docs/desk.md explains it); what stands
on the automatic-call list comes last in its level. No filter hides an urgent alert from the counts; the order is total
and does not move with the clock, so pages (keyset) neither skip nor repeat, and it is one walk of an index.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, require
from wuzha.events import LEVELS, clock
from wuzha.events.scam_types import scam_types

from .codes import codes
from .file_number import alert_of
from .tiers import joins, overdue

PAGE = 100
STATES = ("open", "new", "signed", "contacting", "reached", "closed")
SCOPES = ("all", "unit", "mine", "left", "given", "overflow", "late")


@dataclass(frozen=True, kw_only=True)
class Filters:
    """What the officer asked to see; the defaults are every open alert in sight. Unknown values fall back to them."""

    scope: str = "all"
    level: str = ""
    scam_type: str = ""
    unit: int | None = None
    state: str = "open"
    search: str = ""
    wave: int | None = None
    after: str = ""

    @classmethod
    def of(cls, query: dict[str, str]) -> Filters:
        """Filters of an address; what is unknown there is dropped, so that an old bookmark still opens."""

        def number(name: str) -> int | None:
            text = query.get(name, "")
            return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None

        return cls(
            scope=query.get("scope", "") if query.get("scope") in SCOPES else "all",
            level=query.get("level", "") if query.get("level") in LEVELS else "",
            scam_type=query.get("type", "") if query.get("type") in scam_types() else "",
            unit=number("unit"),
            state=query.get("state", "") if query.get("state") in STATES else "open",
            search=query.get("q", "").strip()[:100],
            wave=number("wave"),
            after=query.get("after", "") if _cursor(query.get("after", "")) else "",
        )

    def address(self, **changes: Any) -> str:
        """The query string of these filters with ``changes``; defaults are left out."""
        f = replace(self, **{"after": "", **changes})
        pairs = {
            "scope": "" if f.scope == "all" else f.scope,
            "level": f.level,
            "type": f.scam_type,
            "unit": "" if f.unit is None else str(f.unit),
            "state": "" if f.state == "open" else f.state,
            "q": f.search,
            "wave": "" if f.wave is None else str(f.wave),
            "after": f.after,
        }
        return urlencode({k: v for k, v in pairs.items() if v})


#: The sort key, ascending. Closed alerts have no clock: the newest closed comes first.
_ORDER = "a.rank_no, a.rank_at, a.alert_id"
_CLOSED = "a.closed_at DESC, a.alert_id DESC"
_COLUMNS = """
    a.alert_id, a.person_id, a.episode, a.unit_id, a.line_id, a.raised_at, a.high_at, a.last_evidence_at,
    a.committed_at, a.level_at, a.level, a.level_rank, a.scam_type, a.stage, a.score, a.amount_fen, a.state,
    a.signed_at, a.signed_by,
    a.contacted_at, a.reached_at, a.closed_at, a.outcome, a.version, a.avoided_fen, a.lost_fen, a.mind, d.due,
    a.rank_no, a.rank_at, a.tries AS silent, a.robot_at, a.offered_at, a.moved_at,
    (SELECT max(x.rung) FROM wuzha.escalations x WHERE x.alert_id = a.alert_id) AS rung,
    clocks.sign_due, clocks.contact_due, clocks.meet_due, a.met_at, wuzha.meeting_done(a.met_at, a.outcome) AS met_done,
    n.name AS unit_name, s.value AS person, l.value AS line, p.name, p.born, p.gender, p.place, p.occupation,
    o.name AS officer,
    top.rule, top.rule_version, top.args,
    (SELECT count(*) FROM wuzha.evidence e WHERE e.alert_id = a.alert_id AND e.withdrawn_at IS NULL) AS evidence_n,
    last.kind AS last_kind, last.code AS last_code, last.at AS last_at, last.n AS tries,
    (SELECT jsonb_agg(jsonb_build_object('issued_by', coalesce(w.issued_by, q.title, w.source),
                                         'level', w.level_upstream, 'reason', w.reasons[1])
                      ORDER BY w.ts)
       FROM wuzha.alert_warnings w LEFT JOIN wuzha.sources q ON q.name = w.source
      WHERE w.alert_id = a.alert_id AND w.off_from IS DISTINCT FROM w.alert_id) AS warnings
"""
#: Our tries to reach somebody, and the results that say how one ended, as SQL lists: reminders and moves are none.
_TRIES = ", ".join(f"'{code}'" for code in codes()["channel"])
_BEGUN = ", ".join(f"'{code}'" for code, result in codes()["result"].items() if result.begins)
_FROM = f"""
    LEFT JOIN wuzha.units n ON n.unit_id = a.unit_id
    JOIN wuzha.subjects s ON s.subject_id = a.person_id
    LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id
    LEFT JOIN wuzha.persons p ON p.person_id = a.person_id
    LEFT JOIN wuzha.users o ON o.user_id = a.signed_by
    LEFT JOIN LATERAL (SELECT e.rule, e.rule_version, e.args FROM wuzha.evidence e
                        WHERE e.alert_id = a.alert_id AND e.withdrawn_at IS NULL
                        ORDER BY e.weight DESC, e.at LIMIT 1) top ON true
    LEFT JOIN LATERAL (SELECT c.kind, c.code, c.at, count(*) FILTER (WHERE c.code NOT IN ({_BEGUN})) OVER () AS n
                         FROM wuzha.contacts c
                        WHERE c.alert_id = a.alert_id AND c.undoes IS NULL AND c.code IS NOT NULL
                          AND c.kind IN ({_TRIES})
                          AND NOT EXISTS (SELECT 1 FROM wuzha.contacts u WHERE u.undoes = c.contact_id)
                        ORDER BY c.contact_id DESC LIMIT 1) last ON true
"""


#: Open files whose officer's shift is over (and who has no other now): (now, now). The next officer may take them.
LEFT = """a.signed_by IN (
    SELECT h.user_id FROM wuzha.shifts h WHERE h.removed_at IS NULL AND h.ends_at <= %s
       AND NOT EXISTS (SELECT 1 FROM wuzha.shifts o WHERE o.user_id = h.user_id AND o.removed_at IS NULL
                          AND o.ends_at > %s AND o.starts_at < h.ends_at + interval '1 day'
                          AND o.starts_at <= wuzha.scope_time()))"""
#: An alert ``a`` that is late still by the clock of escalation ``e``: not reached yet, or not met.
STILL_LATE = """(a.state IN ('new', 'signed', 'contacting')
    OR (a.state = 'reached' AND e.clock = 'meet' AND NOT wuzha.meeting_done(a.met_at, a.outcome)))"""
#: Given to the officer's own unit by another, not signed for yet: (unit, user).
GIVEN = "(a.offered_at IS NOT NULL AND a.unit_id = %s AND a.signed_by IS DISTINCT FROM %s)"


def _where(actor: Actor, f: Filters, now: datetime) -> tuple[str, list[Any]]:
    # One that another alert has taken in is that alert's work from then on.
    clauses: list[str] = ["a.merged_into IS NULL"]
    values: list[Any] = []
    if f.state == "open":
        clauses.append("a.state <> 'closed'")
    else:
        clauses.append("a.state = %s")
        values.append(f.state)
    if f.scope == "mine":
        clauses.append("a.signed_by = %s")
        values.append(actor.user_id)
    elif f.scope == "unit":
        clauses.append("a.unit_id = %s")
        values.append(actor.unit_id)
    elif f.scope == "left":
        clauses.append(LEFT)
        values += [now, now]
    elif f.scope == "given":
        clauses.append(GIVEN)
        values += [actor.unit_id, actor.user_id]
    elif f.scope == "overflow":
        clauses.append("a.alert_id IN (SELECT o.alert_id FROM wuzha.overflows o WHERE o.undone_at IS NULL)")
    elif f.scope == "late":
        clauses.append(
            f"EXISTS (SELECT 1 FROM wuzha.escalations e WHERE e.alert_id = a.alert_id AND {STILL_LATE}"
            " AND (e.to_user = %s OR (e.rung = 2 AND e.to_unit = %s)))"
        )
        values += [actor.user_id, actor.unit_id]
    if f.level:
        clauses.append("a.level = %s")
        values.append(f.level)
    if f.scam_type:
        clauses.append("(a.scam_type = %s OR a.scam_type LIKE %s)")
        values += [f.scam_type, f.scam_type + ".%"]
    if f.unit is not None:
        clauses.append("a.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)")
        values.append(f.unit)
    if f.wave is not None:
        clauses.append("a.alert_id IN (SELECT alert_id FROM wuzha.wave_alerts WHERE wave_id = %s)")
        values.append(f.wave)
    if f.search:
        # A file number, which the person says who calls 96110 back, finds its file beside whatever begins so.
        clauses.append("(a.alert_id IN (SELECT alert_id FROM wuzha.search_alerts(%s)) OR a.alert_id = %s)")
        values += [f.search, alert_of(f.search)]
    return " AND ".join(clauses), values


def _cursor(after: str) -> tuple[int, datetime, int] | None:
    """A page's last sort key, as the address carries it; None where it is none of ours. 9: of closed ones."""
    try:
        rank, at, alert = after.split("~")
        when = datetime.fromisoformat(at)
        return (int(rank), when, int(alert)) if when.tzinfo and 0 <= int(rank) <= 9 and int(alert) < 2**63 else None
    except ValueError:
        return None


def rows(
    conn: psycopg.Connection[Any], actor: Actor, f: Filters, *, now: datetime | None = None
) -> tuple[list[dict[str, Any]], str]:
    """A page of the queue in order, and the cursor of the next one (empty at the end)."""
    require(actor, "desk.read")
    now = now or clock.now()
    where, values = _where(actor, f, now)
    closed = f.state == "closed"
    order = _CLOSED if closed else _ORDER
    if closed:
        where += " AND a.closed_at IS NOT NULL"  # so that the index of closed ones serves
    cursor = _cursor(f.after) if f.after else None
    if cursor and closed == (cursor[0] == 9):
        where += " AND (a.closed_at, a.alert_id) < (%s, %s)" if closed else f" AND ({_ORDER}) > (%s, %s, %s)"
        values += cursor[1:] if closed else cursor
    page = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "WITH page AS MATERIALIZED ("  # the order first, the words for one page only
            f" SELECT a.alert_id, ROW_NUMBER() OVER (ORDER BY {order}) AS place"
            f" FROM wuzha.alerts a WHERE {where} ORDER BY {order} LIMIT {PAGE + 1})"
            f" SELECT {_COLUMNS} FROM page JOIN wuzha.alerts a USING (alert_id) {joins(now)} {_FROM}"
            " ORDER BY page.place",
            values,
        )
        .fetchall()
    )
    if len(page) <= PAGE:
        return page, ""
    last = page[PAGE - 1]
    key = (9, last["closed_at"]) if closed else (last["rank_no"], last["rank_at"])
    return page[:PAGE], f"{key[0]}~{key[1].isoformat()}~{last['alert_id']}"


def one(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, now: datetime | None = None
) -> dict[str, Any] | None:
    """The queue's row of one alert, or None where it is not in scope."""
    require(actor, "desk.read")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            f"SELECT {_COLUMNS} FROM wuzha.alerts a {joins(now or clock.now())} {_FROM} WHERE a.alert_id = %s",
            (alert_id,),
        )
        .fetchone()
    )


def first_unsigned(conn: psycopg.Connection[Any], actor: Actor, f: Filters, *, now: datetime) -> int | None:
    """The first alert to sign for that no other transaction holds, locked for this one: unsigned, or given to the
    officer's unit. What the automatic calls have comes when nothing else is left."""
    where, values = _where(
        actor, replace(f, state="open", scope="unit" if f.scope == "unit" else "all", after=""), now
    )  # fmt: skip
    where += f" AND (a.state = 'new' OR {GIVEN})"
    values += [actor.unit_id, actor.user_id]
    for listed in ("a.robot_at IS NULL", "a.robot_at IS NOT NULL"):
        row = conn.execute(
            f"SELECT a.alert_id FROM wuzha.alerts a WHERE {where} AND {listed} ORDER BY {_ORDER} LIMIT 1"
            " FOR UPDATE OF a SKIP LOCKED",
            values,
        ).fetchone()
        if row is not None:
            return int(row[0])
    return None


def counts(conn: psycopg.Connection[Any], actor: Actor, *, now: datetime | None = None) -> dict[str, int]:
    """Figures of the desk's head over everything in sight: ``new, mine, overdue, open`` and one a level."""
    require(actor, "desk.read")
    now = now or clock.now()
    tier, late = overdue(now)
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT count(*) FILTER (WHERE a.state = 'new') AS new,"
            " count(*) FILTER (WHERE a.signed_by = %(me)s) AS mine,"
            f" count(*) FILTER (WHERE {late}) AS overdue, count(*) AS open,"
            + ", ".join(f" count(*) FILTER (WHERE a.level = '{level}') AS {level}" for level in LEVELS)
            + f" FROM wuzha.alerts a {tier} WHERE a.state <> 'closed'",
            {"me": actor.user_id, "now": now},
        )
        .fetchone()
    )
    assert row is not None
    return dict(row)


def fingerprint(conn: psycopg.Connection[Any]) -> str:
    """Changes whenever an alert in sight appears or changes; cheap enough to be asked each second."""
    row = conn.execute(
        "SELECT count(*), coalesce(sum(version), 0), max(level_at), max(last_evidence_at), max(committed_at)"
        " FROM wuzha.alerts WHERE state <> 'closed'"
    ).fetchone()
    closed = conn.execute("SELECT max(closed_at) FROM wuzha.alerts WHERE closed_at IS NOT NULL").fetchone()
    told = conn.execute("SELECT max(escalation_id) FROM wuzha.escalations").fetchone()
    return f"{row}{closed}{told}"
