"""Time: the deployment's zone, and the one clock that every deadline, end and "now" is read from.

The clock is the wall clock, unless ``WUZHA_CLOCK=<event time>@<unix seconds>*<speed>`` says that a replayed city runs
beside it: then an event time passes ``speed`` times as fast from the anchor on. No other module reads the wall clock.
"""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

DEFAULT_ZONE = "Asia/Shanghai"


@lru_cache(maxsize=1)
def zone() -> ZoneInfo:
    """The deployment's zone (``WUZHA_ZONE``), by which nights and days are counted."""
    return ZoneInfo(os.environ.get("WUZHA_ZONE", DEFAULT_ZONE))


@dataclass(frozen=True, kw_only=True)
class Clock:
    """``now()`` of a deployment. ``speed`` 1 and no anchor: the wall clock."""

    anchor: datetime | None = None
    wall: float = 0.0
    speed: float = 1.0

    def now(self) -> datetime:
        """The time now, UTC."""
        if self.anchor is None:
            return datetime.now(UTC)
        return self.anchor + timedelta(seconds=(time.time() - self.wall) * self.speed)

    def __str__(self) -> str:
        return "" if self.anchor is None else f"{self.anchor.isoformat()}@{self.wall!r}*{self.speed!r}"


def parse(text: str) -> Clock:
    """The clock of a ``WUZHA_CLOCK`` setting; ValueError where it is malformed."""
    if not text:
        return Clock()
    try:
        stamp, rest = text.split("@")
        wall, speed = rest.split("*")
        anchor = datetime.fromisoformat(stamp)
        if anchor.tzinfo is None:
            raise ValueError("the event time has no offset")
        return Clock(anchor=anchor.astimezone(UTC), wall=float(wall), speed=float(speed))
    except ValueError as error:
        raise ValueError(f"WUZHA_CLOCK={text!r}: {error}; want 2026-03-02T08:00:00+08:00@1760000000*20") from error


@lru_cache(maxsize=1)
def clock() -> Clock:
    """This process's clock."""
    return parse(os.environ.get("WUZHA_CLOCK", ""))


def now() -> datetime:
    """The time now, UTC, by the deployment's clock."""
    return clock().now()


def day_of(text: str) -> date | None:
    """The day that somebody wrote (``2026-03-02``); None where it is none, or none of 1970 to 2199: sums of days and
    zones stay in what a calendar holds."""
    try:
        day = date.fromisoformat(text.strip())
    except ValueError:
        return None
    return day if 1970 <= day.year < 2200 else None


def time_of(text: str) -> datetime | None:
    """The moment that somebody wrote (``2026-03-02T08:00``), in the deployment's zone where it says none; None as in
    `day_of`."""
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    if not 1970 <= at.year < 2200:
        return None
    return at if at.tzinfo is not None else at.replace(tzinfo=zone())


def stretch(seconds: float) -> timedelta:
    """The deployment's time that passes in so many seconds of the people who sit in front of it."""
    return timedelta(seconds=seconds * clock().speed)
