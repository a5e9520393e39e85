"""A step on a case: what every verb of cases and orders shares.

Kept true here: a step locks its case, does nothing twice (its key), and leaves its row and its audit row in the
transaction that changed something; the case's version moves with it, so that open pages look again.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.command.public import Actor, Refused
from wuzha.store import audit


@dataclass(frozen=True, kw_only=True)
class Done:
    """A step that stands. ``repeated``: it had been done before, and nothing was changed by this one."""

    case_id: int
    step_id: int
    at: datetime
    detail: Mapping[str, Any]
    repeated: bool = False


def repeated(conn: psycopg.Connection[Any], actor: Actor, key: str) -> Done | None:
    """The step that this key has already made. Holds the key for this transaction, so that twins wait."""
    if not 8 <= len(key) <= 200:
        raise Refused("no_key")
    full = f"{actor.login}:{key}"
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", (full,))
    row = conn.execute("SELECT case_id, step_id, at, detail FROM wuzha.case_steps WHERE key = %s", (full,)).fetchone()
    if row is None:
        return None
    return Done(case_id=row[0], step_id=row[1], at=row[2], detail=row[3], repeated=True)


def lock(conn: psycopg.Connection[Any], case_id: int) -> dict[str, Any]:
    """The case, locked until the transaction ends. Refused("not_found") where it is not in the officer's scope."""
    row = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT * FROM wuzha.cases WHERE case_id = %s FOR UPDATE", (case_id,))
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    return row


def record(
    conn: psycopg.Connection[Any],
    actor: Actor,
    case: dict[str, Any],
    kind: str,
    *,
    at: datetime,
    key: str | None = None,
    order_id: int | None = None,
    words: str = "",
    detail: dict[str, Any] | None = None,
) -> Done:
    """The step's row, its audit row, the case's next version. ``detail``: codes and numbers, never names."""
    told = {k: v for k, v in (detail or {}).items() if v is not None}
    conn.execute("UPDATE wuzha.cases SET version = version + 1 WHERE case_id = %s", (case["case_id"],))
    row = conn.execute(
        "INSERT INTO wuzha.case_steps (case_id, order_id, at, user_id, actor, kind, words, detail, key)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s) RETURNING step_id",
        (
            case["case_id"], order_id, at, actor.user_id or None, actor.login, kind, words.strip()[:2000] or None,
            Jsonb(told), f"{actor.login}:{key}" if key else None,
        ),
    ).fetchone()  # fmt: skip
    assert row is not None
    audit.append(
        conn, at=at, actor=actor.login, user_id=actor.user_id or None, unit_id=case["unit_id"], action=f"case.{kind}",
        object=f"case:{case['case_id']}", detail=told | ({"order": order_id} if order_id is not None else {}),
    )  # fmt: skip
    return Done(case_id=case["case_id"], step_id=row[0], at=at, detail=told)
