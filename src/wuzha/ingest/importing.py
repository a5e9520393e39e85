"""The import itself: files in, one folder of tables and rejects out.

Kept true here: ``rows = accepted + rejected + duplicates + merged``, where what lines give beside their own row is not
counted; a file that cannot be read is one rejected row of its own and stops nothing; when no file can be read, nothing
is written.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import polars as pl

from wuzha.events import BASES, TABLES, Table
from wuzha.events.clock import now

from . import output
from .gathering import REJECT_COLUMNS, Guide, Run, place
from .layouts import own_mapping
from .mapping import available
from .opening import read
from .reading import REJECT_SCHEMA, Settings
from .settling import settle
from .sources import Item, Problem, items, size
from .times import parse_date
from .validation import validate

#: What ``statements`` may give: the transfers, and the companion sheets' registers.
STATEMENT_TABLES = ("transfers", "persons", "accounts", "relations")
KINDS = ("statements", *(t for t in TABLES if t != "labels"))


class ImportFailed(Exception):
    """Nothing was written; the text says why."""


class WrongUse(ImportFailed):
    """The import was asked for in a way that cannot be: the text says what to give."""


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What an import did. ``tables``: rows written a table; ``notes``: words for people."""

    rows: int
    accepted: int
    rejected: int
    duplicates: int
    merged: int
    files: int
    seconds: float
    tables: dict[str, int]
    out: str
    #: Rejects that are no rows: rows of other tables that accepted lines should have given beside their own.
    beside: int = 0
    #: Columns with something in them that no column of the table takes: ``{file, sheet, columns}``.
    not_taken: list[dict[str, Any]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """The summary as the command prints it."""
        names = ("rows", "accepted", "rejected", "duplicates", "merged", "files", "seconds", "tables", "out",
                 "not_taken")  # fmt: skip
        told = {name: getattr(self, name) for name in names}
        return told | ({"beside": self.beside} if self.beside else {})


def import_files(
    kind: str,
    files: list[Path],
    out: Path,
    *,
    as_of: datetime | None = None,
    source: str | None = None,
    mapping: Path | None = None,
    mapping_dir: Path | None = None,
    own_account: str | None = None,
    basis: str | None = None,
    basis_ref: str | None = None,
    basis_until: str | None = None,
    guide: Guide | None = None,
    places: bool = False,
    progress: Callable[[str, int], None] | None = None,
) -> Summary:
    """Import ``files`` (files, folders, zip, gz) as ``kind`` (``statements`` or a table) into the folder ``out``.

    ``as_of`` dates register rows that tell no time; without it they are of when their file was last changed.
    ``places`` also writes ``places.parquet``: in which file, sheet and row each event stands, a row a place.
    ``progress`` is told each file's name and bytes as it is begun. ImportFailed where nothing could be read or written,
    WrongUse where the call itself is wrong, MappingError where a mapping file is.
    """
    started = time.perf_counter()
    metadata = _basis(basis, basis_ref, basis_until)
    if kind not in KINDS:
        raise WrongUse(f"没有 {kind!r} 这张表；可用：{', '.join(KINDS)}")
    if not files:
        raise WrongUse("没有给出文件")
    for path in files:
        if not path.exists():
            raise WrongUse(f"没有这个文件：{path}")
    if out.exists() and not out.is_dir():
        raise WrongUse(f"{out} 不是文件夹")
    if mapping_dir is not None and mapping_dir.exists() and not mapping_dir.is_dir():
        raise WrongUse(f"--mapping-dir {mapping_dir} 不是文件夹；单个映射文件用 --mapping")
    tables = STATEMENT_TABLES if kind == "statements" else (kind,)
    mappings = [*available(mapping_dir, mapping), *(own_mapping(t) for t in tables)]
    run = Run(
        kind=kind, tables=tables, mappings=mappings, folder=mapping_dir, guide=guide, draft_folder=out.parent,
        settings=Settings(
            source=source or "import", as_of=as_of, begun=now().replace(microsecond=0), own_account=own_account
        ),
    )  # fmt: skip
    for item in items(files):
        if progress is not None:
            progress(item.name, len(item.data) if isinstance(item, Item) else 0)
        run.files += 1
        if isinstance(item, Problem):
            run.problem(item.name, "", item.reason, item.message)
        else:
            read(run, item)
    if run.files == 0:
        raise ImportFailed("文件夹或压缩包里没有文件")
    return _finish(run, out, metadata, started, places=places)


def total_bytes(files: list[Path]) -> int:
    """Bytes behind ``files``, for a progress bar."""
    return size(files)


def _basis(basis: str | None, ref: str | None, until: str | None) -> dict[str, str]:
    if basis is None:
        if ref or until:
            raise WrongUse("--basis-ref 与 --basis-until 需同 --basis 一起给出")
        return {}
    if basis not in BASES:
        raise WrongUse(f"没有 {basis!r} 这种依据；可用：{', '.join(BASES)}")
    if basis in ("case_query", "warning") and not ref:
        raise WrongUse(f"依据 {basis} 要有文书号：--basis-ref")
    if basis not in ("holder_own", "open_data") and not until:
        raise WrongUse(f"依据 {basis} 要有截止日期：--basis-until")
    told = {"wuzha.basis": basis}
    if ref:
        told["wuzha.basis_ref"] = ref
    if until:
        try:
            told["wuzha.basis_until"] = parse_date(until).isoformat()
        except ValueError as error:
            raise WrongUse(f"--basis-until {until!r} 不是日期") from error
    return told


def _finish(run: Run, out: Path, metadata: dict[str, str], started: float, *, places: bool) -> Summary:
    for path, text in run.drafts:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
        except OSError as error:
            run.notes.append(f"映射草稿写不进 {path}：{error.strerror}")
    if not run.batches and not run.rejects and run.left_out:
        raise ImportFailed("没有一个文件能读：\n" + "\n".join(run.left_out[:5]))
    run.notes += run.left_out
    run.notes += [
        f"{place(t['file'], t['sheet'])}：未取的列 {'、'.join(t['columns'][:40])}"
        f"{'…' if len(t['columns']) > 40 else ''}" for t in run.not_taken
    ]  # fmt: skip
    if run.read == 0 and run.rejects and not run.batches:
        told = pl.concat(run.rejects).unique(["file", "sheet"], keep="first", maintain_order=True)
        lines = [
            f"{r['file']}{'「' + r['sheet'] + '」' if r['sheet'] else ''}：{r['message']}"
            for r in told.head(5).to_dicts()
        ]
        raise ImportFailed("没有一个文件能读：\n" + "\n".join(lines))
    tables: dict[str, pl.DataFrame] = {}
    stand: list[pl.DataFrame] = []
    duplicates = merged = accepted = 0
    for name in run.tables:
        if name not in run.batches:
            continue
        table = TABLES[name]
        settled = settle(table, pl.concat(run.batches.pop(name), how="diagonal"), placed=places)
        if settled.places is not None:
            stand.append(settled.places.with_columns(table=pl.lit(name)))
        duplicates += settled.duplicates
        merged += settled.merged
        accepted += settled.rows.height
        _conflicts(run, settled.refused)
        tables[name] = settled.rows
    for name, frames in run.derived.items():
        rows = _derived(run, TABLES[name], frames)
        tables[name] = (
            pl.concat([tables[name], rows])
            .unique(["source", "event_id"], keep="first")
            .sort("ts", "source", "event_id")
            if name in tables
            else rows
        )
    first = "transfers" if run.kind == "statements" else run.kind
    if first not in tables:
        tables[first] = pl.DataFrame(pl.from_arrow(TABLES[first].empty()))
    rejects = pl.concat(run.rejects) if run.rejects else pl.DataFrame(schema=REJECT_COLUMNS)
    rejects = rejects.sort("file", "sheet", "row", maintain_order=True)
    try:
        output.write(out, run.kind, tables, rejects, metadata, _places(run, stand) if places else None)
    except OSError as error:
        raise ImportFailed(f"写不进 {out}：{error.strerror or error}；没有写下任何文件") from error
    return Summary(
        rows=run.rows, accepted=accepted, rejected=rejects.height - run.beside, beside=run.beside,
        duplicates=duplicates, merged=merged,
        files=run.files,
        seconds=round(time.perf_counter() - started, 3), tables={name: rows.height for name, rows in tables.items()},
        out=str(out), not_taken=run.not_taken, notes=run.notes,
    )  # fmt: skip


def _places(run: Run, stand: list[pl.DataFrame]) -> pl.DataFrame:
    """Where each event stands, in the order of the files."""
    units = pl.DataFrame(
        {"_unit": range(len(run.units)), "file": [f for f, _ in run.units], "sheet": [s for _, s in run.units]},
        schema={"_unit": pl.Int64, "file": pl.String, "sheet": pl.String},
    )
    if not stand:
        return pl.DataFrame(schema=output.PLACES)
    return (
        pl.concat(stand)
        .join(units, on="_unit", how="left", maintain_order="left")
        .rename({"_row": "row"})
        .sort("_unit", "row", maintain_order=True)
        .select(list(output.PLACES))
    )


def _conflicts(run: Run, refused: pl.DataFrame) -> None:
    for unit, row, event_id in refused.select("_unit", "_row", "event_id").iter_rows():
        file, sheet = run.units[unit]
        message = "同一事件编号已有另一时间的行"
        told = pl.DataFrame(
            {"row": [row], "column": ["event_id"], "value": [event_id], "reason": ["id_conflict"], "message": [message]}
        )
        run.refuse(file, sheet, told)


def _derived(run: Run, table: Table, frames: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows of other tables that lines gave beside their own; those that break their table's rules are refused."""
    told = pl.concat(frames, how="diagonal")
    rows = told.select(c for c in told.columns if not c.startswith("_"))
    arrow = rows.with_columns(source=pl.lit(run.settings.source), event_id=pl.lit("?")).to_arrow()
    accepted, refused, mask = validate(table, arrow)
    for r in refused:
        line = told.row(r.row, named=True)
        file, sheet = run.units[line["_unit"]]
        column = line.get(f"_header_{r.column}") or r.column
        message = f"附带的{table.zh}未写，本行照常导入：{r.message}"
        reject = (line["_row"], column, (r.value or "")[:200] or None, r.reason, message)
        run.refuse(file, sheet, pl.DataFrame([reject], schema=REJECT_SCHEMA, orient="row"))
    run.beside += len(refused)
    kept = told.filter(pl.Series(pl.from_arrow(mask), dtype=pl.Boolean))
    inner = [c for c in ("_unit", "_row", "_undated") if c in kept.columns]
    frame = pl.DataFrame(pl.from_arrow(accepted)).with_columns(event_id=pl.lit(None, pl.String))
    return settle(table, frame.with_columns(kept.select(inner).get_columns())).rows
