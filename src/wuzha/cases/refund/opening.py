"""Opening a refund on a frozen account, computing its plan anew, ending it.

Kept true here: of one account of a case one refund is open; a plan is never changed, another round takes its place and
with it every approval and notice of the old one falls; what the bank was told to pay is not replaced; two officers at
once open and compute once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from wuzha.command.public import Actor, Refused, machine, require
from wuzha.events import clock
from wuzha.orders.public import Done, lock, record, repeated

from . import book, planning, progress
from .law import RULES, law, law_of
from .planning import Frozen

BECAUSE = ("facts", "objection", "rule")


def start(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, account_id: int, *, key: str, procedure: str = "special",
    rule: str = "", now: datetime | None = None,
) -> Done:  # fmt: skip
    """Open a refund on a frozen account of the case. ``rule``: the ordering rule, the law table's where empty.

    Refused: refund_procedure, refund_rule, refund_frozen (no freeze in force, or nothing is left in it), refund_open.
    """
    require(actor, "refund.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = lock(conn, case_id)
    table = law(now)
    if procedure not in table.procedure:
        raise Refused("refund_procedure")
    rule = rule or table.rule
    if rule not in RULES:
        raise Refused("refund_rule")
    account = conn.execute(
        "SELECT s.value FROM wuzha.case_accounts a JOIN wuzha.subjects s ON s.subject_id = a.account_id"
        " WHERE a.case_id = %s AND a.account_id = %s AND a.role <> 'victim'",
        (case_id, account_id),
    ).fetchone()
    held = planning.frozen(conn, case_id, account_id, now=now) if account else None
    if account is None or held is None or not held.balance_fen:
        raise Refused("refund_frozen")
    row = conn.execute(
        "INSERT INTO wuzha.refunds (case_id, order_id, account_id, procedure, law_from, rule, opened_at, opened_by)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT DO NOTHING RETURNING refund_id",
        (case_id, held.order_id, account_id, procedure, table.since, rule, now, actor.user_id),
    ).fetchone()
    if row is None:
        raise Refused("refund_open")
    _round(conn, actor, case, row[0], account[0], held, rule, because="opened", words="", now=now)
    return record(conn, actor, case, "refund_opened", at=now, key=key, detail={"refund": row[0], "account": account_id})


def again(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, because: str, words: str, key: str, rule: str = "",
    procedure: str = "", now: datetime | None = None,
) -> Done:  # fmt: skip
    """Compute the plan anew, with the reason: new facts, an objection that is right, another rule or procedure.

    Refused: unknown_code, no_words, refund_rule, refund_procedure, refund_not_now (closed, or being paid),
    refund_frozen.
    """
    require(actor, "refund.write")
    now = now or clock.now()
    if because not in BECAUSE:
        raise Refused("unknown_code", code=because[:40])
    if not words.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    if r["closed_at"] is not None or r["payments"]:
        raise Refused("refund_not_now")
    if r["frozen"] is None:
        raise Refused("refund_frozen")
    rule, procedure = rule or r["rule"], procedure or r["procedure"]
    if rule not in RULES:
        raise Refused("refund_rule")
    if procedure not in law_of(r["law_from"]).procedure:
        raise Refused("refund_procedure")
    conn.execute("UPDATE wuzha.refunds SET procedure = %s WHERE refund_id = %s", (procedure, refund_id))
    _round(conn, actor, case, refund_id, r["account"], r["frozen"], rule, because=because, words=words, now=now)
    return record(
        conn, actor, case, "refund_again", at=now, key=key, words=words,
        detail={"refund": refund_id, "because": because, "rule": rule},
    )  # fmt: skip


def joined(conn: psycopg.Connection[Any], case: dict[str, Any], *, now: datetime) -> int:
    """A new victim has joined the case: every refund of it that nobody has decided begins a new round, with a new
    notice. In the caller's transaction, the case locked. How many."""
    actor = machine(case["unit_id"], "refund")
    n = 0
    for r in book.of_case(conn, actor, case["case_id"], now=now):
        if r["closed_at"] is not None or r["decision"] is not None or r["frozen"] is None:
            continue
        _round(conn, actor, case, r["refund_id"], r["account"], r["frozen"], r["rule"], because="new_report", words="",
               now=now)  # fmt: skip
        record(conn, actor, case, "refund_joined", at=now, detail={"refund": r["refund_id"]})
        n += 1
    return n


