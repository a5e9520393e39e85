"""The time line of a file: lanes, marks and the stage above them, as numbers that the template draws.

Kept true here: every mark stands at its time on one linear axis; a transfer's height is true to its amount; what is
drawn passes through the officer's sight.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from wuzha.events import STAGES
from wuzha.events.clock import zone
from wuzha.respond.file import File

from .masks import Sight

#: Lane -> the event tables drawn in it, top to bottom.
LANES: dict[str, tuple[str, ...]] = {
    "warning": ("alert_warnings",),
    "call": ("calls",),
    "message": ("messages",),
    "visit": ("visits",),
    "app": ("app_events", "purchases", "shipments", "lodging"),
    "money": ("transfers", "cash"),
    "ours": (),
}
SPANS = {"all": None, "day": timedelta(days=1), "hour": timedelta(hours=1)}
LEFT, WIDTH, LANE, TOP = 74, 750, 46, 44


@dataclass(frozen=True, kw_only=True)
class Mark:
    """One event: where it stands (SVG units), how it looks and its words."""

    x: float
    y: float
    width: float = 0.0
    height: float = 0.0
    shape: str = "dot"
    label: str = ""
    title: str = ""
    ours: bool = False
    #: The label stands on the bar itself; or before its mark, where there is no room after it.
    inside: bool = False
    before: bool = False
    #: Fewer words, for where the label does not fit.
    short: str = ""


@dataclass(kw_only=True)
class Line:
    """What the template draws."""

    start: datetime
    end: datetime
    marks: list[Mark] = field(default_factory=list)
    ticks: list[tuple[float, str]] = field(default_factory=list)
    band: list[tuple[float, float, str]] = field(default_factory=list)
    lanes: list[tuple[str, float]] = field(default_factory=list)
    hidden: int = 0
    left: int = LEFT
    width: int = WIDTH
    height: int = 0
    now_x: float | None = None


def words_of(table: str, event: dict[str, Any], sight: Sight, person: str | None, say: Callable[..., str]) -> str:
    """A short label of one event: who and what, as far as the officer may see."""
    if table == "calls":
        other = event.get("caller") if event.get("callee") == person else event.get("callee") or event.get("caller")
        seconds = event.get("duration_s") or 0
        minutes = say("event.minutes", n=round(seconds / 60)) if seconds >= 60 else say("event.seconds", n=seconds)
        return f"{sight.line(other)} {minutes}"
    if table == "messages":
        return _short(sight.text(event.get("text") or sight.line(event.get("sender"))))
    if table == "visits":
        return _short(sight.text(event.get("host") or event.get("url") or ""))
    if table == "app_events":
        name = event.get("app") or event.get("package") or ""
        action = event.get("action")
        return f"{say('action.' + action) if action else ''} {name}".strip()
    if table in ("transfers", "cash", "purchases"):
        return sight.subject("account", event.get("payee") or event.get("account"))
    return _short(sight.text(str(event.get("place") or event.get("outlet") or "")))


def _short(text: str) -> str:
    return text if len(text) <= 40 else text[:39] + "…"


def draw(
    file: File, sight: Sight, *, now: datetime, span: str, say: Callable[..., str], money: Callable[[int | None], str]
) -> Line | None:
    """The file's time line over ``span``; None where nothing has happened yet that could be drawn."""
    steps = [c for c in file.contacts if c["kind"] not in ("note",) and not c["undone"] and c["kind"] != "undo"]
    times = (
        [e["ts"] for e in file.events]
        + [e["at"] for e in file.evidence]
        + [c["at"] for c in steps]
        + [w["ts"] for w in file.warnings]
    )
    if not times:
        return None
    end = max(times) if file.alert["state"] == "closed" else max(*times, min(now, max(times) + timedelta(hours=6)))
    start = min(times)
    length = SPANS.get(span)
    if length is not None:
        start = max(start, end - length)
    pad = max((end - start) * 0.03, timedelta(seconds=30))
    start, end = start - pad, end + pad
    line = Line(start=start, end=end)

    def x(at: datetime) -> float:
        return round(LEFT + WIDTH * float((at - start) / (end - start)), 1)

    here = {e["table_name"] for e in file.events} | ({"alert_warnings"} if file.warnings else set())
    shown = {name: tables for name, tables in LANES.items() if here & set(tables) or name == "ours"}
    line.lanes = [(name, TOP + LANE * i) for i, name in enumerate(shown)]
    line.height = TOP + LANE * len(shown) + 8
    line.ticks = _ticks(start, end, x)
    line.band = _band(file, start, end, x)
    if start <= now <= end:
        line.now_x = x(now)
    lane_of = {table: TOP + LANE * i for i, tables in enumerate(shown.values()) for table in tables}
    biggest = max(
        (e["event"].get("amount_fen") or 0 for e in file.events if e["table_name"] in LANES["money"]), default=0
    )
    for event in file.events:
        table = event["table_name"]
        if table not in lane_of:
            continue
        if event["ts"] < start:
            line.hidden += 1
            continue
        line.marks.append(_mark(event, lane_of[table], x, end, biggest, file.alert["line"], sight, say, money))
    for w in file.warnings:
        if w["ts"] >= start:
            level = say("level." + w["level_upstream"]) if w["level_upstream"] else ""
            words = f"{w['issuer']} {level}".strip()
            title = f"{words} {sight.text('；'.join(w['reasons']))}".strip()
            line.marks.append(Mark(x=x(w["ts"]), y=lane_of["alert_warnings"] + LANE / 2, label=words, title=title))
        else:
            line.hidden += 1
    for step in steps:
        if step["at"] >= start:
            what = say("step." + step["kind"])
            if step["code"]:
                kind = {"outcome": "outcome", "close": "outcome", "mind": "mind"}.get(step["kind"], "result")
                what += " " + say(f"{kind}.{step['code']}")
            line.marks.append(Mark(x=x(step["at"]), y=line.lanes[-1][1] + LANE / 2, label=what, title=what, ours=True))
    line.marks = _labelled(line.marks)
    return line


