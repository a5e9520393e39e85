"""What the engine found, in one transaction under the lease: alerts, evidence with its events, warnings, suspects.

Kept true here: results and the position they reach commit together or not at all; only the engine's columns of an alert
are written, never the desk's; writing the same results twice changes nothing.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
from psycopg.types.json import Jsonb

from wuzha.events import LEVELS, clock
from wuzha.events.batch import Reject
from wuzha.events.subjects import split_key
from wuzha.store import log as store_log

from . import lease as leases
from . import leaving, reports
from .carrying import carry, take_back
from .cited import Cited, as_json
from .subjects import Key, Numbers, Units, name_person, write_persons, write_relations

#: 3 urgent … 0 low.
RANK = {level: 3 - i for i, level in enumerate(LEVELS)}
#: Pages and the API listen here; the payload is JSON {alert, unit, level, new}.
CHANNEL = "wuzha_alerts"

#: Log tables whose rows are written as they are, beside what the engine finds in them.
REGISTERS = frozenset({"persons", "relations", "reports", "identifiers"})

Person = tuple[str, int]


@dataclass
class Found:
    """Changes of several blocks, gathered in log order: of one thing the last word counts."""

    alerts: dict[Person, Any] = field(default_factory=dict)
    evidence: list[Any] = field(default_factory=list)
    warnings: list[Any] = field(default_factory=list)
    suspects: dict[str, Any] = field(default_factory=dict)
    registers: list[tuple[str, pa.Table]] = field(default_factory=list)
    moves: list[Any] = field(default_factory=list)
    #: Alerts that no longer stand, and alerts of which all that stands on them is told here again.
    withdrawn: dict[Person, None] = field(default_factory=dict)
    restated: dict[Person, None] = field(default_factory=dict)
    #: Log batches that are set aside, each with the reason.
    aside: list[tuple[Any, str]] = field(default_factory=list)

    def add(self, changes: Any) -> None:
        """Take in what one block changed. Moves stand first: what was found before them is written before them."""
        self.moves += changes.moves
        again = {*changes.withdrawn, *changes.restated}
        if again:
            self.evidence = [e for e in self.evidence if (e.person, e.episode) not in again]
            self.warnings = [w for w in self.warnings if (w.person, w.episode) not in again]
        for one in changes.withdrawn:
            self.alerts.pop(one, None)
            self.restated.pop(one, None)
            self.withdrawn[one] = None
        for one in changes.restated:
            self.withdrawn.pop(one, None)
            self.restated[one] = None
        for a in changes.alerts:
            self.alerts[a.person, a.episode] = a
        self.evidence += changes.evidence
        self.warnings += changes.warnings
        for s in changes.suspects:
            self.suspects[s.subject] = s


@dataclass(frozen=True, kw_only=True)
class Scribe:
    """What writing needs beside the transaction. ``outward`` names the recipient of a holder's warnings, else None."""

    numbers: Numbers
    units: Units
    cited: Cited
    outward: str | None = None
    #: The lowest level rank that leaves.
    outward_rank: int = 0


def write(
    conn: psycopg.Connection[Any], lease: leases.Lease, position: int, found: Found, scribe: Scribe,
    also: Callable[[psycopg.Connection[Any]], None] = lambda _: None,
) -> int:  # fmt: skip
    """Commit ``found`` with ``position``; returns how many alerts are new or changed. LeaseLost writes nothing.
    ``also``: what else must hold once the partition is this transaction's."""
    try:
        with conn.transaction():
            leases.guard(conn, lease, position)
            also(conn)
            _registers(conn, scribe.numbers, found)
            carry(conn, scribe.numbers, found.moves, found.evidence)
            _names(conn, found, scribe)
            ids = _alerts(conn, found, position, scribe)
            _warnings(conn, found, ids, scribe)
            _evidence(conn, found, ids, position, scribe)
            take_back(conn, scribe.numbers, found.withdrawn, found.restated, found.evidence)
            _suspects(conn, found, position, scribe.numbers)
            _reports(conn, found, scribe)
            if scribe.outward is not None:
                rising = [i for i in ids.values() if i.changed and i.rank >= scribe.outward_rank]
                leaving.enqueue(conn, rising, scribe.outward)
            for batch, why in found.aside:
                store_log.write_rejects(
                    conn, batch, [Reject(row=0, column="", value=None, reason="set_aside", message=why)]
                )
            _notify(conn, ids)
    except BaseException:
        scribe.numbers.undone()
        raise
    scribe.numbers.committed()
    return sum(i.changed for i in ids.values())


