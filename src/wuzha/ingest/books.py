"""A workbook of warnings, read with the place of every row, so that results can go back to where they came from.

Kept true here: a row's event id depends on what it says only, never on when it was dropped or in which file; a sheet
whose header no mapping knows is not read but told, with a guess; nothing is written.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from wuzha.events import TABLES
from wuzha.events.batch import conform

from .encodings import to_utf8
from .gathering import Run
from .grids import HEAD, Grid, Unreadable, text_grid, workbook_grids
from .guiding import propose, values_below
from .layouts import find, guess_header, own_mapping
from .mapping import Mapping, plain_header, shipped, targets
from .reading import Settings
from .settling import _once, _with_ids
from .sheets import read_grid
from .sources import Item

TABLE = TABLES["warnings"]
#: What an officer is asked of a column, the likeliest first; the rest of the table's columns are offered below.
TARGETS = (
    "source_no", "ts", "level_upstream", "type_code", "victim_line", "victim_name", "victim_id", "victim_account",
    "place", "reasons", "amount", "sign_by", "feedback_by", "issued_by", "suspect_line", "suspect_account",
    "suspect_url", "suspect_app", "victim_device", "stage",
)  # fmt: skip
#: Columns whose words are mapped; a row with another word is refused.
WORDED = ("level_upstream", "scam_type", "stage")
_BOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
#: A workbook may unpack to so many bytes; a list of 100,000 warnings has about a hundred million.
_UNPACKED = 512 * 1024 * 1024
_UNDATED = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """One sheet: ``header`` is its header's row from 1, ``mapping`` None where nobody knows the header."""

    name: str
    header: int
    names: list[str]
    mapping: Mapping | None
    #: For an unknown header: column name -> (likeliest target, likeness 0–1), and the first values below it.
    guess: dict[str, tuple[str, float]] = field(default_factory=dict)
    values: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Book:
    """What was read. ``rows`` conform to the table warnings, each event once; ``places``: (sheet, row, event id) of
    every row that was read, also of those that say the same event again."""

    rows: pa.Table
    places: list[tuple[str, int, str]]
    sheets: list[Sheet]
    #: sheet, row, column, value, reason, message
    rejects: list[dict[str, Any]]
    notes: list[str]
    #: Rows of the file that are rows: places and rejects together.
    n: int
    duplicates: int
    #: Event ids whose time is not told by the workbook: it is when it was dropped.
    undated: frozenset[str]


def read_book(name: str, data: bytes, *, source: str, mappings: Iterable[Mapping] = (), now: datetime) -> Book:
    """Read a workbook (xls, xlsx, xlsm, xlsb, ods, csv, tsv) of warnings. Unreadable where the file is none."""
    # Shipped mappings come last; a file with our own column names needs none.
    known = [*mappings, *shipped().values(), own_mapping("warnings")]
    run = Run(
        kind="warnings", tables=("warnings",), mappings=known, folder=None, guide=None, draft_folder=Path("."),
        settings=Settings(source=source, as_of=now, begun=now),
    )  # fmt: skip
    sheets: list[Sheet] = []
    for grid in _grids(Item(name=name, data=data, changed=now)):
        found = find(grid.head, known, {"warnings"})
        if found is not None:
            read_grid(run, grid)
            sheets.append(Sheet(name=grid.sheet, header=found.row + 1, names=found.names, mapping=found.mapping))
        elif grid.blank or find(grid.head, known, set(TABLES)) is not None:
            read_grid(run, grid)  # leaves a note and reads nothing
        elif (row := guess_header(grid.head)) is not None:
            sheets.append(_unknown(grid, row))
        else:
            run.left_out.append(f"{grid.sheet or name}：没有找到表头")
    return _book(run, sheets, source)


def _grids(item: Item) -> list[Grid]:
    if not item.data.strip(b"\x00\r\n\t \xef\xbb\xbf\xff\xfe"):
        raise Unreadable("empty_file", "文件是空的")
    if item.data[:4] in _BOOKS:
        _not_a_bomb(item.data)
        grids = workbook_grids(item)
        if all(grid.blank and len(grid.head) < HEAD for grid in grids):
            raise Unreadable("empty_file", "工作簿里没有内容")
        return grids
    if item.data[:4] in (b"PAR1", b"ARRO", b"%PDF", b"\x89PNG", b"Rar!", b"7z\xbc\xaf") or item.suffix in (
        ".xlsx", ".xlsm", ".xlsb", ".ods"
    ):  # fmt: skip
        raise Unreadable("unknown_format", "不是工作簿，也不是 csv")
    if item.data[:2000].lstrip(b"\xef\xbb\xbf \r\n\t")[:1] == b"<":
        raise Unreadable("unknown_format", "是网页（HTML 或 XML），不是工作簿：请在表格软件中打开，另存为 xlsx")
    return [text_grid(item)]


