"""The rows that evidence cites, found again by ref (position << 20 | row): in memory, in the log, in history.

Kept true here: what is copied beside evidence carries no vault column, so that erasing a person in the vault erases
their name everywhere.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from datetime import date, datetime
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa

from wuzha import text
from wuzha.events import TABLES
from wuzha.store import log as store_log

from . import history

ROW_MASK = (1 << history.ROW_BITS) - 1
#: Rows of late batches that stay opened.
_ROWS_KEPT = 500_000
#: Columns that never go beside evidence: names and numbers, and the sender's own unmapped columns, which may hold them.
_LEFT_OUT = {t.name: {"raw", *(c.name for c in t.columns if c.vault)} for t in TABLES.values()}


def read_words(table: str, rows: pa.Table) -> pa.Table:
    """Rows as the engine is fed with them: of messages, with what `wuzha.text` reads in their words. The log keeps them
    as they came, so whoever opens a batch does this, and a row is the same wherever it is found again."""
    return text.annotate(rows) if table == "messages" else rows


class Cited:
    """Opened batches by position, the latest used last."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: OrderedDict[int, tuple[str, pa.Table]] = OrderedDict()
        self._rows = 0

    def remember(self, position: int, table: str, rows: pa.Table) -> None:
        """Keep a batch that has just been read; the oldest give way."""
        if position not in self._opened:
            self._rows += rows.num_rows
        self._opened[position] = (table, rows)
        while self._rows > _ROWS_KEPT and len(self._opened) > 1:
            self._rows -= self._opened.popitem(last=False)[1][1].num_rows

    def rows(self, conn: psycopg.Connection[Any], refs: Iterable[int]) -> dict[int, tuple[str, dict[str, Any]]]:
        """Table and row of each ref that can still be found."""
        wanted = set(refs)
        missing = sorted({r >> history.ROW_BITS for r in wanted} - self._opened.keys())
        if missing:
            for batch in store_log.at(conn, missing):
                self.remember(batch.position, batch.table, read_words(batch.table, batch.rows))
        found: dict[int, tuple[str, dict[str, Any]]] = {}
        for ref in wanted:
            opened = self._opened.get(ref >> history.ROW_BITS)
            if opened is not None:
                table, rows = opened
                found[ref] = (table, rows.slice(ref & ROW_MASK, 1).to_pylist()[0])
        lost = wanted - found.keys()
        if lost:
            found.update(history.cited(self._folder, lost))
        return found


def as_json(table: str, row: dict[str, Any]) -> dict[str, Any]:
    """A row as it stands beside evidence: what is known, without identity (columns of their own) and vault columns."""
    out: dict[str, Any] = {}
    for name, value in row.items():
        if value is None or name in _LEFT_OUT[table] or name in ("source", "event_id", "ts"):
            continue
        out[name] = value.isoformat() if isinstance(value, datetime | date) else value
    return out
