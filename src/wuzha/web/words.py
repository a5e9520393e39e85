"""Time, money and counts as people read them, in their language."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime
from typing import Any

from wuzha.events import money
from wuzha.events.clock import zone


def duration(seconds: float | None, language: str) -> str:
    """``6分41秒``, ``1小时20分``, ``3天4小时``; ``—`` where unknown."""
    if seconds is None:
        return "—"
    s = max(0, round(seconds))
    units = ("天", "小时", "分", "秒") if language == "zh" else ("d ", "h ", "m ", "s")
    days, hours, minutes, rest = s // 86400, s // 3600 % 24, s // 60 % 60, s % 60
    if days:
        return f"{days}{units[0]}{hours}{units[1]}".rstrip()
    if hours:
        return f"{hours}{units[1]}{minutes}{units[2]}".rstrip()
    return f"{minutes}{units[2]}{rest}{units[3]}" if minutes else f"{rest}{units[3]}"


def countdown(seconds: int, language: str) -> str:
    """``00:41``, ``1:22:08``, ``3天4小时`` of seconds without a sign."""
    s = abs(seconds)
    if s >= 86400:
        return duration(s, language)
    return f"{s // 3600}:{s // 60 % 60:02d}:{s % 60:02d}" if s >= 3600 else f"{s // 60:02d}:{s % 60:02d}"


def moment(at: datetime | None, now: datetime) -> str:
    """``14:03`` of today, ``11-20 14:03`` of this year, else with the year."""
    if at is None:
        return "—"
    local, today = at.astimezone(zone()), now.astimezone(zone())
    if local.date() == today.date():
        return f"{local:%H:%M}"
    return f"{local:%m-%d %H:%M}" if local.year == today.year else f"{local:%Y-%m-%d %H:%M}"


def full(at: datetime | None) -> str:
    """Date and time to the second in the deployment's zone."""
    return "—" if at is None else f"{at.astimezone(zone()):%Y-%m-%d %H:%M:%S}"


def yuan(fen: int | None, language: str) -> str:
    """Money at a glance: ``3.84万元``, ``¥38,412`` in English."""
    if fen is None:
        return "—"
    if language == "zh":
        return money.yuan_short(fen)
    if abs(fen) >= 10**8:
        return f"¥{fen / 10**8:.2f}m"
    return f"¥{money.yuan(fen).removesuffix('.00')}"


def age(born: date | None, now: datetime) -> int | None:
    """Whole years."""
    if born is None:
        return None
    today = now.astimezone(zone()).date()
    return today.year - born.year - ((today.month, today.day) < (born.month, born.day))


def age_band(born: date | None, now: datetime) -> str:
    """``60–64``: what is shown of an age before a reveal; empty where unknown."""
    years = age(born, now)
    return "" if years is None else f"{years // 5 * 5}–{years // 5 * 5 + 4}"


def entries(detail: dict[str, Any], mask: Callable[[str], str]) -> str:
    """An audit row's detail as people read it: ``roles: admin, auditor · unit: 3``; texts pass ``mask``."""

    def one(value: Any) -> str:
        if isinstance(value, dict):
            return "{" + entries(value, mask) + "}"
        if isinstance(value, list):
            return ", ".join(map(one, value))
        return "—" if value is None else mask(value) if isinstance(value, str) else str(value)

    return " · ".join(f"{name}: {one(value)}" for name, value in sorted(detail.items()))
