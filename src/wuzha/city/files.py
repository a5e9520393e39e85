"""A city on disk: one Parquet file a table, and ``city.json``.

Kept true here: the folder holds a whole city or none. It is written beside its place under a name of its own and
renamed when it is complete, so that a kill in the middle leaves at most a hidden folder that the next run removes.
"""

from __future__ import annotations

import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from wuzha.events import TABLES

from .generator import CityError

MANIFEST = "city.json"


def write_table(path: Path, rows: pa.Table) -> None:
    """One Parquet file. Dictionary columns are written as they are and read back as plain texts."""
    coded = [f.name for f in rows.schema if pa.types.is_dictionary(f.type)]
    with pq.ParquetWriter(
        path, rows.schema, compression="snappy", store_schema=False, use_dictionary=coded or False,
        dictionary_pagesize_limit=1 << 27, write_statistics=False, version="2.6", data_page_size=1 << 20,
    ) as writer:  # fmt: skip
        writer.write_table(rows, row_group_size=1 << 20)
        writer.add_key_value_metadata({k.decode(): v.decode() for k, v in (rows.schema.metadata or {}).items()})


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise CityError(f"another run is writing {path.parent / path.name[1:-5]}") from error
        try:
            yield
        finally:
            path.unlink(missing_ok=True)


def check_place(out: Path) -> None:
    """CityError where a city may not be put: not a folder, not writable, or holding something that is no city."""
    if out.exists() and not out.is_dir():
        raise CityError(f"{out} is a file, not a folder")
    if out.is_dir() and any(out.iterdir()) and not (out / MANIFEST).is_file():
        raise CityError(f"{out} holds something else than a city; choose an empty or a new folder")
    parent = out.absolute().parent
    if parent.exists() and not parent.is_dir():
        raise CityError(f"{parent} is no folder")
    try:
        parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CityError(f"{parent} cannot be made: {error.strerror}") from error
    if not os.access(parent, os.W_OK):
        raise CityError(f"{parent} cannot be written to")


def write(
    tables: dict[str, pa.Table], out: Path, facts: dict[str, Any], step: Callable[[str], None] = lambda name: None
) -> None:
    """Put a city at ``out``, whole or not at all; one that stands there is replaced. CityError where that fails."""
    check_place(out)
    out = out.absolute()
    part, old = out.parent / f".{out.name}.part", out.parent / f".{out.name}.old"
    try:
        with _lock(out.parent / f".{out.name}.lock"):
            for stale in (part, old):
                shutil.rmtree(stale, ignore_errors=True)
            part.mkdir()
            try:
                with ThreadPoolExecutor(2) as pool:
                    names = sorted(tables, key=lambda n: -tables[n].num_rows)
                    for name, _ in zip(
                        names, pool.map(lambda n: write_table(part / f"{n}.parquet", tables[n]), names), strict=True
                    ):
                        step(name)
                counts = {name: tables[name].num_rows for name in TABLES if name in tables}
                (part / MANIFEST).write_text(
                    json.dumps({**facts, "rows": counts}, ensure_ascii=False, indent=1) + "\n", "utf-8"
                )
                if out.exists():
                    out.rename(old)
                part.rename(out)
            except BaseException:
                shutil.rmtree(part, ignore_errors=True)
                if old.exists() and not out.exists():
                    old.rename(out)
                raise
            shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise CityError(f"{out} cannot be written: {error.strerror or error}") from error


def read(city: Path, table: str, columns: list[str] | None = None) -> pa.Table:
    """One table of a city. CityError where the folder is no city."""
    path = city / f"{table}.parquet"
    if not path.is_file():
        raise CityError(f"{city} is no city: {table}.parquet is missing")
    try:
        return pq.read_table(path, columns=columns)
    except (pa.ArrowInvalid, OSError) as error:
        raise CityError(f"{path} cannot be read: {error}") from error
