"""The telephone on the pages: dialling from a file, what it says of the call, and who calls in."""

from __future__ import annotations

from typing import Any

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused
from wuzha.respond import dialling, incoming, texts

from . import alert
from .context import Context, posted, signed_in
from .phone_panel import whole

router = APIRouter()


@router.post("/alerts/{alert_id}/dial")
def dial(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Have the telephone call a line of this file."""
    f = ctx.form

    def work(conn: psycopg.Connection[Any]) -> None:
        to = whole(f.get("to", ""))
        if to is None:
            raise Refused("unknown_code", code=f.get("to", ""))
        dialling.dial(conn, ctx.actor, alert_id, to_id=to, channel=f.get("channel", "call"), key=f.get("click", ""))

    return alert.step(ctx, alert_id, work)


@router.post("/alerts/{alert_id}/texts")
def text(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Have the message gateway text the line of this file."""
    f = ctx.form

    def work(conn: psycopg.Connection[Any]) -> None:
        texts.send(
            conn, ctx.actor, alert_id, words=f.get("words", ""), flash=f.get("flash") == "1",
            version=alert.whole(ctx, "version"), key=f.get("click", ""),
        )  # fmt: skip

    return alert.step(ctx, alert_id, work)


@router.post("/alerts/{alert_id}/calls/{call_id}/away")
def away(alert_id: int, call_id: int, ctx: Context = Depends(posted)) -> Response:
    """Do not show this call any more."""
    with ctx.db() as conn:
        dialling.put_away(conn, ctx.actor, call_id)
    return alert.back(alert_id)


@router.get("/calls/now")
def calls_now(ctx: Context = Depends(signed_in)) -> Response:
    """Who calls in at this moment, as a part of any open page."""
    with ctx.db() as conn:
        calls = incoming.popping(conn, ctx.actor) if "desk.read" in ctx.actor.may else []
    return ctx.page("call_bar.html", calls=calls)
