"""``wuzha detect``: who is being defrauded, by the event tables of a folder."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import typer

from .output import FAILED, JSON_OPTION, WITH_REJECTS, WRONG_USE, CommandError, emit, finish, progress, say


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def detect(
        folder: Path = typer.Argument(..., help="Folder of event tables, each as NAME.parquet. Labels are never read."),
        out: Path = typer.Option(..., "--out", help="Alerts go here; suspects.parquet stands beside it."),
        rules: Path | None = typer.Option(None, "--rules", help="Folder with features.toml, rules/ and typologies/."),
        language: str = typer.Option("zh", "--language", help="Language of the reasons: zh or en."),
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Find the people who are being defrauded, and the suspects, in a folder of event tables."""
        if language not in ("zh", "en"):
            say(f"wuzha detect: language {language!r}; use zh or en")
            finish(WRONG_USE)
        import pyarrow as pa
        import pyarrow.parquet as pq

        from wuzha import detect as engine
        from wuzha import text
        from wuzha.detect.files import citing, detect_block, read_folder, summary
        from wuzha.events.datafile import DataFileError

        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder")
        try:
            book = engine.load(rules) if rules is not None else engine.shipped()
        except (DataFileError, FileNotFoundError) as error:
            say(f"wuzha detect: {error}")
            finish(WRONG_USE)
        say("Preparing the engine (compiled once, then kept) …")
        engine.Engine(book).feed(engine.encode("calls", _empty(), 1))

        def prepare(name: str, rows: pa.Table) -> pa.Table:
            return text.annotate(rows) if name == "messages" else rows

        begun = time.perf_counter()
        say(f"Reading {folder} …")
        try:
            block, refused = read_folder(folder, prepare)
        except (ValueError, FileNotFoundError) as error:
            say(f"wuzha detect: {error}")
            finish(FAILED)
        with progress("Events", total=len(block)) as step:
            found, counts = detect_block(block, book, step)
        cite = citing(block)
        alerts, suspects = found.alerts_table(cite, language), found.suspects_table(language)
        result = summary(found, counts, time.perf_counter() - begun)
        result["rejected"] = refused
        out.parent.mkdir(parents=True, exist_ok=True)
        for table, path in ((alerts, out), (suspects, out.parent / "suspects.parquet")):
            fresh = path.with_name(path.name + ".part")
            pq.write_table(table, fresh, compression="zstd")
            fresh.replace(path)
        emit(result, as_json=as_json)
        if refused or counts.get("conflicts", 0):
            finish(WITH_REJECTS)


def _empty() -> Any:
    import datetime as dt

    import pyarrow as pa

    from wuzha.events import TABLES
    from wuzha.events.batch import conform

    row = {
        "source": "none", "event_id": "0", "ts": dt.datetime(2000, 1, 1, tzinfo=dt.UTC), "caller": "cn-short:1",
        "callee": "cn-short:2",
    }  # fmt: skip
    return conform(
        TABLES["calls"], pa.Table.from_pylist([row], schema=pa.schema([TABLES["calls"].schema.field(n) for n in row]))
    )
