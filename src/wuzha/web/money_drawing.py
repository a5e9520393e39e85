"""The money page's drawing as numbers: layers as columns, accounts as boxes, transfers as ribbons, exits at the right.

Kept true here: one scale for boxes, filled parts and ribbons, so that what is drawn and what is written cannot differ;
a small box is drawn as high as a line of text and says its figure; what is folded is counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from wuzha.cases.flow import Flow, Node

#: Pixels of a column's box, the way between columns, the drawing's depth at scale, gaps, and the least height of a box.
BOX, WAY, DEEP, GAP, LEAST, TOP = 150, 96, 300, 14, 40, 34
#: Boxes of a column beyond which the smallest are folded into one.
MOST = 8
EXITS = ("cash", "merchant", "third_party", "crypto", "hub", "fee", "unknown")


@dataclass(kw_only=True)
class Box:
    """One account (or what stands for several: ``n`` > 1; for the victims: level 0; for an exit: ``exit``)."""

    key: str
    level: int
    fen: int
    x: float = 0.0
    y: float = 0.0
    height: float = 0.0
    node: Node | None = None
    exit: str = ""
    n: int = 1
    held_fen: int = 0
    frozen_fen: int = 0
    mine: bool = False
    #: Pixels of the filled parts, from the box's foot.
    held: float = 0.0
    frozen: float = 0.0
    used_in: float = 0.0
    used_out: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Band:
    """A ribbon between two boxes: an SVG path; ``fen`` is what its breadth is true to."""

    path: str
    fen: int
    n: int
    payer: str
    payee: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Everything to draw. ``columns``: (x, level, first time); the last column are the exits."""

    width: int
    height: int
    boxes: list[Box]
    bands: list[Band]
    columns: list[tuple[float, int, datetime | None]] = field(default_factory=list)


def draw(known: Flow, frozen: Mapping[int, int], victims: int) -> Drawing | None:
    """The drawing of a flow; None where nothing was stolen yet. ``frozen``: what orders hold, by account."""
    stolen = known.totals["stolen_fen"]
    if not stolen:
        return None
    scale = DEEP / stolen
    columns: dict[int, list[Box]] = {0: [Box(key="victims", level=0, fen=stolen, n=victims)]}
    of_account: dict[str, Box] = {}
    levels = sorted({n.level for n in known.nodes})
    for level in levels:
        nodes = sorted((n for n in known.nodes if n.level == level), key=lambda n: (-n.received_fen, n.account))
        shown, rest = (nodes, []) if len(nodes) <= MOST else (nodes[: MOST - 1], nodes[MOST - 1 :])
        boxes = [_box(n, frozen) for n in sorted(shown, key=lambda n: (n.first_at, n.account))]
        of_account |= {b.node.account: b for b in boxes if b.node}
        if rest:
            folded = Box(
                key=f"more-{level}", level=level, fen=sum(n.received_fen for n in rest), n=len(rest),
                held_fen=sum(n.held_fen for n in rest),
                frozen_fen=sum(min(n.held_fen, frozen.get(n.account_id or -1, 0)) for n in rest),
            )  # fmt: skip
            boxes.append(folded)
            of_account |= {n.account: folded for n in rest}
        columns[level] = boxes
    last = max(columns) + 1
    exits = {
        kind: Box(key=f"exit-{kind}", level=last, fen=fen, exit=kind)
        for kind in EXITS
        if (fen := sum(e["amount_fen"] for e in known.exits if e["kind"] == kind))
    }
    if exits:
        columns[last] = list(exits.values())
    height = _place(columns, scale)
    bands = _bands(known, columns, of_account, exits, scale)
    firsts = {n.level: min(x.first_at for x in known.nodes if x.level == n.level) for n in known.nodes}
    heads: list[tuple[float, int, datetime | None]] = [
        (boxes[0].x, -1 if boxes[0].exit else level, firsts.get(level)) for level, boxes in sorted(columns.items())
    ]
    width = round(max(b.x for boxes in columns.values() for b in boxes) + BOX + 2)
    return Drawing(
        width=width, height=height, boxes=[b for c in columns.values() for b in c], bands=bands, columns=heads
    )


def _box(node: Node, frozen: Mapping[int, int]) -> Box:
    stands = 0 if node.role == "victim" else min(node.held_fen, frozen.get(node.account_id or -1, 0))
    return Box(
        key=node.account, level=node.level, fen=node.received_fen, node=node, held_fen=node.held_fen,
        frozen_fen=stands, mine=node.role == "victim",
    )  # fmt: skip


def _place(columns: dict[int, list[Box]], scale: float) -> int:
    """Boxes get their places; returns the drawing's height."""
    deepest = 0.0
    for i, (_, boxes) in enumerate(sorted(columns.items())):
        y = float(TOP)
        for box in boxes:
            box.x, box.y = i * (BOX + WAY), y
            box.height = round(max(box.fen * scale, LEAST), 1)
            # The filled part is true to the box: of a box drawn higher than its money it takes the same share.
            share = box.height / box.fen if box.fen else 0.0
            box.held, box.frozen = round(box.held_fen * share, 1), round(box.frozen_fen * share, 1)
            y += box.height + GAP
        deepest = max(deepest, y)
    return round(deepest + 6)


def _bands(
    known: Flow, columns: dict[int, list[Box]], of_account: dict[str, Box], exits: dict[str, Box], scale: float
) -> list[Band]:
    sums: dict[tuple[str, str], tuple[Box, Box, int, int]] = {}
    for r in known.ribbons:
        start = columns[0][0] if r.payer is None else of_account.get(r.payer)
        end = exits.get(r.exit) if r.exit is not None else of_account.get(r.payee or "")
        if start is None or end is None or start is end:
            continue
        at = sums.get((start.key, end.key), (start, end, 0, 0))
        sums[start.key, end.key] = (start, end, at[2] + r.tainted_fen, at[3] + 1)
    bands = []
    for start, end, fen, n in sorted(sums.values(), key=lambda s: (s[0].x, s[0].y, s[1].x, s[1].y)):
        out, into = fen * start.height / start.fen, fen * end.height / end.fen
        path = _path(start.x + BOX, start.y + min(start.used_out, start.height - 1), out,
                     end.x, end.y + min(end.used_in, end.height - 1), into)  # fmt: skip
        start.used_out += out
        end.used_in += into
        kind = "exit" if end.exit else "back" if end.x <= start.x else "on"
        bands.append(Band(path=path, fen=fen, n=n, payer=start.key, payee=end.key, kind=kind))
    return bands


def _path(x1: float, y1: float, h1: float, x2: float, y2: float, h2: float) -> str:
    h1, h2 = max(h1, 1.0), max(h2, 1.0)
    bend = max(abs(x2 - x1) / 2, WAY * 0.6)
    return (
        f"M{x1:.1f},{y1:.1f} C{x1 + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
        f" V{y2 + h2:.1f} C{x2 - bend:.1f},{y2 + h2:.1f} {x1 + bend:.1f},{y1 + h1:.1f} {x1:.1f},{y1 + h1:.1f} Z"
    )
