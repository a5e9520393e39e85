"""What became of a case's stolen money, as far as banks have answered: `trace.follow` over the case's transfers.

Kept true here: stolen = held + exited + unknown to the fen, for every report of the case; the order in which answers
came changes nothing; one transfer that both banks tell of counts once; a reported transfer that no bank has told of yet
counts as having arrived; banks' clocks that are minutes apart are put right as far as balances prove it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, cast

import numpy as np
import psycopg
import pyarrow as pa
from psycopg.rows import dict_row

from wuzha.events import TABLES
from wuzha.events.hashing import hash_text
from wuzha.ingest import pair
from wuzha.orders.public import law
from wuzha.trace import Index, Policy, Theft, Tracer
from wuzha.trace.clocks import Retimed, aligned

_COLUMNS = ("payer_balance_fen", "payee_balance_fen", "fee_fen", "ok", "channel", "currency", "cash", "seq", "side",
            "merchant", "merchant_id", "bank_ref", "reverses", "ts_precision_s")  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Node:
    """An account that stolen money met. ``arrived``: when the last of it came; ``first_fen``: the whole transfer that
    brought the first of it, which its bank matches; all else is stolen money only."""

    account: str
    account_id: int | None
    level: int
    role: str
    bank: str | None
    kind: str | None
    first_at: datetime
    first_fen: int
    arrived: datetime
    received_fen: int
    sent_fen: int
    held_fen: int
    low_fen: int
    high_fen: int
    known_until: datetime | None
    balance_fen: int | None


@dataclass(frozen=True, kw_only=True)
class Ribbon:
    """One transfer that carried stolen money; ``exit``: how it left the banks, None where it stays among accounts."""

    payer: str | None
    payee: str | None
    at: datetime
    amount_fen: int
    tainted_fen: int
    exit: str | None
    place: str | None
    reported: bool
    #: How its place among transfers of the same second was found (`trace.order.TIES`); None where it was alone.
    order_by: str | None = None


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The whole. ``unconfirmed``: losses that their payee's bank does not know although it has told of that time."""

    nodes: list[Node]
    ribbons: list[Ribbon]
    exits: list[dict[str, Any]]
    totals: dict[str, int]
    unconfirmed: list[int] = field(default_factory=list)

    @property
    def ties(self) -> int:
        """Transfers of one second whose order nothing told, so that a rule had to decide."""
        return sum(r.order_by in ("rule", "circle") for r in self.ribbons)

    def held(self) -> dict[int, int]:
        """By account: what it may hold of the stolen money, at the most."""
        return {n.account_id: n.high_fen for n in self.nodes if n.account_id is not None}


@dataclass(frozen=True, kw_only=True)
class Money:
    """What a flow is computed from: a case's rows as they were read."""

    losses: list[dict[str, Any]]
    transfers: list[dict[str, Any]]
    accounts: dict[str, dict[str, Any]]
    policy: str


