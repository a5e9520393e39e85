"""Possible victims: who paid into an account that holds a case's stolen money, inside the scam's days, and has not
reported.

Kept true here: nobody is called a victim by it – every payer stands with the reasons for and against; whoever is warned
is warned once; an account that stolen money went through is no victim's; whoever then reports joins the case.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.events.money import yuan
from wuzha.orders.public import Done, lock, record, repeated
from wuzha.respond.public import Warning, warn

from . import flow

#: The scam's days: so long before the first reported transfer, and after the last until now at the most.
WINDOW = timedelta(days=3)
#: Words on a payment that speak of a sale.
SALE = ("货款", "订单", "运费", "房租", "工资", "押金", "采购", "发票")
#: What each reason against leaves of the rank.
AGAINST = {"seller": 0.3, "friend": 0.2, "own": 0.05}
#: A payer who has paid is less likely to pay again with each day that passes.
FADES = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Payer:
    """A payer who may be a victim. ``against``: codes of `AGAINST`; ``score``: how much they may still pay."""

    account: str
    account_id: int
    name: str | None
    bank: str | None
    payee: str
    paid_fen: int
    n: int
    first_at: datetime
    last_at: datetime
    against: tuple[str, ...]
    score: float
    warned_at: datetime | None = None


def payers(conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, now: datetime) -> list[Payer]:
    """Possible victims of a case, whoever may still pay most first."""
    require(actor, "cases.read")
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT t.ts, t.amount_fen, t.columns, t.payer_id, p.value AS payer, q.value AS payee, t.payee_id,"
            " b.holder_id, c.holder_id AS payee_holder, h.name, b.bank"
            " FROM wuzha.case_transfers t JOIN wuzha.subjects p ON p.subject_id = t.payer_id"
            " JOIN wuzha.subjects q ON q.subject_id = t.payee_id"
            " JOIN wuzha.case_accounts c ON c.case_id = t.case_id AND c.account_id = t.payee_id AND c.role = 'payee'"
            " LEFT JOIN wuzha.case_accounts b ON b.case_id = t.case_id AND b.account_id = t.payer_id"
            " LEFT JOIN wuzha.persons h ON h.person_id = b.holder_id"
            " WHERE t.case_id = %s AND coalesce(b.role, 'met') <> 'victim'"
            " AND coalesce((t.columns->>'ok')::boolean, true) ORDER BY t.ts, t.transfer_id",
            (case_id,),
        )
        .fetchall()
    )
    money = flow.read(conn, case_id)
    if not rows or not money.losses:
        return []
    known = flow.follow(money, until=now)
    # Small sums back are the bait of many scams; who took more than they paid passed money on.
    back = dict(
        conn.execute(
            "SELECT t.payee_id, sum(t.amount_fen)::bigint FROM wuzha.case_transfers t JOIN wuzha.case_accounts c"
            " ON c.case_id = t.case_id AND c.account_id = t.payer_id AND c.role = 'payee'"
            " WHERE t.case_id = %s AND t.payee_id IS NOT NULL GROUP BY 1",
            (case_id,),
        ).fetchall()
    )
    through = {n.account for n in known.nodes}
    begin = min(x["at"] for x in money.losses) - WINDOW
    names = {a["value"]: a["holder"] for a in money.accounts.values()}
    warned = dict(
        conn.execute(
            "SELECT (detail->>'account')::bigint, min(at) FROM wuzha.case_steps WHERE case_id = %s"
            " AND kind = 'victim_warned' GROUP BY 1",
            (case_id,),
        ).fetchall()
    )
    by_account: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        if row["payer"] not in through:
            by_account.setdefault(row["payer"], []).append(row)
    found = [
        _payer(account, paid, begin, names, warned, now)
        for account, paid in by_account.items()
        if any(r["ts"] >= begin for r in paid) and back.get(paid[0]["payer_id"], 0) < sum(r["amount_fen"] for r in paid)
    ]
    return sorted(found, key=lambda p: (-p.score, p.account))


def _payer(
    account: str, rows: list[dict[str, Any]], begin: datetime, names: dict[str, str | None],
    warned: dict[int, datetime], now: datetime,
) -> Payer:  # fmt: skip
    inside = [r for r in rows if r["ts"] >= begin]
    last = inside[-1]
    against = tuple(_against(account, rows, inside, begin, names))
    paid = sum(r["amount_fen"] for r in inside)
    # Who paid lately, more than once and more each time, is likely to pay again.
    fresh = 0.5 ** (max((now - last["ts"]).total_seconds(), 0.0) / FADES.total_seconds())
    growing = 1.0 + 0.5 * sum(b["amount_fen"] > a["amount_fen"] for a, b in itertools.pairwise(inside))
    score = paid * fresh * growing
    for reason in against:
        score *= AGAINST[reason]
    return Payer(
        account=account, account_id=last["payer_id"], name=last["name"], bank=last["bank"], payee=last["payee"],
        paid_fen=paid, n=len(inside), first_at=inside[0]["ts"], last_at=last["ts"], against=against, score=score,
        warned_at=warned.get(last["payer_id"]),
    )  # fmt: skip


def _against(
    account: str, rows: list[dict[str, Any]], inside: list[dict[str, Any]], begin: datetime,
    names: dict[str, str | None],
) -> Iterable[str]:  # fmt: skip
    """Reasons against: it was a sale; they knew each other before; it is the holder's own money."""
    if any(word in (r["columns"].get("memo") or "") for r in inside for word in SALE):
        yield "seller"
    if sum(r["ts"] < begin for r in rows) >= 2:
        yield "friend"
    holder = names.get(account)
    if holder is not None and holder == names.get(inside[-1]["payee"]):
        yield "own"


def warn_one(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, account_id: int, *, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Warn a possible victim: a warning of the case goes to the alerts. Refused: not_found, victim_warned."""
    require(actor, "cases.write")
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = lock(conn, case_id)
    payer = next((p for p in payers(conn, actor, case_id, now=now) if p.account_id == account_id), None)
    if payer is None:
        raise Refused("not_found")
    if payer.warned_at is not None:
        raise Refused("victim_warned", at=payer.warned_at)
    fresh = warn(
        conn, actor,
        Warning(
            number=f"{case['case_no']}-{account_id}", account=payer.account, suspect_account=payer.payee,
            name=payer.name, scam_type=case["scam_type"], amount_fen=payer.paid_fen,
            reasons=(
                f"{payer.n}笔共{yuan(payer.paid_fen)}元转入案件{case['case_no']}的一级账户，尚未报警",
            ),
        ),
        ref=case["case_no"], now=now,
    )  # fmt: skip
    return record(conn, actor, case, "victim_warned", at=now, key=key, detail={"account": account_id, "fresh": fresh})
