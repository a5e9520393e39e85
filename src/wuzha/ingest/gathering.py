"""What an import has gathered so far: accepted rows by table, refused rows, notes.

Kept true here: every row given to it ends among the accepted or among the refused.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events import Table
from wuzha.events.batch import Reject
from wuzha.events.table import TEXT, TIME

from .encodings import NUL
from .grids import MAX_CELL, Grid
from .mapping import Mapping
from .output import POLARS
from .reading import REJECT_SCHEMA, Settings
from .validation import validate

REJECT_COLUMNS = {"file": pl.String, "sheet": pl.String, "row": pl.Int64, "column": pl.String, "value": pl.String,
                  "reason": pl.String, "message": pl.String}  # fmt: skip


class Guide(Protocol):
    """Who is asked about what no mapping knows."""

    def direction(self, mapping: Mapping, word: str, samples: list[str]) -> str | None:
        """What a direction word stands for (one of ``mapping.DIRECTIONS``), or None to refuse its rows."""

    def header(self, grid: Grid, row: int, proposal: str) -> str | None:
        """The text of a mapping file for a header never seen, from the proposed text; None to leave the sheet out."""


@dataclass(kw_only=True)
class Run:
    """An import under way."""

    kind: str
    tables: tuple[str, ...]
    mappings: list[Mapping]
    folder: Path | None
    settings: Settings
    guide: Guide | None
    draft_folder: Path
    rows: int = 0
    #: Refused rows of other tables that accepted lines gave beside their own; not counted in ``rows``.
    beside: int = 0
    files: int = 0
    read: int = 0
    batches: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    derived: dict[str, list[pl.DataFrame]] = field(default_factory=dict)
    rejects: list[pl.DataFrame] = field(default_factory=list)
    units: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    drafts: list[tuple[Path, str]] = field(default_factory=list)
    refused_words: set[tuple[str, str]] = field(default_factory=set)
    #: Sheets and files with something in them that this import does not read, in words.
    left_out: list[str] = field(default_factory=list)
    #: Columns with something in them that no column of the table takes: ``{file, sheet, columns}``.
    not_taken: list[dict[str, Any]] = field(default_factory=list)

    def problem(self, file: str, sheet: str, reason: str, message: str) -> None:
        """A file or sheet that cannot be read at all: one row of its own, refused."""
        self.rows += 1
        told = {
            "file": [file],
            "sheet": [sheet],
            "row": [None],
            "column": [None],
            "value": [None],
            "reason": [reason],
            "message": [message],
        }
        self.rejects.append(pl.DataFrame(told, schema=REJECT_COLUMNS))

    def sheet_problem(self, file: str, sheet: str, reason: str, message: str, lines: pl.DataFrame) -> None:
        """A sheet whose rows cannot be read: ``lines`` (``row``, ``value``: what each holds) refused one by one."""
        if not lines.height:
            self.problem(file, sheet, reason, message)
            return
        self.rows += lines.height
        told = lines.with_columns(column=pl.lit(""), reason=pl.lit(reason), message=pl.lit(message))
        self.refuse(file, sheet, told)
        self.notes.append(f"{place(file, sheet)}：{lines.height} 行未读，{message}")

    def refuse(self, file: str, sheet: str, told: pl.DataFrame) -> None:
        """Refused rows of one sheet."""
        if told.height:
            whole = told.with_columns(file=pl.lit(file), sheet=pl.lit(sheet))
            self.rejects.append(whole.select(list(REJECT_COLUMNS)).cast(REJECT_COLUMNS))  # type: ignore[arg-type]


def place(file: str, sheet: str) -> str:
    """A sheet in words."""
    return f"{file}「{sheet}」" if sheet else file


def own_rows(run: Run, file: str, table: Table, rows: pa.Table, numbers: pa.Array) -> None:
    """Rows with our own names and types: checked, and an id and a source given where there is none."""
    run.rows += rows.num_rows
    run.read += rows.num_rows
    if "event_id" not in rows.column_names:
        rows = rows.append_column("event_id", pa.nulls(rows.num_rows, pa.string()))
    if "source" not in rows.column_names:
        rows = rows.append_column("source", pa.nulls(rows.num_rows, pa.string()))
    accept(run, file, "", table, rows, numbers)


def accept(run: Run, file: str, sheet: str, table: Table, rows: pa.Table, numbers: pa.Array) -> pl.DataFrame:
    """Validate typed rows, keep the accepted with ``_unit`` and ``_row``; tell the rest as rejects."""
    # An id is given only after all files are read: until then something stands in for it.
    for name, filler in (("source", run.settings.source), ("event_id", "?")):
        i = rows.column_names.index(name)
        column = rows.column(i).cast(pa.string())
        column = pc.if_else(pc.equal(column, ""), None, column)
        rows = rows.set_column(i, name, pc.fill_null(column, filler))
    accepted, refused, mask = validate(table, rows)
    frame = pl.DataFrame(pl.from_arrow(accepted)).with_columns(
        pl.when(pl.col("event_id") != "?").then(pl.col("event_id")).alias("event_id"),
        _row=pl.Series(pl.from_arrow(numbers.filter(mask))).cast(pl.Int64),
    )
    return _accepted(run, file, sheet, table, frame, refused, numbers.to_pylist() if refused else [], lambda _, c: c)


def _accepted(
    run: Run, file: str, sheet: str, table: Table, frame: pl.DataFrame, refused: list[Reject], where: list[int],
    header: Callable[[int, str], str],
) -> pl.DataFrame:  # fmt: skip
    """Keep accepted rows with the sheet they come from; tell the refused ones, ``where``: their numbers in the file,
    ``header``: the file's name for a row's column."""
    told = [
        (where[r.row], header(r.row, r.column), (r.value or "")[:200] or None, r.reason, r.message) for r in refused
    ]
    run.refuse(file, sheet, pl.DataFrame(told, schema=REJECT_SCHEMA, orient="row"))
    run.units.append((file, sheet))
    frame = frame.with_columns(_unit=pl.lit(len(run.units) - 1, pl.Int64))
    run.batches.setdefault(table.name, []).append(frame)
    return frame


def fed_by(headers: dict[str, str], column: str, side: str | int | None) -> str:
    """The file's header behind a table's column; ``side``: whose books the row is from (``payer``; 0: the caller)."""
    bare = column.removesuffix("_fen")
    names = [column, bare, f"{column}_date", {"scam_type": "type_code"}.get(column, column)]
    for first, second, caller, paid in (("payer", "payee", False, "payer"), ("caller", "callee", True, 0)):
        head, _, rest = bare.partition("_")
        if side is not None and head in (first, second):
            whose = "own" if (side == paid) == (head == first) else "other"
            names.insert(0, f"{whose}_line" if caller else f"{whose}_{rest or 'account'}")
    if column == "amount_fen":
        names.append("amount_out" if side == "payer" else "amount_in")
    return next((headers[name] for name in names if name in headers), column)


def accept_frame(
    run: Run, file: str, sheet: str, table: Table, rows: pl.DataFrame, headers: dict[str, str]
) -> pl.DataFrame:
    """Validate rows read from text: only columns under some rule travel to Arrow and back."""
    ruled = [
        c
        for c in table.all_columns
        if c.name in rows.columns
        and c.name not in ("source", "event_id")
        and (
            c.required
            or c.values
            or c.minimum is not None
            or c.maximum is not None
            or c.subject
            or c.type == TIME
            or c.name == "scam_type"
        )
    ]
    whose = next((c for c in ("side", "_side") if c in rows.columns), None)
    sides = rows.get_column(whose) if whose is not None else None

    def header(place: int, column: str) -> str:
        return fed_by(headers, column, None if sides is None or sides[place] == -1 else sides[place])

    slim = rows.select([c.name for c in ruled]).with_columns(source=pl.lit("?"), event_id=pl.lit("?"))
    accepted, refused, mask = validate(table, slim.to_arrow())
    rows = rows.with_columns(_place=pl.int_range(pl.len()))
    where = rows.get_column("_row").to_list() if refused else []
    if refused:
        rows = rows.filter(pl.Series(pl.from_arrow(mask)))
    texts = [c.name for c in table.all_columns if c.type == TEXT and c in ruled and c.subject]
    changed = pl.DataFrame(pl.from_arrow(accepted.select(texts))) if texts else pl.DataFrame()
    rows = rows.with_columns(changed.get_columns())
    # What no text may hold: a NUL byte stands here as the sign for one.
    free = [
        c.name for c in table.all_columns if c.type == TEXT and c.name in rows.columns and (c not in ruled or c.subject)
    ]
    for name in free:
        column = rows.get_column(name)
        for failing, reason, message in (
            (column.str.contains(NUL, literal=True), "nul_byte", "含有空字符"),
            (column.str.len_bytes() > MAX_CELL, "cell_too_long", "内容过长"),
        ):
            if failing.any():
                bad = rows.filter(failing.fill_null(False))
                columns = [header(place, name) for place in bad.get_column("_place")]
                told = bad.select(
                    row="_row", column=pl.Series(columns, dtype=pl.String), value=pl.col(name).str.slice(0, 200),
                    reason=pl.lit(reason), message=pl.lit(message),
                )  # fmt: skip
                run.refuse(file, sheet, told)
                rows = rows.filter(~failing.fill_null(False))
                break
    for c in table.all_columns:
        if c.name == "source":
            rows = rows.with_columns(pl.col("source").fill_null(run.settings.source))
        elif c.name not in rows.columns:
            rows = rows.with_columns(pl.lit(None, POLARS[c.type]).alias(c.name))
    return _accepted(run, file, sheet, table, rows.drop("_place"), refused, where, header)
