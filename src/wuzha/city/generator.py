"""A city from people, days and a seed.

Kept true here: the same arguments give the same bytes on every machine with the same library versions. No clock is
read, no hash of Python's is used, sets are never iterated.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pyarrow as pa

from wuzha.events import TABLES

from . import feeds, life, reporting, tables, tills
from .look_alikes import resemble
from .scams import SCAM_RATE, enact
from .scripts import Script, load
from .stage import DEFAULT_START, Stage

MOST_PEOPLE, MOST_DAYS = 2_000_000, 366


class CityError(ValueError):
    """A city cannot be made from these arguments; the message says which and why."""


def check(people: int, days: int, seed: int, scam_rate: float | None) -> float:
    """The scam rate to use. CityError for arguments that make no city."""
    rate = SCAM_RATE if scam_rate is None else scam_rate
    if not 1 <= people <= MOST_PEOPLE:
        raise CityError(f"people must be from 1 to {MOST_PEOPLE}, got {people}")
    if not 1 <= days <= MOST_DAYS:
        raise CityError(f"days must be from 1 to {MOST_DAYS}, got {days}")
    if not 0 <= seed < 2**63:
        raise CityError(f"the seed must be from 0 to 2^63 - 1, got {seed}")
    if not 0 <= rate <= 0.3:
        raise CityError(f"the scam rate must be from 0 to 0.3, got {rate}")
    return rate


def make(
    people: int,
    days: int,
    seed: int,
    scripts: list[Script],
    start: date = DEFAULT_START,
    scam_rate: float | None = None,
    step: Callable[[str], None] = lambda name: None,
) -> dict[str, pa.Table]:
    """All tables; texts are dictionary columns. ``step`` is told each part that is done."""
    rate = check(people, days, seed, scam_rate)
    stage = Stage(people, days, seed, start)
    step("people")
    life.live(stage)
    step("daily life")
    resemble(stage)
    step("look-alikes")
    enact(stage, scripts, rate)
    tills.taint(stage)
    step("scams")
    warnings, marks = feeds.issue(stage)
    reports = reporting.report(stage)
    step("warnings")
    built = tables.build(stage, step)
    out = {**built.tables, **reports, "warnings": warnings, "labels": tables.labels(stage, built, marks)}
    return {name: out[name] for name in TABLES}


def generate(
    people: int, days: int, seed: int, scripts: Path | None = None, start: date = DEFAULT_START,
    scam_rate: float | None = None,
) -> dict[str, pa.Table]:  # fmt: skip
    """A city as tables by name, each with exactly the schema of ``wuzha.events.TABLES``.

    ``scripts`` is a folder whose files replace or add to the shipped ones. Raises CityError or ScriptError.
    """
    made = make(people, days, seed, load(scripts), start, scam_rate)
    return {name: t.cast(TABLES[name].schema) for name, t in made.items()}
