"""Duty: the roster, hand-over, overflow, visits to make; and on a file: transfer, visit, who uses the line."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from functools import partial
from typing import Any

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha.command import shifts, units
from wuzha.command.public import Refused, on_duty, own_shift, require
from wuzha.events import clock
from wuzha.respond import dispatch, handover, locate, overflow, presence, releases, safety, transfers
from wuzha.respond import visits as visit_records

from . import door_words
from .admin_units import whole
from .alert import step
from .context import Context, attempt, posted, signed_in

router = APIRouter()


def _see(address: str) -> Response:
    return RedirectResponse(address, status_code=303)


# ---------------------------------------------------------------- the roster


def _day(text: str) -> date:
    """The day that a page asks to see; today where it is none."""
    return clock.day_of(text) or clock.now().astimezone(clock.zone()).date()


def _roster(
    ctx: Context, day: date, *, said: Refused | None = None, status: int = 200, told: tuple[int, int] | None = None
) -> Response:
    first = shifts.monday(day)
    now = clock.now()
    with ctx.db() as conn:
        rows = shifts.week(conn, ctx.actor, day)
        people = shifts.people(conn, ctx.actor)
        on = {o.user_id for o in on_duty(conn, ctx.actor, now=now)}
        chains = overflow.routes(conn, ctx.actor)
        tree = units.tree(conn, ctx.actor)
        asked = releases.waiting(conn, ctx.actor)
    zone = clock.zone()
    grid: dict[tuple[int, date], list[dict[str, Any]]] = {}
    for row in rows:
        row["from"], row["to"] = (row[c].astimezone(zone) for c in ("starts_at", "ends_at"))
        grid.setdefault((row["user_id"], max(row["from"].date(), first)), []).append(row)
    named = {row["user_id"]: row for row in rows} | {p["user_id"]: p for p in people}
    return ctx.page(
        "duty.html", status=status, now=now, first=first,
        days=[first + timedelta(days=i) for i in range(7)], week=timedelta(days=7), grid=grid, people=people,
        named=sorted(named.values(), key=lambda p: (p["unit_name"], p["name"])), on=on, chains=chains, tree=tree,
        said=said, told=told, form=ctx.form, write="duty.write" in ctx.actor.may, steps=range(1, overflow.STEPS + 1),
        duty={"releases": asked},
    )  # fmt: skip


@router.get("/duty")
def roster(week: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """The week's roster."""
    require(ctx.actor, "desk.read")
    return _roster(ctx, _day(week))


def _time(text: str) -> time:
    try:
        return time.fromisoformat(text)
    except ValueError as error:
        raise Refused("shift_times") from error


@router.post("/duty/shifts")
def add_shift(ctx: Context = Depends(posted)) -> Response:
    """A shift, on so many days in a row."""
    f, day = ctx.form, _day(ctx.form.get("day", ""))

    def work(conn: psycopg.Connection[Any]) -> None:
        if clock.day_of(f.get("day", "")) is None:
            raise Refused("shift_times")
        begin, end = _time(f.get("from", "")), _time(f.get("to", ""))
        for i in range(min(max(whole(f.get("days") or "1"), 1), 31)):
            starts = datetime.combine(day + timedelta(days=i), begin, clock.zone())
            ends = datetime.combine(day + timedelta(days=i + (end <= begin)), end, clock.zone())
            shifts.add(
                conn, ctx.actor, user_id=whole(f.get("user", "")), starts_at=starts, ends_at=ends,
                post=f.get("post", ""), unit_id=whole(f["unit"]) if f.get("unit") else None,
            )  # fmt: skip

    return attempt(ctx, work, shown=partial(_roster, day=day), to=f"/duty?week={day.isoformat()}")


@router.post("/duty/shifts/{shift_id}/remove")
def remove_shift(shift_id: int, ctx: Context = Depends(posted)) -> Response:
    """Strike a shift out."""
    with ctx.db() as conn:
        shifts.remove(conn, ctx.actor, shift_id)
    return _see(f"/duty?week={_day(ctx.form.get('week', '')).isoformat()}")


@router.post("/duty/copy")
def copy(ctx: Context = Depends(posted)) -> Response:
    """Last week's shifts into this week."""
    day = _day(ctx.form.get("week", ""))
    with ctx.db() as conn:
        told = shifts.copy_week(conn, ctx.actor, day)
    return _roster(ctx, day, told=told)


