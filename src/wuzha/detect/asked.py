"""Which columns of a table are read, so that the others need not be fetched.

Kept true here: nobody writes the list down; the encoder is run on no rows, and what it asks for is noted.
"""

from __future__ import annotations

from functools import cache

import pyarrow as pa

from wuzha.events import TABLES

from .encode import FILL, NAMED, Draft


class _Asked:
    """Rows that remember which of their columns were asked for."""

    def __init__(self, rows: pa.Table) -> None:
        self.rows, self.names = rows, {"source", "event_id", "ts"}
        self.num_rows = rows.num_rows

    def column(self, name: str) -> pa.ChunkedArray:
        self.names.add(name)
        return self.rows.column(name)

    def append_column(self, name: str, column: pa.ChunkedArray) -> _Asked:
        self.rows = self.rows.append_column(name, column)
        return self


@cache
def reads(table: str) -> frozenset[str]:
    """Columns of the table that `encode.encode` reads."""
    asked = _Asked(TABLES[table].empty())
    FILL[table](Draft(asked))
    return frozenset(asked.names - {NAMED})
