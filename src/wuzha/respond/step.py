"""A step of ours on an alert: what every verb of the desk shares.

Kept true here: a step locks its alert, does nothing twice (idempotency key), refuses a version that is not the one the
officer saw, and leaves its contact row and its audit row in the transaction that changed the alert. The state moves
only along `MOVES`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.store import audit

from . import answers

#: Where a state may go. Undo goes back along the same way.
MOVES: dict[str, tuple[str, ...]] = {
    "new": ("signed",),
    "signed": ("signed", "contacting", "reached", "closed"),
    "contacting": ("contacting", "reached", "closed"),
    "reached": ("reached", "closed"),
    "closed": ("new",),  # opened again
}
#: The desk's columns of an alert; what a step keeps of them is what an undo restores.
COLUMNS = (
    "state", "sign_by", "contact_by", "signed_at", "signed_by", "contacted_at", "reached_at", "closed_at", "closed_by",
    "outcome", "avoided_fen", "lost_fen", "tries", "mind",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that stands. ``repeated``: the click had been done before, and nothing was changed by this one."""

    alert_id: int
    contact_id: int
    at: datetime
    repeated: bool = False


def repeated(conn: psycopg.Connection[Any], actor: Actor, key: str) -> Done | None:
    """The step that this click has already made. Holds the key for this transaction, so that twins wait."""
    if not 8 <= len(key) <= 80:
        raise Refused("no_key")
    full = f"{actor.user_id}:{key}"
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (full,))
    row = conn.execute("SELECT alert_id, contact_id, at FROM wuzha.contacts WHERE key = %s", (full,)).fetchone()
    return None if row is None else Done(alert_id=row[0], contact_id=row[1], at=row[2], repeated=True)


def lock(conn: psycopg.Connection[Any], alert_id: int) -> dict[str, Any]:
    """The alert, locked until the transaction ends. Refused("not_found") where it is not in the officer's scope."""
    cursor = conn.cursor(row_factory=dict_row)
    row = cursor.execute("SELECT * FROM wuzha.alerts WHERE alert_id = %s FOR UPDATE", (alert_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    # Asked only now: a join above would show the names as they stood before we waited for the lock.
    names = cursor.execute(
        "SELECT (SELECT value FROM wuzha.subjects WHERE subject_id = %s) AS person,"
        " (SELECT name FROM wuzha.users WHERE user_id = %s) AS signed_name",
        (row["person_id"], row["signed_by"]),
    ).fetchone()
    return {**row, **(names or {})}


def mine(alert: dict[str, Any], actor: Actor, version: int) -> None:
    """Refused where the alert is not the officer's to work on, or has changed since they saw it."""
    if alert["state"] == "closed":
        raise Refused("closed")
    if alert["state"] == "new":
        raise Refused("not_signed")
    if alert["signed_by"] != actor.user_id:
        raise Refused("taken", who=alert["signed_name"], at=alert["signed_at"])
    if alert["version"] != version:
        raise Refused("changed")


def record(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert: dict[str, Any],
    kind: str,
    *,
    key: str,
    changes: dict[str, Any],
    at: datetime | None = None,
    code: str | None = None,
    words: str | None = None,
    to_id: int | None = None,
    amount_fen: int | None = None,
    undoes: int | None = None,
    reason: str | None = None,
    quiet: bool = False,
    detail: dict[str, Any] | None = None,
) -> Done:
    """Change the alert's desk columns, write the contact row and the audit row; all in the caller's transaction.

    ``quiet``: nothing changed that the officer who has the file must see before their own next step (no new version).
    ``detail`` goes to the audit: numbers and codes, never names.
    """
    at = at or clock.now()
    state = changes.get("state", alert["state"])
    if undoes is None and state != alert["state"] and state not in MOVES[alert["state"]]:
        raise Refused("wrong_state", state=alert["state"])
    words = (words or "").strip()[:2000] or None
    if not quiet:
        changes = {**changes, "version": alert["version"] + 1}
    if changes:
        assignments = ", ".join(f"{name} = %s" for name in changes)
        conn.execute(
            f"UPDATE wuzha.alerts SET {assignments} WHERE alert_id = %s", [*changes.values(), alert["alert_id"]]
        )
    before = {name: alert[name] for name in COLUMNS}
    row = conn.execute(
        "INSERT INTO wuzha.contacts (alert_id, at, user_id, kind, code, words, key, to_id, amount_fen, undoes, before,"
        " reason) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING contact_id",
        (
            alert["alert_id"], at, actor.user_id or None, kind, code, words, f"{actor.user_id}:{key}", to_id,
            amount_fen, undoes, json.dumps(before, default=str), reason,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None
    if "outcome" in changes:
        answers.follow(conn, actor, alert["alert_id"], changes["outcome"], at)
    told = {"code": code, "amount_fen": amount_fen, "undoes": undoes, **(detail or {})}
    audit_step(conn, actor, alert, kind, at=at, detail=told)
    return Done(alert_id=alert["alert_id"], contact_id=row[0], at=at)


def audit_step(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert: dict[str, Any],
    kind: str,
    *,
    at: datetime,
    detail: dict[str, Any],
) -> None:
    """The audit row of a step, in the alert's unit, without names or numbers."""
    audit.append(
        conn,
        at=at,
        actor=actor.login,
        user_id=actor.user_id or None,
        unit_id=alert["unit_id"],
        action=f"alert.{kind}",
        object=f"alert:{alert['alert_id']}",
        detail={k: v for k, v in detail.items() if v is not None},
    )
