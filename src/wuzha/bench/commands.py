"""``wuzha bench``: one command a benchmark, each with ``--json``, ``--quick`` and ``--seed``."""

from __future__ import annotations

import typer

from wuzha.cli.output import JSON_OPTION, emit, say

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