def stop(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, *, why: str, key: str, now: datetime | None = None
) -> Done:
    """End a refund without (all of) its payments, with the reason; what is left stays frozen. Refused: no_words,
    refund_not_now (closed, or the bank has not answered)."""
    require(actor, "refund.write")
    now = now or clock.now()
    if not why.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    case, r = locked(conn, actor, refund_id, now)
    if r["closed_at"] is not None or any(p["answered_at"] is None for p in r["payments"]):
        raise Refused("refund_not_now")
    close(conn, refund_id, "stopped", now, by=actor.user_id or None, why=why.strip()[:500])
    progress.tell(conn, refund_id, now=now)
    return record(conn, actor, case, "refund_stopped", at=now, key=key, words=why, detail={"refund": refund_id})


def close(
    conn: psycopg.Connection[Any], refund_id: int, how: str, now: datetime, *, by: int | None = None,
    why: str | None = None,
) -> None:  # fmt: skip
    """The refund is over."""
    conn.execute(
        "UPDATE wuzha.refunds SET closed_at = %s, closed_how = %s, closed_by = %s, closed_why = %s"
        " WHERE refund_id = %s",
        (now, how, by, why, refund_id),
    )


def credit(
    conn: psycopg.Connection[Any], actor: Actor, loss_id: int, *, amount_fen: int, why: str, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """What a victim has got back of a loss by another way. Refused: no_words, not_found, refund_amount."""
    require(actor, "refund.write")
    now = now or clock.now()
    if not why.strip():
        raise Refused("no_words")
    if done := repeated(conn, actor, key):
        return done
    row = conn.execute("SELECT case_id FROM wuzha.case_losses WHERE loss_id = %s", (loss_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    case = lock(conn, row[0])
    left = next((x["outstanding"] for x in planning.losses(conn, row[0]) if x["loss_id"] == loss_id), 0)
    if not 0 < amount_fen <= left:
        raise Refused("refund_amount")
    conn.execute(
        "INSERT INTO wuzha.refund_credits (case_id, loss_id, amount_fen, why, at, taken_by)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (row[0], loss_id, amount_fen, why.strip()[:500], now, actor.user_id),
    )
    return record(
        conn, actor, case, "refund_credit", at=now, key=key, words=why,
        detail={"loss": loss_id, "amount_fen": amount_fen},
    )  # fmt: skip


def locked(
    conn: psycopg.Connection[Any], actor: Actor, refund_id: int, now: datetime
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The refund's case, locked, and the refund as it stands then. Refused("not_found") out of scope."""
    row = conn.execute("SELECT case_id FROM wuzha.refunds WHERE refund_id = %s", (refund_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    return lock(conn, row[0]), book.one(conn, actor, refund_id, now=now)


def _round(
    conn: psycopg.Connection[Any], actor: Actor, case: dict[str, Any], refund_id: int, account: str, held: Frozen,
    rule: str, *, because: str, words: str, now: datetime,
) -> None:  # fmt: skip
    made = planning.compute(conn, case["case_id"], account, held, rule)
    conn.execute(
        "UPDATE wuzha.refund_rounds SET ended_at = %s WHERE refund_id = %s AND ended_at IS NULL", (now, refund_id)
    )
    row = conn.execute(
        "UPDATE wuzha.refunds SET round = round + 1, rule = %s WHERE refund_id = %s RETURNING round", (rule, refund_id)
    ).fetchone()
    assert row is not None
    conn.execute(
        "INSERT INTO wuzha.refund_rounds (refund_id, round, because, words, made_at, made_by, frozen_until, way, rule,"
        " balance_fen, returned_fen, stays_fen, receipts, not_by, digest)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
        (
            refund_id, row[0], because, words.strip()[:500] or None, now, actor.user_id or None, made.frozen_until,
            made.way, made.rule, made.balance_fen, made.returned_fen, made.stays_fen, made.receipts,
            Jsonb(made.not_by), made.digest,
        ),
    )  # fmt: skip
    for part in made.parts:
        conn.execute(
            "INSERT INTO wuzha.refund_shares (refund_id, round, loss_id, report_id, lost_fen, outstanding_fen,"
            " traced_fen, came, share_fen) VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (
                refund_id, row[0], part.loss_id, part.report_id, part.lost_fen, part.outstanding_fen, part.traced_fen,
                part.came, part.share_fen,
            ),
        )  # fmt: skip
    progress.tell(conn, refund_id, now=now)