def _mark(
    event: dict[str, Any], top: float, x: Callable[[datetime], float], end: datetime, biggest: int, person: str | None,
    sight: Sight, say: Callable[..., str], money: Callable[[int | None], str],
) -> Mark:  # fmt: skip
    table, row = event["table_name"], event["event"]
    label = words_of(table, row, sight, person, say)
    at = f"{event['ts'].astimezone(zone()):%m-%d %H:%M:%S}"
    if table == "calls":
        until = min(event["ts"] + timedelta(seconds=row.get("duration_s") or 0), end)
        width = max(4.0, x(until) - x(event["ts"]))
        return Mark(
            x=x(event["ts"]), y=top + 14, width=width, height=18, shape="bar", label=label, title=f"{at} {label}"
        )
    if table in LANES["money"]:
        fen = row.get("amount_fen") or 0
        height = round(6 + 30 * fen / biggest, 1) if biggest else 6
        label = f"{money(fen)} → {label}"
        return Mark(
            x=x(event["ts"]) - 3, y=top + LANE - 4 - height, width=7, height=height, shape="sum", label=label,
            title=f"{at} {label}", short=money(fen),
        )  # fmt: skip
    return Mark(x=x(event["ts"]), y=top + LANE / 2, label=label, title=f"{at} {label}")


def _wide(words: str) -> float:
    return sum(14.5 if ord(ch) > 0x2E7F else 8 for ch in words)


def _labelled(marks: list[Mark]) -> list[Mark]:
    """Labels stay where they do not run into the next mark or its label; the rest keep theirs as a title."""
    out: list[Mark] = []
    edge = LEFT + WIDTH + 24
    rows: dict[float, list[Mark]] = {}
    for mark in marks:
        rows.setdefault((mark.y + mark.height / 2 - TOP) // LANE, []).append(mark)
    for row in rows.values():
        row.sort(key=lambda m: m.x)
        free = 0.0
        for i, mark in enumerate(row):
            begin = mark.x + mark.width + 8
            until = row[i + 1].x - 6 if i + 1 < len(row) else edge
            if mark.shape == "bar" and mark.width > _wide(mark.label) + 12:
                out.append(replace(mark, inside=True))
                free = begin
                continue
            for words in filter(None, (mark.label, mark.short)):
                if begin >= free and begin + _wide(words) <= until:
                    out.append(replace(mark, label=words))
                    free = begin + _wide(words)
                    break
                if mark.x - 9 - _wide(words) >= max(free, LEFT):
                    out.append(replace(mark, label=words, before=True))
                    free = begin
                    break
            else:
                out.append(replace(mark, label=""))
                free = max(free, begin)
    return out


def _ticks(start: datetime, end: datetime, x: Callable[[datetime], float]) -> list[tuple[float, str]]:
    """At most six round times."""
    minutes = (end - start).total_seconds() / 60
    steps = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440, 2880, 7200, 14400, 43200, 144000)
    step = next((s for s in steps if minutes / s <= 6), 525600)
    first = start.astimezone(zone()).replace(second=0, microsecond=0)
    first = first.replace(hour=0, minute=0) if step >= 1440 else first.replace(minute=0)
    ticks = []
    at = first
    while at <= end:
        if at >= start:
            ticks.append((x(at), f"{at:%m-%d}" if step >= 1440 else f"{at:%H:%M}"))
        at += timedelta(minutes=step)
    return ticks


def _band(file: File, start: datetime, end: datetime, x: Callable[[datetime], float]) -> list[tuple[float, float, str]]:
    """Stages by the evidence as it came: each begins with the first piece that says so and does not go back."""
    changes: list[tuple[datetime, str]] = []
    for item in sorted((e for e in file.evidence if e["withdrawn_at"] is None), key=lambda e: e["at"]):
        if not changes or STAGES.index(item["stage"]) > STAGES.index(changes[-1][1]):
            changes.append((item["at"], item["stage"]))
    band = []
    for i, (at, stage) in enumerate(changes):
        until = changes[i + 1][0] if i + 1 < len(changes) else end
        if until > start:
            band.append((x(max(at, start)), x(until), stage))
    return band
