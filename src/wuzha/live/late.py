"""Late rows: what comes later than its source may send it counts in no live figure, and goes to history marked late.

Kept true here: whether a row is late is a pure function of the log, as if rows came one by one. It is measured against
the latest event time that its own source has sent of its table, never against a wall clock, so that a replay decides
the same. The allowance in force stands in the batch itself (metadata ``wuzha.late_s``), written when it was taken.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wuzha.events import TABLES

METADATA = b"wuzha.late_s"
#: The registered allowance of a table that its source does not name.
US = 1_000_000


def allowance_s(table: str, registered: Mapping[str, Any]) -> int:
    """Seconds that a source may be late with ``table``: its own registered figure, else the table's."""
    own = registered.get(table)
    return int(own) if own is not None else TABLES[table].late_allowance_s


def stamp(rows: pa.Table, seconds: int) -> pa.Table:
    """``rows`` with the allowance in their schema's metadata."""
    return rows.replace_schema_metadata({**(rows.schema.metadata or {}), METADATA: str(seconds).encode()})


class Watermarks:
    """The latest event time by source and table, fed in log order."""

    def __init__(self, marks: Mapping[str, int] | None = None) -> None:
        self._marks: dict[str, int] = dict(marks or {})

    def late(self, table: str, source: str, rows: pa.Table) -> npt.NDArray[np.bool_]:
        """Which rows are late, one boolean a row; moves the mark on."""
        n = rows.num_rows
        if n == 0:
            return np.zeros(0, bool)
        said = (rows.schema.metadata or {}).get(METADATA)
        allowance = int(said) if said is not None else TABLES[table].late_allowance_s
        ts = rows.column("ts").combine_chunks().cast(pa.int64()).to_numpy(zero_copy_only=False)
        key = f"{table}|{source}"
        before = self._marks.get(key, int(ts[0]))
        # The mark that row i meets is the latest of everything sent before it.
        running = np.maximum.accumulate(np.concatenate(([before], ts)))
        self._marks[key] = int(running[-1])
        return np.asarray(ts < running[:-1] - allowance * US)

    def state(self) -> dict[str, int]:
        """For a snapshot."""
        return dict(self._marks)
