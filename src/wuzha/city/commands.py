"""``wuzha city``: generate a city, score alerts against its ground truth."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any

import typer

from wuzha.cli.output import DONE, FAILED, JSON_OPTION, WRONG_USE, emit, finish, progress, say

city = typer.Typer(no_args_is_help=True, help="A synthetic city with ground truth.")


def register(app: typer.Typer) -> None:
    """Add ``city`` to the root command."""
    app.add_typer(city, name="city")


@city.command("generate")
def generate_command(
    people: int = typer.Option(..., "--people", help="Residents, 1 to 2,000,000."),
    days: int = typer.Option(..., "--days", help="Days, 1 to 366."),
    seed: int = typer.Option(..., "--seed", help="The same seed gives the same bytes."),
    out: Path = typer.Option(..., "--out", help="Folder to write; a city that stands there is replaced."),
    scripts: Path | None = typer.Option(None, "--scripts", help="Folder of scam scripts (*.toml) that replace or add."),
    start: str | None = typer.Option(None, "--start", help="First day, YYYY-MM-DD; 2026-03-02 unless given."),
    scam_rate: float | None = typer.Option(
        None, "--scam-rate", help="Share of people who lose money in a week; 0.007 unless given."
    ),
    as_json: bool = JSON_OPTION,
) -> None:
    """Write all event tables and their labels as Parquet."""
    from time import perf_counter

    from . import files, generator
    from .scripts import ScriptError, load
    from .stage import DEFAULT_START

    began = perf_counter()
    try:
        rate = generator.check(people, days, seed, scam_rate)
        first = DEFAULT_START if start is None else _day(start)
        shelf = load(scripts)
    except (generator.CityError, ScriptError) as error:
        say(f"wuzha city: {error}")
        finish(WRONG_USE)
    try:
        files.check_place(out)
        with progress("city", total=33) as advance:
            made = generator.make(people, days, seed, shelf, first, rate, lambda name: advance())
            facts: dict[str, Any] = {
                "people": people, "days": days, "seed": seed, "start": first.isoformat(), "scam_rate": rate,
                "scripts": [s.name for s in shelf],
            }  # fmt: skip
            files.write(made, out, facts, lambda name: advance())
    except generator.CityError as error:
        say(f"wuzha city: {error}")
        finish(FAILED)
    rows = {name: t.num_rows for name, t in made.items()}
    emit(
        {"out": str(out), **facts, "rows": rows, "events": sum(rows.values()) - rows["labels"],
         "seconds": round(perf_counter() - began, 2)},
        as_json=as_json,
    )  # fmt: skip
    finish(DONE)


def _day(text: str) -> date:
    from .generator import CityError

    try:
        day = datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError as error:
        raise CityError(f"--start wants a day as 2026-03-02, got {text!r}") from error
    if not 2000 <= day.year <= 2090:
        raise CityError(f"--start must lie between 2000 and 2090, got {text}")
    return day


@city.command("score")
def score_command(
    folder: Path = typer.Argument(..., metavar="DIR", help="A city."),
    alerts: Path = typer.Argument(..., metavar="ALERTS", help="alerts.parquet of `wuzha detect`."),
    as_json: bool = JSON_OPTION,
) -> None:
    """Score alerts against the city's ground truth."""
    from .generator import CityError
    from .score import score

    try:
        result = score(folder, alerts)
    except CityError as error:
        say(f"wuzha city: {error}")
        finish(FAILED)
    emit(result, as_json=as_json)
