"""What ties rows to rows that came before them: identities, reversals, references of payments through firms."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from wuzha.events.hashing import identity

from . import rows
from .numbers import Numbers


class Links:
    """What ties rows to rows that came before: identities, what reversals undo, references of payments by firms."""

    def __init__(self) -> None:
        self.rows: list[pa.Table] = []
        self.twice = 0
        self._known, self._awaited, self._through, self._named = Numbers(), Numbers(), Numbers(), Numbers()

    def new(self, table: pa.Table) -> tuple[pa.Table, bool]:
        """The rows that were not there yet, and whether they change what earlier ones mean."""
        ids = identity(table)
        before = len(self._known)
        _, first = self._known.intern(ids)
        if first.shape[0] < table.num_rows:
            self.twice += table.num_rows - first.shape[0]
            first = np.sort(first)
            table, ids = table.take(pa.array(first)), ids[first]
        undone, through, named = rows.links(table)
        again = bool(
            self._awaited.has(ids).any() or self._named.has(through).any() or self._through.has(named).any()
            or self._known.has(undone, before).any()
        )  # fmt: skip
        self._awaited.intern(undone)
        self._through.intern(through)
        self._named.intern(named)
        return table, again and bool(self.rows)