def _registers(conn: psycopg.Connection[Any], numbers: Numbers, found: Found) -> None:
    for table, rows in found.registers:
        if table == "persons":
            write_persons(conn, numbers, rows)
        elif table == "relations":
            write_relations(conn, numbers, rows)


def _reports(conn: psycopg.Connection[Any], found: Found, scribe: Scribe) -> None:
    """After the alerts: a report belongs to the unit that answers for its person's newest one."""
    for table, rows in found.registers:
        if table == "reports":
            reports.write_reports(conn, scribe.numbers, scribe.units, rows)
        elif table == "identifiers":
            reports.write_identifiers(conn, scribe.numbers, rows)


@dataclass
class Written:
    """An alert as it now stands. ``before`` is the level rank it had, None for a new one."""

    alert_id: int
    person_id: int
    person: str
    unit_id: int
    rank: int
    before: int | None
    change: Any

    @property
    def changed(self) -> bool:
        """Whether the engine said something of it in this transaction."""
        return self.change is not None


#: Until an officer signs, the line to call and the unit that answers are the latest word, however commits were grouped;
#: then theirs. A unit to which the desk has given the alert keeps it.
_UPSERT = """
INSERT INTO wuzha.alerts AS a (person_id, episode, unit_id, line_id, raised_at, high_at, last_evidence_at, committed_at,
    level_at, level, level_rank, scam_type, stage, score, typology, amount_fen, log_position)
VALUES (%(person_id)s, %(episode)s, %(unit_id)s, %(line_id)s, %(raised_at)s, %(high_at)s, %(last_evidence_at)s, %(now)s,
    %(now)s, %(level)s, %(rank)s, %(scam_type)s, %(stage)s, %(score)s, %(typology)s, %(amount_fen)s, %(position)s)
ON CONFLICT (person_id, episode) DO UPDATE SET
    line_id = CASE WHEN a.state = 'new' THEN EXCLUDED.line_id ELSE coalesce(a.line_id, EXCLUDED.line_id) END,
    unit_id = CASE WHEN a.state = 'new' AND a.moved_at IS NULL THEN EXCLUDED.unit_id ELSE a.unit_id END,
    raised_at = EXCLUDED.raised_at, high_at = EXCLUDED.high_at,
    last_evidence_at = EXCLUDED.last_evidence_at,
    level_at = CASE WHEN a.level = EXCLUDED.level THEN a.level_at ELSE EXCLUDED.level_at END,
    level = EXCLUDED.level, level_rank = EXCLUDED.level_rank, scam_type = EXCLUDED.scam_type, stage = EXCLUDED.stage,
    score = EXCLUDED.score, typology = EXCLUDED.typology, amount_fen = EXCLUDED.amount_fen,
    log_position = EXCLUDED.log_position,
    -- what was ended only because another alert took it in stands again
    merged_into = NULL,
    state = CASE WHEN a.merged_into IS NULL OR a.closed_by IS NOT NULL THEN a.state WHEN a.signed_by IS NULL THEN 'new'
                 WHEN a.reached_at IS NOT NULL THEN 'reached' WHEN a.contacted_at IS NOT NULL THEN 'contacting'
                 ELSE 'signed' END,
    closed_at = CASE WHEN a.merged_into IS NULL OR a.closed_by IS NOT NULL THEN a.closed_at END
RETURNING alert_id, unit_id
"""


