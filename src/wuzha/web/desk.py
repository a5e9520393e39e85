"""The desk: whom do I call next?"""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from wuzha.command import units
from wuzha.command.public import Refused
from wuzha.events import LEVELS, clock
from wuzha.events.scam_types import scam_types
from wuzha.respond import queue, sign

from . import duty_panel
from .context import Context, posted, signed_in

router = APIRouter()

#: What the desk says once: after a step that took the file out of sight, or where nobody is left to sign for.
_TOLD = {"returned": "transfer.told_returned", "raised": "transfer.told_raised", "empty": "refused.queue_empty"}
#: The first page that each right opens, in order.
_HOMES = (
    ("desk.read", "/desk"),
    ("cases.read", "/cases"),
    ("users.write", "/admin/units"),
    ("audit.read", "/audit"),
    ("wall.read", "/wall"),
)


@router.get("/")
def home(ctx: Context = Depends(signed_in)) -> Response:
    """To the page where this officer works."""
    for right, address in _HOMES:
        if right in ctx.actor.may:
            return RedirectResponse(address, status_code=303)
    raise Refused("forbidden")


def _values(ctx: Context, request: Request) -> dict[str, Any]:
    f = queue.Filters.of(dict(request.query_params))
    now = clock.now()
    with ctx.db() as conn:
        rows, after = queue.rows(conn, ctx.actor, f, now=now)
        return {
            "filters": f,
            "rows": rows,
            "after": after,
            "counts": queue.counts(conn, ctx.actor, now=now),
            "duty": (duty := duty_panel.desk(conn, ctx.actor, now=now)),
            "on_duty": len(duty["people"]),
            "code_owner": sign.verify_code(conn, f.search, now=now) if f.search.isdigit() else None,
            "told": _TOLD.get(request.query_params.get("told", ""), ""),
            "now": now,
        }


@router.get("/desk")
def desk(request: Request, ctx: Context = Depends(signed_in)) -> Response:
    """The ranked queue, filters in the address."""
    values = _values(ctx, request)
    with ctx.db() as conn:
        tree = units.tree(conn, ctx.actor)
    return ctx.page(
        "desk.html", **values, units=tree, levels=LEVELS, states=queue.STATES,
        types=[code for code in scam_types() if "." not in code and code != "none"],
    )  # fmt: skip


@router.get("/desk/rows")
def rows(request: Request, ctx: Context = Depends(signed_in)) -> Response:
    """The head's figures and the rows as they stand now, for a page that is open."""
    return ctx.page("desk_rows.html", **_values(ctx, request))


@router.post("/desk/sign-next")
def sign_next(ctx: Context = Depends(posted)) -> Response:
    """Sign for the first alert that nobody has, and open it; where there is none the desk says so and stays."""
    f = queue.Filters.of(dict(ctx.form))
    try:
        with ctx.db() as conn:
            done = sign.sign_next(conn, ctx.actor, f, key=ctx.form.get("click", ""))
    except Refused as refused:
        if refused.reason != "queue_empty":
            raise
        return RedirectResponse("/desk?" + "&".join(filter(None, (f.address(), "told=empty"))), status_code=303)
    return RedirectResponse(f"/alerts/{done.alert_id}", status_code=303)
