"""Why an order may not be sealed now: the law's conditions and the guard against holding more than it allows.

Kept true here: a reason is a code with its figures, so that the page says why in a sentence; an order without a reason
against it is ready; what is asked of the whole case (no more than was stolen) counts what stands and what is asked for.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from .law import Law, law
from .states import UNDER_WAY, claims, in_force

#: Reasons that an officer cannot mend by adding a fact to a report.
HARD = frozenset({"over_account", "over_case", "stop_times", "victims_own", "case_state", "whole_first", "stands",
                  "frozen"})  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Reason:
    """One reason against: ``code`` (words: ``order_guard.<code>``) and what fills its sentence."""

    code: str
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What the guard knows of a case."""

    case: dict[str, Any]
    reports: list[dict[str, Any]]
    orders: list[dict[str, Any]]
    repeats: int
    #: Stolen money that each account holds by the trace, at the most (fen); accounts that it does not know are absent.
    held: dict[int, int]

    @property
    def stolen_fen(self) -> int:
        """What reports with a verified reporter say was stolen."""
        return sum(r["amount_fen"] for r in self.reports if r["verified_at"] is not None)


def facts(
    conn: psycopg.Connection[Any], case: dict[str, Any], orders: list[dict[str, Any]], held: dict[int, int],
    *, now: datetime,
) -> Facts:  # fmt: skip
    """Read what the guard asks of; ``orders`` are all of the case, as `states.of_case` gives them."""
    cursor = conn.cursor(row_factory=dict_row)
    reports = cursor.execute(
        "SELECT r.*, coalesce(sum(l.amount_fen), 0)::bigint AS amount_fen,"
        " count(l.account_id) = count(*) AS account_known, max(l.at) AS lost_at"
        " FROM wuzha.case_reports r JOIN wuzha.case_losses l USING (report_id)"
        " WHERE r.case_id = %s GROUP BY r.report_id ORDER BY r.report_id",
        (case["case_id"],),
    ).fetchall()
    table = law(now)
    row = conn.execute(
        "SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM wuzha.case_reports r WHERE r.person_id IN"
        " (SELECT person_id FROM wuzha.case_reports WHERE case_id = %s) AND r.reported_at > %s GROUP BY person_id) c",
        (case["case_id"], now - timedelta(days=table.repeat_days)),
    ).fetchone()
    return Facts(case=case, reports=reports, orders=orders, repeats=int(row[0]) if row else 0, held=held)


def against(known: Facts, order: dict[str, Any], stops: int, *, now: datetime) -> list[Reason]:
    """The reasons against sealing ``order`` now; ``stops``: how often its account was stopped, by anybody."""
    table = law(now)
    kind = table.kind[order["kind"]]
    found: list[Reason] = []
    if known.case["state"] not in kind.states:
        found.append(Reason(code="case_state", values={"state": known.case["state"]}))
    found += _needs(known, kind.needs)
    if kind.approver and order["approved_at"] is None:
        found.append(Reason(code="approval"))
    if order["kind"] in ("stop", "freeze"):
        found += _bounds(known, order, table, stops, now)
    return found


def _needs(known: Facts, needs: tuple[str, ...]) -> list[Reason]:
    """What no report of the case has; one report with all of it is enough."""
    lacking = [
        [
            need
            for need in needs
            if not {
                "verified": report["verified_at"] is not None,
                "account": report["account_known"],
                "application": report["application_at"] is not None,
                "undisputed": report["dispute"] == "no",
            }[need]
        ]
        for report in known.reports
    ] or [list(needs)]
    least = min(lacking, key=len)
    return [Reason(code=f"needs_{need}") for need in least]


def _bounds(known: Facts, order: dict[str, Any], table: Law, stops: int, now: datetime) -> list[Reason]:
    found: list[Reason] = []
    account, amount = order["account_id"], order["amount_fen"]
    if order["account_role"] == "victim":
        found.append(Reason(code="victims_own"))
    others = [o for o in known.orders if o["order_id"] != order["order_id"]]
    if order["kind"] == "stop":
        if stops >= table.stop_times:
            found.append(Reason(code="stop_times", values={"n": stops}))
        if any(o["account_id"] == account and o["kind"] == "stop" and _stands(o, now) for o in others):
            found.append(Reason(code="stands"))
    # No freeze twice: a renewal follows the one that it names, and another organ's is waited for in the bank's line.
    elif any(o["account_id"] == account and o["kind"] == "freeze" and o["order_id"] != order["of_order"]
             and _stands(o, now) for o in others):  # fmt: skip
        found.append(Reason(code="frozen"))
    held = known.held.get(account, 0)
    if amount is None:
        if table.amount_first and not any(
            o["account_id"] == account and o["failed_code"] == "no_limit" for o in others
        ):
            found.append(Reason(code="whole_first"))
    elif amount > held:
        found.append(Reason(code="over_account", values={"amount_fen": amount, "held_fen": held}))
    # A freeze takes the place of the stop on the same account: of one account the larger counts. One that waits its
    # turn counts as asked for: it takes effect without anybody's pressing again.
    by_account: dict[int, int] = {account: amount or held}
    for o in others:
        if mine := claims(o, now):
            by_account[o["account_id"]] = max(by_account.get(o["account_id"], 0), mine)
    together = sum(by_account.values())
    if known.stolen_fen and together > known.stolen_fen:
        found.append(Reason(code="over_case", values={"amount_fen": together, "stolen_fen": known.stolen_fen}))
    return found


def _stands(order: dict[str, Any], now: datetime) -> bool:
    return in_force(order, now) or order["state"] in (*UNDER_WAY, "queued")


def cautions(known: Facts, *, now: datetime) -> list[Reason]:
    """What is looked at before anything is sealed, and stops nothing: a person who reports again and again."""
    table = law(now)
    if known.repeats >= table.repeat_reports:
        return [Reason(code="repeat", values={"n": known.repeats, "days": table.repeat_days})]
    return []
