"""``wuzha partitions`` and ``wuzha work``: several workers, on one machine or on many."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path

import typer

from .deployment import DATA_OPTION, database, settings_of
from .output import JSON_OPTION, CommandError, emit, say


class Seat(StrEnum):
    """The seats that have an engine."""

    holder = "holder"
    centre = "centre"


def register(app: typer.Typer) -> None:
    """Add the commands."""

    @app.command()
    def partitions(
        double: bool = typer.Option(False, "--double", help="Twice as many; running workers go on with their half."),
        data: Path | None = DATA_OPTION,
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Who writes whose results: each partition, how far it is, and which worker holds it."""
        from wuzha.live import share

        with database(settings_of(data)) as db, db.connect("engine") as conn:
            if double:
                say(f"wuzha partitions: {share.double(conn)} now")
            rows = conn.execute(
                "SELECT partition, parts, epoch, position, snapshot_position,"
                " CASE WHEN leased_until > clock_timestamp() THEN split_part(leased_by, '|', 1) END,"
                " CASE WHEN leased_until > clock_timestamp() THEN split_part(leased_by, '|', 3)::int END"
                " FROM wuzha.partitions ORDER BY partition"
            ).fetchall()
        names = ("partition", "of", "epoch", "position", "snapshot_position", "machine", "process")
        found = [dict(zip(names, row, strict=True)) for row in rows]
        if as_json:
            emit({"partitions": found}, as_json=True)
            return
        for one in found:
            held = f"{one['machine']}, process {one['process']}" if one["machine"] else "nobody"
            typer.echo(
                f"{one['partition']:>4} of {one['of']}  results to {one['position']}, snapshot at"
                f" {one['snapshot_position']}, epoch {one['epoch']}, held by {held}"
            )

    @app.command()
    def work(
        role: Seat = typer.Option(..., help="The deployment's seat, as its server has it."),
        workers: int = typer.Option(1, min=1, max=256, help="Worker processes on this machine."),
        data: Path | None = DATA_OPTION,
    ) -> None:
        """Run workers only, for a deployment whose server, log and PostgreSQL stand elsewhere. Ctrl-C stops them."""
        os.environ["WUZHA_ROLE"] = role.value
        os.environ["WUZHA_WORKERS"] = str(workers)
        if data is not None:
            os.environ["WUZHA_HOME"] = str(data.absolute())
        from wuzha.live import working
        from wuzha.live.server import CannotServe
        from wuzha.live.settings import settings
        from wuzha.store.embedded import ServerError

        try:
            working.work(settings(), say=lambda words: say(f"wuzha work: {words}"))
        except (CannotServe, ServerError) as error:
            raise CommandError(str(error)) from error
