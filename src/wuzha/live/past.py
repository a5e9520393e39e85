"""The log that is over, as blocks in log order: sealed history, then what the log itself still holds beyond it.

Kept true here: late rows stay out, as they do live; rows come in the order of their refs. Names and identity numbers do
not go to history, so a warning that names its person by these alone joins nobody here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wuzha import detect
from wuzha.detect.backtest import Truth
from wuzha.detect.encode import MAX_ROWS, Block
from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.store import log as store_log

from . import history
from .cited import read_words
from .late import Watermarks

_ROWS = 200_000


class Past:
    """What a deployment keeps of its log. ``truth`` fills while `blocks` is read."""

    def __init__(self, folder: Path, conn: psycopg.Connection[Any] | None = None) -> None:
        self._folder, self._conn = folder, conn
        self._sealed = history.sealed(folder)
        self.truth = Truth()
        self._segments: dict[tuple[int, int], list[Path]] = defaultdict(list)
        for path in history.files(folder):
            first, _, last = path.stem.partition("-")
            self._segments[int(first), int(last)].append(path)

    def rows(self) -> int:
        """About how many rows `blocks` will give."""
        n = sum(int(pq.ParquetFile(p).metadata.num_rows) for paths in self._segments.values() for p in paths)
        if self._conn is not None:
            row = self._conn.execute(
                "SELECT coalesce(sum(n), 0)::bigint FROM wuzha.log WHERE position > %s", [self._sealed.position]
            ).fetchone()
            n += int(row[0]) if row else 0
        return n

    def blocks(self) -> Iterator[Block]:
        """All of it, in log order."""
        position = 0
        for span in sorted(self._segments):
            block, position = self._segment(self._segments[span], position)
            for begin in range(0, len(block), _ROWS):
                yield block.slice(begin, begin + _ROWS)
        if self._conn is None:
            return
        marks, at = Watermarks(self._sealed.marks), self._sealed.position
        while batches := list(store_log.read(self._conn, at, limit_rows=_ROWS)):
            for b in batches:
                at = b.position
                late = marks.late(b.table, b.source, b.rows)
                kept = read_words(b.table, b.rows).filter(pa.array(~late))
                self.truth.take({b.table: kept})
                position += 1
                yield _plain(detect.encode(b.table, kept, position))

    def _segment(self, paths: list[Path], position: int) -> tuple[Block, int]:
        by_table: dict[str, list[pa.Table]] = defaultdict(list)
        for path in paths:
            rows = pq.read_table(path, partitioning=None)
            by_table[path.parts[-4]].append(rows.filter(pc.invert(rows["late"])))
        blocks: list[Block] = []
        refs: dict[int, Any] = {}
        for name, parts in by_table.items():
            whole = pa.concat_tables(parts)
            for begin in range(0, whole.num_rows, MAX_ROWS):
                rows = whole.slice(begin, MAX_ROWS)
                position += 1
                refs[position] = rows["ref"].to_numpy()
                rows = read_words(name, conform(TABLES[name], rows.select(_known(name, rows))))
                self.truth.take({name: rows})
                blocks.append(detect.encode(name, rows, position))
        if not blocks:
            return detect.merge([detect.encode("calls", TABLES["calls"].empty(), position)]), position
        merged = detect.merge(blocks)
        came = np.zeros(len(merged), np.int64)
        for at, ref in refs.items():
            here = merged.ref >> history.ROW_BITS == at
            came[here] = ref[merged.ref[here] & (MAX_ROWS - 1)]
        return merged.pick(np.argsort(came, kind="stable")), position


def _known(table: str, rows: pa.Table) -> list[str]:
    return [c.name for c in TABLES[table].all_columns if c.name in rows.column_names]


def _plain(block: Block) -> Block:
    """Arrays of one kind for the kernels, as the worker hands them."""
    return block.pick(np.arange(len(block)))
