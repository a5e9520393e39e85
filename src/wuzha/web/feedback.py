"""The register of feedback: what each source is owed, what was sent, what came back."""

from __future__ import annotations

import io
from datetime import datetime
from functools import partial
from typing import Any

import psycopg
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from wuzha.command import sources
from wuzha.command.public import Refused, require
from wuzha.events import clock
from wuzha.respond import books, feedback, ways

from . import alert, catalogue, words
from .context import STATUS, Context, attempt, posted, signed_in
from .workbooks import attachment

router = APIRouter()

#: Rows of a download at most; a list longer than that is asked for by source or state.
_LISTED = 100_000
_HEADS = ("source", "number", "level", "unit", "due", "state", "answer", "result", "sent", "receipt", "reason")


def _show(ctx: Context, f: feedback.Filters, *, said: Refused | None = None, status: int = 200) -> Response:
    now = clock.now()
    with ctx.db() as conn:
        rows, after = feedback.rows(conn, ctx.actor, f, now=now)
        counts = feedback.counts(conn, ctx.actor, now=now)
        return ctx.page(
            "feedback.html", status=status, now=now, filters=f, rows=rows, after=after, counts=counts, said=said,
            states=feedback.STATES, days=feedback.COUNTED_DAYS, books=books.recent(conn, ctx.actor),
            titles=_titles(conn), words=_words(conn, rows), may=ctx.actor.may, outcomes=ways.final(),
        )  # fmt: skip


def _titles(conn: psycopg.Connection[Any]) -> dict[str, str]:
    return dict(conn.execute("SELECT name, title FROM wuzha.sources").fetchall())


def _words(conn: psycopg.Connection[Any], rows: list[dict[str, Any]]) -> dict[int, str]:
    """The source's own word of each answer that stands."""
    known, layouts = ways.ways(conn), feedback.layout_words(conn, rows)
    return {
        w["warning_id"]: known.get(w["source"], ways.Way()).word(w["answer"], layouts.get(w["warning_id"]))
        for w in rows
        if w["answer"]
    }


@router.get("/feedback")
def show(request: Request, ctx: Context = Depends(signed_in)) -> Response:
    """The register, filters in the address."""
    return _show(ctx, feedback.Filters.of(dict(request.query_params)))


@router.get("/feedback/list.xlsx")
def download(request: Request, ctx: Context = Depends(signed_in)) -> Response:
    """The register as filtered, without names and numbers of persons."""
    import xlsxwriter

    now = clock.now()
    f = feedback.Filters.of(dict(request.query_params) | {"after": ""})
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}

    def say(key: str) -> str:
        return catalogue.translate(key, ctx.language)

    with ctx.db() as conn, xlsxwriter.Workbook(out, options) as book:
        titles = _titles(conn)
        sheet = book.add_worksheet("feedback")
        for i, head in enumerate(_HEADS):
            sheet.set_column(i, i, 18)
            sheet.write_string(0, i, say(f"feedback.col_{head}"))
        n, mark = 0, ""
        while n < _LISTED:
            page = feedback.Filters(state=f.state, source=f.source, after=mark)
            rows, mark = feedback.rows(conn, ctx.actor, page, now=now, limit=5000)
            shown = _words(conn, rows)
            for w in rows:
                n += 1
                over = w["feedback"] in ("owed", "returned") and w["feedback_by"] and w["feedback_by"] < now
                cells = (
                    titles.get(w["source"], w["source"]), w["source_no"] or w["event_id"],
                    say(f"level.{w['level_upstream']}") if w["level_upstream"] else "", w["unit_name"] or "",
                    words.full(w["feedback_by"]) if w["feedback_by"] else "",
                    say(f"feedback.{w['feedback']}") + (f" {say('feedback.overdue')}" if over else ""),
                    shown.get(w["warning_id"], ""), w["sent_result"] or "", words.full(w["sent_at"]),
                    w["receipt"] or "", w["returned_why"] or w["last_error"] or "",
                )  # fmt: skip
                for i, text in enumerate(cells):
                    sheet.write_string(n, i, text)
            if not mark:
                break
    return attachment(f"feedback-{now.astimezone(clock.zone()):%Y%m%d-%H%M}.xlsx", out.getvalue())


