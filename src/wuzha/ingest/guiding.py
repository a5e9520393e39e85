"""Mappings for headers never seen: a proposal by likeness, a draft to edit, and what was learned kept for next time.

Kept true here: what is saved is a mapping file like any other; nothing that a user wrote is overwritten.
"""

from __future__ import annotations

import difflib
import itertools
import json
import re
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from wuzha.events import TABLES

from .cells import bare_word, fen, words
from .grids import Grid
from .mapping import Joined, Mapping, MappingError, needed, parse, plain_header, shipped, targets
from .times import parse_time

#: What the first values of a column may be, and the targets that each kind may fill where nothing else does.
_KINDS = {"time": ("ts",), "day": ("ts_date", "ts"), "clock": ("ts_time",), "direction": ("direction",),
          "amount": ("amount",)}  # fmt: skip
_DAY = re.compile(r"\d{4}[-/.年]\d{1,2}[-/.月]\d|(19|20)\d{6}$|(19|20)\d{12}$")
_CLOCK = re.compile(r"([01]?\d|2[0-3])[:：时点]\d{1,2}([:：分]\d{1,2}秒?)?分?$")


def values_below(grid: Grid, row: int, at: int) -> list[str]:
    """The first filled cells of column ``at`` below the header ``row``."""
    return [r[at].strip() for r in grid.head[row + 1 : row + 6] if at < len(r) and r[at].strip()][:3]


def kind_of(values: list[str], shape: str) -> str:
    """What all of ``values`` are: one of ``time day clock direction amount``, or "" where nothing can be said."""
    if not values:
        return ""
    directions = words()["call_direction" if shape == "call_record" else "direction"]
    if all(bare_word(v) in {bare_word(w) for w in directions} for v in values):
        return "direction"
    if all(_CLOCK.match(v) for v in values):
        return "clock"
    if all(_DAY.match(v) for v in values):
        try:
            return "time" if any(parse_time(v)[1] < 86400 for v in values) else "day"
        except ValueError:
            return ""
    # Long numbers are accounts; 1, 2, 3 … number the rows.
    if any(re.fullmatch(r"\+?\d{9,}", v) for v in values) or _counts_up(values):
        return ""
    return "amount" if not fen(pl.Series(values, dtype=pl.String)).bad.any() else ""


def _counts_up(values: list[str]) -> bool:
    return len(values) > 1 and all(
        a.isdecimal() and b.isdecimal() and int(b) == int(a) + 1 for a, b in itertools.pairwise(values)
    )


def _contradicts(target: str, kind: str) -> bool:
    """Whether values of ``kind`` cannot be what ``target`` wants."""
    if target in ("ts", "ts_date", "ts_time"):
        fitting = {"ts": ("time", "day"), "ts_date": ("day",), "ts_time": ("clock",)}[target]
        return kind != "" and kind not in fitting
    if target in ("amount", "amount_in", "amount_out"):
        return kind not in ("", "amount")
    return target == "direction" and kind not in ("", "direction")


def missing(tables: tuple[str, ...], chosen: Iterable[str]) -> list[tuple[str, ...]]:
    """What every row needs and none of the ``chosen`` targets fills: groups of which one is wanted."""
    filled = set(chosen)
    return [group for group in needed(tables[0], _shape(tables)) if not filled.intersection(group)]


def propose(
    header: list[str], tables: tuple[str, ...], values: dict[str, list[str]] | None = None
) -> dict[str, tuple[str, float]]:
    """For each header cell the likeliest target and how like it is, 0–1; each target is proposed once.

    ``values``: the first values below a header cell. What they are not is not proposed; what no name
    tells, they may.
    """
    shape = _shape(tables)
    known: dict[str, str] = {}
    for mapping in shipped().values():
        if mapping.table in tables and (shape == "rows" or mapping.shape == shape):
            for target, sources in mapping.columns.items():
                for source in sources:
                    if not isinstance(source, Joined):
                        known.setdefault(plain_header(source)[0], target)
    if shape == "rows":
        for c in TABLES[tables[0]].all_columns:
            if c.name != "source":
                known.setdefault(c.name, c.name)
                known.setdefault(plain_header(c.zh)[0], c.name.removesuffix("_fen"))
    allowed = set(targets(tables[0], shape))
    kinds = {cell: kind_of((values or {}).get(cell, []), shape) for cell in header}
    scored = []
    for i, cell in enumerate(header):
        plain = plain_header(cell)[0]
        for name, target in known.items():
            like = difflib.SequenceMatcher(None, plain, name).ratio() if plain else 0.0
            if target in allowed and like >= 0.5 and not _contradicts(target, kinds[cell]):
                scored.append((like, -i, cell, target))
    proposal: dict[str, tuple[str, float]] = {}
    used: set[str] = set()
    for like, _, cell, target in sorted(scored, reverse=True):
        if cell not in proposal and target not in used:
            proposal[cell] = (target, round(like, 2))
            used.add(target)
    if used.intersection(("amount_in", "amount_out")):
        used.add("amount")
    for cell in header:
        if cell not in proposal:
            # A day alone is a whole time where no clock stands beside it.
            fitting = _KINDS.get(kinds[cell], ())
            if kinds[cell] == "day" and "clock" not in kinds.values():
                fitting = ("ts",)
            guess = next((t for t in fitting if t in allowed and t not in used), None)
            if guess is not None and not (guess.startswith("ts") and "ts" in used):
                proposal[cell] = (guess, 0.5)
                used.add(guess)
    return proposal


