"""The plan of a refund: what is frozen, whose it is, and a digest of the facts by which a change is seen.

Kept true here: shares and what stays frozen sum to the balance to the fen; money is followed up to the freeze, since
later payments are not in what it holds; nobody's share passes what has not come back to them by another way; the same
facts give the same plan and digest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import psycopg
from psycopg.rows import dict_row

from wuzha.orders import public as orders
from wuzha.trace import refund
from wuzha.trace.refund import Rule

from .. import flow


@dataclass(frozen=True, kw_only=True)
class Frozen:
    """The freeze that holds an account's money now. ``since``: the first of its renewals took hold;
    ``balance_fen``: what it still holds; what a refund pays out it lets go."""

    order_id: int
    balance_fen: int
    since: datetime
    ends_at: datetime


@dataclass(frozen=True, kw_only=True)
class Part:
    """What one reported transfer gets, in fen."""

    loss_id: int
    report_id: int
    lost_fen: int
    outstanding_fen: int
    traced_fen: int
    came: bool
    share_fen: int


@dataclass(frozen=True, kw_only=True)
class Planned:
    """A plan that was computed and not yet written."""

    way: str
    rule: str
    balance_fen: int
    stays_fen: int
    receipts: int
    not_by: list[list[Any]]
    parts: list[Part]
    frozen_until: datetime
    digest: str

    @property
    def returned_fen(self) -> int:
        """What all parts sum to."""
        return sum(p.share_fen for p in self.parts)


def frozen(conn: psycopg.Connection[Any], case_id: int, account_id: int, *, now: datetime) -> Frozen | None:
    """What is frozen on an account of the case; None where no freeze is in force."""
    every = {o["order_id"]: o for o in orders.of_case(conn, case_id, now=now)}
    mine = [o for o in every.values() if o["account_id"] == account_id and o["kind"] == "freeze"]
    # one that waits its turn, or whose turn is only presumed, has not been confirmed to hold anything
    stands = [o for o in mine if orders.in_force(o, now) and not o["effect_presumed"]]
    if not stands:
        return None
    newest = max(stands, key=lambda o: (o["ends_at"], o["order_id"]))
    first = newest
    while (before := every.get(first["of_order"] or 0)) is not None and before["executed_at"] is not None:
        first = before
    return Frozen(
        order_id=newest["order_id"], balance_fen=max(orders.holds(newest, now), 0), since=first["executed_at"],
        ends_at=newest["ends_at"],
    )  # fmt: skip


def losses(conn: psycopg.Connection[Any], case_id: int) -> list[dict[str, Any]]:
    """Every reported transfer that may be given back (no civil dispute), with what of it is outstanding."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT l.loss_id, l.report_id, r.person_id, l.amount_fen, l.at, l.payee_id, l.account_id,"
            " greatest(l.amount_fen - coalesce((SELECT sum(c.amount_fen) FROM wuzha.refund_credits c"
            "   WHERE c.loss_id = l.loss_id), 0) - coalesce((SELECT sum(p.paid_fen) FROM wuzha.refund_payments p"
            "   JOIN wuzha.refund_shares s USING (share_id) WHERE s.loss_id = l.loss_id), 0), 0)::bigint AS outstanding"
            " FROM wuzha.case_losses l JOIN wuzha.case_reports r USING (report_id)"
            " WHERE l.case_id = %s AND r.dispute <> 'yes' ORDER BY l.at, l.loss_id",
            (case_id,),
        )
        .fetchall()
    )


def digest(conn: psycopg.Connection[Any], case_id: int, held: Frozen | None, rule: str) -> str:
    """Of all that a plan depends on: it moves with a new victim, an answer of a bank, another balance."""
    told = conn.execute(
        "SELECT count(*), coalesce(max(transfer_id), 0) FROM wuzha.case_transfers WHERE case_id = %s", (case_id,)
    ).fetchone()
    facts = [
        (x["loss_id"], x["person_id"], x["amount_fen"], x["at"].timestamp(), x["payee_id"], x["account_id"],
         x["outstanding"])
        for x in losses(conn, case_id)
    ]  # fmt: skip
    balance = (held.balance_fen, held.since.timestamp()) if held else None
    return hashlib.sha256(repr((told, facts, balance, rule)).encode()).hexdigest()


def compute(conn: psycopg.Connection[Any], case_id: int, account: str, held: Frozen, rule: str) -> Planned:
    """The plan by what is known now. ``account``: its bare number."""
    money = flow.read(conn, case_id)
    mine = {x["loss_id"]: x for x in losses(conn, case_id)}
    money.losses[:] = [x for x in money.losses if x["loss_id"] in mine]
    known = flow.traced(money, until=held.since)
    asked = [
        refund.Loss(theft=theft, outstanding_fen=mine[number]["outstanding"], victim=mine[number]["person_id"])
        for number, theft in known.thefts.items()
    ]
    sign = digest(conn, case_id, held, rule)
    if not asked:
        return Planned(
            way="nobody", rule=rule, balance_fen=held.balance_fen, stays_fen=held.balance_fen, receipts=0, not_by=[],
            parts=[], frozen_until=held.since, digest=sign,
        )  # fmt: skip
    made = refund.plan(
        known.tracer, f"account:{account}", held.balance_fen, asked, until=flow.microseconds(held.since),
        rule=cast(Rule, rule),
    )  # fmt: skip
    parts = [
        Part(
            loss_id=number, report_id=mine[number]["report_id"], lost_fen=mine[number]["amount_fen"],
            outstanding_fen=mine[number]["outstanding"], traced_fen=share.traced_fen, came=share.came,
            share_fen=share.share_fen,
        )
        for number, share in zip(known.thefts, made.shares, strict=True)
    ]  # fmt: skip
    late = [
        Part(loss_id=n, report_id=x["report_id"], lost_fen=x["amount_fen"], outstanding_fen=x["outstanding"],
             traced_fen=0, came=False, share_fen=0)
        for n, x in mine.items() if n not in known.thefts
    ]  # fmt: skip
    return Planned(
        way=made.way, rule=rule, balance_fen=made.balance_fen, stays_fen=made.stays_fen, receipts=made.receipts,
        not_by=[list(row) for row in made.not_by], parts=parts + late, frozen_until=held.since, digest=sign,
    )  # fmt: skip
