"""What stands in a server's log, history and tables after a run, without surrogate numbers and commit times, to compare
two runs of the same events by.

Kept true here: whatever a reader of the alerts could see is compared; what depends on when a transaction was committed
is not.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from wuzha.events.hashing import identity
from wuzha.live import history, leaving
from wuzha.live.results import RANK
from wuzha.store import Connection
from wuzha.store import log as store_log

_ROWS = 200_000

_ALERTS = """
SELECT s.value, a.episode, a.raised_at, a.high_at, a.last_evidence_at, a.level, a.scam_type, a.stage, a.score,
       a.typology, a.amount_fen, l.value, a.merged_into IS NOT NULL
  FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id
  LEFT JOIN wuzha.subjects l ON l.subject_id = a.line_id"""
_EVIDENCE = """
SELECT s.value, a.episode, e.rule, e.rule_version, e.at, e.weight, e.typology, e.stage, e.args::text, e.withdrawn_why,
       array(SELECT x.table_name || '/' || x.source || '/' || x.event_id || x.event::text FROM wuzha.evidence_events x
              WHERE x.evidence_id = e.evidence_id ORDER BY 1)::text
  FROM wuzha.evidence e JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.subjects s ON s.subject_id = a.person_id"""
_WARNINGS = """
SELECT s.value, a.episode, w.source, w.event_id, w.ts, w.level_upstream, w.reasons::text
  FROM wuzha.alert_warnings w JOIN wuzha.alerts a USING (alert_id)
  JOIN wuzha.subjects s ON s.subject_id = a.person_id"""
_SUSPECTS = """
SELECT s.kind, s.value, x.typology, x.score, x.first_at, x.last_at, x.args::text
  FROM wuzha.suspects x JOIN wuzha.subjects s USING (subject_id)"""
_PERSONS = (
    "SELECT s.value, p.name, p.id_no, p.born FROM wuzha.persons p JOIN wuzha.subjects s ON s.subject_id = p.person_id"
)
_RELATIONS = """
SELECT s.kind, s.value, o.kind, o.value, r.role, r.valid_from, r.valid_to, r.source, r.event_id FROM wuzha.relations r
  JOIN wuzha.subjects s USING (subject_id) JOIN wuzha.subjects o ON o.subject_id = r.other_id"""
_LOG = "SELECT table_name, source, sum(n) FROM wuzha.log GROUP BY 1, 2"


def outcome(engine: Connection) -> dict[str, set[tuple[Any, ...]]]:
    """Sets of rows by what they are."""
    queries = {
        "alerts": _ALERTS, "evidence": _EVIDENCE, "warnings": _WARNINGS, "suspects": _SUSPECTS, "persons": _PERSONS,
        "relations": _RELATIONS,
    }  # fmt: skip
    return {name: {tuple(r) for r in engine.execute(query)} for name, query in queries.items()}


def events(engine: Connection) -> set[tuple[Any, ...]]:
    """How many events of each table and source the log took in."""
    return set(engine.execute(_LOG).fetchall())


def differ(one: dict[str, set[tuple[Any, ...]]], other: dict[str, set[tuple[Any, ...]]]) -> dict[str, int]:
    """How many rows stand in one outcome only, by what they are; what does not differ is left out."""
    return {name: len(one[name] ^ other[name]) for name in one if one[name] != other[name]}


def identities(engine: Connection) -> tuple[npt.NDArray[np.uint64], list[np.uint64]]:
    """The identity of every event of the log, and the first one of each batch in the order of the log."""
    found: list[npt.NDArray[np.uint64]] = []
    at = 0
    while batches := list(store_log.read(engine, at, limit_rows=_ROWS)):
        found += [identity(b.rows) for b in batches]
        at = batches[-1].position
    return np.concatenate(found) if found else np.empty(0, np.uint64), [some[0] for some in found]


def history_wrong(engine: Connection, folder: Path) -> int:
    """Rows of the log that are sealed and do not stand in history exactly once, or stand there and not in the log."""
    last = history.sealed(folder).position
    sealed: Counter[int] = Counter()
    twice = 0
    for path in history.files(folder):
        refs = pq.read_table(path, columns=["ref"], partitioning=None)["ref"].to_numpy()
        twice += len(refs) - len(np.unique(refs))
        positions, rows = np.unique(refs >> history.ROW_BITS, return_counts=True)
        sealed.update(dict(zip(positions.tolist(), rows.tolist(), strict=True)))
    logged: dict[int, int] = dict(
        engine.execute("SELECT position, n FROM wuzha.log WHERE position <= %s", [last]).fetchall()
    )
    return twice + sum(abs(sealed[at] - logged.get(at, 0)) for at in sealed.keys() | logged.keys())


def unsent(engine: Connection) -> int:
    """Alerts whose level neither has left as one warning nor waits to, and warnings that stand there twice."""
    queued = [key for (key,) in engine.execute("SELECT key FROM wuzha.outbox")]
    standing = engine.execute(
        "SELECT s.value, a.episode, a.level FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id"
        " WHERE a.merged_into IS NULL AND a.level <> 'low'"
        " AND NOT EXISTS (SELECT 1 FROM wuzha.audit u WHERE u.object = 'alert:' || a.alert_id)"
    ).fetchall()
    told = set(queued)
    missing = [p for p, episode, level in standing if leaving.number(p, episode, RANK[level]) not in told]
    return len(missing) + len(queued) - len(told)