def _shape(tables: tuple[str, ...]) -> str:
    return "one_sided" if tables[0] == "transfers" and len(tables) > 1 else "rows"


def draft(grid: Grid, row: int, tables: tuple[str, ...], chosen: dict[str, str] | None = None) -> str:
    """A mapping file for a header: proposed (or ``chosen``) targets, the rest as comments with sample values."""
    header = [cell for cell in grid.head[row] if cell.strip()]
    shape, table = _shape(tables), tables[0]
    proposal = propose(header, tables, {c: values_below(grid, row, grid.head[row].index(c)) for c in header})
    picked = chosen if chosen is not None else {cell: target for cell, (target, _) in proposal.items()}
    name = re.sub(r"\W+", "_", Path(grid.file).stem + ("_" + grid.sheet if grid.sheet else "")).strip("_") or "layout"
    lines = [
        f"# {grid.file} {grid.sheet}".rstrip(),
        f"# 可用的目标列 / targets: {', '.join(targets(table, shape))}",
        f"name = {_quoted(name)}",
        f'table = "{table}"',
    ]
    if shape != "rows":
        lines.append(f'shape = "{shape}"')
    lines += [f"header = [{', '.join(_quoted(cell) for cell in header[:8])}]", "", "[columns]"]
    by_target: dict[str, list[str]] = {}
    for cell, target in picked.items():
        by_target.setdefault(target, []).append(cell)
    for target, cells in by_target.items():
        lines.append(f"{target} = [{', '.join(_quoted(c) for c in cells)}]")
    left = [cell for cell in header if cell not in picked]
    for cell in left:
        at = grid.head[row].index(cell)
        shown = re.sub(r"[\x00-\x1f\x7f]+", " ", "、".join(values_below(grid, row, at)))[:80]
        lines.append(f"# ? = [{_quoted(cell)}]    # {shown}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    """A TOML basic string."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def draft_path(folder: Path, grid: Grid) -> Path:
    """Where the draft for a sheet goes: beside the output, never over a file that is there."""
    stem = re.sub(r"[^\w.-]+", "_", Path(grid.file).name + ("-" + grid.sheet if grid.sheet else "")).strip("_")
    path = folder / f"mapping-{stem}.toml"
    n = 1
    while path.exists():
        n += 1
        path = folder / f"mapping-{stem}-{n}.toml"
    return path


def adopt(folder: Path | None, text: str, grid: Grid) -> Mapping:
    """The mapping that a guide made, saved in the user's folder for next time. MappingError where it is none."""
    mapping = parse(text, "mapping")
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path = folder / f"{mapping.name}.toml"
        n = 1
        while path.exists():
            n += 1
            path = folder / f"{mapping.name}-{n}.toml"
        path.write_text(text, "utf-8")
        mapping = parse(text, str(path))
    return mapping


def learned(folder: Path | None, mapping: Mapping, target: str, words: dict[str, str]) -> Mapping:
    """``mapping`` with more words for ``target``; kept in the user's folder beside what was learned before."""
    path = folder / f"{mapping.name}.learned.toml" if folder is not None else None
    before: dict[str, dict[str, str]] = {}
    if path is not None and path.exists():
        before = parse(path.read_text("utf-8"), str(path), {mapping.name: mapping}).values
    values = {t: dict(pairs) for t, pairs in before.items()}
    values[target] = values.get(target, mapping.values.get(target, {})) | words
    lines = ["# 导入时询问所得 / learned while importing", f"extends = {_quoted(mapping.name)}", ""]
    for name, pairs in values.items():
        lines.append(f"[values.{name}]")
        lines += [f"{_quoted(word)} = {_quoted(value)}" for word, value in pairs.items()]
        lines.append("")
    text = "\n".join(lines)
    if path is not None and folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    try:
        return parse(text, str(path or "learned"), {mapping.name: mapping})
    except MappingError:
        if path is not None:
            path.unlink(missing_ok=True)
        raise