def read(conn: psycopg.Connection[Any], case_id: int) -> Money:
    """The case's losses, transfers and accounts."""
    cursor = conn.cursor(row_factory=dict_row)
    losses = cursor.execute(
        "SELECT l.loss_id, l.report_id, l.amount_fen, l.at, p.value AS payee, a.value AS account"
        " FROM wuzha.case_losses l JOIN wuzha.subjects p ON p.subject_id = l.payee_id"
        " LEFT JOIN wuzha.subjects a ON a.subject_id = l.account_id WHERE l.case_id = %s ORDER BY l.at, l.loss_id",
        (case_id,),
    ).fetchall()
    transfers = cursor.execute(
        "SELECT t.source, t.event_id, t.ts, t.amount_fen, t.columns, p.value AS payer, q.value AS payee"
        " FROM wuzha.case_transfers t LEFT JOIN wuzha.subjects p ON p.subject_id = t.payer_id"
        " LEFT JOIN wuzha.subjects q ON q.subject_id = t.payee_id WHERE t.case_id = %s ORDER BY t.ts, t.event_id",
        (case_id,),
    ).fetchall()
    accounts = cursor.execute(
        "SELECT a.*, s.value, h.name AS holder FROM wuzha.case_accounts a"
        " JOIN wuzha.subjects s ON s.subject_id = a.account_id"
        " LEFT JOIN wuzha.persons h ON h.person_id = a.holder_id WHERE a.case_id = %s",
        (case_id,),
    ).fetchall()
    policy = conn.execute("SELECT policy FROM wuzha.cases WHERE case_id = %s", (case_id,)).fetchone()
    return Money(
        losses=losses, transfers=transfers, accounts={a["value"]: a for a in accounts},
        policy=policy[0] if policy else "fifo",
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Traced:
    """A case's transfers as the tracer reads them, and its losses by number as thefts among them; ``told``: the same
    by the times that were reported."""

    tracer: Tracer
    thefts: dict[int, Theft]
    told: list[Theft]
    retimed: Retimed
    rows: list[dict[str, Any]]
    unconfirmed: list[int]


def traced(money: Money, *, until: datetime) -> Traced:
    """What was stolen until ``until``, ready to be followed."""
    losses = [loss for loss in money.losses if loss["at"] <= until]
    rows, unconfirmed = _rows(money, losses, timedelta(minutes=law(until).match_minutes))
    table, retimed = aligned(_table(rows))
    told = [Theft(account=_victim(x["loss_id"]), at=microseconds(x["_at"]), amount_fen=x["amount_fen"]) for x in losses]
    thefts = {x["loss_id"]: retimed.theft(t) for x, t in zip(losses, told, strict=True)}
    return Traced(
        tracer=Tracer(Index.of(table)), thefts=thefts, told=told, retimed=retimed, rows=rows, unconfirmed=unconfirmed
    )


def follow(money: Money, *, until: datetime) -> Flow:
    """Where the money is at ``until``."""
    if not money.losses:
        return Flow(nodes=[], ribbons=[], exits=[], totals=_nothing())
    known = traced(money, until=until)
    places = {(r["source"], r["event_id"]): r for r in known.rows}
    found = known.tracer.follow(
        list(known.thefts.values()), policy=cast(Policy, money.policy), until=microseconds(until)
    )
    result = known.retimed.told(found, known.told)
    ribbons = [_ribbon(edge, places, money) for edge in result.edges]
    into: dict[str, list[Ribbon]] = {}
    for ribbon in sorted(ribbons, key=lambda r: r.at):
        if ribbon.payee is not None and ribbon.exit is None:
            into.setdefault(ribbon.payee, []).append(ribbon)
    nodes = [_node(a, money, into) for a in result.accounts if not a["account"].startswith("account:loss:")]
    return Flow(
        nodes=nodes, ribbons=ribbons, exits=_places(ribbons, result.exits), totals=result.totals,
        unconfirmed=known.unconfirmed,
    )  # fmt: skip


def _nothing() -> dict[str, int]:
    return {"stolen_fen": 0, "held_fen": 0, "exited_fen": 0, "unknown_fen": 0}


def _victim(loss_id: int) -> str:
    """Each reported transfer leaves an account of its own, so that no other payment of the victim's is taken for it."""
    return f"loss:{loss_id}"


def microseconds(at: datetime) -> int:
    """A moment as the tracer counts it."""
    return int(np.datetime64(at.replace(tzinfo=None) - (at.utcoffset() or timedelta(0)), "us").astype(np.int64))


def _rows(money: Money, losses: list[dict[str, Any]], near_by: timedelta) -> tuple[list[dict[str, Any]], list[int]]:
    """The transfers, each once, with every loss among them as paid by an account of its own; ``near_by``: so much may
    the bank's time differ from the victim's word."""
    rows = _once([
        {"source": t["source"], "event_id": t["event_id"], "ts": t["ts"], "payer": t["payer"], "payee": t["payee"],
         "amount_fen": t["amount_fen"], "reported": False,
         "place": t["columns"].get("place") or t["columns"].get("outlet"),
         **{name: t["columns"].get(name) for name in _COLUMNS}}
        for t in money.transfers
    ])  # fmt: skip
    taken: set[int] = set()
    unconfirmed = []
    for loss in losses:
        near = [
            (abs(r["ts"] - loss["at"]), i)
            for i, r in enumerate(rows)
            if i not in taken and r["payee"] == loss["payee"] and r["amount_fen"] == loss["amount_fen"]
            and r["ok"] is not False and abs(r["ts"] - loss["at"]) <= near_by
            and (loss["account"] is None or r["payer"] in (None, loss["account"]))
        ]  # fmt: skip
        if near:
            _, i = min(near)
            taken.add(i)
            rows[i] |= {"payer": _victim(loss["loss_id"]), "payer_balance_fen": None, "reported": True, "side": "payee"}
            loss["_at"] = rows[i]["ts"]
            continue
        known = money.accounts.get(loss["payee"], {}).get("known_until")
        if known is not None and known > loss["at"]:
            unconfirmed.append(loss["loss_id"])
        loss["_at"] = loss["at"]
        rows.append(
            {"source": "report", "event_id": str(loss["loss_id"]), "ts": loss["at"], "payer": _victim(loss["loss_id"]),
             "payee": loss["payee"], "amount_fen": loss["amount_fen"], "reported": True, "place": None}
            | dict.fromkeys(_COLUMNS)
        )  # fmt: skip
        taken.add(len(rows) - 1)
    return rows, unconfirmed


def _once(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows that two banks tell of the same transfer are one, which knows what either knew."""
    if not rows:
        return rows
    key = pa.array([f"{r['payer']}\x1f{r['payee']}\x1f{r['amount_fen']}" for r in rows], pa.string())
    side = np.array([{"payer": 0, "payee": 1}.get(r["side"] or "", -1) for r in rows], np.int8)
    side[[i for i, r in enumerate(rows) if r["payer"] is None or r["payee"] is None]] = -1
    ref = pa.array([r["bank_ref"] for r in rows], pa.string())
    tie = hash_text(pa.array([f"{r['source']}\x1f{r['event_id']}" for r in rows], pa.string()))
    ts = np.array([microseconds(r["ts"]) for r in rows], np.int64)
    precision = np.array([r["ts_precision_s"] or 1 for r in rows], np.int64)
    partner = pair(hash_text(key), ts, side, ref=hash_text(ref), precision_s=precision, tie=tie)
    out = []
    for i, row in enumerate(rows):
        j = int(partner[i])
        if j < 0:
            out.append(row)
        elif side[i] == 0:  # the payer's bank says when it left
            other = rows[j]
            out.append({k: v if v is not None else other[k] for k, v in row.items()} | {"side": "both"})
    return out


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    schema = TABLES["transfers"].schema
    return pa.Table.from_pylist(
        [{name: r.get(name) for name in schema.names} for r in rows],
        schema=pa.schema([f.with_nullable(True) for f in schema]),
    )


def _bare(account: str | None) -> str | None:
    return None if account is None else account.removeprefix("account:")


def _ribbon(edge: dict[str, Any], rows: dict[tuple[str, str], dict[str, Any]], money: Money) -> Ribbon:
    row = rows.get((edge["source"], edge["event_id"]), {})
    payer = _bare(edge["payer"])
    return Ribbon(
        payer=None if payer is None or payer.startswith("loss:") else payer, payee=_bare(edge["payee"]),
        at=datetime.fromisoformat(edge["ts"]), amount_fen=edge["amount_fen"], tainted_fen=edge["tainted_fen"],
        exit=edge.get("exit"), place=row.get("place"), reported=bool(row.get("reported")),
        order_by=edge.get("order_by"),
    )  # fmt: skip


def _node(told: dict[str, Any], money: Money, into: dict[str, list[Ribbon]]) -> Node:
    account = told["account"].removeprefix("account:")
    known = money.accounts.get(account, {})
    first = datetime.fromisoformat(told["first_at"])
    came = into.get(account, [])
    return Node(
        account=account, account_id=known.get("account_id"), level=told["level"], role=known.get("role", "met"),
        bank=known.get("bank"), kind=known.get("kind"), first_at=first,
        first_fen=came[0].amount_fen if came else told["received_fen"], arrived=came[-1].at if came else first,
        received_fen=told["received_fen"], sent_fen=told["sent_fen"], held_fen=told["held_fen"],
        low_fen=told["held_low_fen"], high_fen=told["held_high_fen"], known_until=known.get("known_until"),
        balance_fen=known.get("balance_fen"),
    )  # fmt: skip


def _places(ribbons: Iterable[Ribbon], told: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Exits by kind and place, the largest first; what left with no transfer of its own (fees) by kind alone."""
    sums: dict[tuple[str, str | None], list[Any]] = {}
    for r in ribbons:
        if r.exit is not None:
            at = sums.setdefault((r.exit, r.place), [0, 0, r.at])
            at[0] += r.tainted_fen
            at[1] += 1
            at[2] = max(at[2], r.at)
    out = [{"kind": k, "place": p, "amount_fen": a, "n": n, "at": at} for (k, p), (a, n, at) in sums.items()]
    for kind in sorted({e["kind"] for e in told}):
        rest = sum(e["amount_fen"] for e in told if e["kind"] == kind) - sum(
            e["amount_fen"] for e in out if e["kind"] == kind
        )
        if rest:
            out.append({"kind": kind, "place": None, "amount_fen": rest, "n": None, "at": None})
    return sorted(out, key=lambda e: (-e["amount_fen"], e["kind"], e["place"] or ""))
