"""What stands in the database after a run, without surrogate numbers and commit times, to compare runs by."""

from __future__ import annotations

from typing import Any

from wuzha.store import Connection

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
