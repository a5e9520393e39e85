"""After the close: whom do I ask again today? And of each report: was she warned?"""

from __future__ import annotations

from datetime import datetime, timedelta

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command import metrics
from wuzha.command.public import Refused, require
from wuzha.events import clock
from wuzha.respond import followups, lookback, lookback_list

from .context import Context, attempt, posted, signed_in

router = APIRouter()

#: What officers claimed, and what of it held: side by side.
SUCCESS = ("dissuaded", "claimed_a_week_ago", "verified", "claimed_a_month_ago", "verified_a_month", "warned_lost")


def _page(text: str) -> tuple[datetime, int] | None:
    at, _, number = text.partition("~")
    try:
        when = datetime.fromisoformat(at)
        return (when, int(number)) if when.tzinfo is not None and len(number) < 18 else None
    except ValueError:
        return None


def _due(ctx: Context, after: str = "", *, said: Refused | None = None, status: int = 200) -> Response:
    now = clock.now()
    with ctx.db() as conn:
        rows = followups.due(conn, ctx.actor, after=_page(after), now=now)
        counts = followups.counts(conn, ctx.actor, now=now)
    return ctx.page(
        "followups.html", status=status, rows=rows[: followups.PAGE], more=len(rows) > followups.PAGE, counts=counts,
        results=followups.RESULTS, said=said, now=now, after=after,
    )  # fmt: skip


@router.get("/followups")
def due(after: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """What is due now."""
    require(ctx.actor, "desk.read")
    return _due(ctx, after)


@router.post("/followups/{followup_id}")
def answer(followup_id: int, ctx: Context = Depends(posted)) -> Response:
    """One press: what the follow-up found."""
    form = ctx.form
    on_file = form.get("back") == "alert"
    return attempt(ctx, lambda conn: followups.answer(
        conn, ctx.actor, followup_id, code=form.get("code", ""), words=form.get("words", ""), key=form.get("click", ""),
    ), shown=_due, to=lambda done: f"/alerts/{done.alert_id}" if on_file else "/followups")  # fmt: skip


@router.get("/lookback")
def look(ctx: Context = Depends(signed_in)) -> Response:
    """Was she warned? Today's and yesterday's figures, then the reports."""
    require(ctx.actor, "desk.read")
    f = lookback_list.Filters.of(dict(ctx.request.query_params))
    now = clock.now()
    today = now.astimezone(clock.zone()).date()
    days = [("today", today), ("yesterday", today - timedelta(days=1))]
    with ctx.db() as conn:
        rows = lookback_list.rows(conn, ctx.actor, f)
        figures = [
            (name, lookback_list.counts(conn, ctx.actor, *lookback_list.day_of(day), unit=f.unit)) for name, day in days
        ]
        week = lookback_list.counts(
            conn, ctx.actor, lookback_list.day_of(today - timedelta(days=6))[0], lookback_list.day_of(today)[1]
        )
        success = [
            (name, metrics.metrics()[name].unit, metrics.figure(conn, name, *metrics.day(now))) for name in SUCCESS
        ]
    return ctx.page(
        "lookback.html", success=success, rows=rows[: lookback_list.PAGE], filters=f,
        figures=[*figures, ("week", week)], week=week,
        after=lookback_list.cursor(rows[lookback_list.PAGE - 1]) if len(rows) > lookback_list.PAGE else "",
        classes=lookback.CLASSES, now=now,
    )  # fmt: skip


@router.get("/lookback/{report_id}")
def one(report_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """One report: the chain of clocks, the files, and what would have caught it."""
    with ctx.db() as conn:
        found = lookback_list.one(conn, ctx.actor, report_id)
    return ctx.page("lookback_one.html", r=found)
