"""One figure: its words, its formula, its period and the rows behind it."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command import metrics
from wuzha.command.public import Refused
from wuzha.events import clock

from .context import Context, signed_in

router = APIRouter()


@router.get("/figures/{name}")
def figure(name: str, ctx: Context = Depends(signed_in)) -> Response:
    """Today's value and the files that it counts."""
    if name not in metrics.metrics():
        raise Refused("not_found")
    start, end = metrics.day(clock.now())
    with ctx.db() as conn:
        rows = metrics.rows(conn, ctx.actor, name, start, end)
        value = metrics.figure(conn, name, start, end)
    return ctx.page(
        "figure.html", metric=metrics.metrics()[name], number=value, rows=rows, start=start, end=end, now=end
    )
