"""Banks' files read together for the workbench: the importer's tables and rejects, and what was read of each file.

Kept true here: rows of a file = rows taken + rows refused; nothing of the files stays behind in the folder that was
used but what its caller keeps.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from wuzha.ingest import import_files
from wuzha.trace.workbench import Books
from wuzha.trace.workbench.paper import Read

TABLES = ("transfers", "accounts", "persons", "relations")


@dataclass(frozen=True, kw_only=True)
class Got:
    """What was read: ``books``, ``read`` by file, ``rejects`` as the importer tells them, ``notes`` for people."""

    books: Books
    read: list[Read]
    rejects: pl.DataFrame
    notes: list[str]


def books_of(
    paths: list[Path], work: Path, mapping_dir: Path | None = None, progress: Callable[[str, int], None] | None = None,
) -> Got:  # fmt: skip
    """Read files and folders together, through the folder ``work``. ImportFailed, WrongUse, MappingError as
    `ingest.import_files`."""
    summary = import_files("statements", paths, work, mapping_dir=mapping_dir, places=True, progress=progress)
    return got_of(work, summary.notes)


def got_of(work: Path, notes: list[str]) -> Got:
    """What stands in a folder that an import wrote with its places."""
    tables = {name: pl.read_parquet(work / f"{name}.parquet") for name in TABLES if (work / f"{name}.parquet").exists()}
    places = pl.read_parquet(work / "places.parquet")
    rejects = pl.read_parquet(work / "rejects.parquet")
    return Got(books=Books(tables, places), read=_by_file(places, rejects), rejects=rejects, notes=notes)


def _by_file(places: pl.DataFrame, rejects: pl.DataFrame) -> list[Read]:
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
