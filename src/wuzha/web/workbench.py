"""The analyst's workbench: banks' files dropped together, what was read of them, accounts, flows, a report."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any
from urllib.parse import quote

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.cases import workbench
from wuzha.cases.workbench_reading import Got, rejects_book, unknown_words
from wuzha.command.public import Refused
from wuzha.events import clock
from wuzha.events.money import parse_yuan
from wuzha.respond.codes import codes
from wuzha.respond.reveal import check_purpose
from wuzha.trace import POLICIES, Result, Theft
from wuzha.trace.workbench import Measure, card, flow, passings, report, shared
from wuzha.trace.workbench.flow import Flow, listed
from wuzha.trace.workbench.paper import says, words
from wuzha.trace.workbench.passing import CASH

from .context import Context, attempt, posted, signed_in
from .masks import Sight
from .upload import Several, several
from .workbooks import _XLSX, attachment

router = APIRouter()

_DOCX = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
#: Rows of a table that a page shows; what is beyond is counted, and stands in the report.
_SHOWN = 100


@router.get("/workbench")
def benches(ctx: Context = Depends(signed_in)) -> Response:
    """The benches that have not ended, and a form for a new one."""
    return _benches(ctx)


def _benches(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    with ctx.db() as conn:
        rows = workbench.every(conn, ctx.actor)
    return ctx.page("workbench_list.html", status=status, rows=rows, said=said, form=ctx.form, days=workbench.DAYS)


@router.post("/workbench")
def open_(sent: Several = Depends(several)) -> Response:
    """A new bench with its first files."""

    def work(conn: psycopg.Connection[Any]) -> int:
        days = sent.ctx.form.get("days", "")
        number = workbench.open_(
            conn, sent.ctx.actor, why=sent.ctx.form.get("why", ""), days=int(days) if days.isdecimal() else 0
        )
        workbench.drop(conn, sent.ctx.actor, number, sent.files)
        return number

    return attempt(sent.ctx, work, shown=_benches, to=lambda number: f"/workbench/{number}")


@router.get("/workbench/{number}")
def show(number: int, ctx: Context = Depends(signed_in), a: int | None = None, t: int | None = None,
         policy: str = "fifo", amount: str = "") -> Response:  # fmt: skip
    """A bench; ``a``: the account whose card is open, ``t``: the transfer whose money is followed."""
    return _show(ctx, number, a=a, t=t, policy=policy, amount=amount)


def _show(
    ctx: Context, number: int, *, said: Refused | None = None, status: int = 200, a: int | None = None,
    t: int | None = None, policy: str = "fifo", amount: str = "",
) -> Response:  # fmt: skip
    with ctx.db() as conn:
        bench = workbench.one(conn, ctx.actor, number)
        until = workbench.revealed_until(conn, ctx.actor, number)
        got = workbench.got(conn, bench)
    limits, wrong = workbench.thresholds()
    holders = tuple(n for n in got.books.accounts.get_column("name").to_list() if n) if got is not None else ()
    sight = Sight(open=until is not None, names=holders)
    told: dict[str, Any] = {"accounts": [], "card": None, "flow": None, "number_of": {}}
    if got is not None and got.books.accounts.height:
        books = got.books
        listed_accounts = books.accounts.to_dicts()
        number_of = {row["account"]: i for i, row in enumerate(listed_accounts)}
        told |= {"accounts": listed_accounts, "number_of": number_of}
        if a is not None and 0 <= a < len(listed_accounts):
            account = listed_accounts[a]["account"]
            made = card(books, account, limits)
            told |= {
                "card": made, "entries": books.of(account).head(_SHOWN).to_dicts(),
                "measures": [
                    (words()[m.code][ctx.language], _said(sight, m, ctx.language), m) for m in made.measures
                ],
                "most": max((h["in"] + h["out"] for h in made.hours), default=0) or 1,
                "most_week": max((d["in"] + d["out"] for d in made.weekdays), default=0) or 1,
            }  # fmt: skip
        elif t is not None and 0 <= t < books.transfers.height:
            told |= _followed(got, t, policy, amount)
        else:
            told |= {"passings": passings(books, limits), "groups": shared(books, limits)}
    return ctx.page(
        "workbench.html", status=status, bench=bench, got=got, said=said, sight=sight, revealed=until, form=ctx.form,
        wrong=wrong, shown=_SHOWN, codes=codes(), may=ctx.actor.may, a=a, t_no=t, policy=policy, amount=amount,
        policies=POLICIES, limits=limits, cite=partial(_cite, got, sight), file_of=partial(_file, sight),
        text_of=_text_of, party=_party, unknown=unknown_words(got.rejects) if got is not None else [], **told,
    )  # fmt: skip


def _party(sight: Sight, named: str) -> str:
    """A counterparty: by its account where that is known, else by its name, else cash."""
    if named == CASH:
        return CASH
    return sight.subject("account", named) if any(ch.isdigit() for ch in named) else sight.name(named)


def _said(sight: Sight, m: Measure, language: str) -> str:
    """A measure's sentence as this officer may see it."""
    if "names" in m.told:
        m = replace(m, told=m.told | {"names": [_party(sight, n) for n in m.told["names"]]})
    return sight.text(says(m, language))


def _text_of(box: Any) -> str:
    return box.account.removeprefix("account:") if box.account else ""


def _file(sight: Sight, name: str) -> str:
    """A file's name; banks name files after people and cards."""
    return sight.text(name.rpartition("/")[2])


