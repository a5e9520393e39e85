"""Pursuit: a trace that runs while the money runs. What is known is followed; what should be ordered is drafted.

Kept true here: the machine drafts and ranks and sends nothing; its drafts say what is known by now – they grow, shrink
and go with the trace; the same facts give the same drafts, in whatever order they came.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import machine
from wuzha.orders import public as orders

from . import flow, survival
from .flow import Flow, Node


@dataclass(frozen=True, kw_only=True)
class Target:
    """An account to act on: what it may hold, how likely that still is, how long since the money came."""

    node: Node
    loose_fen: int
    chance: float
    age_s: float

    @property
    def worth_fen(self) -> int:
        """Money × chance: what acting now is worth."""
        return round(self.loose_fen * self.chance)


def held_by_orders(every: list[dict[str, Any]], now: datetime) -> dict[int, int]:
    """By account: what stops and freezes in force hold (a freeze takes the place of a stop: the larger counts)."""
    found: dict[int, int] = {}
    for o in every:
        if orders.in_force(o, now):
            found[o["account_id"]] = max(found.get(o["account_id"], 0), o["done_fen"] or 0)
    return found


def targets(known: Flow, every: list[dict[str, Any]], *, now: datetime) -> list[Target]:
    """Accounts that hold stolen money which no order holds, the worthiest first; a victim's own are none."""
    held = held_by_orders(every, now)
    found = []
    for node in known.nodes:
        loose = node.held_fen - held.get(node.account_id or -1, 0)
        if node.account_id is None or node.role == "victim" or loose <= 0:
            continue
        found.append(
            Target(
                node=node, loose_fen=loose, age_s=max((now - node.arrived).total_seconds(), 0.0),
                chance=survival.chance(node.kind, node.arrived, now, node.known_until),
            )
        )  # fmt: skip
    return sorted(found, key=lambda t: (-t.worth_fen, t.node.level, t.node.account))


def pursue(conn: psycopg.Connection[Any], case: dict[str, Any], *, now: datetime) -> Flow:
    """Follow the case's money as it is known now and bring the machine's drafts in line with it; in the caller's
    transaction, the case locked. Returns the flow."""
    money = flow.read(conn, case["case_id"])
    known = flow.follow(money, until=now)
    _meet(conn, case, known)
    if any(n.account_id is None for n in known.nodes):
        known = flow.follow(flow.read(conn, case["case_id"]), until=now)
    every = orders.of_case(conn, case["case_id"], now=now)
    actor = machine(case["unit_id"], "pursuit")
    drafts = {(o["account_id"], o["kind"]): o for o in every if o["state"] == "drafted"}
    found = targets(known, every, now=now)
    wanted: set[tuple[int, str]] = set()
    changed: dict[str, int] = {}

    def count(what: str) -> None:
        changed[what] = changed.get(what, 0) + 1

    for target in found:
        node = target.node
        assert node.account_id is not None
        if not _asked(node, every) and not _refused(node, "query", every):
            wanted.add((node.account_id, "query"))
            _draft(conn, actor, case, drafts, node, "query", None, now, count)
        if _may_stop(node.account_id, every) and not _refused(node, "stop", every):
            wanted.add((node.account_id, "stop"))
            _draft(conn, actor, case, drafts, node, "stop", node.held_fen, now, count)
    for (account_id, kind), order in drafts.items():
        mine = order["drafted_by"] is None and kind in ("query", "stop") and order["approved_at"] is None
        gone = mine and (account_id, kind) not in wanted
        if gone and orders.withdraw(conn, actor, order["order_id"], why="moved_on", now=now):
            count("dropped")
    if changed:
        orders.record(conn, actor, case, "pursued", at=now, detail=dict(sorted(changed.items())))
    return known


def _meet(conn: psycopg.Connection[Any], case: dict[str, Any], known: Flow) -> None:
    """Accounts that the money met stand in the case from now on."""
    from .accounts import met

    for node in known.nodes:
        if node.account_id is None:
            met(conn, case["case_id"], node.account, role="met")


def _asked(node: Node, every: list[dict[str, Any]]) -> bool:
    """Whether a query on the account is under way, or was answered for the time in which the money came."""
    under_way = ("sealed", "entered", "accepted")
    mine = [o for o in every if o["account_id"] == node.account_id and o["kind"] == "query"]
    if any(o["state"] in under_way for o in mine):
        return True
    return node.known_until is not None and node.known_until >= node.arrived


def _refused(node: Node, kind: str, every: list[dict[str, Any]]) -> bool:
    """Whether the bank has refused the newest such order and no stolen money came since: then it is an officer's to
    look at before it is asked again (a mismatch must not be stopped)."""
    mine = [o for o in every if o["account_id"] == node.account_id and o["kind"] == kind and o["answered_at"]]
    return bool(mine) and mine[-1]["failed_code"] is not None and node.arrived <= mine[-1]["answered_at"]


def _may_stop(account_id: int, every: list[dict[str, Any]]) -> bool:
    """Whether a stop should be asked for: none holds, none is under way, and no freeze does."""
    for o in every:
        if o["account_id"] != account_id or o["kind"] not in ("stop", "freeze"):
            continue
        if o["in_force"] or o["state"] in ("sealed", "entered", "accepted"):
            return False
    return True


def _draft(
    conn: psycopg.Connection[Any], actor: Any, case: dict[str, Any], drafts: dict[tuple[int, str], dict[str, Any]],
    node: Node, kind: str, amount_fen: int | None, now: datetime, count: Callable[[str], None],
) -> None:  # fmt: skip
    assert node.account_id is not None
    reason = _reason(case, node)
    standing = drafts.get((node.account_id, kind))
    if standing is not None:
        amount = amount_fen if kind == "stop" else standing["amount_fen"]
        if orders.revise(
            conn, standing["order_id"], amount_fen=amount, level=node.level, reason=reason, bank=node.bank
        ):
            count("revised")
        return
    made = orders.write(
        conn, actor, case,
        orders.Draft(
            kind=kind, account_id=node.account_id, level=node.level, amount_fen=amount_fen, reason=reason,
            transfer_fen=node.first_fen, transfer_at=node.first_at,
        ),
        now=now,
    )  # fmt: skip
    if made is not None:
        count(kind)


def _reason(case: dict[str, Any], node: Node) -> str:
    from wuzha.events.money import yuan

    return f"案件{case['case_no']}：第{node.level}级账户，收到被骗资金{yuan(node.received_fen)}元"
