"""Banks' files read together for the workbench: the importer's tables and rejects, and what was read of each file.

Kept true here: rows of a file = rows taken + rows refused; nothing of the files stays behind in the folder that was
used but what its caller keeps.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from wuzha.ingest import Guide, Mapping, import_files
from wuzha.ingest.cells import bare_word
from wuzha.ingest.grids import Grid
from wuzha.ingest.mapping import DIRECTIONS
from wuzha.ingest.output import write_workbook
from wuzha.trace.workbench import Books
from wuzha.trace.workbench.paper import Read

TABLES = ("transfers", "accounts", "persons", "relations")


class Told:
    """Answers the importer with what an analyst has said of direction words; headers that nobody knows stay unread."""

    def __init__(self, words: dict[str, str]) -> None:
        self._words = words

    def direction(self, mapping: Mapping, word: str, samples: list[str]) -> str | None:
        """``in`` or ``out``, or None to refuse its rows."""
        meant = self._words.get(bare_word(word))
        return meant if meant in DIRECTIONS[mapping.shape] else None

    def header(self, grid: Grid, row: int, proposal: str) -> str | None:
        """None: the sheet is told as unread."""
        return None


@dataclass(frozen=True, kw_only=True)
class Got:
    """What was read: ``books``, ``read`` by file, ``rejects`` as the importer tells them, ``notes`` for people."""

    books: Books
    read: list[Read]
    rejects: pl.DataFrame
    notes: list[str]


def books_of(
    paths: list[Path], work: Path, mapping_dir: Path | None = None, progress: Callable[[str, int], None] | None = None,
    guide: Guide | None = None,
) -> Got:  # fmt: skip
    """Read files and folders together, through the folder ``work``. ImportFailed, WrongUse, MappingError as
    `ingest.import_files`."""
    summary = import_files("statements", paths, work, mapping_dir=mapping_dir, places=True, progress=progress,
                           guide=guide)  # fmt: skip
    return got_of(work, [note.split("。映射草稿")[0] for note in summary.notes])


def got_of(work: Path, notes: list[str]) -> Got:
    """What stands in a folder that an import wrote with its places."""
    tables = {name: pl.read_parquet(work / f"{name}.parquet") for name in TABLES if (work / f"{name}.parquet").exists()}
    places = pl.read_parquet(work / "places.parquet")
    rejects = shown(pl.read_parquet(work / "rejects.parquet"))
    return Got(books=Books(tables, places), read=by_file(places, rejects), rejects=rejects, notes=notes)


def shown(rejects: pl.DataFrame) -> pl.DataFrame:
    """The rejects without where the importer left the draft of a mapping: that folder is gone."""
    return rejects.with_columns(pl.col("message").str.split("。映射草稿").list.first())


def unknown_words(rejects: pl.DataFrame) -> list[str]:
    """Direction words that nobody knows, by how many rows they stop."""
    stopped = rejects.filter((pl.col("reason") == "unknown_direction") & pl.col("value").is_not_null())
    return stopped.get_column("value").value_counts(sort=True).get_column("value").to_list()[:20]


def by_file(places: pl.DataFrame, rejects: pl.DataFrame) -> list[Read]:
    """What was read of each file, by its name."""
    stand = places.select("file", "sheet", "row").unique()
    refused = rejects.select("file", "sheet", "row").unique().join(stand, on=["file", "sheet", "row"], how="anti")
    taken = dict(stand.group_by("file").len().iter_rows())
    lost = dict(refused.group_by("file").len().iter_rows())
    first = dict(
        rejects.group_by("file")
        .agg(pl.col("message").value_counts(sort=True).first().struct.field("message"))
        .iter_rows()
    )
    return [
        Read(file=name, rows=taken.get(name, 0) + lost.get(name, 0), taken=taken.get(name, 0),
             refused=lost.get(name, 0), why=first.get(name, "") if lost.get(name) else "")
        for name in sorted(taken.keys() | lost.keys())
    ]  # fmt: skip


def rejects_book(rejects: pl.DataFrame) -> bytes:
    """The rows that were not read, as a workbook; a value is only ever text."""
    out = io.BytesIO()
    write_workbook(out, rejects)
    return out.getvalue()
