"""Refunds: the desk (who waits on whom), a case's refund with its shares, clocks and steps, its papers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha.cases import granting, listing, reveal
from wuzha.cases import money as figures
from wuzha.cases.refund import book, deciding, flow_table, hearing, opening, papers, paying, planning, standing, words
from wuzha.cases.refund.hearing import Application
from wuzha.cases.refund.law import RULES, law, law_of
from wuzha.cases.refund.paying import FAILED, Receipt
from wuzha.command.public import Refused, require
from wuzha.events import clock, workdays
from wuzha.orders import states
from wuzha.orders.step import lock, record

from .cases import fen, number
from .context import Context, attempt, posted, signed_in
from .masks import Sight
from .orders import WORD
from .workbooks import attachment

router = APIRouter()
XLSX = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"
#: What an approval and the bank take beside the notice: a freeze that ends sooner is to be renewed.
MARGIN = timedelta(days=10)


@router.get("/refunds")
def desk(state: str = "open", after: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """Every refund that is under way: on whom it waits, for how long, what is to be done."""
    now, closed = clock.now(), state == "closed"
    with ctx.db() as conn:
        rows = book.every(conn, ctx.actor, now=now, closed=closed, after=number(after))
        asked = hearing.asked_of_us(conn, ctx.actor)
    more = len(rows) > book.PAGE
    rows = rows[: book.PAGE]
    last = rows[-1]["refund_id"] if rows else 0
    if not closed:
        far = datetime.max.replace(tzinfo=now.tzinfo)
        rows.sort(key=lambda r: (not r["waits"][0].late(now), r["waits"][0].party in ("public", "victim"),
                                 r["waits"][0].due or far, r["waits"][0].since))  # fmt: skip
    return ctx.page("refunds.html", rows=rows, more=more, closed=closed, after=after, last=last, asked=asked, now=now)


@router.post("/refunds/files/{handover_id}")
def send_file(handover_id: int, ctx: Context = Depends(posted)) -> Response:
    """Our file for another organ's refund is on its way."""
    with ctx.db() as conn:
        hearing.send_file(conn, ctx.actor, handover_id, ref=ctx.form.get("ref", ""))
    return RedirectResponse("/refunds", status_code=303)


def _one(ctx: Context, *, case_id: int, said: Refused | None = None, status: int = 200) -> Response:
    now = clock.now()
    with ctx.db() as conn:
        case = figures.one(conn, ctx.actor, case_id)
        found = book.of_case(conn, ctx.actor, case_id, now=now)
        until = listing.revealed_until(conn, ctx.actor, case_id, now=now)
        ours = granting.ours(conn, ctx.actor, case["unit_id"])
        steps = [s for s in listing.steps(conn, case_id, limit=200) if s["kind"].startswith("refund_")][:60]
        running = {r["account_id"] for r in found if r["closed_at"] is None}
        every = states.of_case(conn, case_id, now=now)
        ready = []
        for o in every:
            if o["kind"] == "freeze" and o["in_force"] and o["account_id"] not in running:
                held = planning.frozen(conn, case_id, o["account_id"], now=now)
                if held is not None and held.order_id == o["order_id"] and held.balance_fen:
                    ready.append((o, held))
        current = next((r for r in found if r["closed_at"] is None), found[0] if found else None)
        high = (
            current is not None and current["asked"] is not None
            and deciding.high_enough(conn, ctx.actor, current["asked"]["level"])
        )  # fmt: skip
    table = law(now) if current is None else law_of(current["law_from"])
    names = tuple(v["name"] for r in found for v in r["victims"] if v["name"])
    values: dict[str, Any] = {}
    if current is not None:
        values = {
            "why_plan": words.why_plan(current["plan"], ctx.language),
            "why": {v["report_id"]: words.why_share(current["plan"], v, current["whole_fen"], ctx.language)
                    for v in current["victims"]},
            "against": [] if current["decision"] else standing.against(current, now),
            "days": workdays.due(now, table.bank_working_days),
            "ends_soon": current["frozen"] is not None and current["decision"] is None
            and current["frozen"].ends_at < _earliest(current, table.notice_days, now) + MARGIN,
            "able": [name for name, ready_ in papers.READY.items() if ready_(current)],
            "assumed": ", ".join(str(y) for y in workdays.due(now, table.bank_working_days).assumed),
        }  # fmt: skip
    return ctx.page(
        "refund.html", status=status, said=said, case=case, r=current,
        earlier=[r for r in found if r is not current], ready=ready, steps=steps, now=now,
        sight=Sight(open=until is not None, names=names), revealed_until=until, purposes=reveal.PURPOSES,
        write=ours and "refund.write" in ctx.actor.may, seal=ours and "orders.seal" in ctx.actor.may,
        enter=ours and "orders.enter" in ctx.actor.may,
        approve=ours and "refund.approve" in ctx.actor.may and high and current is not None
        and ctx.actor.user_id not in (current["opened_by"], current["asked"]["asked_by"]),
        table=table, rules=RULES, failed=FAILED, free=words.free(ctx.language), **values,
    )  # fmt: skip


