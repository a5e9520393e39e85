"""The audit: who did what when, in the officer's units, newest first."""

from __future__ import annotations

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import require
from wuzha.store import audit

from .context import Context, signed_in

router = APIRouter()
PAGE = 200


@router.get("/audit")
def show(
    before: str = "", actor: str = "", action: str = "", object: str = "", ctx: Context = Depends(signed_in)
) -> Response:
    """A page of audit rows; ``before`` is the last page's smallest number."""
    require(ctx.actor, "audit.read")
    number = int(before) if before.isascii() and before.isdigit() and len(before) < 18 else None
    with ctx.db() as conn:
        rows = audit.rows(
            conn, limit=PAGE + 1, before=number,
            actor=actor.strip() or None, action=action.strip() or None, object=object.strip() or None,
        )  # fmt: skip
    asked = {"actor": actor, "action": action, "object": object}
    return ctx.page("audit.html", rows=rows[:PAGE], more=len(rows) > PAGE, asked=asked, before=before)
