"""A small city for the tests of this folder, as batches in the order in which they would arrive."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
import pyarrow as pa

from wuzha.city import generator
from wuzha.city.scripts import load
from wuzha.events import TABLES
from wuzha.events.batch import conform

REGISTERS = ("persons", "lines", "accounts", "relations")


@dataclass(frozen=True)
class Sent:
    """One batch: rows of one table of one source."""

    table: str
    source: str
    rows: pa.Table


@lru_cache(maxsize=2)
def tables(people: int = 400, days: int = 3, seed: int = 11, scam_rate: float = 0.08) -> dict[str, pa.Table]:
    """The city's tables without its ground truth."""
    made = generator.make(people, days, seed, load(None), date(2026, 3, 2), scam_rate, lambda _: None)
    return {n: conform(TABLES[n], t) for n, t in made.items() if n != "labels" and t.num_rows}


def batches(made: dict[str, pa.Table], *, minutes: int = 120, rows: int = 1000) -> Iterator[Sent]:
    """Registers first, then slices of time; in each, table by table and source by source, at most ``rows`` a batch."""
    for name in REGISTERS:
        if name in made:
            yield from _by_source(name, made[name], rows)
    slices: list[tuple[int, str, pa.Table]] = []
    for name, table in made.items():
        if name in REGISTERS:
            continue
        ts = _known(name, table)
        order = np.argsort(ts, kind="stable")
        table, slot = table.take(pa.array(order)), ts[order] // (minutes * 60_000_000)
        numbers, starts = np.unique(slot, return_index=True)
        for i, begin in enumerate(starts.tolist()):
            end = int(starts[i + 1]) if i + 1 < len(starts) else len(order)
            slices.append((int(numbers[i]), name, table.slice(begin, end - begin)))
    for _, name, table in sorted(slices, key=lambda s: (s[0], s[1])):
        yield from _by_source(name, table, rows)


def _known(name: str, table: pa.Table) -> np.ndarray:  # type: ignore[type-arg]
    column = {"reports": "reported_at", "findings": "known_at"}.get(name, "ts")
    return table.column(column).cast(pa.int64()).combine_chunks().to_numpy(zero_copy_only=False)


def _by_source(name: str, table: pa.Table, rows: int) -> Iterator[Sent]:
    for source in sorted(pa.compute.unique(table.column("source")).to_pylist()):
        mine = table.filter(pa.compute.equal(table.column("source"), source))
        for begin in range(0, mine.num_rows, rows):
            yield Sent(name, source, mine.slice(begin, rows))
