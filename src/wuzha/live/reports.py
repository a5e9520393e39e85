"""Reports and the identifiers they name, written for the desk with the position that was reached.

Kept true here: a row stands once however often it is written; the words of a report, which hold names, stay in the log.
"""

from __future__ import annotations

from typing import Any

import psycopg
import pyarrow as pa

from wuzha.events import clock, subjects

from .subjects import Numbers, Units


def write_reports(conn: psycopg.Connection[Any], numbers: Numbers, units: Units, rows: pa.Table) -> None:
    """Rows of table ``reports``."""
    told = rows.select(["source", "event_id", "ts", "report", "reported_at", "person", "scam_type", "loss_fen"])
    every = told.to_pylist()
    ids = numbers.of(conn, {("person", r["person"]) for r in every if r["person"]})
    for r in every:
        person_id = ids["person", r["person"]] if r["person"] else None
        conn.execute(
            "INSERT INTO wuzha.reports (source, event_id, report, ts, reported_at, person_id, unit_id, scam_type,"
            " loss_fen, changed_at) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
            [
                r["source"], r["event_id"], r["report"], r["ts"], r["reported_at"], person_id,
                _unit(conn, units, person_id), r["scam_type"], r["loss_fen"], clock.now(),
            ],
        )  # fmt: skip


def _unit(conn: psycopg.Connection[Any], units: Units, person_id: int | None) -> int:
    """Who answers for the person: the unit of their newest alert, else that of where they live, else the root."""
    row = conn.execute(
        "SELECT (SELECT unit_id FROM wuzha.alerts WHERE person_id = %(p)s ORDER BY episode DESC LIMIT 1),"
        " (SELECT place FROM wuzha.persons WHERE person_id = %(p)s)",
        {"p": person_id},
    ).fetchone()
    assert row is not None
    return int(row[0]) if row[0] is not None else units.answering(conn, row[1])


def write_identifiers(conn: psycopg.Connection[Any], numbers: Numbers, rows: pa.Table) -> None:
    """Rows of table ``identifiers``; those of a kind that is no subject's are left in the log."""
    told = rows.select(["source", "event_id", "report", "kind", "value", "role"]).to_pylist()
    every = [r for r in told if r["kind"] in subjects.KINDS and r["value"]]
    if not every:
        return
    ids = numbers.of(conn, {(r["kind"], r["value"]) for r in every})
    fresh = conn.execute(
        "INSERT INTO wuzha.report_identifiers (source, event_id, report, subject_id, role)"
        " SELECT * FROM unnest(%s::text[], %s::text[], %s::text[], %s::bigint[], %s::text[])"
        " ON CONFLICT DO NOTHING RETURNING source, report",
        [
            *([r[c] for r in every] for c in ("source", "event_id", "report")),
            [ids[r["kind"], r["value"]] for r in every],
            [r["role"] for r in every],
        ],
    ).fetchall()
    if fresh:
        conn.execute(
            "UPDATE wuzha.reports r SET changed_at = %s, fresh = true"
            " FROM unnest(%s::text[], %s::text[]) AS f (source, report)"
            " WHERE r.source = f.source AND r.report = f.report",
            [clock.now(), [s for s, _ in fresh], [n for _, n in fresh]],
        )
