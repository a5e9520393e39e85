"""What becomes of a sealed order: entered with its number, accepted with a receipt, answered by the bank.

Kept true here: an order is entered only with the number that it has there; a stop or a freeze runs from its execution
as answered, never from its seal; an answer that comes twice changes nothing; a bank that holds more than was asked is
recorded as holding what was asked, and the rest is told.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import queueing, states
from .drafting import case_of
from .step import Done, record, repeated
from .terms import end_of

#: Why a bank does not do it; words: ``order_failed.<code>``.
FAILED = ("name", "account", "amount", "time", "no_account", "closed", "no_balance", "stopped_before", "no_limit",
          "other")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What a bank says of an order: done (``done_fen`` of a stop or freeze), or ``failed_code`` with its words, or
    ``queued``: a freeze that waits behind that of ``behind``, which ends at ``behind_until`` as far as the bank knows
    (``done_fen``: how much it will hold)."""

    executed_at: datetime | None = None
    done_fen: int | None = None
    failed_code: str = ""
    failed_words: str = ""
    queued: bool = False
    behind: str = ""
    behind_until: datetime | None = None


def entered(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, external_no: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The order stands in its channel under this number. Refused: order_number, order_not_now, order_number_taken."""
    require(actor, "orders.enter")
    now = now or clock.now()
    number = external_no.strip()[:100]
    if not number:
        raise Refused("order_number")
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    order = states.one(conn, actor, order_id, now=now)
    if order["state"] != "sealed":
        raise Refused("order_not_now")
    try:
        with conn.transaction():
            conn.execute(
                "UPDATE wuzha.orders SET entered_at = %s, entered_by = %s, external_no = %s WHERE order_id = %s",
                (now, actor.user_id or None, number, order_id),
            )
    except psycopg.errors.UniqueViolation as error:
        raise Refused("order_number_taken") from error
    return record(conn, actor, case, "order_entered", at=now, key=key, order_id=order_id)


def accepted(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, receipt: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The platform or the bank has taken it on, with this receipt. Refused: order_number, order_not_now."""
    require(actor, "orders.enter")
    now = now or clock.now()
    if not receipt.strip():
        raise Refused("order_number")
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    order = states.one(conn, actor, order_id, now=now)
    if order["state"] != "entered":
        raise Refused("order_not_now")
    conn.execute(
        "UPDATE wuzha.orders SET accepted_at = %s, receipt = %s WHERE order_id = %s",
        (now, receipt.strip()[:200], order_id),
    )
    return record(conn, actor, case, "order_accepted", at=now, key=key, order_id=order_id)


def answered(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, answer: Answer, *, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """The bank has done it or not, or has put it in its line. A freeze that waits there, or whose turn was only
    presumed, may be answered again. Refused: order_not_now (not entered, or answered otherwise before), order_times,
    order_amount (a stop or freeze without what it holds), unknown_code, order_queue."""
    require(actor, "orders.enter")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    order = states.one(conn, actor, order_id, now=now)
    if order["state"] not in ("entered", "accepted", "queued") and not order["effect_presumed"]:
        raise Refused("order_not_now")
    follow(conn, order["case_id"], now)
    if answer.queued:
        return queueing.line_up(
            conn, actor, case, order, behind=answer.behind, until=answer.behind_until, fen=answer.done_fen, key=key,
            now=now,
        )  # fmt: skip
    detail: dict[str, Any] = {"order": order_id, "kind": order["kind"]}
    if answer.failed_code:
        if answer.failed_code not in FAILED:
            raise Refused("unknown_code", code=answer.failed_code[:40])
        conn.execute(
            "UPDATE wuzha.orders SET answered_at = %s, failed_code = %s, failed_words = %s, executed_at = NULL,"
            " done_fen = NULL, ends_at = NULL, effect_presumed = false WHERE order_id = %s",
            (now, answer.failed_code, answer.failed_words.strip()[:500] or None, order_id),
        )
        return record(
            conn, actor, case, "order_failed", at=now, key=key, order_id=order_id,
            detail=detail | {"code": answer.failed_code},
        )  # fmt: skip
    at = answer.executed_at or now
    if not order["sealed_at"] - timedelta(minutes=5) <= at <= now + timedelta(minutes=5):  # clocks of banks differ
        raise Refused("order_times")
    at = min(max(at, order["sealed_at"]), now)
    done_fen, ends = answer.done_fen, None
    if order["kind"] in ("stop", "freeze"):
        if done_fen is None or done_fen < 0:
            raise Refused("order_amount")
        if order["amount_fen"] is not None and done_fen > order["amount_fen"]:
            detail["over_fen"] = done_fen - order["amount_fen"]
            done_fen = order["amount_fen"]
        ends = end_of(order, at)
    conn.execute(
        "UPDATE wuzha.orders SET answered_at = %s, executed_at = %s, done_fen = %s, ends_at = %s,"
        " effect_presumed = false, effect_basis = CASE WHEN queued_at IS NULL THEN NULL ELSE 'bank' END"
        " WHERE order_id = %s",
        (now, at, done_fen, ends, order_id),
    )
    if order["kind"] == "release":
        released(conn, order, at)
    return record(
        conn, actor, case, "order_done", at=now, key=key, order_id=order_id, detail=detail | {"done_fen": done_fen}
    )


def released(conn: psycopg.Connection[Any], order: dict[str, Any], at: datetime) -> None:
    """A release was done: what it names holds so much less; nothing, where it let go of all that was left."""
    conn.execute(
        "UPDATE wuzha.orders SET unrelated_at = NULL, unrelated_by = NULL, unrelated_why = NULL, unrelated_fen = NULL,"
        " released_fen = least(released_fen + coalesce(%(fen)s, 0), coalesce(done_fen, 0)),"
        " released_at = CASE WHEN %(fen)s::bigint IS NULL OR coalesce(done_fen, 0) - released_fen <= %(fen)s"
        "  THEN %(at)s ELSE released_at END WHERE order_id = %(order)s AND released_at IS NULL",
        {"fen": order["amount_fen"], "at": at, "order": order["of_order"]},
    )


def follow(conn: psycopg.Connection[Any], case_id: int, now: datetime) -> None:
    """The case's money is to be followed anew as soon as its round comes by."""
    conn.execute("UPDATE wuzha.cases SET pursue_at = %s WHERE case_id = %s", (now, case_id))
