"""Working days by a dated table (``workdays.toml``): the State Council's days off and the weekends that are worked.

Kept true here: a date that falls into a year without a table is counted by Monday to Friday, and says so; nothing is
guessed of a year's feasts. What is wrong with the file is told with its line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

from . import datafile
from .clock import zone

_DAY = timedelta(days=1)


@dataclass(frozen=True, kw_only=True)
class Year:
    """One year's table. ``off``: days that are free; ``on``: Saturdays and Sundays that are worked."""

    year: int
    source: str
    off: frozenset[date]
    on: frozenset[date]


@dataclass(frozen=True, kw_only=True)
class Due:
    """The end of the last of so many working days. ``assumed``: years on the way that have no table."""

    at: datetime
    assumed: tuple[int, ...]


def read(text: str, name: str = "workdays.toml") -> dict[int, Year]:
    """The tables by year. DataFileError names file, line and what is wrong."""
    file = datafile.parse(text, name)
    found: dict[int, Year] = {}
    rows = file.data.get("year", [])
    for i, raw in enumerate(rows if isinstance(rows, list) else []):
        at, year = f"year[{i}]", raw.get("year")
        if type(year) is not int or not 2000 <= year < 2200:
            raise file.error(at, "year", "want a year, as 2026")
        if year in found:
            raise file.error(at, "year", f"{year} stands here twice")
        if odd := sorted(raw.keys() - {"year", "source", "off", "on"}):
            raise file.error(at, odd[0], f"unknown entry {odd[0]!r}")
        if not isinstance(raw.get("source"), str) or not raw["source"].strip():
            raise file.error(at, "source", "want the notice that says so")
        off, on = _days(file, at, "off", raw.get("off"), year), _days(file, at, "on", raw.get("on"), year)
        if wrong := sorted(day for day in on if day.weekday() < 5 or day in off):
            raise file.error(at, "on", f"{wrong[0]} is no Saturday or Sunday, or free as well")
        found[year] = Year(year=year, source=raw["source"], off=off, on=on)
    if not found:
        raise file.error("", "", "no [[year]]")
    return found


def _days(file: datafile.DataFile, at: str, key: str, rows: Any, year: int) -> frozenset[date]:
    if not isinstance(rows, list):
        raise file.error(at, key, "want a list of days")
    found: set[date] = set()
    for row in rows:
        first, last = row if isinstance(row, list) and len(row) == 2 else (row, row)
        if type(first) is not date or type(last) is not date or first > last or {first.year, last.year} != {year}:
            raise file.error(at, key, f"want days of {year}, or [first, last]")
        found.update(first + n * _DAY for n in range((last - first).days + 1))
    return frozenset(found)


@lru_cache(maxsize=1)
def tables() -> dict[int, Year]:
    """The shipped tables."""
    return read((files(__package__) / "workdays.toml").read_text("utf-8"))


def is_workday(day: date, known: dict[int, Year] | None = None) -> bool:
    """Whether it is worked on this day; Monday to Friday in a year without a table."""
    table = (tables() if known is None else known).get(day.year)
    if table is not None and day in table.off:
        return False
    return day.weekday() < 5 or (table is not None and day in table.on)


def _after(day: date) -> Iterator[date]:
    while True:
        day += _DAY
        yield day


def due(since: datetime, n: int, known: dict[int, Year] | None = None) -> Due:
    """The end of the ``n``-th working day after the day of ``since`` in the deployment's zone, which does not count
    itself. ValueError: fewer than one."""
    if n < 1:
        raise ValueError(f"{n} working days are no term")
    tables_ = tables() if known is None else known
    first = since.astimezone(zone()).date()
    left, last = n, first
    for last in _after(first):
        left -= is_workday(last, tables_)
        if not left:
            break
    assumed = tuple(year for year in range(first.year, last.year + 1) if year not in tables_)
    return Due(at=datetime.combine(last + _DAY, time(), zone()), assumed=assumed)
