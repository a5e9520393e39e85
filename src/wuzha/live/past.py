"""The log that is over, as blocks in log order: sealed history, then what the log itself still holds beyond it.

Kept true here: late rows stay out, as they do live; rows come in the order of their refs. Names and identity numbers do
not go to history, so a warning that names its person by these alone joins nobody here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
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

    @staticmethod
    def rows_of(paths: Iterable[Path]) -> int:
        """Rows of some files, late ones too."""
        return sum(int(pq.ParquetFile(p).metadata.num_rows) for p in paths)

    def rows(self, *, until: int | None = None) -> int:
        """About how many rows `blocks` will give."""
        spans = [s for s in self._segments if until is None or s[0] <= until]
        n = sum(self.rows_of(self._segments[span]) for span in spans)
        if self._conn is not None:
            row = self._conn.execute(
                "SELECT coalesce(sum(n), 0)::bigint FROM wuzha.log WHERE position > %s"
                " AND (position <= %s OR %s::bigint IS NULL)",
                [self._sealed.position, until, until],
            ).fetchone()
            n += int(row[0]) if row else 0
        return n

    def segments(self) -> list[list[Path]]:
        """The files of each sealed segment, in log order."""
        return [self._segments[span] for span in sorted(self._segments)]

    def tail(self, *, until: int | None = None, without: Collection[int] = ()) -> Iterator[Block]:
        """What the log holds beyond history, in its order."""
        if self._conn is None:
            return
        marks, at = Watermarks(self._sealed.marks), self._sealed.position
        while batches := list(store_log.read(self._conn, at, limit_rows=_ROWS, until=until)):
            for b in batches:
                at = b.position
                if until is not None and at > until:
                    return
                late = marks.late(b.table, b.source, b.rows)
                if at in without:
                    continue
                rows = read_words(b.table, b.rows)
                self.truth.take({b.table: rows.filter(pa.array(~late))})
                yield detect.encode(b.table, rows, at).pick(np.flatnonzero(~late))

    def blocks(self, *, until: int | None = None, without: Collection[int] = ()) -> Iterator[Block]:
        """All of it (up to log position ``until``), in log order; events keep their refs. Batches ``without`` stay
        out."""
        for span in sorted(self._segments):
            if until is not None and span[0] > until:
                break
            block, truth = segment(self._segments[span])
            self.truth.join(truth)
            if without or (until is not None and span[1] > until):
                place = block.ref >> history.ROW_BITS
                some = ~np.isin(place, list(without))
                block = block.pick(some if until is None else some & (place <= until))
            for begin in range(0, len(block), _ROWS):
                yield block.slice(begin, begin + _ROWS)
        yield from self.tail(until=until, without=without)


def segment(paths: Iterable[Path]) -> tuple[Block, Truth]:
    """The files of one sealed segment as a block in log order, and what is known by its end."""
    by_table: dict[str, list[pa.Table]] = defaultdict(list)
    for path in paths:
        rows = pq.read_table(path, partitioning=None)
        by_table[path.parts[-4]].append(rows.filter(pc.invert(rows["late"])))
    blocks: list[Block] = []
    truth = Truth()
    refs: list[Any] = []
    for name, parts in by_table.items():
        whole = pa.concat_tables(parts)
        whole = whole.take(pc.sort_indices(whole, [("ref", "ascending")]))
        for begin in range(0, whole.num_rows, MAX_ROWS):
            rows = whole.slice(begin, MAX_ROWS)
            refs.append(rows["ref"].to_numpy())
            rows = read_words(name, conform(TABLES[name], rows.select(_known(name, rows))))
            truth.take({name: rows})
            blocks.append(detect.encode(name, rows, len(refs)))
    if not blocks:
        return detect.merge([detect.encode("calls", TABLES["calls"].empty(), 1)]), truth
    merged = detect.merge(blocks)
    came, due = np.zeros(len(merged), np.int64), merged.due.copy()
    for i, (ref, block) in enumerate(zip(refs, blocks, strict=True), 1):
        here = merged.ref >> history.ROW_BITS == i
        row = merged.ref[here] & (MAX_ROWS - 1)
        # an identifier that is merged with its report counts from it; one in the log counts from its own row
        came[here], due[here] = ref[row], block.due[row]
    order = np.argsort(came, kind="stable")
    return replace(merged, ref=came, due=due).pick(order), truth


def _known(table: str, rows: pa.Table) -> list[str]:
    return [c.name for c in TABLES[table].all_columns if c.name in rows.column_names]
