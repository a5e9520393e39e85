"""The wall: where is it burning? One page, masked, readable from eight metres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command import metrics
from wuzha.command.public import on_duty, require
from wuzha.events import clock
from wuzha.respond import queue

from . import river
from .context import Context, signed_in

router = APIRouter()

#: The five numbers, and which figure stands in small beside each.
FIVE = (
    ("alerts", None), ("reached", "reached_share"), ("dissuaded", "verified"), ("stopped", None),
    ("lost", "lost_people"),
)  # fmt: skip
#: The river's stations; who is met need not be among those who keep their money, nor these among them.
RIVER = ("alerts", "signed", "located", "reached", "met", "kept")
MORE = ("avoided", "overdue", "false_alarms", "verified_a_month", "warned_lost")


def _river(today: Mapping[str, float | int | None]) -> river.River | None:
    n = {name: int(today[name] or 0) for name in (*RIVER, "kept_met", "deceived")}
    return river.river([(name, n[name]) for name in RIVER], n["kept_met"], n["deceived"])


def _values(ctx: Context) -> dict[str, Any]:
    require(ctx.actor, "wall.read")
    now = clock.now()
    with ctx.db() as conn:
        seen = metrics.wall(conn, ctx.actor, now=now)
        counts = queue.counts(conn, ctx.actor, now=now) if "desk.read" in ctx.actor.may else None
        present = len(on_duty(conn, ctx.actor, now=now))
    local = now.astimezone(clock.zone())
    return {
        "now": now, "local": local, "wall": seen, "five": FIVE,
        "units_of": {m.name: m.unit for m in metrics.metrics().values()},
        "river": _river(seen.today), "draw": river, "more": MORE,
        "curve": river.curve(seen.hours, local.hour), "counts": counts, "on_duty": present,
    }  # fmt: skip


@router.get("/wall")
def wall(ctx: Context = Depends(signed_in)) -> Response:
    """The page."""
    return ctx.page("wall.html", **_values(ctx))


@router.get("/wall/part")
def part(ctx: Context = Depends(signed_in)) -> Response:
    """What is on it, as it stands now."""
    return ctx.page("wall_part.html", **_values(ctx))
