"""One sheet of cells: its header and mapping found or asked for, its rows read.

Kept true here: a sheet whose header no mapping knows is never guessed at; it is asked about, or refused with a draft.
"""

from __future__ import annotations

import polars as pl

from wuzha.events import TABLES

from .conversion import convert
from .gathering import Run, accept_frame
from .grids import Cells, Grid
from .guiding import adopt, draft, draft_path, learned
from .layouts import Found, find, guess_header
from .reading import REJECT_SCHEMA, Reading
from .statements import unknown_directions


def read_grid(run: Run, grid: Grid) -> None:
    if not any(any(cell and cell.strip() for cell in row) for row in grid.head):
        run.notes.append(f"{_place(grid)}：空表")
        return
    found = find(grid.head, run.mappings, set(run.tables))
    if found is None:
        elsewhere = find(grid.head, run.mappings, set(TABLES))
        if elsewhere is not None:
            run.notes.append(f"{_place(grid)}：是{elsewhere.mapping.declared.zh}，不属于这次导入，未读")
            return
        found = _unknown(run, grid)
        if found is None:
            return
    cells = grid.below(found.row, len(found.names))
    reading = Reading(found, cells, grid.changed, run.settings)
    if found.mapping.shape != "rows":
        reading = _asked(run, grid, found, cells, reading)
    refused = pl.DataFrame(
        [
            {"row": r.row, "column": r.column, "value": r.value, "reason": r.reason, "message": r.message}
            for r in cells.refused
        ],
        schema=REJECT_SCHEMA,
    )
    run.rows += reading.height + refused.height
    run.read += reading.height
    run.refuse(grid.file, grid.sheet, refused)
    converted = convert(reading)
    run.refuse(grid.file, grid.sheet, reading.refused())
    headers = {name: reading.header(name) for name in reading.sources}
    kept = accept_frame(run, grid.file, grid.sheet, found.mapping.declared, converted.rows, headers)
    for name, frames in converted.also(kept).items():
        run.derived.setdefault(name, []).extend(frames)


def _place(grid: Grid) -> str:
    return f"{grid.file}「{grid.sheet}」" if grid.sheet else grid.file


def _asked(run: Run, grid: Grid, found: Found, cells: Cells, reading: Reading) -> Reading:
    """The sheet read again with the direction words that the guide has explained, kept for next time."""
    told: dict[str, str] = {}
    for word in unknown_directions(reading):
        if run.guide is None or (found.mapping.name, word) in run.refused_words:
            continue
        texts = reading.text("direction", shown=True)
        samples = reading.frame.filter(texts == word).head(3)
        meant = run.guide.direction(found.mapping, word, [" | ".join(c or "" for c in r) for r in samples.rows()])
        if meant is None:
            run.refused_words.add((found.mapping.name, word))
        else:
            told[word] = meant
    if not told:
        return reading
    mapping = learned(run.folder, found.mapping, "direction", told)
    run.mappings = [mapping if m.name == mapping.name else m for m in run.mappings]
    again = Found(row=found.row, names=found.names, mapping=mapping, above=found.above)
    return Reading(again, cells, grid.changed, run.settings)


def _unknown(run: Run, grid: Grid) -> Found | None:
    """A header never seen: the guide makes a mapping for it, or a draft is left beside the output."""
    row = guess_header(grid.head)
    if row is None and all(sum(bool(cell and cell.strip()) for cell in cells) < 2 for cells in grid.head):
        run.notes.append(f"{_place(grid)}：只有文字，没有表")
        return None
    if row is None:
        run.problem(grid.file, grid.sheet, "unknown_header", "没有找到表头")
        return None
    proposal = draft(grid, row, run.tables)
    if run.guide is not None:
        text = run.guide.header(grid, row, proposal)
        if text is not None:
            mapping = adopt(run.folder, text, grid)
            run.mappings = [mapping, *run.mappings]
            found = find(grid.head, [mapping], set(run.tables))
            if found is not None:
                return found
    path = draft_path(run.draft_folder, grid)
    names = "、".join(c for c in grid.head[row] if c)[:300]
    run.drafts.append((path, proposal))
    run.problem(
        grid.file, grid.sheet, "unknown_header", f"表头未登记：{names}。映射草稿：{path}，改好后用 --mapping 导入"
    )
    return None
