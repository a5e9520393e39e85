"""Call-backs: who called and found nobody?"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused
from wuzha.respond import callbacks, safety

from .context import Context, attempt, posted, signed_in

router = APIRouter(prefix="/callbacks")


def _show(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    with ctx.db() as conn:
        rows = callbacks.listed(conn, ctx.actor)
        for row in rows:
            mine = row["alert_id"] is not None and row["taken_by"] == ctx.actor.user_id
            row["discreet"] = mine and safety.discreet(conn, row["alert_id"])
    return ctx.page("callbacks.html", status=status, rows=rows, results=callbacks.RESULTS, said=said)


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """The list in its order."""
    return _show(ctx)


@router.post("/{callback_id}/take")
def take(callback_id: int, ctx: Context = Depends(posted)) -> Response:
    """Call this one back."""
    return attempt(ctx, lambda conn: callbacks.take(conn, ctx.actor, callback_id), shown=_show, to="/callbacks")


@router.post("/{callback_id}/result")
def settle(callback_id: int, ctx: Context = Depends(posted)) -> Response:
    """What came of it."""
    f = ctx.form
    return attempt(ctx, lambda conn: callbacks.settle(
        conn, ctx.actor, callback_id, result=f.get("result", ""), words=f.get("words"),
        reason=f.get("reason"), key=f.get("click", ""),
    ), shown=_show, to="/callbacks")  # fmt: skip