def _alerts(conn: psycopg.Connection[Any], found: Found, position: int, scribe: Scribe) -> dict[Person, Written]:
    """Write the alerts that changed; the result also names those that only evidence or warnings speak of."""
    spoken = {(e.person, e.episode) for e in found.evidence} | {(w.person, w.episode) for w in found.warnings}
    every = found.alerts.keys() | spoken
    if not every:
        return {}
    keys: set[Key] = {("person", p) for p, _ in every}
    keys |= {("line", a.line) for a in found.alerts.values() if a.line}
    ids = scribe.numbers.of(conn, keys)
    homes = dict(
        conn.execute(
            "SELECT person_id, place FROM wuzha.persons WHERE person_id = ANY(%s) AND place IS NOT NULL",
            [[ids["person", p] for p, _ in every]],
        ).fetchall()
    )
    standing = {
        (person_id, episode): (alert_id, unit_id, rank)
        for alert_id, person_id, episode, unit_id, rank in conn.execute(
            "SELECT a.alert_id, a.person_id, a.episode, a.unit_id, a.level_rank FROM wuzha.alerts a"
            " WHERE a.person_id = ANY(%s)",
            [[ids["person", p] for p, _ in every]],
        )
    }
    written: dict[Person, Written] = {}
    now = clock.now()
    for person, episode in sorted(every):
        person_id = ids["person", person]
        before = standing.get((person_id, episode))
        a = found.alerts.get((person, episode))
        if a is None:
            if before is not None:
                written[person, episode] = Written(before[0], person_id, person, before[1], before[2], before[2], None)
            continue
        values = {
            "person_id": person_id, "episode": episode,
            "unit_id": scribe.units.answering(conn, nearest(a.place, homes.get(person_id))),
            "line_id": ids["line", a.line] if a.line else None, "raised_at": a.raised_at, "high_at": a.high_at,
            "last_evidence_at": a.last_evidence_at, "now": now, "level": a.level, "rank": RANK[a.level],
            "scam_type": a.scam_type, "stage": a.stage, "score": a.score, "typology": a.typology,
            "amount_fen": a.amount_fen, "position": position,
        }  # fmt: skip
        row = conn.execute(_UPSERT, values).fetchone()
        assert row is not None
        rank = None if before is None else before[2]
        written[person, episode] = Written(row[0], person_id, person, row[1], RANK[a.level], rank, a)
    return written


def _names(conn: psycopg.Connection[Any], found: Found, scribe: Scribe) -> None:
    """What warnings say of their persons, before alerts are written: a warning's place says which unit answers."""
    rows = scribe.cited.rows(conn, (w.ref for w in found.warnings))
    told = [(w.person, rows[w.ref][1]) for w in found.warnings if w.ref in rows]
    ids = scribe.numbers.of(conn, {("person", person) for person, _ in told})
    for person, r in told:
        # History holds no names, so a warning read back from there has none to give.
        name_person(conn, ids["person", person], r.get("victim_name"), r.get("victim_id"), r["place"])


def nearest(seen: str | None, home: str | None) -> str | None:
    """Where a person is to be found: events know the city only (``350200``), the vault the county or street, which
    counts as long as it lies in that city."""
    return home if home and (not seen or home[:4] == seen[:4]) else seen


def _warnings(conn: psycopg.Connection[Any], found: Found, ids: dict[Person, Written], scribe: Scribe) -> None:
    if not found.warnings:
        return
    rows = scribe.cited.rows(conn, (w.ref for w in found.warnings))
    for w in found.warnings:
        alert, cited = ids.get((w.person, w.episode)), rows.get(w.ref)
        if alert is None or cited is None:
            continue
        r = cited[1]
        conn.execute(
            "INSERT INTO wuzha.alert_warnings (alert_id, source, event_id, ts, source_no, issued_by, level_upstream,"
            " type_code, scam_type, reasons, amount_fen, sign_by, feedback_by)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
            " ON CONFLICT (source, event_id) DO UPDATE SET alert_id = EXCLUDED.alert_id",
            [
                alert.alert_id, r["source"], r["event_id"], r["ts"], r["source_no"], r["issued_by"],
                r["level_upstream"], r["type_code"], r["scam_type"], r["reasons"] or [], r["amount_fen"], r["sign_by"],
                r["feedback_by"],
            ],
        )  # fmt: skip


