"""``wuzha bench``: one command a benchmark, each with ``--json``, ``--quick`` and ``--seed``."""

from __future__ import annotations

from pathlib import Path

import typer

from wuzha.cli.output import JSON_OPTION, CommandError, emit, say

bench = typer.Typer(no_args_is_help=True, help="Measure this machine, beside named rivals.")

QUICK = typer.Option(False, "--quick", help="Less work: under a minute.")
SEED = typer.Option(7, "--seed", help="The same seed gives the same work.")


def register(app: typer.Typer) -> None:
    """Add ``bench`` to the root command."""
    app.add_typer(bench, name="bench")


@bench.command("import")
def import_command(
    rows: int = typer.Option(1_000_000, "--rows", help="Statement rows."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Statement rows from a GBK CSV to checked transfers, beside plain Python and Polars."""
    from . import imports

    say("reading statements; then the rivals read the same file")
    emit(imports.run(rows=100_000 if quick else rows, seed=seed), as_json=as_json)


@bench.command("city")
def city_command(
    people: int = typer.Option(50_000, "--people", help="Residents."),
    days: int = typer.Option(7, "--days", help="Days."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """A synthetic city to Parquet."""
    from . import city

    say("generating a city")
    emit(city.run(people=5_000 if quick else people, days=days, seed=seed), as_json=as_json)


@bench.command("detect")
def detect_command(
    people: int = typer.Option(20_000, "--people", help="Residents."),
    days: int = typer.Option(7, "--days", help="Days."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Event tables to alerts on one core; windowed figures beside dictionaries and Polars."""
    from . import detect

    say("generating a city; detecting in it; then the rivals keep the same figures")
    emit(
        detect.run(people=1_000 if quick else people, days=2 if quick else days, seed=seed, first_compile=not quick),
        as_json=as_json,
    )


@bench.command("stream")
def stream_command(
    subjects: int = typer.Option(1_000_000, "--subjects", min=10_000, help="Lines, accounts, persons and others."),
    curve: int = typer.Option(10_000_000, "--curve", min=10_000, help="How many subjects the curve goes up to."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Strings to alerts on one core and two, by batch size and number of subjects, beside rivals with windows."""
    from . import stream

    say("generating a city and repeating its people; then a day is read, and the rivals keep the same figures")
    emit(
        stream.run(
            subjects=20_000 if quick else subjects, curve=100_000 if quick else curve, seed=seed, quick=quick
        ),
        as_json=as_json,
    )  # fmt: skip


@bench.command("live")
def live_command(
    rate: int = typer.Option(55_000, "--rate", min=100, help="Events offered a second."),
    batch: int = typer.Option(1_000, "--batch", min=1, max=1_000_000, help="Events a batch."),
    seconds: float = typer.Option(300.0, "--seconds", min=1.0, help="How long."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Events to a whole server at a steady rate: how long until durable, until an alert, how far behind."""
    from . import live

    say("making events and starting a holder; then they are offered at the rate asked for")
    emit(
        live.run(offered_per_s=rate, seconds=min(seconds, 15.0) if quick else seconds, seed=seed, batch=batch),
        as_json=as_json,
    )


@bench.command("recovery")
def recovery_command(
    kills: int = typer.Option(60, "--kills", min=1, help="How often something is killed."),
    people: int = typer.Option(20_000, "--people", min=200, help="Residents of the city whose events are sent."),
    rate: float = typer.Option(10_000.0, "--rate", min=1.0, help="Events offered a second."),
    seconds: float = typer.Option(0.0, "--seconds", min=0.0, help="Go on for so long; 0: as long as the kills take."),
    subjects: int = typer.Option(10_000_000, "--subjects", min=0, help="Subjects of the start that is timed; 0: none."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Everything killed at random under load; then log and alerts beside those of an undisturbed run."""
    from . import recovery

    if quick:
        kills, people, rate, seconds, subjects = min(kills, 6), 500, 2_000.0, 0.0, min(subjects, 100_000)
    emit(
        recovery.run(
            kills=kills, people=people, rate=rate, seed=seed, seconds=seconds or None, subjects=subjects, say=say
        ),
        as_json=as_json,
    )  # fmt: skip


@bench.command("disk")
def disk_command(
    rows: int = typer.Option(2_000_000, "--rows", min=10_000, help="Events sent."),
    rate: float = typer.Option(20_000.0, "--rate", min=1.0, help="Events a second that are reckoned for."),
    days: int = typer.Option(30, "--days", min=1, help="Days of history that are kept."),
    duplicates: int = typer.Option(30, "--duplicates-days", min=8, help="WUZHA_DUPLICATES_DAYS."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """What an event takes of the disk, and how many days of a rate this machine's disk holds."""
    from . import disk

    say("making events and sending them to a holder; then they are sealed and weighed")
    emit(
        disk.run(
            rows=min(rows, 200_000) if quick else rows, rate=rate, days=days, duplicates_days=duplicates, seed=seed
        ),
        as_json=as_json,
    )


@bench.command("decisions")
def decisions_command(
    rate: int = typer.Option(3_000, "--rate", min=10, help="Single questions offered a second."),
    stream: int = typer.Option(10_000, "--stream", min=0, help="Events offered a second meanwhile."),
    seconds: float = typer.Option(60.0, "--seconds", min=1.0, help="How long."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """A bank asks about transfers over HTTP while events come in: how long each answer takes; then in batches."""
    from . import decisions

    say("making events and starting a holder; then a bank asks")
    emit(
        decisions.run(
            offered_per_s=rate, stream_per_s=stream, seconds=min(seconds, 10.0) if quick else seconds, seed=seed
        ),
        as_json=as_json,
    )


@bench.command("desk")
def desk_command(
    officers: int = typer.Option(30, "--officers", min=1, help="Officers at once."),
    alerts: int = typer.Option(1_000_000, "--alerts", min=100, help="Alerts in the table."),
    seconds: float = typer.Option(600.0, "--seconds", min=1.0, help="How long they work."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Simulated officers at the pages of a centre: how long each page takes, and whether two ever worked one person."""
    from . import desk

    say("starting a centre and filling its table; then the officers begin")
    emit(
        desk.run(
            officers=officers, alerts=min(alerts, 20_000) if quick else alerts,
            seconds=min(seconds, 20.0) if quick else seconds, seed=seed,
        ),
        as_json=as_json,
    )  # fmt: skip


@bench.command("trace")
def trace_command(
    rows: int = typer.Option(20_000_000, "--rows", min=20_000, help="Transfers."),
    queries: int = typer.Option(200, "--queries", min=1, help="Thefts followed."),
    rivals: bool = typer.Option(True, "--rivals/--no-rivals", help="Ask the rivals too."),
    quick: bool = QUICK,
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Stolen money followed through transfers, beside PostgreSQL, DuckDB, Polars and NetworkX."""
    from . import trace

    asked = min(rows, 500_000) if quick else rows
    emit(trace.run(rows=asked, queries=queries, seed=seed, rivals=rivals), as_json=as_json)


@bench.command("incidents")
def incidents_command(
    folder: Path = typer.Argument(..., help="One folder a theft: NAME/NAME.csv, its sources and terminals."),
    seed: int = SEED,
    as_json: bool = JSON_OPTION,
) -> None:
    """Real thefts found again among 1, 10 and 100 times as much other money in their own accounts."""
    from . import incidents

    try:
        emit(incidents.run(folder, seed=seed), as_json=as_json)
    except ValueError as error:
        raise CommandError(str(error)) from error
