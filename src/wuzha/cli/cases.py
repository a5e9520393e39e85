"""``wuzha cases``: how long stolen money stays in accounts, as the deployment's own cases tell it."""

from __future__ import annotations

from typing import Any

import typer

from .output import JSON_OPTION, CommandError, emit


def register(app: typer.Typer) -> None:
    """Add the commands."""
    cases = typer.Typer(no_args_is_help=True, help="Cases: the curves by which orders are ranked.")
    app.add_typer(cases, name="cases")
    cases.command("survival")(survival)


def survival(
    fit: bool = typer.Option(False, "--fit", help="Fit the curves to what banks have answered, and use them."),
    as_json: bool = JSON_OPTION,
) -> None:
    """The part of stolen money that is still in an account after a time, by kind of account."""
    from wuzha.cases import fitting
    from wuzha.cases import survival as curves
    from wuzha.events import clock
    from wuzha.events.datafile import DataFileError

    try:
        table = curves.curves(strict=True)
    except (DataFileError, OSError) as error:
        raise CommandError(str(error)) from error
    if fit:
        table = fitting.fitted(_stays())
        try:
            fitting.write(table, clock.now())
        except OSError as error:
            raise CommandError(f"{error.filename}: {error.strerror}") from error
    told: dict[str, Any] = {
        kind: {"w": round(c.w, 4), "fast_s": round(c.fast_s, 1), "slow_s": round(c.slow_s, 1), "n": c.n}
        for kind, c in table.items()
    }
    if as_json:
        emit(told, as_json=True)
        return
    for kind, c in table.items():
        parts = "  ".join(f"{minutes} min {c.at(60 * minutes):4.0%}" for minutes in (5, 10, 30, 60, 180))
        from_what = f"fitted to {c.n} stays" if c.n else "shipped: too few answers seen"
        typer.echo(f"{kind:<9} {parts}  {from_what}")


def _stays() -> list[Any]:
    """Stays of all cases, of the whole house."""
    from wuzha import store
    from wuzha.cases import fitting
    from wuzha.events import clock

    now = clock.now()
    found: list[Any] = []
    with store.opened(upgrade=False) as db, db.connect("web") as conn:
        roots = [r[0] for r in conn.execute("SELECT unit_id FROM wuzha.units WHERE parent_id IS NULL")]
        for root in roots:
            found += fitting.stays(conn, root, now)
    return found
