"""Letting go and holding on: a release is an order of its own, and so is the renewal of a freeze.

Kept true here: what holds is released by one order at a time, with nobody's approval but the seal; a renewal is
drafted, approved and sealed like the first freeze, while that still stands – one that has run out is over.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import states
from .drafting import Draft, case_of, write
from .step import Done, record, repeated


def release(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, why: str, key: str, now: datetime | None = None
) -> Done:
    """Draft the release of a stop or freeze in force. Refused: no_words, order_not_now, order_drafted."""
    require(actor, "orders.draft")
    now = now or clock.now()
    if not why.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    order = states.one(conn, actor, order_id, now=now)
    if not order["in_force"]:
        raise Refused("order_not_now")
    made = write(
        conn, actor, case,
        Draft(
            kind="release", account_id=order["account_id"], level=order["level"], reason=why, of_order=order_id,
            amount_fen=order["done_fen"] or None,
        ),
        now=now,
    )  # fmt: skip
    if made is None:
        raise Refused("order_drafted")
    return record(
        conn, actor, case, "release_drafted", at=now, key=key, order_id=made, words=why, detail={"of": order_id}
    )


def renew(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, months: int, why: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Draft the renewal of a freeze in force. Refused: order_reason, order_months, order_not_now, order_drafted."""
    require(actor, "orders.draft")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    order = states.one(conn, actor, order_id, now=now)
    if not order["in_force"] or order["kind"] != "freeze":
        raise Refused("order_not_now")
    made = write(
        conn, actor, case,
        Draft(
            kind="freeze", account_id=order["account_id"], level=order["level"], reason=why, months=months,
            of_order=order_id, amount_fen=order["amount_fen"], whole_why=order["whole_why"] or "",
        ),
        now=now,
    )  # fmt: skip
    if made is None:
        raise Refused("order_drafted")
    return record(
        conn, actor, case, "renewal_drafted", at=now, key=key, order_id=made, words=why, detail={"of": order_id}
    )