def _not_a_bomb(data: bytes) -> None:
    """Unreadable where a workbook would unpack to more than any list needs."""
    if data[:4] != _BOOKS[0]:
        return
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            size = sum(info.file_size for info in archive.infolist())
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise Unreadable("corrupt_file", "工作簿已损坏，打不开：请在表格软件中打开，另存后再试") from error
    if size > _UNPACKED:
        raise Unreadable("archive_too_large", "工作簿解压后过大")


def _unknown(grid: Grid, row: int) -> Sheet:
    names = list(grid.head[row])
    while names and not names[-1].strip():
        names.pop()
    header = [cell for cell in names if cell.strip()]
    values = {c: values_below(grid, row, names.index(c)) for c in header}
    return Sheet(
        name=grid.sheet, header=row + 1, names=names, mapping=None,
        guess={c: g for c, g in propose(header, ("warnings",), values).items() if g[0] in offered()}, values=values,
    )  # fmt: skip


def offered() -> tuple[str, ...]:
    """Every target that a column of a workbook may fill, the usual ones first."""
    rest = [t for t in targets("warnings", "rows") if not t.endswith(("_fen", "_date", "_time", "event_id"))]
    return (*TARGETS, *(t for t in rest if t not in TARGETS))


def words_of(name: str, data: bytes, sheet: str, header: int, column: str) -> list[str]:
    """The different words of a column of a sheet, the most frequent first, sixty at most."""
    for grid in _grids(Item(name=name, data=data, changed=None)):
        if grid.sheet == sheet and len(grid.head) >= header and column in grid.head[header - 1]:
            names = grid.head[header - 1]
            words = grid.below(header - 1, len(names)).frame.get_column(str(names.index(column)))
            counted = words.str.strip_chars().value_counts(sort=True).drop_nulls()
            return [w for w in counted.get_column(words.name).head(60).to_list() if w]
    return []


def plain(header: str) -> str:
    """A header's one form, by which mappings know it."""
    return plain_header(header)[0]


def encoding_of(data: bytes) -> str:
    """The encoding in which a text file is read."""
    return to_utf8(data).encoding


def _book(run: Run, sheets: list[Sheet], source: str) -> Book:
    frames = run.batches.get("warnings", [])
    rejects = pl.concat(run.rejects).to_dicts() if run.rejects else []
    empty = pl.DataFrame(pl.from_arrow(TABLE.empty())).with_columns(_unit=pl.lit(0, pl.Int64), _row=pl.lit(0, pl.Int64))
    frame = pl.concat(frames, how="diagonal") if frames else empty
    frame = frame.with_columns(source=pl.lit(source), event_id=pl.coalesce("event_id", "source_no"))
    undated = frame.get_column("_undated").fill_null(False) if "_undated" in frame.columns else None
    if undated is not None:
        # An identity from content must not hold the moment at which the file was dropped.
        still = frame.with_columns(
            ts=pl.when(undated).then(pl.lit(_UNDATED, pl.Datetime("us", "UTC"))).otherwise(pl.col("ts"))
        )
        frame = _with_ids(TABLE, still).with_columns(frame.get_column("ts"))
    else:
        frame = _with_ids(TABLE, frame)
    kept, duplicates, refused = _once(frame)
    conflicts = set(zip(refused["_unit"], refused["_row"], strict=True))
    sheet_of = [sheet for _, sheet in run.units]
    places = []
    for unit, row, event_id in frame.select("_unit", "_row", "event_id").iter_rows():
        if (unit, row) not in conflicts:
            places.append((sheet_of[unit], row, event_id))
        else:
            rejects.append(
                {"file": "", "sheet": sheet_of[unit], "row": row, "column": "event_id", "value": event_id,
                 "reason": "id_conflict", "message": "同一指令编号在本工作簿里另有不同时间的行"}
            )  # fmt: skip
    named = set(frame.filter(undated).get_column("event_id").to_list()) if undated is not None else set()
    rows = kept.sort("ts", "event_id").select([c.name for c in TABLE.all_columns]).to_arrow()
    notes = run.left_out + run.notes
    for told in run.not_taken:
        names = "、".join(told["columns"][:20])
        notes.append(f"{told['sheet']}：未取的列 {names}" if told["sheet"] else f"未取的列 {names}")
    rejects.sort(key=lambda r: (r["sheet"] or "", r["row"] or 0))
    return Book(
        rows=conform(TABLE, rows), places=places, sheets=sheets,
        rejects=[{k: r[k] for k in ("sheet", "row", "column", "value", "reason", "message")} for r in rejects],
        notes=notes, n=run.rows, duplicates=duplicates, undated=frozenset(named),
    )  # fmt: skip