@router.post("/feedback/several")
def several(ctx: Context = Depends(posted)) -> Response:
    """One step on every warning that is ticked: all of them, or none where one refuses."""
    act, key = ctx.form.get("act", ""), ctx.form.get("click", "")
    numbers = [int(n) for n in ctx.many.get("warning", []) if n.isascii() and n.isdigit() and len(n) < 19]
    f = feedback.Filters.of(dict(ctx.form))

    def work(conn: psycopg.Connection[Any]) -> None:
        if act not in ("sent", "accepted") or not numbers:
            raise Refused("no_choice")
        for number in sorted(set(numbers)):
            own = f"{ctx.actor.user_id}:{key}-{number}"
            if act == "sent":
                feedback.sent(conn, ctx.actor, number, key=own)
            else:
                feedback.accept(conn, ctx.actor, number, key=own)

    return attempt(ctx, work, shown=partial(_show, f=f), to=f"/feedback?{f.address(after=f.after)}")


@router.post("/feedback/{number}/{act}")
def step(number: int, act: str, ctx: Context = Depends(posted)) -> Response:
    """A step on one warning's answer, from the register or from its alert."""
    f, form = feedback.Filters.of(dict(ctx.form)), ctx.form
    key = f"{ctx.actor.user_id}:{form.get('click', '')}"
    alert_id = None
    try:
        with ctx.db() as conn:
            alert_id = feedback.one(conn, ctx.actor, number)["alert_id"]
            _act(conn, ctx, number, act, key)
    except Refused as refused:
        if refused.reason in STATUS:
            raise
        if form.get("from") == "alert" and alert_id is not None:
            return alert.show(ctx, alert_id, said=refused, status=409)
        return _show(ctx, f, said=refused, status=409)
    back = f"/alerts/{alert_id}" if form.get("from") == "alert" else f"/feedback?{f.address(after=f.after)}"
    return RedirectResponse(back, status_code=303)


def _act(conn: psycopg.Connection[Any], ctx: Context, number: int, act: str, key: str) -> None:
    form, actor = ctx.form, ctx.actor
    said = form.get("words", "")
    if act == "sent":
        feedback.sent(conn, actor, number, key=key, receipt=said.strip()[:200])
    elif act == "accepted":
        feedback.accept(conn, actor, number, key=key)
    elif act == "returned":
        feedback.send_back(conn, actor, number, key=key, why=said)
    elif act == "again":
        feedback.again(conn, actor, number, key=key)
    elif act == "answer":
        feedback.answer_alone(conn, actor, number, code=form.get("code", ""), key=key, words=said)
    elif act in ("off", "on"):
        version = int(v) if (v := form.get("version", "")).isascii() and v.isdigit() and len(v) < 10 else -1
        if act == "off":
            feedback.take_off(conn, actor, number, version=version, key=form.get("click", ""), why=said)
        else:
            feedback.put_back(conn, actor, number, version=version, key=form.get("click", ""))
    else:
        raise Refused("not_found")


@router.get("/feedback/ways")
def show_ways(ctx: Context = Depends(signed_in)) -> Response:
    """How each source is answered."""
    return _ways(ctx)


def _ways(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    require(ctx.actor, "sources.write")
    with ctx.db() as conn:
        saved: dict[str, datetime] = dict(conn.execute("SELECT source, saved_at FROM wuzha.feedback_ways").fetchall())
        stands = ways.ways(conn)
        rows = [s for s, _ in sources.every(conn, ctx.actor) if "warnings" in s.tables]
    return ctx.page(
        "feedback_ways.html", status=status, rows=rows, saved=saved, stands=stands, plain=ways.Way(), said=said,
        form=ctx.form, usual=ways.defaults().results, kinds=ways.WAYS,
    )  # fmt: skip


@router.post("/feedback/ways")
def save_way(ctx: Context = Depends(posted)) -> Response:
    """Write a source's way."""
    f = ctx.form
    text = ways.written(
        way=f.get("way", ""), url=f.get("url", ""), key_file=f.get("key_file", ""),
        results={outcome: f.get(f"word.{outcome}", "") for outcome in ways.final()},
    )  # fmt: skip
    return attempt(
        ctx, lambda conn: ways.save(conn, ctx.actor, f.get("source", ""), text), shown=_ways, to="/feedback/ways"
    )
