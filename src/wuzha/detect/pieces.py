"""A folder of event tables in pieces that are read apart, each by itself: the first half of `files.read_folder`.

Kept true here: the pieces' blocks, merged, give what the folder gives as a whole: rows are checked, filled and numbered
one by one, and the log's order does not know where they were cut.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from wuzha.events import TABLES
from wuzha.events.batch import check, conform

from .codes import TABLES as READ
from .encode import MAX_ROWS, Block, encode
from .files import coded, wanted


@dataclass(frozen=True, kw_only=True)
class Piece:
    """Rows ``begin`` … ``end`` − 1 of a table's file; ``position`` numbers its block."""

    table: str
    path: Path
    begin: int
    end: int
    position: int


def pieces(folder: Path, rows: int = MAX_ROWS) -> list[Piece]:
    """All of the folder, in the order of its tables. FileNotFoundError where it holds none, ValueError where a file is
    no such table."""
    if not 0 < rows <= MAX_ROWS:
        raise ValueError(f"a piece has 1 to {MAX_ROWS} rows")
    out: list[Piece] = []
    found = False
    for name in READ:
        path = folder / f"{name}.parquet"
        if not path.is_file():
            continue
        found = True
        try:
            n = pq.read_metadata(path).num_rows
        except (OSError, pa.ArrowException) as error:
            raise ValueError(f"{path}: {error}") from error
        for begin in range(0, max(n, 1), rows):
            out.append(
                Piece(table=name, path=path, begin=begin, end=min(begin + rows, n), position=len(out) + 1)
            )  # fmt: skip
    if not found:
        raise FileNotFoundError(f"{folder} holds no event tables ({', '.join(READ)}, each as NAME.parquet)")
    return out


def read_piece(piece: Piece, prepare: Callable[[str, pa.Table], pa.Table] | None = None) -> tuple[Block, int]:
    """The piece's block, and how many of its rows were refused. As in `files.read_folder`."""
    try:
        rows = _rows(piece, whole=prepare is not None)
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f"{piece.path}: {error}") from error
    rows, rejects = check(TABLES[piece.table], rows)
    if prepare is not None:
        rows = prepare(piece.table, rows)
    return encode(piece.table, rows, piece.position), len(rejects)


def _rows(piece: Piece, *, whole: bool) -> pa.Table:
    table = TABLES[piece.table]
    with pq.ParquetFile(piece.path, read_dictionary=coded(piece.table)) as file:
        conform(table, file.schema_arrow.empty_table())
        columns = [c for c in file.schema_arrow.names if c in wanted(piece.table, whole=whole)]
        groups: list[int] = []
        begin = skip = 0
        for g in range(file.num_row_groups):
            n = file.metadata.row_group(g).num_rows
            if begin < piece.end and begin + n > piece.begin:
                skip = piece.begin - begin if not groups else skip
                groups.append(g)
            begin += n
        rows = file.read_row_groups(groups, columns=columns).slice(skip, piece.end - piece.begin)
    return conform(table, rows, coded=True)
