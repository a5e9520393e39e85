"""The national platform by hand: the sheet to import there, its export read here, and where the two differ."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused, require
from wuzha.events import clock
from wuzha.orders import daily, platform, reconcile
from wuzha.orders.law import law
from wuzha.orders.step import lock, record

from .context import Context, posted, signed_in
from .upload import Dropped, dropped
from .workbooks import attachment

router = APIRouter()


def _page(
    ctx: Context, *, read: reconcile.Read | None = None, said: Refused | None = None, status: int = 200
) -> Response:
    now = clock.now()
    with ctx.db() as conn:
        diff = reconcile.differences(conn, ctx.actor, now=now)
        days = daily.days(conn)
        waiting = len(reconcile.to_enter(conn, ctx.actor, now=now)) if "orders.enter" in ctx.actor.may else 0
    return ctx.page(
        "platform.html", status=status, said=said, read=read, diff=diff, to_enter=waiting, now=now,
        days=days, hour=law(now).reconcile_hour,
    )  # fmt: skip


@router.get("/orders/platform")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """What is there and not here, and the reverse."""
    return _page(ctx)


@router.post("/orders/platform")
def take(sent: Dropped = Depends(dropped)) -> Response:
    """Read an export."""
    try:
        if not sent.name or not sent.data:
            raise Refused("book_empty")
        with sent.ctx.db() as conn:
            read = reconcile.take(conn, sent.ctx.actor, sent.name, sent.data)
    except Refused as refused:
        if refused.reason == "forbidden":
            raise
        return _page(sent.ctx, said=refused, status=409)
    return _page(sent.ctx, read=read)


@router.post("/orders/platform/sheet.xlsx")
def sheet(ctx: Context = Depends(posted)) -> Response:
    """Everything that waits to be entered, as a sheet to import; it holds names and numbers, so its taking is kept on
    every case of it."""
    require(ctx.actor, "orders.enter")
    require(ctx.actor, "reveal")
    now = clock.now()
    with ctx.db() as conn:
        rows = reconcile.to_enter(conn, ctx.actor, now=now)
        for case_id in sorted({row["case_id"] for row in rows}):
            record(conn, ctx.actor, lock(conn, case_id), "paper_taken", at=now)
    return attachment(f"orders-{now:%Y%m%d-%H%M}.xlsx", platform.sheet(rows))
