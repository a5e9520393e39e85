"""``wuzha features``: the figures that rules may speak of, and what they are for a folder at a time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import typer

from .clusters import DASK_OPTION, cluster
from .output import FAILED, JSON_OPTION, WITH_REJECTS, WRONG_USE, CommandError, emit, finish, progress, say


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def features(
        folder: str = typer.Argument("list", help="'list', or a folder of event tables."),
        at: str | None = typer.Option(
            None, "--at", help="ISO time up to which the folder is read; default: all of it."
        ),
        subject: str | None = typer.Option(None, "--subject", help="Whose figures, as kind:value."),
        out: Path | None = typer.Option(None, "--out", help="Write those of all subjects to this .parquet file."),
        dask: str | None = DASK_OPTION,
        as_json: bool = JSON_OPTION,
    ) -> None:
        """List the declared features, or compute them over a folder as of a time."""
        from wuzha.detect import shipped

        if folder == "list":
            rows = [
                {"name": f.name, "subject": f.subject, "unit": f.unit, "zh": f.zh, "en": f.en, "version": f.version}
                for f in shipped().features.values()
            ]
            if as_json:
                emit({"features": rows}, as_json=True)
            else:
                for row in rows:
                    typer.echo(f"{row['subject']:<8} {row['name']:<26} {row['zh']}  {row['en']}")
            return
        if (subject is None) == (out is None) or (subject is not None and ":" not in subject):
            say("wuzha features: say whose figures with --subject kind:value, or where to write all with --out")
            finish(WRONG_USE)
        if out is not None and out.suffix != ".parquet":
            say(f"wuzha features: --out {out}: name a file NAME.parquet")
            finish(WRONG_USE)
        from wuzha import text
        from wuzha.detect.files import figures_table, read_folder, replayed

        try:
            until = _time(at)
            if dask is not None:
                _on_cluster(dask, Path(folder), until, subject, out, as_json)
                return
            block, refused = read_folder(Path(folder), lambda n, rows: text.annotate(rows) if n == "messages" else rows)
        except (ValueError, FileNotFoundError) as error:
            say(f"wuzha features: {error}")
            finish(FAILED)
        engine = replayed(block, until)
        if out is not None:
            rows = figures_table(engine)
            _write(rows, out)
            emit(
                {"subjects": rows.num_rows, "features": rows.num_columns - 1, "out": str(out), "rejected": refused},
                as_json=as_json,
            )
        else:
            assert subject is not None
            values = engine.figures(subject)
            if values is None:
                say(f"wuzha features: {subject} does not appear in {folder}")
                finish(FAILED)
            emit({"subject": subject, "features": values}, as_json=as_json)
        if refused:
            finish(WITH_REJECTS)


def _on_cluster(
    address: str, folder: Path, until: int | None, subject: str | None, out: Path | None, as_json: bool
) -> None:
    from wuzha.live.cluster_jobs import features_of, features_table, rows_of

    with cluster(address) as workers, progress("Rows read", total=rows_of(folder)) as step:
        if out is not None:
            rows, refused = features_table(workers, folder, until, step)
        else:
            assert subject is not None
            values, refused = features_of(workers, folder, until, subject, step)
    if out is not None:
        _write(rows, out)
        emit(
            {"subjects": rows.num_rows, "features": rows.num_columns - 1, "out": str(out), "rejected": refused},
            as_json=as_json,
        )
    elif values is None:
        say(f"wuzha features: {subject} does not appear in {folder}")
        finish(FAILED)
    else:
        emit({"subject": subject, "features": values}, as_json=as_json)
    if refused:
        finish(WITH_REJECTS)


def _write(rows: Any, out: Path) -> None:
    """The whole file or none."""
    import pyarrow.parquet as pq

    part = out.with_name(out.name + ".part")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(rows, part, compression="zstd")
        part.replace(out)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CommandError(f"{out}: {error.strerror or error}") from error


def _time(text: str | None) -> int | None:
    if text is None:
        return None
    from datetime import datetime

    from wuzha.events.clock import zone

    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone())
    return round(moment.timestamp() * 1_000_000)
