"""Automatic calls: who is to be called by the platform, and what did it answer?"""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused
from wuzha.respond import robot, robot_results
from wuzha.respond.codes import codes

from .context import STATUS, Context, attempt, posted, signed_in
from .upload import Dropped, dropped

router = APIRouter(prefix="/robot")

_TYPES = {
    "csv": "text/csv; charset=utf-8",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}


def _show(
    ctx: Context, *, said: Refused | None = None, status: int = 200, taken: robot_results.Taken | None = None
) -> Response:
    with ctx.db() as conn:
        values = {
            "waiting": robot.waiting(conn, ctx.actor),
            "lists": robot.lists(conn, ctx.actor),
            "answers": robot.answers(conn, ctx.actor),
            "files": robot_results.files(conn, ctx.actor),
        }
    return ctx.page("robot.html", status=status, said=said, taken=taken, purposes=codes()["purpose"].values(), **values)


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """Who waits, the lists, the files of results."""
    return _show(ctx)


@router.post("/lists")
def make(ctx: Context = Depends(posted)) -> Response:
    """Make a list of all who wait."""
    return attempt(ctx, lambda conn: robot.make(
        conn, ctx.actor, purpose=ctx.form.get("purpose", ""), key=ctx.form.get("click", ""),
    ), shown=_show, to="/robot")  # fmt: skip


@router.post("/lists/{list_id}/{kind}")
def take(list_id: int, kind: Literal["csv", "xlsx"], ctx: Context = Depends(posted)) -> Response:
    """A list's file; each taking is in the audit."""
    with ctx.db() as conn:
        content = robot.file(conn, ctx.actor, list_id, kind, language=ctx.language)
    return Response(
        content, media_type=_TYPES[kind],
        headers={
            "Content-Disposition": f'attachment; filename="robot-{list_id}.{kind}"', "Cache-Control": "no-store",
        },
    )  # fmt: skip


@router.post("/results")
def results(sent: Dropped = Depends(dropped)) -> Response:
    """A file of results."""
    try:
        taken = robot_results.take(sent.ctx.db, sent.ctx.actor, sent.name, sent.data)
    except Refused as refused:
        if refused.reason in STATUS:
            raise
        return _show(sent.ctx, said=refused, status=409)
    return _show(sent.ctx, taken=taken)
