"""A trace as a picture: layers as columns, an account a box as high as what went through it, exits at the right edge.

Kept true here: heights and ribbons are to one scale; what is folded together is counted; the picture's sums are the
trace's own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wuzha.trace.follow import Result

COLUMN, BOX, HEIGHT, GAP, TOP = 190, 128, 420.0, 10.0, 28.0
#: Boxes of a layer; the smallest beyond are one box.
MOST = 9
_LEAST = 3.0


@dataclass(kw_only=True)
class Box:
    """An account (``account`` None: ``n`` folded ones), or an exit of a ``kind``."""

    account: str | None
    kind: str
    level: int
    fen: int
    held_fen: int
    n: int
    x: float
    y: float = 0.0
    height: float = 0.0
    filled: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Ribbon:
    """Money between two boxes: an SVG path and its sum; ``back``: it runs to the same layer or an earlier one."""

    path: str
    fen: int
    back: bool
    source: int
    target: int


@dataclass(frozen=True, kw_only=True)
class Flow:
    """The picture: boxes and ribbons with places, and its size."""

    boxes: list[Box]
    ribbons: list[Ribbon]
    width: float
    height: float
    levels: int


def flow(result: Result) -> Flow:
    """The picture of a trace."""
    through = {a["account"]: max(a["received_fen"], a["sent_fen"], a["held_fen"]) for a in result.accounts}
    level = {a["account"]: int(a["level"]) for a in result.accounts}
    held = {a["account"]: a["held_fen"] for a in result.accounts}
    boxes: list[Box] = []
    where: dict[str, int] = {}
    deepest = max(level.values(), default=0)
    for at in range(deepest + 1):
        mine = sorted((a for a in level if level[a] == at), key=lambda a: (-through[a], a))
        for account in mine[:MOST]:
            where[account] = len(boxes)
            boxes.append(Box(account=account, kind="", level=at, fen=through[account], held_fen=held[account], n=1,
                             x=at * COLUMN))  # fmt: skip
        if rest := mine[MOST:]:
            where |= dict.fromkeys(rest, len(boxes))
            boxes.append(Box(account=None, kind="", level=at, fen=sum(through[a] for a in rest),
                             held_fen=sum(held[a] for a in rest), n=len(rest), x=at * COLUMN))  # fmt: skip
    exits: dict[str, int] = {}
    for one in result.exits:
        exits[one["kind"]] = exits.get(one["kind"], 0) + one["amount_fen"]
    out_at: dict[str, int] = {}
    for kind, fen in exits.items():
        out_at[kind] = len(boxes)
        boxes.append(Box(account=None, kind=kind, level=deepest + 1, fen=fen, held_fen=0, n=1,
                         x=(deepest + 1) * COLUMN))  # fmt: skip
    sums: dict[tuple[int, int], int] = {}

    def led(source: int | None, target: int | None, fen: int) -> None:
        if source is not None and target is not None and source != target:
            sums[source, target] = sums.get((source, target), 0) + fen

    for e in result.edges:
        target = out_at.get(e["exit"]) if "exit" in e else where.get(e["payee"])
        led(where.get(e["payer"]), target, e["tainted_fen"])
    for one in result.exits:
        if one["kind"] in ("fee", "unknown"):  # they leave by no transfer
            led(where.get(one["account"]), out_at[one["kind"]], one["amount_fen"])
    columns = deepest + 1 + bool(exits)
    return Flow(boxes=boxes, ribbons=_placed(boxes, sums), width=columns * COLUMN - (COLUMN - BOX), levels=deepest + 1,
                height=max((b.y + b.height for b in boxes), default=0.0) + TOP)  # fmt: skip


def _placed(boxes: list[Box], sums: dict[tuple[int, int], int]) -> list[Ribbon]:
    columns: dict[int, list[Box]] = {}
    for box in boxes:
        columns.setdefault(box.level, []).append(box)
    scale = HEIGHT / max((sum(b.fen for b in column) for column in columns.values()), default=1)
    for column in columns.values():
        y = TOP
        for box in column:
            box.y, box.height = y, max(box.fen * scale, _LEAST)
            box.filled = min(box.held_fen * scale, box.height)
            y += max(box.height, 22.0) + GAP
    leaving: dict[int, float] = {}
    coming: dict[int, float] = {}
    ribbons = []
    for (s, t), fen in sorted(sums.items(), key=lambda kv: (boxes[kv[0][0]].y, boxes[kv[0][1]].y, kv[0])):
        thick = max(fen * scale, 0.8)
        a, b = boxes[s], boxes[t]
        y0, y1 = a.y + leaving.get(s, 0.0), b.y + coming.get(t, 0.0)
        leaving[s], coming[t] = leaving.get(s, 0.0) + thick, coming.get(t, 0.0) + thick
        x0, x1 = a.x + BOX, b.x
        middle = (x0 + x1) / 2 if x1 > x0 else max(x0, x1) + COLUMN / 3
        path = (
            f"M{x0:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {x1:.1f} {y1:.1f}"
            f"V{y1 + thick:.1f}C{middle:.1f} {y1 + thick:.1f} {middle:.1f} {y0 + thick:.1f} {x0:.1f} {y0 + thick:.1f}Z"
        )
        ribbons.append(Ribbon(path=path, fen=fen, back=b.level <= a.level, source=s, target=t))
    return ribbons


def listed(result: Result) -> list[dict[str, Any]]:
    """The layers as a list: accounts by layer and by what they hold."""
    return sorted(result.accounts, key=lambda a: (a["level"], -a["held_fen"], -a["received_fen"], a["account"]))
