"""What the money page shows: the bar, the layers, the orders ranked, at a moment of the run.

Kept true here: stolen = held + frozen + returned + left + unknown, to the fen, at every moment; what an order holds is
counted from its execution; the same reading serves the page, its slider and the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.orders import public as orders

from . import flow, pursuit
from .flow import Flow
from .pursuit import Target

PARTS = ("held", "frozen", "returned", "left", "unknown")


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """A draft beside what it is worth; ``against``: why it is not ready, ready where empty."""

    order: dict[str, Any]
    target: Target | None
    against: list[orders.Reason]

    @property
    def ready(self) -> bool:
        """Nothing stands against its seal."""
        return not self.against


@dataclass(frozen=True, kw_only=True)
class Shown:
    """The page's facts at ``at``; the orders are as of now, whatever the slider says."""

    case: dict[str, Any]
    at: datetime
    flow: Flow
    bar: list[tuple[str, int]]
    frozen: dict[int, int]
    wanted: list[Wanted]
    sent: list[dict[str, Any]]
    answered: list[dict[str, Any]]
    cautions: list[orders.Reason]
    #: (order, fen): what it holds beyond all that its account may hold of stolen money – to be released.
    over: list[tuple[dict[str, Any], int]]
    first_at: datetime

    @property
    def stolen_fen(self) -> int:
        """What was stolen until ``at``."""
        return self.flow.totals["stolen_fen"]


def one(conn: psycopg.Connection[Any], actor: Actor, case_id: int) -> dict[str, Any]:
    """The case with its unit's name. Refused("not_found") out of scope."""
    require(actor, "cases.read")
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT k.*, n.name AS unit_name FROM wuzha.cases k JOIN wuzha.units n USING (unit_id) WHERE case_id = %s",
            (case_id,),
        )
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    return row


def read(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, now: datetime, at: datetime | None = None
) -> Shown:
    """Everything that the page shows; ``at`` is the slider's moment, now where none is given."""
    case = one(conn, actor, case_id)
    rows = flow.read(conn, case_id)
    first = min((loss["at"] for loss in rows.losses), default=now)
    moment = min(max(at or now, first), now)
    known = flow.follow(rows, until=now)
    then = known if moment == now else flow.follow(rows, until=moment)
    every = orders.of_case(conn, case_id, now=now)
    frozen = pursuit.held_by_orders(every, moment)
    facts = orders.facts(conn, case, every, known.held(), now=now)
    worth = {t.node.account_id: t for t in pursuit.targets(known, every, now=now)}
    wanted = [
        Wanted(
            order=o, target=worth.get(o["account_id"]),
            against=orders.against(facts, o, orders.account_stops(conn, o["account_id"]), now=now),
        )
        for o in every
        if o["state"] == "drafted"
    ]  # fmt: skip
    wanted.sort(key=lambda w: (-(w.target.worth_fen if w.target else 0), w.order["account"], w.order["kind"] != "stop"))
    return Shown(
        case=case, at=moment, flow=then, bar=bar(then, frozen, refunded(conn, case_id, moment)), frozen=frozen,
        wanted=wanted,
        sent=[o for o in every if o["state"] in ("sealed", "entered", "accepted")],
        answered=[o for o in every if o["state"] not in ("drafted", "sealed", "entered", "accepted")],
        cautions=orders.cautions(facts, now=now), first_at=first,
        over=pursuit.over_held(known, every, now=now),
    )  # fmt: skip


def refunded(conn: psycopg.Connection[Any], case_id: int, at: datetime) -> dict[int, int]:
    """By account: what refunds have paid out of it by ``at`` and its bank's own statement does not cover yet."""
    rows = conn.execute(
        "SELECT r.account_id, sum(p.paid_fen)::bigint FROM wuzha.refunds r"
        " JOIN wuzha.refund_payments p USING (refund_id)"
        " JOIN wuzha.case_accounts a ON a.case_id = r.case_id AND a.account_id = r.account_id"
        " WHERE r.case_id = %(case)s AND p.paid_at <= %(at)s AND (a.known_until IS NULL OR p.paid_at > a.known_until)"
        " GROUP BY 1",
        {"case": case_id, "at": at},
    ).fetchall()
    return {int(account): int(fen) for account, fen in rows}


def bar(known: Flow, frozen: dict[int, int], paid: Mapping[int, int] | None = None) -> list[tuple[str, int]]:
    """The parts of what was stolen, in the bar's order; ``paid``: what refunds have given back, by account."""
    returned = sum(n.held_fen for n in known.nodes if n.role == "victim")
    stands = 0
    for node in known.nodes:
        if node.role == "victim":
            continue
        back = min(node.held_fen, (paid or {}).get(node.account_id or -1, 0))
        returned += back
        stands += min(node.held_fen - back, frozen.get(node.account_id or -1, 0))
    held = known.totals["held_fen"] - returned - stands
    return list(
        zip(PARTS, (held, stands, returned, known.totals["exited_fen"], known.totals["unknown_fen"]), strict=True)
    )