def _evidence(
    conn: psycopg.Connection[Any], found: Found, ids: dict[Person, Written], position: int, scribe: Scribe
) -> None:
    told: dict[tuple[int, str, int, datetime], Any] = {}
    for e in found.evidence:
        alert = ids.get((e.person, e.episode))
        if alert is None:
            raise ValueError(f"evidence {e.rule} for an episode {e.episode} that has no alert")
        told.setdefault((alert.alert_id, e.rule, e.version, e.at), e)
    if not told:
        return
    keys, reasons = list(told), list(told.values())
    fresh = [
        (number, [int(r) for r in told[alert_id, rule, version, at].events])
        for number, alert_id, rule, version, at in conn.execute(
            "INSERT INTO wuzha.evidence AS e"
            " (alert_id, rule, rule_version, at, weight, typology, stage, args, log_position)"
            " SELECT u.*, %s FROM unnest(%s::bigint[], %s::text[], %s::int[], %s::timestamptz[], %s::float8[],"
            " %s::text[], %s::text[], %s::jsonb[]) AS u ON CONFLICT (alert_id, rule, rule_version, at)"
            " DO UPDATE SET withdrawn_at = NULL, withdrawn_why = NULL WHERE e.withdrawn_at IS NOT NULL"
            " RETURNING evidence_id, alert_id, rule, rule_version, at",
            [
                position,
                *(list(column) for column in zip(*keys, strict=True)),
                [e.weight for e in reasons],
                [e.typology for e in reasons],
                [e.stage for e in reasons],
                [json.dumps(e.args) for e in reasons],
            ],
        ).fetchall()
    ]
    if not fresh:
        return
    rows = scribe.cited.rows(conn, (r for _, refs in fresh for r in refs))
    copies: list[list[Any]] = []
    for number, refs in fresh:
        for ref in dict.fromkeys(refs):
            if ref in rows:
                table, row = rows[ref]
                event = Jsonb(as_json(table, row))
                copies.append([number, table, row["source"], row["event_id"], row["ts"], event])
    with conn.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO wuzha.evidence_events (evidence_id, table_name, source, event_id, ts, event)"
            " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            copies,
        )


def _suspects(conn: psycopg.Connection[Any], found: Found, position: int, numbers: Numbers) -> None:
    if not found.suspects:
        return
    suspects = sorted(found.suspects.items())
    ids = numbers.of(conn, {split_key(subject) for subject, _ in suspects})
    columns: defaultdict[str, list[Any]] = defaultdict(list)
    for subject, s in suspects:
        columns["id"].append(ids[split_key(subject)])
        columns["typology"].append(s.typology)
        columns["score"].append(s.score)
        columns["first_at"].append(s.first_at)
        columns["last_at"].append(s.last_at)
        columns["args"].append(json.dumps(s.args, ensure_ascii=False, default=_plain))
    # a suspect has one typology at a time: which others it passed through depends on when it was told
    conn.execute(
        "UPDATE wuzha.suspects s SET typology = u.typology FROM unnest(%s::bigint[], %s::text[]) AS u (id, typology)"
        " WHERE s.subject_id = u.id AND s.typology <> u.typology AND NOT EXISTS"
        " (SELECT 1 FROM wuzha.suspects o WHERE o.subject_id = u.id AND o.typology = u.typology)",
        [columns["id"], columns["typology"]],
    )
    conn.execute(
        "INSERT INTO wuzha.suspects AS s (subject_id, typology, score, first_at, last_at, args, log_position)"
        " SELECT u.*, %s FROM unnest(%s::bigint[], %s::text[], %s::float8[], %s::timestamptz[], %s::timestamptz[],"
        " %s::jsonb[]) AS u ON CONFLICT (subject_id, typology) DO UPDATE SET score = EXCLUDED.score,"
        " first_at = least(s.first_at, EXCLUDED.first_at), last_at = EXCLUDED.last_at, args = EXCLUDED.args,"
        " log_position = EXCLUDED.log_position",
        [position, *columns.values()],
    )


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _notify(conn: psycopg.Connection[Any], ids: dict[Person, Written]) -> None:
    for w in ids.values():
        if w.changed:
            said = {"alert": w.alert_id, "unit": w.unit_id, "level": LEVELS[3 - w.rank], "new": w.before is None}
            conn.execute("SELECT pg_notify(%s, %s)", [CHANNEL, json.dumps(said)])