def _earliest(r: dict[str, Any], days: int, now: datetime) -> datetime:
    """When the notice can be over at the earliest."""
    if r["notice"] is not None:
        ends: datetime = r["notice"]["ends_at"]
        return max(ends, now)
    return now + timedelta(days=days + 1) if r["plan"]["way"] == "pro_rata" else now


@router.get("/cases/{case_id}/refund")
def one(case_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """The case's refund: shares with why, clocks, steps, papers."""
    return _one(ctx, case_id=case_id)


@router.post("/cases/{case_id}/refund")
def start(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """Open a refund on a frozen account."""
    f = ctx.form
    return attempt(
        ctx,
        lambda conn: opening.start(
            conn, ctx.actor, case_id, number(f.get("account", "")) or 0, key=f.get("click", ""),
            procedure=f.get("procedure", ""), rule=f.get("rule", ""),
        ),
        shown=partial(_one, case_id=case_id), to=f"/cases/{case_id}/refund",
    )  # fmt: skip


def _application(ctx: Context) -> Application:
    f = ctx.form
    return Application(
        ref=f.get("ref", ""), mandate=f.get("mandate", ""), account=f.get("account", ""), bank=f.get("bank", ""),
        why=f.get("why", ""),
    )  # fmt: skip


def _when(text: str) -> datetime | None:
    if not text.strip():
        return None
    if (at := clock.time_of(text)) is None:
        raise Refused("order_times")
    return at


def _receipt(ctx: Context) -> Receipt:
    f = ctx.form
    return Receipt(
        paid_fen=fen(f.get("amount", "")) or 0, paid_at=_when(f.get("at", "")), number=f.get("number", ""),
        failed_code=f.get("code", ""), failed_words=f.get("words", ""),
    )  # fmt: skip


def _n(ctx: Context, name: str) -> int:
    return number(ctx.form.get(name, "")) or 0


Act = Callable[[psycopg.Connection[Any], Context, int, str], Any]
#: What can be done: the address's last word -> the step, given the transaction, the form, the refund, the key.
ACTS: dict[str, Act] = {
    "again": lambda conn, c, n, key: opening.again(
        conn, c.actor, n, because=c.form.get("because", ""), words=c.form.get("words", ""), key=key,
        rule=c.form.get("rule", ""), procedure=c.form.get("procedure", ""),
    ),
    "stop": lambda conn, c, n, key: opening.stop(conn, c.actor, n, why=c.form.get("words", ""), key=key),
    "credit": lambda conn, c, n, key: opening.credit(
        conn, c.actor, _n(c, "loss"), amount_fen=fen(c.form.get("amount", "")) or 0, why=c.form.get("words", ""),
        key=key,
    ),
    "redirect": lambda conn, c, n, key: hearing.redirect(conn, c.actor, _n(c, "application"), _application(c), key=key),
    "ask-file": lambda conn, c, n, key: hearing.ask_file(
        conn, c.actor, n, _n(c, "report"), organ=c.form.get("organ", ""), case_no=c.form.get("case_no", ""), key=key
    ),
    "receive": lambda conn, c, n, key: hearing.receive_file(
        conn, c.actor, _n(c, "handover"), ref=c.form.get("ref", ""), key=key
    ),
    "notice": lambda conn, c, n, key: hearing.notice(conn, c.actor, n, place=c.form.get("words", ""), key=key),
    "object": lambda conn, c, n, key: hearing.object_(
        conn, c.actor, n, who=c.form.get("who", ""), words=c.form.get("words", ""), name=c.form.get("name", ""), key=key
    ),
    "settle": lambda conn, c, n, key: hearing.settle(
        conn, c.actor, _n(c, "objection"), upheld=c.form.get("is") == "upheld", reason=c.form.get("words", ""), key=key
    ),
    "ask": lambda conn, c, n, key: deciding.ask(conn, c.actor, n, key=key),
    "approve": lambda conn, c, n, key: deciding.answer(conn, c.actor, n, granted=True, key=key),
    "send-back": lambda conn, c, n, key: deciding.answer(
        conn, c.actor, n, granted=False, words=c.form.get("words", ""), key=key
    ),
    "decide": lambda conn, c, n, key: deciding.decide(conn, c.actor, n, key=key),
    "pay": lambda conn, c, n, key: paying.send(
        conn, c.actor, n, shares=[_n(c, "share")] if c.form.get("share") else (), key=key
    ),
    "taken": lambda conn, c, n, key: paying.taken(
        conn, c.actor, _n(c, "payment"), number=c.form.get("number", ""), key=key
    ),
    "answer": lambda conn, c, n, key: paying.answered(conn, c.actor, _n(c, "payment"), _receipt(c), key=key),
}  # fmt: skip


def _case_of(ctx: Context, refund_id: int) -> int:
    with ctx.db() as conn:
        row = conn.execute("SELECT case_id FROM wuzha.refunds WHERE refund_id = %s", (refund_id,)).fetchone()
    if row is None:
        raise Refused("not_found")
    return int(row[0])


@router.post("/refunds/{refund_id}/paper")
def paper(refund_id: int, ctx: Context = Depends(posted)) -> Response:
    """A paper; it names victims and accounts, so the case must be open to whoever takes it, and its taking is kept."""
    require(ctx.actor, "refund.write" if "refund.write" in ctx.actor.may else "orders.seal")
    now, name = clock.now(), ctx.form.get("paper", "")
    with ctx.db() as conn:
        r = book.one(conn, ctx.actor, refund_id, now=now)
        if name != "notice" and listing.revealed_until(conn, ctx.actor, r["case_id"], now=now) is None:
            raise Refused("no_purpose")
        kind, suffix = WORD, "docx"
        if name in ("flow", "flow_xlsx"):
            rows = flow_table.rows(conn, r)
            made = flow_table.docx(r, rows) if name == "flow" else flow_table.xlsx(r, rows)
            if name == "flow_xlsx":
                kind, suffix = XLSX, "xlsx"
        elif name == "application":
            victim = next((v for v in r["victims"] if v["report_id"] == _n(ctx, "report")), None)
            if victim is None:
                raise Refused("not_found")
            made = papers.application(r, victim)
        elif name in papers.PAPERS:
            made = papers.PAPERS[name](r, now)
        else:
            raise Refused("not_found")
        record(
            conn,
            ctx.actor,
            lock(conn, r["case_id"]),
            "paper_taken",
            at=now,
            detail={"refund": refund_id, "paper": name},
        )
    return attachment(f"refund-{refund_id}-{name.removesuffix('_xlsx')}.{suffix}", made, kind)


@router.post("/refunds/{refund_id}/{act}")
def step(refund_id: int, act: str, ctx: Context = Depends(posted)) -> Response:
    """One step of a refund; back to its page. A victim's code is shown this once."""
    case_id, key = _case_of(ctx, refund_id), ctx.form.get("click", "")
    shown = partial(_one, case_id=case_id)
    back = f"/cases/{case_id}/refund"

    def code(made: hearing.Applied) -> str | Response:
        return ctx.page("refund_code.html", victim_code=made.code, case_id=case_id, free=words.free(ctx.language))

    if act == "apply":
        report = _n(ctx, "report")
        return attempt(
            ctx, lambda conn: hearing.apply(conn, ctx.actor, refund_id, report, _application(ctx), key=key),
            shown=shown, to=code,
        )  # fmt: skip
    if act == "recode":
        return attempt(
            ctx, lambda conn: hearing.recode(conn, ctx.actor, _n(ctx, "application"), key=key), shown=shown, to=code
        )
    if act not in ACTS:
        raise Refused("not_found")
    return attempt(ctx, lambda conn: ACTS[act](conn, ctx, refund_id, key), shown=shown, to=back)
