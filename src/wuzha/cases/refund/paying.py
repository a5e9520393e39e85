"""The bank is told to pay, takes it, pays and sends its receipt: share by share.

Kept true here: nothing is sent without a decision and the victim's application; a share goes to the account that its
money came from, to another only with the reason on record; it is paid once, whoever presses and however often a bank
answers; the last receipt closes the refund. The bank's term is counted in working days of the dated table.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock, workdays
from wuzha.orders.public import Done, member_of, record, repeated

from . import book, opening, progress
from .law import law_of

#: Why a bank does not pay, or not all; words: ``refund_failed.<code>``.
FAILED = ("name", "account", "closed", "no_balance", "frozen_elsewhere", "other")


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """A bank's answer: what it has paid, with its receipt's number; ``failed_code`` where that is not all."""

    paid_fen: int = 0
    paid_at: datetime | None = None
    number: str = ""
    failed_code: str = ""
    failed_words: str = ""


def send(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, shares: Sequence[int] = (), key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Send to the bank (协助返还通知书): all shares that are ready, or these – also such as came back.

    Refused: forbidden, refund_not_now (no decision, or nothing is ready), refund_account (nobody knows where to),
    refund_frozen (the freeze has lapsed).
    """
    require(actor, "orders.seal")
    now = now or clock.now()
    if actor.user_id == 0:
        raise Refused("forbidden", act="orders.seal")
    if done := repeated(conn, actor, key):
        return done
    case, r = opening.locked(conn, actor, refund_id, now)
    if r["closed_at"] or r["decision"] is None:
        raise Refused("refund_not_now")
    if r["frozen"] is None:
        raise Refused("refund_frozen")
    applied = {a["report_id"]: a for a in r["applications"]}
    source = member_of(conn, r["bank"])
    due = workdays.due(now, law_of(r["law_from"]).bank_working_days)
    sent: list[int] = []
    for share in r["shares"]:
        rest = share["share_fen"] - share["paid_fen"]
        told = applied.get(share["report_id"])
        wanted = share["share_id"] in shares if shares else not share["payments"]
        if not wanted or rest <= 0 or told is None or any(p["answered_at"] is None for p in share["payments"]):
            continue
        account, why = told["account_id"] or share["original_id"], told["account_why"]
        if account is None:
            raise Refused("refund_account")
        conn.execute(
            "INSERT INTO wuzha.refund_payments (share_id, refund_id, round, amount_fen, account_id, account_bank,"
            " other_why, channel, source_id, sent_at, sent_by, due_at)"
            " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                share["share_id"], refund_id, r["round"], rest, account,
                told["account_bank"] if told["account_id"] else share["original_bank"], why,
                "letter" if source is None else "api", source, now, actor.user_id, due.at,
            ),
        )  # fmt: skip
        sent.append(share["share_id"])
    if not sent:
        raise Refused("refund_not_now")
    progress.tell(conn, refund_id, now=now)
    return record(
        conn, actor, case, "refund_sent", at=now, key=key,
        detail={"refund": refund_id, "shares": sent, "assumed": list(due.assumed) or None},
    )  # fmt: skip


def taken(
    conn: psycopg.Connection[Any], actor: Actor, payment_id: int, *, number: str, key: str, now: datetime | None = None
) -> Done:
    """The bank has it, under its own number. Refused: order_number, refund_not_now, order_number_taken."""
    require(actor, "orders.enter")
    now = now or clock.now()
    if not number.strip():
        raise Refused("order_number")
    if done := repeated(conn, actor, key):
        return done
    case, r, payment = _one(conn, actor, payment_id, now)
    if payment["taken_at"] is not None or payment["answered_at"] is not None:
        raise Refused("refund_not_now")
    try:
        with conn.transaction():
            conn.execute(
                "UPDATE wuzha.refund_payments SET taken_at = %s, external_no = %s WHERE payment_id = %s",
                (now, number.strip()[:100], payment_id),
            )
    except psycopg.errors.UniqueViolation as error:
        raise Refused("order_number_taken") from error
    return record(
        conn, actor, case, "refund_taken", at=now, key=key,
        detail={"refund": r["refund_id"], "payment": payment_id},
    )  # fmt: skip


def answered(
    conn: psycopg.Connection[Any], actor: Actor, payment_id: int, told: Receipt, *, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The bank has paid, or a part, or not. The same answer again changes nothing.

    Refused: refund_not_now (answered otherwise before), refund_amount, order_number (paid without a receipt),
    order_times, unknown_code (a part without why).
    """
    require(actor, "orders.enter")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case, r, payment = _one(conn, actor, payment_id, now)
    if payment["answered_at"] is not None:
        raise Refused("refund_not_now")
    if not 0 <= told.paid_fen <= payment["amount_fen"]:
        raise Refused("refund_amount")
    if told.paid_fen and not told.number.strip():
        raise Refused("order_number")
    short = told.paid_fen < payment["amount_fen"]
    if short and told.failed_code not in FAILED:
        raise Refused("unknown_code", code=told.failed_code[:40])
    at = told.paid_at or now
    if not payment["sent_at"] - timedelta(minutes=5) <= at <= now + timedelta(minutes=5):
        raise Refused("order_times")
    at = min(max(at, payment["sent_at"]), now)
    conn.execute(
        "UPDATE wuzha.refund_payments SET answered_at = %s, paid_at = %s, paid_fen = %s, receipt = %s,"
        " failed_code = %s, failed_words = %s WHERE payment_id = %s",
        (
            now, at if told.paid_fen else None, told.paid_fen or None, told.number.strip()[:200] or None,
            told.failed_code if short else None, told.failed_words.strip()[:500] or None if short else None, payment_id,
        ),
    )  # fmt: skip
    if told.paid_fen and r["frozen"] is not None:  # the freeze holds so much less from now on
        conn.execute(
            "UPDATE wuzha.orders SET released_fen = least(released_fen + %s, done_fen) WHERE order_id = %s",
            (told.paid_fen, r["frozen"].order_id),
        )
    done = record(
        conn, actor, case, "refund_failed" if short else "refund_paid", at=now, key=key,
        detail={"refund": r["refund_id"], "payment": payment_id, "paid_fen": told.paid_fen,
                "code": told.failed_code if short else None},
    )  # fmt: skip
    r = book.one(conn, actor, r["refund_id"], now=now)
    if r["waits"][0].state == "paid":
        opening.close(conn, r["refund_id"], "completed", now)
        record(conn, actor, case, "refund_completed", at=now, detail={"refund": r["refund_id"]})
    progress.tell(conn, r["refund_id"], now=now)
    return done


def _one(
    conn: psycopg.Connection[Any], actor: Actor, payment_id: int, now: datetime
) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    row = conn.execute("SELECT refund_id FROM wuzha.refund_payments WHERE payment_id = %s", (payment_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    case, r = opening.locked(conn, actor, row[0], now)
    return case, r, next(p for p in r["payments"] if p["payment_id"] == payment_id)
