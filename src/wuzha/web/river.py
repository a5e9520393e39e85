"""The wall's drawings as numbers: the river from alert to dissuasion, and the curve of hours.

Kept true here: a river's width is true to its number on one scale, so what is drawn and what is written cannot differ.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

WIDTH, TOP, DEEP = 700, 46, 170


@dataclass(frozen=True, kw_only=True)
class Station:
    """One station of the river: its figure's name, number, and where it stands."""

    name: str
    n: int
    x: float
    height: float


@dataclass(frozen=True, kw_only=True)
class River:
    """Stations from left to right, the water between them as SVG paths, and the arm of those who lost money."""

    stations: list[Station]
    flows: list[str]
    arm: str
    arm_n: int
    arm_y: float


def river(numbers: list[tuple[str, int]], lost: int) -> River | None:
    """The river of people by station; None where nobody has come yet."""
    whole = numbers[0][1] if numbers else 0
    if not whole:
        return None
    scale = DEEP / whole
    step = WIDTH / (len(numbers) - 1)
    stations = [
        Station(name=name, n=n, x=round(i * step * 0.96, 1), height=round(n * scale, 2))
        for i, (name, n) in enumerate(numbers)
    ]
    flows = []
    for a, b in pairwise(stations):
        x1, x2, middle = a.x + 18, b.x, (a.x + 18 + b.x) / 2
        flows.append(
            f"M{x1},{TOP} C{middle},{TOP} {middle},{TOP} {x2},{TOP} V{TOP + b.height}"
            f" C{middle},{TOP + b.height} {middle},{TOP + a.height} {x1},{TOP + a.height} Z"
        )
    start, width = stations[-2], max(lost * scale, 0.0)
    y = TOP + DEEP + 24
    arm = (
        f"M{start.x + 18},{TOP + start.height} C{start.x + 80},{TOP + start.height}"
        f" {start.x + 70},{y} {start.x + 130},{y}"
        f" V{y - width} C{start.x + 84},{y - width} {start.x + 94},{TOP + start.height - width}"
        f" {start.x + 18},{TOP + start.height - width} Z"
    )
    return River(stations=stations, flows=flows, arm=arm if lost else "", arm_n=lost, arm_y=y)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Polylines over 24 hours and the scale beside them."""

    lines: dict[str, str]
    ticks: list[tuple[float, int]]
    hours: list[tuple[float, int]]


def curve(hours: dict[str, list[int]], until: int, *, width: int = 620, height: int = 170) -> Curve:
    """Lines by name; those of today end with the hour ``until``, last week's goes through."""
    top = max(4, *(n for line in hours.values() for n in line))
    top = -(-top // 4) * 4

    def x(hour: int) -> float:
        return round(30 + hour * (width - 30) / 23, 1)

    def y(n: float) -> float:
        return round(8 + (height - 8) * (1 - n / top), 1)

    lines = {
        name: " ".join(f"{x(h)},{y(n)}" for h, n in enumerate(line) if name == "last_week" or h <= until)
        for name, line in hours.items()
    }
    return Curve(
        lines=lines,
        ticks=[(y(n), n) for n in (0, top // 4, top // 2, top * 3 // 4, top)],
        hours=[(x(h), h) for h in range(0, 24, 4)] + [(x(23), 23)],
    )
