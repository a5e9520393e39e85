"""Officers' phones for visits: a pairing code, shown once; taken off at any time. And the pictures of a visit."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha.command.public import Refused
from wuzha.respond import phones, visits
from wuzha.respond.door_book import book

from .context import Context, attempt, posted, signed_in

router = APIRouter()


def _show(
    ctx: Context, *, issued: phones.Issued | None = None, said: Refused | None = None, status: int = 200
) -> Response:
    with ctx.db() as conn:
        rows = phones.listed(conn, ctx.actor)
    if not rows and not {"door.pair", "users.write", "duty.write"} & ctx.actor.may:
        raise Refused("forbidden", act="door.pair")
    return ctx.page(
        "phones.html", status=status, rows=rows, issued=issued, said=said, minutes=book().pair_minutes,
        may=ctx.actor.may,
    )  # fmt: skip


@router.get("/phones")
def show(ctx: Context = Depends(signed_in)) -> Response:
    """One's own phones; with the right, those of one's units."""
    return _show(ctx)


@router.post("/phones")
def issue(ctx: Context = Depends(posted)) -> Response:
    """A pairing code; it is on this answer and nowhere else."""
    return attempt(
        ctx, lambda conn: phones.issue(conn, ctx.actor), shown=_show, to=lambda issued: _show(ctx, issued=issued)
    )


@router.post("/phones/{phone_id}/revoke")
def revoke(phone_id: int, ctx: Context = Depends(posted)) -> Response:
    """Take a phone off."""
    with ctx.db() as conn:
        phones.revoke(conn, ctx.actor, phone_id)
    return RedirectResponse("/phones", status_code=303)


@router.get("/alerts/{alert_id}/visits/{picture_id}")
def picture(alert_id: int, picture_id: str, ctx: Context = Depends(signed_in)) -> Response:
    """A picture or signature of a visit, to whom the file is open; recorded."""
    with ctx.db() as conn:
        mime, data = visits.picture(conn, ctx.actor, alert_id, picture_id[:40])
    return Response(data, media_type=mime, headers={"Cache-Control": "no-store", "Content-Disposition": "inline"})
