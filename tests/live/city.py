"""A small city for the tests of this folder."""

from __future__ import annotations

from datetime import date
from functools import lru_cache

import pyarrow as pa

from wuzha.bench.arriving import Sent, batches
from wuzha.city import generator
from wuzha.city.scripts import load
from wuzha.events import TABLES
from wuzha.events.batch import conform

__all__ = ["Sent", "batches", "tables"]


@lru_cache(maxsize=2)
def tables(people: int = 400, days: int = 3, seed: int = 11, scam_rate: float = 0.08) -> dict[str, pa.Table]:
    """The city's tables without its ground truth."""
    made = generator.make(people, days, seed, load(None), date(2026, 3, 2), scam_rate, lambda _: None)
    return {n: conform(TABLES[n], t) for n, t in made.items() if n != "labels" and t.num_rows}
