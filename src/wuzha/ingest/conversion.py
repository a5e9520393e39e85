"""A sheet's cells to rows of its table, by the shape of its mapping."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from . import records, statements
from .reading import Reading


@dataclass(frozen=True, kw_only=True)
class Converted:
    """``rows`` not refused (the table's columns, ``_row`` and helper columns), and what gives the rows of other tables
    once these are accepted."""

    rows: pl.DataFrame
    also: Callable[[pl.DataFrame], dict[str, list[pl.DataFrame]]]


def convert(reading: Reading) -> Converted:
    """Rows of a sheet. What cannot be read is in ``reading.refused()`` and not among the rows."""
    if reading.mapping.shape == "one_sided":
        rows = statements.one_sided(reading)
    elif reading.mapping.shape == "call_record":
        rows = statements.call_records(reading)
    else:
        rows = records.records(reading)
    rows = rows.filter(~reading.taken)
    if "source" not in rows.columns:
        rows = rows.with_columns(source=pl.lit(None, pl.String))
    if "event_id" not in rows.columns:
        rows = rows.with_columns(event_id=pl.lit(None, pl.String))
    return Converted(rows=rows, also=lambda kept: records.also(reading, kept))