@router.post("/duty/routes")
def set_route(ctx: Context = Depends(posted)) -> Response:
    """Where a unit's overflow goes."""
    f = ctx.form

    def work(conn: psycopg.Connection[Any]) -> None:
        chosen = [whole(t) for i in range(1, overflow.STEPS + 1) if (t := f.get(f"to{i}", ""))]
        overflow.set_route(conn, ctx.actor, whole(f.get("unit", "")), chosen, automatic=f.get("automatic") == "1")

    return attempt(ctx, work, shown=partial(_roster, day=_day("")), to="/duty")


# ---------------------------------------------------------------- hand-over


def _sheet(ctx: Context, *, said: Refused | None = None, status: int = 200, handed: int | None = None) -> Response:
    require(ctx.actor, "desk.act")
    now = clock.now()
    with ctx.db() as conn:
        rows = handover.sheet(conn, ctx.actor, now=now)
        to = handover.receivers(conn, ctx.actor, now=now)
        own = own_shift(conn, ctx.actor, now=now)
    return ctx.page(
        "handover.html", status=status, now=now, rows=rows, to=to, own=own, handed=handed,
        next_shift=[r for r in to if r["next"]], said=said, form=ctx.form,
    )  # fmt: skip


@router.get("/duty/handover")
def sheet(handed: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """What is open with this officer, and to whom it can go."""
    return _sheet(ctx, handed=whole(handed) if handed else None)


@router.post("/duty/handover")
def hand_over(ctx: Context = Depends(posted)) -> Response:
    """All of it, in one press."""
    return attempt(ctx, lambda conn: handover.hand_over(
        conn, ctx.actor, to=[whole(t) for t in ctx.form.get("to", "").split(",") if t],
        note=ctx.form.get("note", ""), key=ctx.form.get("click", ""),
    ), shown=_sheet, to=lambda n: f"/duty/handover?handed={n}")  # fmt: skip


# ---------------------------------------------------------------- overflow


#: Of one unit's list at most; what is taken back in one press is what the list was made of.
_OF_UNIT = 2000


def _overflow(
    ctx: Context, *, unit: int | None = None, back: int | None = None, said: Refused | None = None, status: int = 200
) -> Response:
    require(ctx.actor, "desk.read")
    now = clock.now()
    with ctx.db() as conn:
        rows = overflow.rows(conn, unit=unit, most=_OF_UNIT if unit else 300)
        by_unit = overflow.by_unit(conn)
        line = overflow.line(conn, now=now)
    return ctx.page(
        "overflow.html", status=status, now=now, rows=rows, line=line, by_unit=by_unit, unit=unit, back=back, said=said,
        write="duty.write" in ctx.actor.may,
    )  # fmt: skip


@router.get("/duty/overflow")
def overflowed(unit: str = "", back: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """What left by itself, newest first, or of one unit what can be taken back; the commander takes it back."""
    return _overflow(ctx, unit=whole(unit) if unit else None, back=whole(back) if back else None)


@router.post("/duty/overflow/units/{unit_id}/back")
def overflow_all_back(unit_id: int, ctx: Context = Depends(posted)) -> Response:
    """Take back everything of one unit that the list showed."""
    f = ctx.form
    return attempt(ctx, lambda conn: overflow.take_back_all(
        conn, ctx.actor, unit_id, upto=whole(f.get("upto", "")), key=f.get("click", ""),
    ), shown=partial(_overflow, unit=unit_id), to=lambda n: f"/duty/overflow?back={n}")  # fmt: skip


@router.post("/duty/overflow/{alert_id}/back")
def overflow_back(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Take one back."""
    with ctx.db() as conn:
        overflow.take_back(conn, ctx.actor, alert_id, key=ctx.form.get("click", ""))
    return _see("/duty/overflow" if ctx.form.get("list") else f"/alerts/{alert_id}")


# ---------------------------------------------------------------- visits to make


def _visits(ctx: Context, *, said: Refused | None = None, status: int = 200) -> Response:
    require(ctx.actor, "desk.act")
    with ctx.db() as conn:
        rows = dispatch.ours(conn, ctx.actor)
        for row in rows:
            row["discreet"] = safety.discreet(conn, row["alert_id"])
        refused = visit_records.refused(conn, ctx.actor)
        for row in refused:
            row["why"] = door_words.refusal(row["refused"], ctx.language)
    return ctx.page("visits.html", status=status, rows=rows, results=dispatch.RESULTS, said=said, refused=refused)


@router.get("/duty/visits")
def visits(ctx: Context = Depends(signed_in)) -> Response:
    """Visits that this unit was sent to make."""
    return _visits(ctx)


@router.post("/duty/visits/{dispatch_id}/going")
def going(dispatch_id: int, ctx: Context = Depends(posted)) -> Response:
    """Somebody is on the way."""
    return attempt(
        ctx, lambda conn: dispatch.going(conn, ctx.actor, dispatch_id, key=ctx.form.get("click", "")), shown=_visits,
        to=lambda done: "/duty/visits" if ctx.form.get("list") else f"/alerts/{done.alert_id}",
    )  # fmt: skip


@router.post("/duty/visits/{dispatch_id}/result")
def visited(dispatch_id: int, ctx: Context = Depends(posted)) -> Response:
    """What came of it."""
    f = ctx.form
    return attempt(ctx, lambda conn: dispatch.finish(
        conn, ctx.actor, dispatch_id, result=f.get("result", ""), words=f.get("words", ""), reason=f.get("reason"),
        key=f.get("click", "")), shown=_visits, to="/duty/visits")  # fmt: skip


# ---------------------------------------------------------------- on a file


def _version(ctx: Context) -> int:
    try:
        return int(ctx.form.get("version", ""))
    except ValueError as error:
        raise Refused("changed") from error


@router.post("/alerts/{alert_id}/transfer")
def offer(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Give the file to another unit."""
    f = ctx.form
    return step(ctx, alert_id, lambda conn: transfers.offer(
        conn, ctx.actor, alert_id, to_unit=whole(f.get("to_unit", "")), reason=f.get("reason", ""),
        version=_version(ctx), key=f.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/transfer/sign")
def sign_for(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Sign for a file that was given to us."""
    return step(
        ctx, alert_id, lambda conn: transfers.sign_for(conn, ctx.actor, alert_id, key=ctx.form.get("click", ""))
    )


@router.post("/alerts/{alert_id}/transfer/return")
def give_back(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Return it; the second time it goes to the common superior."""
    f = ctx.form

    def leave(what: str) -> str | Response:
        if f.get("hx") is None and ctx.request.headers.get("hx-request"):
            return Response("", headers={"HX-Redirect": f"/desk?told={what}"})
        return f"/desk?told={what}"

    return step(ctx, alert_id, lambda conn: transfers.give_back(
        conn, ctx.actor, alert_id, reason=f.get("reason", ""), key=f.get("click", "")), to=leave)  # fmt: skip


@router.post("/alerts/{alert_id}/transfer/recall")
def recall(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Take it back before it was signed for."""
    return step(ctx, alert_id, lambda conn: transfers.recall(conn, ctx.actor, alert_id, key=ctx.form.get("click", "")))


@router.post("/alerts/{alert_id}/dispatch")
def send(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Send a visit while we call."""
    f = ctx.form
    return step(ctx, alert_id, lambda conn: dispatch.send(
        conn, ctx.actor, alert_id, unit_id=whole(f.get("station", "")), words=f.get("words", ""), version=_version(ctx),
        key=f.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/locate")
def judge(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Who uses the line, and where they are."""
    f = ctx.form
    return step(ctx, alert_id, lambda conn: locate.judge(
        conn, ctx.actor, alert_id, code=f.get("code", ""), person_id=whole(f["person"]) if f.get("person") else None,
        name=f.get("name", ""), line=f.get("line", ""), place=f.get("place", ""), version=_version(ctx),
        key=f.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/locate/back")
def judge_back(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Take that back."""
    f = ctx.form
    return step(ctx, alert_id, lambda conn: locate.take_back(
        conn, ctx.actor, alert_id, judgement_id=whole(f.get("judgement", "")), version=_version(ctx),
        key=f.get("click", "")))  # fmt: skip


@router.get("/alerts/{alert_id}/people")
def people(alert_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """Who else has the file open now."""
    with ctx.db() as conn:
        names = presence.others(conn, ctx.actor, alert_id)
    return ctx.page("alert_people.html", duty={"people": names})
