"""What leaves this zone: messages in order, each once, until its recipient has receipted it.

Kept true here: a message is queued in the transaction of what it tells and has a name of its own (recipient, kind,
key), so that telling it again is nothing; it leaves in the order of its number and stays until its receipt.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from wuzha.events import clock

from .queries import q


@dataclass(frozen=True, kw_only=True)
class Message:
    """One message that waits."""

    number: int
    kind: str
    key: str
    body: dict[str, Any]
    created_at: datetime


def enqueue(
    conn: psycopg.Connection[Any],
    *,
    recipient: str,
    kind: str,
    key: str,
    body: Mapping[str, Any],
    now: datetime | None = None,
) -> int | None:
    """Queues a message in the caller's transaction; its number, or None where it is queued (or sent) already."""
    row = conn.execute(
        q("outbox.enqueue"),
        {"recipient": recipient, "kind": kind, "key": key, "body": Jsonb(dict(body)), "created_at": now or clock.now()},
    ).fetchone()
    return None if row is None else int(row[0])


def waiting(conn: psycopg.Connection[Any], recipient: str, *, limit: int = 200) -> list[Message]:
    """The recipient's messages without a receipt, in order. One sender a recipient: a number that is given but not yet
    committed appears later, before its successors only where the senders of messages wait for each other."""
    return [
        Message(number=r[0], kind=r[1], key=r[2], body=r[3], created_at=r[4])
        for r in conn.execute(q("outbox.waiting"), {"recipient": recipient, "limit": limit})
    ]


def receipted(conn: psycopg.Connection[Any], number: int, receipt: str, *, now: datetime | None = None) -> bool:
    """Notes a receipt. False where it was receipted before (the first receipt stands)."""
    return (
        conn.execute(q("outbox.receipt"), {"number": number, "receipt": receipt, "at": now or clock.now()}).rowcount
        == 1
    )
