"""Rows of one table while a city is made: columns of numbers and codes, labels beside them, Arrow at the end.

Kept true here: a row's event id comes from its table and serial number through a bijection, rows stand in the order of
time with ties in the order of ids, and what is labelled changes neither.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, field
from typing import Any

import numba as nb
import numpy as np
import pyarrow as pa

from wuzha.events import TABLES

from .draw import I32, I64, U64, id_texts, scrambled

#: Codes of ``stage``, ``step`` in labels; -1 null.
STAGES = ("approach", "trust", "act", "pay")
STEPS = ("lure", "credit", "loss", "move", "exit", "device")


@dataclass(kw_only=True)
class Labels:
    """Labels of some rows of a chunk. Scalars stand for all of them; ``at`` are row offsets within the chunk."""

    scam: Any = -1
    stage: Any = -1
    step: Any = -1
    person: Any = -1
    look: Any = -1
    at: Any = None


@dataclass
class Rows:
    """The rows of one table. Codes are int32, -1 for null; ``sec`` counts seconds from the city's first midnight."""

    table: str
    #: column -> value that it has where a chunk does not say
    defaults: dict[str, Any]
    chunks: list[dict[str, Any]] = field(default_factory=list)
    labels: list[dict[str, Any]] = field(default_factory=list)
    n: int = 0

    def add(self, n: int, labels: Labels | None = None, **columns: Any) -> None:
        """``n`` more rows; a scalar stands for the whole column."""
        if n == 0:
            return
        unknown = columns.keys() - self.defaults.keys() - {"sec"}
        if unknown:
            raise KeyError(f"{self.table} rows have no {sorted(unknown)}")
        if labels is not None:
            at = np.arange(n) if labels.at is None else np.asarray(labels.at)
            self.labels.append(
                {
                    "row": at + self.n,
                    **{
                        k: np.broadcast_to(np.asarray(getattr(labels, k), np.int32), len(at))
                        for k in ("scam", "stage", "step", "person", "look")
                    },
                }
            )
        self.chunks.append({"n": n, **columns})
        self.n += n

    def column(self, name: str) -> Any:
        """All values of a column so far, in order of adding."""
        default = self.defaults.get(name, 0)
        kind = np.asarray(default).dtype if name != "sec" else np.dtype(np.int64)
        parts = [np.broadcast_to(np.asarray(c.get(name, default), kind), c["n"]) for c in self.chunks]
        return np.concatenate(parts) if parts else np.empty(0, kind)

    def labelled(self) -> dict[str, I64]:
        """row, scam, stage, step, person, look of every label."""
        keys = ("row", "scam", "stage", "step", "person", "look")
        if not self.labels:
            return {k: np.empty(0, np.int64) for k in keys}
        return {k: np.concatenate([c[k] for c in self.labels]).astype(np.int64) for k in keys}

    def ids(self, seed: int) -> U64:
        """The 64 bits behind each row's event id."""
        return scrambled(self.n, seed, zlib.crc32(self.table.encode()))


@nb.njit(cache=True)
def _time_order(sec, tie, span, order):  # type: ignore[no-untyped-def]
    start = np.zeros(span + 1, np.int64)
    for i in range(sec.shape[0]):
        start[sec[i] + 1] += 1
    for s in range(span):
        start[s + 1] += start[s]
    fill = start.copy()
    for i in range(sec.shape[0]):
        s = sec[i]
        j = fill[s]
        first = start[s]
        while j > first and tie[order[j - 1]] > tie[i]:
            order[j] = order[j - 1]
            j -= 1
        order[j] = i
        fill[s] += 1


def time_order(sec: I64, tie: U64) -> I64:
    """Indices that put rows in order of (second, tie)."""
    order = np.empty(len(sec), np.int64)
    if len(sec):
        low = int(sec.min())
        span = int(sec.max()) - low + 1
        if span > 50_000_000:
            return np.lexsort((tie, sec))
        _time_order(sec - low, tie, span, order)
    return order


@dataclass(frozen=True)
class Pool:
    """Texts that codes point into; equal texts are one, so that Parquet may write the codes as they are."""

    texts: pa.Array
    remap: I32

    @staticmethod
    def of(values: Any) -> Pool:
        """From a list of texts (None: null)."""
        array = values if isinstance(values, pa.Array) else pa.array(list(values), pa.string())
        encoded = array.dictionary_encode()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int32)
        return Pool(encoded.dictionary, np.append(codes, np.int32(-1)))

    def take(self, codes: Any) -> pa.DictionaryArray:
        """Dictionary column of the codes; -1 is null."""
        mapped = self.remap[codes]
        return pa.DictionaryArray.from_arrays(pa.array(mapped, mask=mapped < 0), self.texts, safe=False)


def times(sec: I64, start_us: int) -> pa.Array:
    """UTC times of seconds from the start."""
    return pa.array(sec * 1_000_000 + start_us).cast(pa.timestamp("us", tz="UTC"))


def table(name: str, n: int, columns: dict[str, pa.Array]) -> pa.Table:
    """A table with all columns of its schema in order; texts may still be dictionary columns, missing ones are null."""
    fields, arrays = [], []
    for f in TABLES[name].schema:
        array = columns.get(f.name)
        if array is None:
            array = pa.nulls(n, f.type)
        fields.append(pa.field(f.name, array.type, nullable=f.nullable))
        arrays.append(array)
    return pa.table(arrays, schema=pa.schema(fields, metadata=TABLES[name].schema.metadata))


__all__ = ["STAGES", "STEPS", "Labels", "Pool", "Rows", "id_texts", "table", "time_order", "times"]
