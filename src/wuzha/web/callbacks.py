"""Call-backs: who called and found nobody?"""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha.command.public import Refused
from wuzha.respond import callbacks

from .context import STATUS, Context, posted, signed_in

router = APIRouter(prefix="/callbacks")


def _show(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    with ctx.db() as conn:
        rows = callbacks.listed(conn, ctx.actor)
    return ctx.page("callbacks.html", status=status, rows=rows, results=callbacks.RESULTS, said=said)


@router.get("")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """The list in its order."""
    return _show(ctx)


@router.post("/{callback_id}/take")
def take(callback_id: int, ctx: Context = Depends(posted)) -> Response:
    """Call this one back."""
    try:
        with ctx.db() as conn:
            callbacks.take(conn, ctx.actor, callback_id)
    except Refused as refused:
        if refused.reason in STATUS:
            raise
        return _show(ctx, said=refused, status=409)
    return RedirectResponse("/callbacks", status_code=303)


@router.post("/{callback_id}/result")
def settle(callback_id: int, ctx: Context = Depends(posted)) -> Response:
    """What came of it."""
    f = ctx.form
    try:
        with ctx.db() as conn:
            callbacks.settle(
                conn, ctx.actor, callback_id, result=f.get("result", ""), words=f.get("words"), key=f.get("click", "")
            )
    except Refused as refused:
        if refused.reason in STATUS:
            raise
        return _show(ctx, said=refused, status=409)
    return RedirectResponse("/callbacks", status_code=303)
