"""One sheet of cells: its header and mapping found or asked for, its rows read.

Kept true here: a sheet whose header no mapping knows is never guessed at; it is asked about, or refused with a draft.
"""

from __future__ import annotations

import polars as pl

from wuzha.events import TABLES

from .conversion import convert
from .gathering import Run, accept_frame, place
from .grids import Cells, Grid
from .guiding import adopt, draft, draft_path, learned
from .layouts import Found, find, guess_header
from .reading import REJECT_SCHEMA, Reading
from .statements import unknown_directions


def read_grid(run: Run, grid: Grid) -> None:
    if grid.blank:
        below = _lines(grid, -1)
        if below.height:
            run.sheet_problem(grid.file, grid.sheet, "unknown_header", "没有找到表头", below)
        else:
            run.notes.append(f"{place(grid.file, grid.sheet)}：空表")
        return
    found = find(grid.head, run.mappings, set(run.tables))
    if found is None:
        elsewhere = find(grid.head, run.mappings, set(TABLES))
        if elsewhere is not None:
            told = f"是{elsewhere.mapping.declared.zh}，不属于这次导入，{_lines(grid, elsewhere.row).height} 行未读"
            run.left_out.append(f"{place(grid.file, grid.sheet)}：{told}")
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
    left = reading.not_taken()
    if left and "raw" not in converted.rows.columns:
        run.not_taken.append({"file": grid.file, "sheet": grid.sheet, "columns": left})
    run.refuse(grid.file, grid.sheet, reading.refused())
    headers = {name: reading.header(name) for name in reading.sources}
    kept = accept_frame(run, grid.file, grid.sheet, found.mapping.declared, converted.rows, headers)
    for name, frames in converted.also(kept).items():
        run.derived.setdefault(name, []).extend(frames)


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
        run.left_out.append(f"{place(grid.file, grid.sheet)}：只有文字，没有表")
        return None
    if row is None:
        run.sheet_problem(grid.file, grid.sheet, "unknown_header", "没有找到表头", _lines(grid, -1))
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
    message = f"表头未登记：{names}。映射草稿：{path}，改好后用 --mapping 导入"
    run.sheet_problem(grid.file, grid.sheet, "unknown_header", message, _lines(grid, row))
    return None


def _lines(grid: Grid, row: int) -> pl.DataFrame:
    """The lines below ``row`` that hold anything: ``row`` (number in the file) and ``value`` (their cells in one)."""
    width = max(1, *(len(cells) for cells in grid.head), 0)
    cells = grid.below(row, width)
    text = pl.concat_str([pl.col(c) for c in cells.frame.columns], separator=" | ", ignore_nulls=True)
    lines = cells.frame.select(row=cells.row, value=text.str.strip_chars()).filter(pl.col("value") != "")
    refused = pl.DataFrame([{"row": r.row, "value": r.value} for r in cells.refused], schema=lines.schema)
    return pl.concat([lines, refused]).with_columns(pl.col("value").str.slice(0, 200)).sort("row")