def _cite(got: Got | None, sight: Sight, rows: Any) -> str:
    """Where rows stand, short: the first runs, and how many rows there are."""
    told = []
    for c in got.books.cites.of(rows) if got is not None else ():
        runs = "、".join(str(x) if x == y else f"{x}–{y}" for x, y in c.runs[:3])
        sheet = f"「{c.sheet}」" if c.sheet else ""
        told.append(f"{_file(sight, c.file)}{sight.text(sheet)} {runs}{'…' if len(c.runs) > 3 else ''}")
    return "；".join(told)


def _theft(got: Got, t: int, amount: str) -> Theft:
    row = got.books.transfers.row(t, named=True)
    fen = row["amount_fen"]
    if amount.strip():
        try:
            fen = parse_yuan(amount)
        except ValueError as error:
            raise Refused("bench_amount") from error
    account, into = (row["payer"], False) if row["payer"] else (row["payee"], True)
    if not account or fen <= 0:
        raise Refused("bench_amount")
    at = int(row["ts"].timestamp() * 1_000_000)
    return Theft(account=f"account:{account}", at=at, amount_fen=fen, into=into)


def _trace(got: Got, t: int, policy: str, amount: str) -> Result:
    theft = _theft(got, t, amount)
    try:
        return got.books.followed(theft, policy if policy in POLICIES else "fifo")
    except ValueError as error:
        raise Refused("bench_amount") from error


def _followed(got: Got, t: int, policy: str, amount: str) -> dict[str, Any]:
    result = _trace(got, t, policy, amount)
    picture: Flow = flow(result)
    row = got.books.transfers.row(t, named=True)
    return {"flow": picture, "result": result, "layers": listed(result), "chosen": row}


@router.post("/workbench/{number}/files")
def add(number: int, sent: Several = Depends(several)) -> Response:
    """More files on the bench; all are read anew together."""
    return attempt(
        sent.ctx, lambda conn: workbench.drop(conn, sent.ctx.actor, number, sent.files),
        shown=partial(_show, number=number), to=f"/workbench/{number}",
    )  # fmt: skip


@router.post("/workbench/{number}/off")
def off(number: int, ctx: Context = Depends(posted)) -> Response:
    """Take a file off the bench."""
    file = ctx.form.get("file", "")
    return attempt(
        ctx, lambda conn: workbench.take_off(conn, ctx.actor, number, int(file) if file.isdecimal() else 0),
        shown=partial(_show, number=number), to=f"/workbench/{number}",
    )  # fmt: skip


@router.post("/workbench/{number}/words")
def explain(number: int, ctx: Context = Depends(posted)) -> Response:
    """What direction words that nobody knows stand for; all is read anew."""
    f = ctx.form
    words = {f[f"w-{i}"]: f.get(f"v-{i}", "") for i in range(20) if f"w-{i}" in f}
    return attempt(
        ctx, lambda conn: workbench.explain(conn, ctx.actor, number, words), shown=partial(_show, number=number),
        to=f"/workbench/{number}",
    )  # fmt: skip


@router.post("/workbench/{number}/clear")
def clear(number: int, ctx: Context = Depends(posted)) -> Response:
    """Let the bench go with its files."""
    return attempt(
        ctx, lambda conn: workbench.clear(conn, ctx.actor, number), shown=partial(_show, number=number), to="/workbench"
    )


@router.post("/workbench/{number}/reveal")
def reveal(number: int, ctx: Context = Depends(posted)) -> Response:
    """Show names and numbers in full, for a purpose, for a while."""

    def work(conn: psycopg.Connection[Any]) -> None:
        check_purpose(ctx.form.get("purpose", ""))
        workbench.reveal(conn, ctx.actor, number, purpose=ctx.form["purpose"])

    back = ctx.form.get("back", "")
    to = f"/workbench/{number}" + (f"?{quote(back, safe='=&')}" if back else "")
    return attempt(ctx, work, shown=partial(_show, number=number), to=to)


@router.post("/workbench/{number}/report")
def paper(number: int, ctx: Context = Depends(posted)) -> Response:
    """The report in Word, with the flow that is open."""

    def work(conn: psycopg.Connection[Any]) -> Response:
        check_purpose(ctx.form.get("purpose", ""))
        bench = workbench.one(conn, ctx.actor, number)
        got = workbench.got(conn, bench)
        if got is None or not got.books.transfers.height:
            raise Refused("bench_nothing")
        workbench.took(conn, ctx.actor, number, "report_taken", ctx.form["purpose"])
        chosen = ctx.form.get("t", "")
        traces = []
        if chosen.isdecimal() and int(chosen) < got.books.transfers.height:
            traces = [_trace(got, int(chosen), ctx.form.get("policy", "fifo"), ctx.form.get("amount", ""))]
        made = report(
            got.books, workbench.thresholds()[0], read=got.read, why=bench["why"], traces=traces,
            made=clock.now().astimezone(clock.zone()),
        )  # fmt: skip
        return attachment(f"资金分析报告-{number}.docx", made, _DOCX)

    return attempt(ctx, work, shown=partial(_show, number=number), to=lambda made: made)


@router.post("/workbench/{number}/rejects")
def rejects(number: int, ctx: Context = Depends(posted)) -> Response:
    """The rows that were not read, as a workbook."""

    def work(conn: psycopg.Connection[Any]) -> Response:
        check_purpose(ctx.form.get("purpose", ""))
        got = workbench.got(conn, workbench.one(conn, ctx.actor, number))
        if got is None or not got.rejects.height:
            raise Refused("bench_nothing")
        workbench.took(conn, ctx.actor, number, "rejects_taken", ctx.form["purpose"])
        return attachment(f"未读入的行-{number}.xlsx", rejects_book(got.rejects), _XLSX)

    return attempt(ctx, work, shown=partial(_show, number=number), to=lambda made: made)
