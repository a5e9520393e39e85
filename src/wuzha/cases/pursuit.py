"""Pursuit: a trace that runs while the money runs. What is known is followed; what should be ordered is drafted.

Kept true here: the machine drafts and ranks and sends nothing; its drafts say what is known by now – they grow, shrink
and go with the trace; the same facts at the same moment give the same drafts, in whatever order they came; a case says
when time alone will change them (`next_look`), and is followed again then.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
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
        if fen := orders.holds(o, now):
            found[o["account_id"]] = max(found.get(o["account_id"], 0), fen)
    return found


def targets(known: Flow, every: list[dict[str, Any]], *, now: datetime) -> list[Target]:
    """Accounts that hold stolen money which no order holds, the worthiest first; a victim's own are none."""
    held = held_by_orders(every, now)
    found = []
    for node in known.nodes:
        loose = node.held_fen - held.get(node.account_id or -1, 0)
        if node.account_id is None or node.role == "victim" or loose <= 0:
            continue
        # What a stop held could not leave until it ended: so far it is known, as by the bank's own word.
        ends = [o["ends_at"] for o in every if o["account_id"] == node.account_id and o["executed_at"] is not None
                and o["ends_at"] is not None and o["released_at"] is None and o["ends_at"] <= now]  # fmt: skip
        sure = max([*ends, *([node.known_until] if node.known_until else [])], default=None)
        found.append(
            Target(
                node=node, loose_fen=loose, age_s=max((now - node.arrived).total_seconds(), 0.0),
                chance=survival.chance(node.kind, node.arrived, now, sure),
            )
        )  # fmt: skip
    return sorted(found, key=lambda t: (-t.worth_fen, t.node.level, t.node.account))


#: States of a case whose money is followed no more: what its orders hold is to be let go.
OVER = ("withdrawn", "not_filed")


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
    wanted: set[tuple[int, str]] = set()
    changed: dict[str, int] = {}

    def count(what: str) -> None:
        changed[what] = changed.get(what, 0) + 1

    if case["state"] not in OVER:
        dropped = _dropped(conn, case["case_id"])
        for kind, node, amount in wishes(known, every, now=now):
            assert node.account_id is not None
            if dropped.get((node.account_id, kind), _NEVER) >= _news(node, every, now):
                continue  # an officer has dropped it, and nothing is new since
            wanted.add((node.account_id, kind))
            _draft(conn, actor, case, drafts, node, kind, amount, now, count)
    standing = {o["order_id"] for o in every if orders.in_force(o, now) or o["state"] == "queued"}
    for (account_id, kind), order in drafts.items():
        over = kind == "release" and order["drafted_by"] is None and order["of_order"] not in standing
        if over and orders.withdraw(conn, actor, order["order_id"], why="ended", now=now):
            count("dropped")
        mine = order["drafted_by"] is None and kind != "release" and order["approved_at"] is None
        gone = mine and (account_id, kind) not in wanted
        if gone and orders.withdraw(conn, actor, order["order_id"], why="moved_on", now=now):
            count("dropped")
    for order, fen in unrelated(case, known, every, now=now):
        if orders.found(conn, actor, case, order, why=_UNRELATED, amount_fen=fen, now=now):
            count("unrelated")
    still = {order["order_id"] for order, _ in unrelated(case, known, every, now=now)}
    for order in every:
        if order["order_id"] not in still and orders.related(conn, actor, order, now=now):
            count("related")
    if changed:
        orders.record(conn, actor, case, "pursued", at=now, detail=dict(sorted(changed.items())))
    conn.execute(
        "UPDATE wuzha.cases SET pursue_at = %s WHERE case_id = %s",
        (next_look(known, every, now=now), case["case_id"]),
    )
    return known


_NEVER = datetime.min.replace(tzinfo=UTC)


def _dropped(conn: psycopg.Connection[Any], case_id: int) -> dict[tuple[int, str], datetime]:
    """When an officer last took a draft of an account and kind off the list."""
    rows = conn.execute(
        "SELECT account_id, kind, max(dropped_at) FROM wuzha.orders WHERE case_id = %s AND dropped_by IS NOT NULL"
        " GROUP BY 1, 2",
        (case_id,),
    ).fetchall()
    return {(account, kind): at for account, kind, at in rows}


def _news(node: Node, every: list[dict[str, Any]], now: datetime) -> datetime:
    """When something last changed of an account's money: more came, or what held it ended."""
    ends: list[datetime] = [o["ends_at"] for o in every if o["account_id"] == node.account_id and o["ends_at"]]
    return max([node.arrived, *(at for at in ends if at <= now)])


#: The reason on a release that the machine drafts.
_UNRELATED = "追踪到的被骗资金少于已止付冻结的，或案件已不再办理，与案件无关的应予解除"


def wishes(known: Flow, every: list[dict[str, Any]], *, now: datetime) -> list[tuple[str, Node, int | None]]:
    """(kind, account, amount) of every order that should be drafted: a query and a stop where stolen money lies loose –
    a second stop where the first has run out, no third –, and a freeze before a stop that holds some ends."""
    table = orders.law(now)
    found: list[tuple[str, Node, int | None]] = []
    for target in targets(known, every, now=now):
        node = target.node
        assert node.account_id is not None
        if not _asked(node, every, now) and not _refused(node, "query", every):
            found.append(("query", node, None))
        if _may_stop(node.account_id, every, table.stop_times) and not _refused(node, "stop", every):
            found.append(("stop", node, node.held_fen))
    found += [
        ("freeze", node, node.held_fen)
        for node in known.nodes
        if node.account_id is not None and node.held_fen > 0 and node.role != "victim"
        and _freeze_due(node, every, table, now)
    ]  # fmt: skip
    return found


