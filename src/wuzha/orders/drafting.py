"""Drafting an order, revising a draft, dropping it.

Kept true here: a draft binds nobody and anybody's machine may write one; a draft that is already sealed is nobody's to
change; of one case, account and kind there is one draft, whoever writes it first (the database holds it).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from .law import KINDS, law
from .step import Done, lock, record, repeated

CHANNELS = ("platform", "letter", "api")


@dataclass(frozen=True, kw_only=True)
class Draft:
    """What is to be ordered. ``amount_fen`` None: the whole account, which wants ``whole_why``."""

    kind: str
    account_id: int
    level: int
    reason: str
    amount_fen: int | None = None
    whole_why: str = ""
    transfer_fen: int | None = None
    transfer_at: datetime | None = None
    months: int | None = None
    of_order: int | None = None


def draft(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, wish: Draft, *, key: str, now: datetime | None = None
) -> Done:
    """Draft an order on an account of the case.

    Refused: order_kind, order_account (none of the case's), order_reason, order_whole, order_months, order_drafted
    (there is a draft already).
    """
    require(actor, "orders.draft")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = lock(conn, case_id)
    order_id = write(conn, actor, case, wish, now=now)
    if order_id is None:
        raise Refused("order_drafted")
    return record(
        conn, actor, case, "order_drafted", at=now, key=key, order_id=order_id,
        detail={"order": order_id, "kind": wish.kind, "amount_fen": wish.amount_fen},
    )  # fmt: skip


def write(
    conn: psycopg.Connection[Any], actor: Actor, case: dict[str, Any], wish: Draft, *, now: datetime
) -> int | None:
    """The draft's row, without a step of its own; None where one of this kind and account stands already."""
    table = law(now)
    if wish.kind not in KINDS:
        raise Refused("order_kind")
    if not wish.reason.strip():
        raise Refused("order_reason")
    if wish.kind in ("stop", "freeze") and wish.amount_fen is None and not wish.whole_why.strip():
        raise Refused("order_whole")
    if wish.amount_fen is not None and wish.amount_fen <= 0:
        raise Refused("order_amount")
    if wish.kind == "freeze" and not 1 <= (wish.months or 0) <= table.freeze_major_months:
        raise Refused("order_months", limit=table.freeze_major_months)
    account = conn.execute(
        "SELECT holder_id, bank FROM wuzha.case_accounts WHERE case_id = %s AND account_id = %s",
        (case["case_id"], wish.account_id),
    ).fetchone()
    if account is None:
        raise Refused("order_account")
    source_id = member_of(conn, account[1])
    row = conn.execute(
        "INSERT INTO wuzha.orders (case_id, kind, account_id, holder_id, bank, source_id, channel, level, transfer_fen,"
        " transfer_at, amount_fen, whole_why, law_from, months, of_order, reason, drafted_at, drafted_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)"
        " ON CONFLICT DO NOTHING RETURNING order_id",
        (
            case["case_id"], wish.kind, wish.account_id, account[0], account[1], source_id,
            "platform" if source_id is None else "api", wish.level, wish.transfer_fen, wish.transfer_at,
            wish.amount_fen, wish.whole_why.strip() or None, table.since,
            wish.months if wish.kind == "freeze" else None, wish.of_order, wish.reason.strip()[:2000], now,
            actor.user_id or None,
        ),
    ).fetchone()  # fmt: skip
    return None if row is None else int(row[0])


def member_of(conn: psycopg.Connection[Any], bank: str | None) -> int | None:
    """The registered member unit that a bank's name means: a source of the role bank or platform of this title."""
    if not bank:
        return None
    row = conn.execute(
        "SELECT source_id FROM wuzha.sources WHERE active AND role IN ('bank', 'platform') AND title = %s"
        " ORDER BY source_id LIMIT 1",
        (bank.strip(),),
    ).fetchone()
    return None if row is None else int(row[0])


def revise(
    conn: psycopg.Connection[Any], order_id: int, *, amount_fen: int | None, level: int, reason: str, bank: str | None
) -> bool:
    """The machine's own draft follows what is known by now – amount, layer, and the bank where none was known; False
    where it stands so, or is no longer a draft of its own to change (an officer wrote, approved or sealed it)."""
    source_id = member_of(conn, bank)
    row = conn.execute(
        "UPDATE wuzha.orders SET amount_fen = %(amount)s, level = %(level)s, reason = %(reason)s,"
        " source_id = CASE WHEN bank IS NULL THEN %(source)s ELSE source_id END,"
        " channel = CASE WHEN bank IS NULL AND %(source)s::bigint IS NOT NULL THEN 'api' ELSE channel END,"
        " bank = coalesce(bank, %(bank)s)"
        " WHERE order_id = %(id)s AND sealed_at IS NULL AND dropped_at IS NULL AND approved_at IS NULL"
        " AND drafted_by IS NULL AND ((amount_fen, level) IS DISTINCT FROM (%(amount)s::bigint, %(level)s::int)"
        "  OR bank IS NULL AND %(bank)s::text IS NOT NULL) RETURNING order_id",
        {
            "amount": amount_fen, "level": level, "reason": reason, "source": source_id, "bank": bank, "id": order_id,
        },
    ).fetchone()  # fmt: skip
    return row is not None


def withdraw(conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, why: str, now: datetime) -> bool:
    """Take a draft off the list; False where it was sealed or dropped before."""
    row = conn.execute(
        "UPDATE wuzha.orders SET dropped_at = %s, dropped_by = %s, dropped_why = %s WHERE order_id = %s"
        " AND sealed_at IS NULL AND dropped_at IS NULL RETURNING order_id",
        (now, actor.user_id or None, why, order_id),
    ).fetchone()
    return row is not None


def drop(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, why: str, key: str, now: datetime | None = None
) -> Done:
    """An officer takes a draft off the list, with the reason. Refused: no_words, order_not_now, not_found."""
    require(actor, "orders.draft")
    now = now or clock.now()
    if not why.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    if not withdraw(conn, actor, order_id, why=why.strip()[:500], now=now):
        raise Refused("order_not_now")
    return record(conn, actor, case, "order_dropped", at=now, key=key, order_id=order_id, words=why)


def choose_channel(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, channel: str, key: str, now: datetime | None = None
) -> Done:
    """By which channel a draft is to leave. Refused: unknown_code, order_member (the bank is no registered member),
    order_not_now (it was sealed)."""
    require(actor, "orders.draft")
    now = now or clock.now()
    if channel not in CHANNELS:
        raise Refused("unknown_code", code=channel[:40])
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    bank = conn.execute("SELECT bank FROM wuzha.orders WHERE order_id = %s", (order_id,)).fetchone()
    source = member_of(conn, bank[0] if bank else None)
    if channel == "api" and source is None:
        raise Refused("order_member")
    row = conn.execute(
        "UPDATE wuzha.orders SET channel = %s, source_id = %s WHERE order_id = %s AND sealed_at IS NULL"
        " AND dropped_at IS NULL RETURNING order_id",
        (channel, source, order_id),
    ).fetchone()
    if row is None:
        raise Refused("order_not_now")
    return record(conn, actor, case, "order_channel", at=now, key=key, order_id=order_id, detail={"channel": channel})


def case_of(conn: psycopg.Connection[Any], order_id: int) -> dict[str, Any]:
    """The order's case, locked. Refused("not_found") out of scope."""
    row = conn.execute("SELECT case_id FROM wuzha.orders WHERE order_id = %s", (order_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    return lock(conn, row[0])
