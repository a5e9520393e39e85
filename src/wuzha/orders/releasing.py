"""Letting go and holding on: a release is an order of its own, and so is the renewal of a freeze.

Kept true here: what holds is released by one order at a time, with nobody's approval but the seal; the days in which
what was found unrelated must be let go run from the finding, which drafts the release in the same transaction; a
renewal is drafted, approved and sealed like the first freeze, while that still stands – one that has run out is over.
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
    case, order = _standing(conn, actor, order_id, now)
    made = _draft(conn, actor, case, order, why, None, now)
    if made is None:
        raise Refused("order_drafted")
    return record(
        conn, actor, case, "release_drafted", at=now, key=key, order_id=made, words=why, detail={"of": order_id}
    )


def unrelated(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, why: str, amount_fen: int | None = None, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """An officer has found that what an order holds, or ``amount_fen`` of it, has nothing to do with the case: the days
    begin to run and the release is drafted. Refused: no_words, order_not_now, order_amount."""
    require(actor, "orders.draft")
    now = now or clock.now()
    if not why.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case, order = _standing(conn, actor, order_id, now)
    if amount_fen is not None and not 0 < amount_fen <= (order["holds_fen"] or order["amount_fen"] or 0):
        raise Refused("order_amount")
    found(conn, actor, case, order, why=why, amount_fen=amount_fen, now=now)
    return record(
        conn, actor, case, "unrelated_found", at=now, key=key, order_id=order_id, words=why,
        detail={"amount_fen": amount_fen},
    )  # fmt: skip


def _standing(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Its case, and the order, which holds something or waits its turn to."""
    case = case_of(conn, order_id)
    order = states.one(conn, actor, order_id, now=now)
    if not order["in_force"] and order["state"] != "queued":
        raise Refused("order_not_now")
    return case, order


def found(
    conn: psycopg.Connection[Any], actor: Actor, case: dict[str, Any], order: dict[str, Any], *, why: str,
    amount_fen: int | None, now: datetime,
) -> bool:  # fmt: skip
    """It is found, without a step of its own; the first finding's time stands. The machine's figure follows what is
    known by now; an officer's stays. False where nothing changed."""
    known = order["unrelated_by"] is not None or order["unrelated_fen"] == amount_fen
    if order["unrelated_at"] is not None and actor.user_id == 0 and known:
        return False
    conn.execute(
        "UPDATE wuzha.orders SET unrelated_at = coalesce(unrelated_at, %s), unrelated_by = %s, unrelated_why = %s,"
        " unrelated_fen = %s WHERE order_id = %s",
        (now, actor.user_id or None, why.strip()[:500], amount_fen, order["order_id"]),
    )
    made = _draft(conn, actor, case, order, why, amount_fen, now)
    if made is None:  # the machine's own draft follows; one that an officer wrote or sealed stays
        conn.execute(
            "UPDATE wuzha.orders SET amount_fen = %s, drafted_by = coalesce(%s, drafted_by) WHERE of_order = %s"
            " AND kind = 'release' AND sealed_at IS NULL AND dropped_at IS NULL AND drafted_by IS NULL",
            (_let_go(order, amount_fen), actor.user_id or None, order["order_id"]),
        )
    return True


def related(conn: psycopg.Connection[Any], actor: Actor, order: dict[str, Any], *, now: datetime) -> bool:
    """The trace finds it related after all: its own finding goes, with the draft that it made; an officer's stays."""
    if order["unrelated_at"] is None or order["unrelated_by"] is not None:
        return False
    conn.execute(
        "UPDATE wuzha.orders SET unrelated_at = NULL, unrelated_why = NULL, unrelated_fen = NULL WHERE order_id = %s",
        (order["order_id"],),
    )
    conn.execute(
        "UPDATE wuzha.orders SET dropped_at = %s, dropped_why = 'related' WHERE of_order = %s AND kind = 'release'"
        " AND sealed_at IS NULL AND dropped_at IS NULL AND drafted_by IS NULL",
        (now, order["order_id"]),
    )
    return True


def _let_go(order: dict[str, Any], amount_fen: int | None) -> int | None:
    return amount_fen if amount_fen is not None else order["holds_fen"] or None


def _draft(
    conn: psycopg.Connection[Any], actor: Actor, case: dict[str, Any], order: dict[str, Any], why: str,
    amount_fen: int | None, now: datetime,
) -> int | None:  # fmt: skip
    return write(
        conn, actor, case,
        Draft(
            kind="release", account_id=order["account_id"], level=order["level"], reason=why,
            of_order=order["order_id"], amount_fen=_let_go(order, amount_fen),
        ),
        now=now,
    )  # fmt: skip


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
