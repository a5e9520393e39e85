"""The outcome of an alert, and its close.

Kept true here: an alert closes with a final outcome only; the close and the finding that tells the engine of it stand
in one transaction, so neither is ever without the other.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa

from wuzha.command.public import Actor, Refused, require
from wuzha.events import TABLES, batch, clock, subjects
from wuzha.store import log

from . import followups
from .codes import codes
from .step import Done, lock, mine, record, repeated

#: What the desk's findings carry in the column ``source``.
SOURCE = "desk"


def outcome(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert_id: int,
    *,
    code: str,
    version: int,
    key: str,
    amount_fen: int | None = None,
    words: str | None = None,
    now: datetime | None = None,
) -> Done:
    """Record the outcome. ``amount_fen``: money avoided or lost, as the code says; ignored where the code has none.

    Refused: not_reached (the code needs the person to have been reached), unknown_code, amount, and those of `mine`.
    """
    require(actor, "desk.act")
    chosen = codes()["outcome"].get(code)
    if chosen is None:
        raise Refused("unknown_code", code=code)
    if amount_fen is not None and amount_fen < 0:
        raise Refused("amount")
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    if chosen.reached and alert["state"] != "reached":
        raise Refused("not_reached")
    if code == "not_reached" and alert["state"] == "reached":
        raise Refused("was_reached")
    changes: dict[str, Any] = {"outcome": code, "avoided_fen": None, "lost_fen": None}
    if chosen.money is not None:
        changes[chosen.money] = amount_fen
    return record(
        conn, actor, alert, "outcome", key=key, changes=changes, at=now, code=code, words=words,
        amount_fen=amount_fen if chosen.money else None,
    )  # fmt: skip


def close(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, version: int, key: str, now: datetime | None = None
) -> Done:
    """Close the alert; the engine ends the person's episode when it reads the finding. It cannot be undone.

    Refused: no_outcome, not_final, and those of `mine`.
    """
    require(actor, "desk.act")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    if alert["outcome"] is None:
        raise Refused("no_outcome")
    if not codes()["outcome"][alert["outcome"]].final:
        raise Refused("not_final")
    done = record(
        conn, actor, alert, "close", key=key, at=now, code=alert["outcome"],
        changes={"state": "closed", "closed_at": now, "closed_by": actor.user_id},
    )  # fmt: skip
    followups.plan(conn, alert, done)
    log.append(conn, [finding(alert, now, done.contact_id)])
    return done


def finding(alert: dict[str, Any], now: datetime, contact_id: int) -> log.Batch:
    """The findings row that says that this alert is closed, as a batch for the log.

    Its identity is the step that closed: one alert may be closed more than once (a split, a carried file), and the log
    refuses an event that it has under another time.
    """
    money = codes()["outcome"][alert["outcome"]].money
    table = TABLES["findings"]
    rows = pa.Table.from_pylist(
        [
            {
                "source": SOURCE,
                "event_id": f"alert-{alert['alert_id']}-closed-{contact_id}",
                "ts": now,
                "subject": subjects.key("person", alert["person"]),
                "kind": "alert_closed",
                "code": alert["outcome"],
                "known_at": now,
                "episode": alert["episode"],
                "amount_fen": alert[money] if money else None,
            }
        ],
        schema=pa.schema([pa.field(f.name, f.type) for f in table.schema]),
    )
    return log.Batch(table="findings", rows=batch.conform(table, rows), source=SOURCE, basis="warning", received_at=now)
