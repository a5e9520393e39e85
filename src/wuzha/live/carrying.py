"""When a person turns out to be another: their alert, its evidence and its warnings go along.

Kept true here: nothing is lost and nothing is told twice. Where the other person has no alert of that episode, the very
alert is theirs from now on, with all that the desk has done on it; where they have one, it takes the evidence in and
the old alert ends and names it; where only part of the evidence is the other's, that part is withdrawn here and stands
there. What the engine takes back without another having it (a word was mistaken) is withdrawn too; the alert stays on
the desk until an officer closes it. Each leaves an audit row.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import psycopg

from wuzha.events import clock
from wuzha.store import audit

from .subjects import Numbers

ACTOR = "engine"


def carry(conn: psycopg.Connection[Any], numbers: Numbers, moves: Iterable[Any], evidence: Iterable[Any]) -> None:
    """Follow ``moves`` (source, target, at) in order. ``evidence`` is what the engine told in the same breath: that of
    a target shows its episode and which reasons have moved."""
    told = list(evidence)
    for move in moves:
        ids = numbers.of(conn, [("person", move.source), ("person", move.target)])
        source, target = ids["person", move.source], ids["person", move.target]
        row = conn.execute(
            "SELECT alert_id, unit_id FROM wuzha.alerts WHERE person_id = %s AND merged_into IS NULL"
            " ORDER BY episode DESC LIMIT 1",
            [source],
        ).fetchone()
        retold = [e for e in told if e.person == move.target]
        if row is None or not retold or source == target:
            continue
        _one(conn, row[0], row[1], target, retold)


def _one(conn: psycopg.Connection[Any], alert_id: int, unit_id: int, target: int, retold: list[Any]) -> None:
    episode = max(e.episode for e in retold)
    moved = {(e.rule, e.version, e.at) for e in retold}
    standing = {
        (rule, version, at): number
        for number, rule, version, at in conn.execute(
            "SELECT evidence_id, rule, rule_version, at FROM wuzha.evidence"
            " WHERE alert_id = %s AND withdrawn_at IS NULL",
            [alert_id],
        )
    }
    gone = [number for key, number in standing.items() if key in moved]
    if not gone:
        return
    now = clock.now()
    other = conn.execute(
        "SELECT alert_id FROM wuzha.alerts WHERE person_id = %s AND episode = %s", [target, episode]
    ).fetchone()
    if len(gone) == len(standing) and other is None:
        conn.execute(
            "UPDATE wuzha.alerts SET person_id = %s, episode = %s WHERE alert_id = %s", [target, episode, alert_id]
        )
        _note(conn, "alert.carried", alert_id, unit_id, {"person_id": target, "episode": episode})
        return
    conn.execute(
        "UPDATE wuzha.evidence SET withdrawn_at = %s, withdrawn_why = 'moved' WHERE evidence_id = ANY(%s)", [now, gone]
    )
    if len(gone) < len(standing) or other is None:
        _note(conn, "alert.split", alert_id, unit_id, {"person_id": target, "evidence": len(gone)})
        return
    conn.execute(
        "UPDATE wuzha.alerts SET merged_into = %s, state = 'closed', closed_at = coalesce(closed_at, %s)"
        " WHERE alert_id = %s",
        [other[0], now, alert_id],
    )
    _note(conn, "alert.merged", alert_id, unit_id, {"into": other[0]})


def take_back(
    conn: psycopg.Connection[Any],
    numbers: Numbers,
    withdrawn: Iterable[tuple[str, int]],
    restated: Iterable[tuple[str, int]],
    evidence: Iterable[Any],
) -> None:
    """Withdraw what stands on these alerts (person, episode) and, where ``restated``, is not told in ``evidence``."""
    told: dict[tuple[str, int], set[Any]] = {}
    for e in evidence:
        told.setdefault((e.person, e.episode), set()).add((e.rule, e.version, e.at))
    gone = dict.fromkeys(withdrawn)
    every = [*gone, *restated]
    ids = numbers.of(conn, [("person", person) for person, _ in every]) if every else {}
    for person, episode in every:
        standing = conn.execute(
            "SELECT a.alert_id, a.unit_id, e.evidence_id, e.rule, e.rule_version, e.at FROM wuzha.alerts a"
            " JOIN wuzha.evidence e USING (alert_id) WHERE a.person_id = %s AND a.episode = %s"
            " AND a.merged_into IS NULL AND e.withdrawn_at IS NULL",
            [ids["person", person], episode],
        ).fetchall()
        left = () if (person, episode) in gone else told.get((person, episode), set())
        out = [number for _, _, number, *key in standing if tuple(key) not in left]
        if not out:
            continue
        conn.execute(
            "UPDATE wuzha.evidence SET withdrawn_at = %s, withdrawn_why = 'moved' WHERE evidence_id = ANY(%s)",
            [clock.now(), out],
        )
        _note(conn, "alert.taken_back", standing[0][0], standing[0][1], {"evidence": len(out), "of": len(standing)})


def _note(conn: psycopg.Connection[Any], action: str, alert_id: int, unit_id: int, detail: dict[str, Any]) -> None:
    audit.append(conn, actor=ACTOR, action=action, object=f"alert:{alert_id}", unit_id=unit_id, detail=detail)
