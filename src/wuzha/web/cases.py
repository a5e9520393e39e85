"""Cases: the list, the short form, one case with what its orders need."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha.cases import command, flow, granting, listing, reports, reveal, victims
from wuzha.cases import money as figures
from wuzha.cases.reports import Loss, Report, Taken
from wuzha.command.public import Refused, require
from wuzha.events import clock, money
from wuzha.events.scam_types import scam_types
from wuzha.orders import drafting, tells
from wuzha.orders.drafting import Draft

from .context import Context, attempt, posted, signed_in
from .masks import Sight

router = APIRouter()


def number(text: str) -> int | None:
    """A whole number of a form or an address; None where it is none."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def fen(text: str) -> int | None:
    """An amount of a form; None where the field is empty. Refused("report_amount")."""
    if not text.strip():
        return None
    try:
        return money.parse_yuan(text)
    except ValueError as error:
        raise Refused("report_amount") from error


@router.get("/cases")
def show(after: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """The newest first."""
    with ctx.db() as conn:
        rows = listing.rows(conn, ctx.actor, after=number(after))
        told = tells.count(conn)
    return ctx.page("cases.html", rows=rows[: listing.PAGE], more=len(rows) > listing.PAGE, after=after, told=told)


#: Transfers on the form at most; more come by a file or the interface.
MOST_LOSSES = 20
_OF_A_LOSS = ("payee", "amount", "at", "payee_name", "payee_bank", "account", "account_bank")


def _losses(ctx: Context) -> list[dict[str, str]]:
    """The form's transfers as they were typed, those left empty left out; one empty one where there is none."""
    columns = [ctx.many.get(name, []) for name in _OF_A_LOSS]
    n = min(max(map(len, columns), default=0), MOST_LOSSES)
    rows = [
        {name: column[i] if i < len(column) else "" for name, column in zip(_OF_A_LOSS, columns, strict=True)}
        for i in range(n)
    ]
    return [row for row in rows if any(text.strip() for text in row.values())] or [dict.fromkeys(_OF_A_LOSS, "")]


def _loss(row: dict[str, str]) -> Loss:
    at, amount = clock.time_of(row["at"]), fen(row["amount"])
    if at is None:
        raise Refused("report_time")
    return Loss(
        payee=row["payee"],
        amount_fen=amount or 0,
        at=at,
        account=row["account"],
        account_bank=row["account_bank"],
        payee_name=row["payee_name"],
        payee_bank=row["payee_bank"],
    )


def _form(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    require(ctx.actor, "cases.write")
    with ctx.db() as conn:
        banks = conn.execute(
            "SELECT title FROM wuzha.sources WHERE active AND role IN ('bank', 'platform') ORDER BY title LIMIT 500"
        ).fetchall()
    losses = _losses(ctx)
    if "more" in ctx.form and len(losses) < MOST_LOSSES:
        losses = [*losses, dict.fromkeys(_OF_A_LOSS, "")]
    types = [code for code in scam_types() if code != "none" and "." not in code]
    return ctx.page(
        "case_new.html", status=status, said=said, form=ctx.form, banks=[row[0] for row in banks], types=types,
        losses=losses, most=MOST_LOSSES,
    )  # fmt: skip


@router.get("/cases/new")
def new(ctx: Context = Depends(signed_in)) -> Response:
    """The short form."""
    return _form(ctx)


@router.post("/cases")
def take(ctx: Context = Depends(posted)) -> Response:
    """Take the report down; its stop order and query are drafted before the page comes back."""
    f = ctx.form
    if "more" in f:
        return _form(ctx)

    def work(conn: psycopg.Connection[Any]) -> Taken:
        channel = f.get("channel", "")
        told = Report(
            losses=tuple(map(_loss, _losses(ctx))),
            channel=channel if channel in ("counter", "phone") else "", name=f.get("name", ""),
            line=f.get("line", ""), id_no=f.get("id_no", ""), scam_type=f.get("scam_type", ""),
            words=f.get("words", ""), verified_how=f.get("verified_how", ""),
            application_ref=f.get("application", ""), undisputed=f.get("undisputed") == "1",
        )  # fmt: skip
        return command.report(conn, ctx.actor, told, key=f.get("click", ""))

    def then(taken: Taken) -> str:
        return f"/cases/{taken.case_id}?joined=1" if taken.joined else f"/cases/{taken.case_id}/money"

    return attempt(ctx, work, shown=_form, to=then)


def _one(ctx: Context, *, case_id: int, said: Refused | None = None, status: int = 200, joined: str = "") -> Response:
    now = clock.now()
    with ctx.db() as conn:
        case = figures.one(conn, ctx.actor, case_id)
        until = listing.revealed_until(conn, ctx.actor, case_id, now=now)
        found = listing.reports(conn, case_id)
        steps = listing.steps(conn, case_id)
        payers = victims.payers(conn, ctx.actor, case_id, now=now)
        accounts = sorted(flow.read(conn, case_id).accounts.values(), key=lambda a: (a["role"], a["value"]))
        grants = granting.of_case(conn, case_id, now=now)
        ours = granting.ours(conn, ctx.actor, case["unit_id"])
        partners = granting.partners(conn, ctx.actor, case["unit_id"]) if ours else []
    may = ctx.actor.may if ours else frozenset[str]()
    names = tuple(r["name"] for r in found if r["name"])
    return ctx.page(
        "case.html", status=status, said=said, case=case, reports=found, steps=steps, accounts=accounts,
        payers=payers,
        joined=joined == "1", now=now, sight=Sight(open=until is not None, names=names), revealed_until=until,
        purposes=reveal.PURPOSES, write="cases.write" in may, may_draft="orders.draft" in may, ours=ours, grants=grants,
        partners=partners,
        moves=reports.MOVES[case["state"]] if "cases.write" in may else (),
    )  # fmt: skip


@router.get("/cases/{case_id}")
def one(case_id: int, joined: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """Its reports, what its orders need, its steps."""
    return _one(ctx, case_id=case_id, joined=joined)


@router.post("/cases/{case_id}/reveal")
def open_case(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """Names and numbers, for a purpose."""
    with ctx.db() as conn:
        reveal.reveal(conn, ctx.actor, case_id, purpose=ctx.form.get("purpose", ""))
    if ctx.form.get("back") == "refund":
        return RedirectResponse(f"/cases/{case_id}/refund", status_code=303)
    order = number(ctx.form.get("back", "").removeprefix("/orders/"))
    return RedirectResponse(f"/orders/{order}" if order else f"/cases/{case_id}", status_code=303)


@router.post("/cases/{case_id}/move")
def move(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """Accept, file, withdraw."""
    f = ctx.form
    return attempt(ctx, lambda conn: command.move(
        conn, ctx.actor, case_id, to=f.get("to", ""), words=f.get("words", ""), key=f.get("click", "")),
        shown=partial(_one, case_id=case_id), to=f"/cases/{case_id}")  # fmt: skip


@router.post("/cases/{case_id}/grants")
def share(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """Share the case with a partner unit."""
    f = ctx.form

    def work(conn: psycopg.Connection[Any]) -> Any:
        until = clock.time_of(f.get("until", ""))
        if until is None:
            raise Refused("grant_until", limit=granting.LONGEST.days)
        return granting.grant(
            conn, ctx.actor, case_id, unit_id=number(f.get("unit", "")) or 0, reason=f.get("reason", ""), until=until,
            key=f.get("click", ""),
        )  # fmt: skip

    return attempt(ctx, work, shown=partial(_one, case_id=case_id), to=f"/cases/{case_id}#grants")


@router.post("/cases/{case_id}/grants/{grant_id}/end")
def unshare(case_id: int, grant_id: int, ctx: Context = Depends(posted)) -> Response:
    """End a grant."""
    return attempt(
        ctx, lambda conn: granting.end(conn, ctx.actor, case_id, grant_id, key=ctx.form.get("click", "")),
        shown=partial(_one, case_id=case_id), to=f"/cases/{case_id}#grants",
    )  # fmt: skip


@router.post("/cases/{case_id}/pursue")
def pursue(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """Follow the money anew: a stop may have run out since."""
    return attempt(
        ctx, lambda conn: command.again(conn, ctx.actor, case_id), shown=partial(_one, case_id=case_id),
        to=f"/cases/{case_id}/money",
    )  # fmt: skip


@router.post("/cases/{case_id}/warn")
def warn(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """Warn a possible victim."""
    f = ctx.form
    return attempt(ctx, lambda conn: victims.warn_one(
        conn, ctx.actor, case_id, number(f.get("account", "")) or 0, key=f.get("click", "")),
        shown=partial(_one, case_id=case_id), to=f"/cases/{case_id}#payers")  # fmt: skip


@router.post("/cases/{case_id}/orders")
def draft(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """An officer's own draft."""
    f = ctx.form

    def work(conn: psycopg.Connection[Any]) -> Any:
        wish = Draft(
            kind=f.get("kind", ""), account_id=number(f.get("account", "")) or 0, level=1, reason=f.get("reason", ""),
            amount_fen=fen(f.get("amount", "")), whole_why=f.get("whole_why", ""), months=number(f.get("months", "")),
        )  # fmt: skip
        return drafting.draft(conn, ctx.actor, case_id, wish, key=f.get("click", ""))

    return attempt(ctx, work, shown=partial(_one, case_id=case_id), to=f"/cases/{case_id}/money")


@router.post("/reports/{report_id}/{act}")
def mend(report_id: int, act: str, ctx: Context = Depends(posted)) -> Response:
    """What an order needs of a report: who it is, the debited account, the application, whether it is a dispute."""
    f, key = ctx.form, ctx.form.get("click", "")
    acts = {
        "verify": lambda conn: reports.verify(conn, ctx.actor, report_id, how=f.get("words", ""), key=key),
        "apply": lambda conn: reports.apply(conn, ctx.actor, report_id, ref=f.get("words", ""), key=key),
        "account": lambda conn: reports.debited(conn, ctx.actor, report_id, account=f.get("account", ""), key=key),
        "dispute": lambda conn: reports.dispute(
            conn, ctx.actor, report_id, is_one=f.get("is") == "yes", why=f.get("words", ""), key=key
        ),
    }
    if act not in acts:
        raise Refused("not_found")
    with ctx.db() as conn:
        row = conn.execute("SELECT case_id FROM wuzha.case_reports WHERE report_id = %s", (report_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    return attempt(ctx, acts[act], shown=partial(_one, case_id=row[0]), to=f"/cases/{row[0]}#report-{report_id}")