def unrelated(
    case: dict[str, Any], known: Flow, every: list[dict[str, Any]], *, now: datetime
) -> list[tuple[dict[str, Any], int | None]]:
    """Orders in force that hold what has nothing to do with the case, and how much of it (None: all): more than the
    trace can explain, or everything where the case is over."""
    if case["state"] in OVER:
        return [(o, None) for o in every if orders.in_force(o, now) or o["state"] == "queued"]
    return list(over_held(known, every, now=now))


def over_held(known: Flow, every: list[dict[str, Any]], *, now: datetime) -> list[tuple[dict[str, Any], int]]:
    """Stops and freezes in force that hold more than the trace can explain, whatever the account's opening was."""
    most = known.held()
    return [
        (o, rest) for o in every if (rest := orders.holds(o, now) - most.get(o["account_id"], 0)) > 0
    ]  # fmt: skip


def next_look(known: Flow, every: list[dict[str, Any]], *, now: datetime) -> datetime | None:
    """The next moment at which time alone changes what should be drafted; None where nothing does."""
    draft_ahead = timedelta(hours=orders.law(now).freeze_draft_hours)
    moments = [n.first_at for n in known.nodes if n.first_at > now]
    for o in every:
        if orders.in_force(o, now):
            moments.append(o["ends_at"])
            if o["kind"] == "stop":
                moments.append(o["ends_at"] - draft_ahead)
    moments += [survival.stale_at(t.node.kind, t.node.arrived, t.node.known_until) for t in
                targets(known, every, now=now) if t.node.known_until is not None]  # fmt: skip
    return min((at for at in moments if at > now), default=None)


def _meet(conn: psycopg.Connection[Any], case: dict[str, Any], known: Flow) -> None:
    """Accounts that the money met stand in the case from now on."""
    from .accounts import met

    for node in known.nodes:
        if node.account_id is None:
            met(conn, case["case_id"], node.account, role="met")


def _asked(node: Node, every: list[dict[str, Any]], now: datetime) -> bool:
    """Whether a query on the account is under way, or was answered for the time in which the money came and is not so
    old that it says little of now."""
    mine = [o for o in every if o["account_id"] == node.account_id and o["kind"] == "query"]
    if any(o["state"] in orders.UNDER_WAY for o in mine):
        return True
    if node.known_until is None or node.known_until < node.arrived:
        return False
    return now < survival.stale_at(node.kind, node.arrived, node.known_until)


def _refused(node: Node, kind: str, every: list[dict[str, Any]]) -> bool:
    """Whether the bank has refused the newest such order and no stolen money came since: then it is an officer's to
    look at before it is asked again (a mismatch must not be stopped)."""
    mine = [o for o in every if o["account_id"] == node.account_id and o["kind"] == kind and o["answered_at"]]
    return bool(mine) and mine[-1]["failed_code"] is not None and node.arrived <= mine[-1]["answered_at"]


def _may_stop(account_id: int, every: list[dict[str, Any]], times: int) -> bool:
    """Whether a stop should be asked for: no stop or freeze holds or is under way, and the law allows one more."""
    mine = [o for o in every if o["account_id"] == account_id and o["kind"] in ("stop", "freeze")]
    if any(o["in_force"] or o["state"] in orders.UNDER_WAY for o in mine):
        return False
    return max((o["turn"] or 0 for o in mine if o["failed_code"] is None), default=0) < times


def _freeze_due(node: Node, every: list[dict[str, Any]], table: orders.Law, now: datetime) -> bool:
    """Whether a freeze should be drafted: a stop of the account ends soon or has ended, or the bank does not stop what
    another case holds (a freeze waits its turn there), and no freeze was ever sealed. What was frozen once is an
    officer's to renew or to let lapse."""
    mine = [o for o in every if o["account_id"] == node.account_id]
    if any(o["kind"] == "freeze" and o["sealed_at"] is not None and o["failed_code"] is None for o in mine):
        return False
    soon = now + timedelta(hours=table.freeze_draft_hours)
    return not _refused(node, "freeze", every) and any(
        o["kind"] == "stop"
        and (
            o["failed_code"] == "stopped_before"
            or (o["executed_at"] is not None and o["released_at"] is None and o["ends_at"] <= soon)
        )
        for o in mine
    )


def _draft(
    conn: psycopg.Connection[Any], actor: Any, case: dict[str, Any], drafts: dict[tuple[int, str], dict[str, Any]],
    node: Node, kind: str, amount_fen: int | None, now: datetime, count: Callable[[str], None],
) -> None:  # fmt: skip
    assert node.account_id is not None
    reason = _reason(case, node)
    standing = drafts.get((node.account_id, kind))
    if standing is not None:
        amount = amount_fen if kind in ("stop", "freeze") else standing["amount_fen"]
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
            months=orders.law(now).freeze_months if kind == "freeze" else None,
        ),
        now=now,
    )  # fmt: skip
    if made is not None:
        count(kind)


def _reason(case: dict[str, Any], node: Node) -> str:
    from wuzha.events.money import yuan

    return f"案件{case['case_no']}：第{node.level}级账户，收到被骗资金{yuan(node.received_fen)}元"
