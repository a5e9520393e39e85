"""Protective measures: asked for on the alert's page, decided and followed here; the notice to take along."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused
from wuzha.events import clock, money
from wuzha.respond import measure_list, measures, notice, releases, safety

from . import alert
from .context import Context, posted, signed_in

router = APIRouter()

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


@router.get("/measures")
def show(state: str = "open", after: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """The radar: what waits and what runs out; or every measure, newest first."""
    state = state if state in ("open", "asked", "all") else "open"
    number = int(after) if after.isascii() and after.isdigit() and len(after) < 18 else None
    now = clock.now()
    with ctx.db() as conn:
        found = measure_list.radar(conn, ctx.actor, state=state, after=number, now=now)
    more = state == "all" and len(found) > measure_list.PAGE
    return ctx.page(
        "measures.html", rows=found[: measure_list.PAGE] if state == "all" else found, more=more, asked=state,
        after=after, now=now,
    )  # fmt: skip


#: The papers of a measure.
PAPERS = {"notice": notice.docx, "order": notice.order}


@router.post("/measures/{measure_id}/{paper}.docx")
def word(measure_id: int, paper: str, ctx: Context = Depends(posted)) -> Response:
    """The notice for the person, or what goes to the bank or carrier. It names the person, so only those who may act
    on the file take it, and say what for."""
    if paper not in PAPERS:
        raise Refused("not_found")
    if "desk.act" not in ctx.actor.may:
        raise Refused("forbidden", act="desk.act")
    with ctx.db() as conn:
        found = measure_list.one(conn, ctx.actor, measure_id)
        made = PAPERS[paper](found)
        releases.taken(conn, ctx.actor, found, paper=paper, purpose=ctx.form.get("purpose", ""))
    return Response(
        made,
        media_type=WORD,
        headers={
            "Content-Disposition": f'attachment; filename="{paper}-{measure_id}.docx"',
            "Cache-Control": "no-store",
        },
    )


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else None


def _wish(form: Any) -> measures.Wish:
    amount = form.get("living", "").strip()
    try:
        living = money.parse_yuan(amount) if amount else None
    except ValueError as error:
        raise Refused("measure_living") from error
    return measures.Wish(
        kind=form.get("kind", ""), basis=form.get("basis", ""), target_id=_number(form.get("target", "")) or 0,
        hours=_number(form.get("hours", "")) or 0, reason=form.get("reason", ""), living_fen=living,
        living_per=form.get("living_per") or None, why_not_self=form.get("why_not_self", ""),
        why_not_bank=form.get("why_not_bank", ""), consent_ref=form.get("consent_ref", ""),
        renews=_number(form.get("renews", "")),
    )  # fmt: skip


@router.post("/alerts/{alert_id}/measures")
def ask_for(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Ask for a measure, or for a renewal of one."""
    return alert.step(ctx, alert_id, lambda conn: measures.draft(
        conn, ctx.actor, alert_id, _wish(ctx.form), version=alert.whole(ctx, "version"),
        key=ctx.form.get("click", "")))  # fmt: skip


def _time(text: str) -> datetime | None:
    """A field of date and time, in the deployment's zone."""
    if not text.strip():
        return None
    if (at := clock.time_of(text)) is None:
        raise Refused("measure_times")
    return at


Act = Callable[[Any, Context, int, str], Any]
#: What can be done with a measure: the address's last word -> the step, given the transaction and the form.
ACTS: dict[str, Act] = {
    "approve": lambda conn, c, n, key: measures.approve(conn, c.actor, n, key=key),
    "decline": lambda conn, c, n, key: measures.decline(conn, c.actor, n, why=c.form.get("words", ""), key=key),
    "sent": lambda conn, c, n, key: measures.sent(conn, c.actor, n, external_no=c.form.get("number", ""), key=key),
    "in-force": lambda conn, c, n, key: measures.in_force(
        conn, c.actor, n, receipt=c.form.get("number", ""), began_at=_time(c.form.get("began", "")),
        until=_time(c.form.get("until", "")), key=key,
    ),
    "release": lambda conn, c, n, key: releases.release(conn, c.actor, n, words=c.form.get("words", ""), key=key),
    "ask": lambda conn, c, n, key: releases.ask(
        conn, c.actor, n, asked_by=c.form.get("asked_by", ""), words=c.form.get("words", ""), key=key
    ),
    "uphold": lambda conn, c, n, key: releases.answer(
        conn, c.actor, n, upheld=True, words=c.form.get("words", ""), key=key
    ),
    "deny": lambda conn, c, n, key: releases.answer(
        conn, c.actor, n, upheld=False, words=c.form.get("words", ""), key=key
    ),
    "lifted": lambda conn, c, n, key: releases.lifted(conn, c.actor, n, receipt=c.form.get("number", ""), key=key),
    "serve": lambda conn, c, n, key: releases.serve(
        conn, c.actor, n, result=c.form.get("result", ""), way=c.form.get("way", ""), words=c.form.get("words", ""),
        key=key,
    ),
}  # fmt: skip


@router.post("/measures/{measure_id}/{act}")
def step(measure_id: int, act: str, ctx: Context = Depends(posted)) -> Response:
    """One step of a measure; back to the page that it was taken on."""
    if act not in ACTS:
        raise Refused("not_found")
    with ctx.db() as conn:
        alert_id = int(measure_list.one(conn, ctx.actor, measure_id)["alert_id"])
    return alert.step(
        ctx, alert_id, lambda conn: ACTS[act](conn, ctx, measure_id, ctx.form.get("click", "")),
        to="/measures" if ctx.form.get("back") == "list" else None,
    )  # fmt: skip


@router.post("/alerts/{alert_id}/flags")
def set_flag(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Set a safety flag on the person, or take one down with the reason."""
    form = ctx.form

    def work(conn: psycopg.Connection[Any]) -> None:
        words, key = form.get("words", ""), form.get("click", "")
        if form.get("clear"):
            safety.clear(conn, ctx.actor, alert_id, flag_id=_number(form["clear"]) or 0, why=words, key=key)
        else:
            safety.flag(conn, ctx.actor, alert_id, code=form.get("flag", ""), words=words, key=key)

    return alert.step(ctx, alert_id, work)
