"""The money page: what do I stop now?"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.cases import command, granting, listing, money, survival
from wuzha.command.public import Refused
from wuzha.events import clock
from wuzha.events.datafile import DataFileError

from .context import Context, attempt, posted, signed_in
from .masks import Sight
from .money_drawing import draw

router = APIRouter()


def _values(ctx: Context, case_id: int, at: str = "") -> dict[str, Any]:
    now = clock.now()
    with ctx.db() as conn:
        case = money.one(conn, ctx.actor, case_id)
        moment = None
        if at.isascii() and at.isdigit() and len(at) < 10:  # the slider: seconds since the first loss
            first = money.read(conn, ctx.actor, case_id, now=now).first_at
            moment = first + timedelta(seconds=int(at))
        shown = money.read(conn, ctx.actor, case_id, now=now, at=moment)
        ours = granting.ours(conn, ctx.actor, case["unit_id"])
        until = listing.revealed_until(conn, ctx.actor, case_id, now=now)
        victims = len(listing.reports(conn, case_id))
    return {
        "case": case, "shown": shown, "drawing": draw(shown.flow, shown.frozen, victims), "now": now,
        "sight": Sight(open=until is not None), "revealed_until": until,
        "run_s": max(int((now - shown.first_at).total_seconds()), 1),
        "at_s": int((shown.at - shown.first_at).total_seconds()), "live": shown.at >= now,
        "curve": _curve(), "may_seal": ours and "orders.seal" in ctx.actor.may,
        "ready": [w for w in shown.wanted if w.ready],
    }  # fmt: skip


def _curve() -> dict[str, Any]:
    """What the chances rest on: how many stays the curves in use were fitted to, and when."""
    try:
        return {"n": survival.curves(strict=True)["unknown"].n, "at": survival.fitted_at()}
    except (DataFileError, OSError, UnicodeDecodeError):
        return {"n": 0, "at": None}


def _page(ctx: Context, case_id: int, *, said: Refused | None = None, status: int = 200, told: str = "") -> Response:
    return ctx.page("money.html", status=status, said=said, told=told, **_values(ctx, case_id))


@router.get("/cases/{case_id}/money")
def show(case_id: int, sent: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """The flow, the bar, and what to send."""
    return _page(ctx, case_id, told=sent if sent.isascii() and sent.isdigit() and len(sent) < 6 else "")


@router.get("/cases/{case_id}/money/part")
def part(case_id: int, at: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """The page's living part: at the slider's moment, or now."""
    return ctx.page("money_part.html", **_values(ctx, case_id, at))


@router.post("/cases/{case_id}/seal")
def seal(case_id: int, ctx: Context = Depends(posted)) -> Response:
    """One press: all that the page showed as ready."""
    ids = [int(t) for t in ctx.form.get("orders", "").split(",") if t.isascii() and t.isdigit() and len(t) < 18]

    def shown(ctx: Context, /, *, said: Refused, status: int) -> Response:
        return _page(ctx, case_id, said=said, status=status)

    return attempt(
        ctx, lambda conn: command.seal(conn, ctx.actor, case_id, ids, key=ctx.form.get("click", "")), shown=shown,
        to=lambda done: f"/cases/{case_id}/money?sent={len(done.detail.get('sealed', []))}",
    )  # fmt: skip
