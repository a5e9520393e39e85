"""The wall's drawings as numbers: the river from alert to avoided loss, and the curve of hours.

Kept true here: a river's width is true to its number on one scale, so what is drawn and what is written cannot differ.
Who is met is a strand of those reached: the others flow past that station, since nobody must be met to be dissuaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

#: In the wall's own pixels at 1920 x 1080: the river's box, its top and its greatest depth, a station's breadth, the
#: gap between its two strands.
WIDTH, HEIGHT, TOP, DEEP, BREADTH, GAP = 700, 306, 80, 176, 18, 8
_STEP = 130
#: What stands left of the hours: their scale.
LEFT = 84


@dataclass(frozen=True, kw_only=True)
class Station:
    """One station of the river: its figure's name, number, and where it stands."""

    name: str
    n: int
    x: float
    height: float


@dataclass(frozen=True, kw_only=True)
class Flow:
    """Water between two stations: an SVG path, and the number at either end that its height is true to."""

    name: str
    start: int
    end: int
    path: str


@dataclass(frozen=True, kw_only=True)
class River:
    """Stations from left to right, the water between them, and the arm of those who lost money."""

    stations: list[Station]
    flows: list[Flow]
    arm: str
    arm_n: int
    arm_y: float


def _ribbon(x1: float, y1: float, h1: float, x2: float, y2: float, h2: float) -> str:
    middle = (x1 + x2) / 2
    return (
        f"M{x1},{y1:g} C{middle},{y1:g} {middle},{y2:g} {x2},{y2:g} V{y2 + h2:g}"
        f" C{middle},{y2 + h2:g} {middle},{y1 + h1:g} {x1},{y1 + h1:g} Z"
    )


def river(numbers: list[tuple[str, int]], kept_met: int, lost: int) -> River | None:
    """The river of people by station; None where nobody has come yet.

    ``numbers``: people by figure, each among those before it, but that the last (who kept their money) are among those
    reached and not always among those met before them. ``kept_met``: those of the last who were met. ``lost``: people
    among the first who lost money all the same.
    """
    whole = numbers[0][1] if numbers else 0
    if not whole:
        return None
    scale = DEEP / whole
    stations = [
        Station(name=name, n=n, x=i * _STEP if i < len(numbers) - 1 else WIDTH - BREADTH, height=round(n * scale, 2))
        for i, (name, n) in enumerate(numbers)
    ]
    *_, reached, met, kept = stations
    flows = [
        Flow(name=b.name, start=a.n, end=b.n, path=_ribbon(a.x + BREADTH, TOP, a.height, b.x, TOP, b.height))
        for a, b in pairwise(stations[:-2])
    ]
    past, kept_past = reached.n - met.n, kept.n - kept_met
    half = met.x + BREADTH / 2  # who is not met has no station here: this strand goes through
    low = TOP + met.height + (GAP if met.n and past else 0)
    for name, start, end, path in (
        ("met", met.n, met.n, _ribbon(reached.x + BREADTH, TOP, met.height, met.x, TOP, met.height)),
        ("past", past, past, _ribbon(reached.x + BREADTH, TOP + met.height, past * scale, half, low, past * scale)),
        ("met", met.n, kept_met, _ribbon(met.x + BREADTH, TOP, met.height, kept.x, TOP, kept_met * scale)),
        ("past", past, kept_past,
         _ribbon(half, low, past * scale, kept.x, TOP + kept_met * scale, kept_past * scale)),
    ):  # fmt: skip
        if start:
            flows.append(Flow(name=name, start=start, end=end, path=path))
    y, width = TOP + DEEP + 40, lost * scale
    arm = _ribbon(BREADTH, TOP + DEEP - width, width, 112, y - width, width)
    return River(stations=stations, flows=flows, arm=arm if lost else "", arm_n=lost, arm_y=y)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """Polylines over 24 hours and the scale beside them."""

    lines: dict[str, str]
    ticks: list[tuple[float, int]]
    hours: list[tuple[float, int]]


def curve(hours: dict[str, list[int]], until: int, *, width: int = WIDTH, height: int = 214) -> Curve:
    """Lines by name; those of today end with the hour ``until``, last week's goes through."""
    top = max(4, *(n for line in hours.values() for n in line))
    top = -(-top // 4) * 4

    def x(hour: int) -> float:
        return round(LEFT + hour * (width - LEFT - 22) / 23, 1)

    def y(n: float) -> float:
        return round(20 + (height - 20) * (1 - n / top), 1)

    lines = {
        name: " ".join(f"{x(h)},{y(n)}" for h, n in enumerate(line) if name == "last_week" or h <= until)
        for name, line in hours.items()
    }
    return Curve(
        lines=lines,
        ticks=[(y(n), n) for n in (0, top // 4, top // 2, top * 3 // 4, top)],
        hours=[(x(h), h) for h in range(0, 24, 4)] + [(x(23), 23)],
    )
