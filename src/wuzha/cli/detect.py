"""``wuzha detect``: who is being defrauded, by the event tables of a folder."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import typer

from .clusters import DASK_OPTION, cluster
from .output import FAILED, JSON_OPTION, WITH_REJECTS, WRONG_USE, CommandError, emit, finish, progress, say

SUSPECTS = "suspects.parquet"


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def detect(
        folder: Path = typer.Argument(..., help="Folder of event tables, each as NAME.parquet. Labels are never read."),
        out: Path = typer.Option(..., "--out", help="Alerts go here; suspects.parquet stands beside it."),
        rules: Path | None = typer.Option(
            None, "--rules", help="Folder with features.toml, rules/ and typologies/; default: the shipped."
        ),
        language: str = typer.Option("zh", "--language", help="Language of the reasons: zh or en."),
        dask: str | None = DASK_OPTION,
        as_json: bool = JSON_OPTION,
    ) -> None:
        """Find the people who are being defrauded, and the suspects, in a folder of event tables."""
        if language not in ("zh", "en"):
            say(f"wuzha detect: language {language!r}; use zh or en")
            finish(WRONG_USE)
        import pyarrow as pa

        from wuzha import detect as engine
        from wuzha import text
        from wuzha.detect.files import citing, detect_block, read_folder, summary
        from wuzha.events.datafile import DataFileError

        if not folder.is_dir():
            raise CommandError(f"{folder} is no folder")
        _writable(folder, out)
        _keep_memory()
        try:
            book = engine.load(rules) if rules is not None else engine.shipped()
        except (DataFileError, FileNotFoundError) as error:
            say(f"wuzha detect: {error}")
            finish(WRONG_USE)
        if dask is not None:
            _on_cluster(dask, folder, book, language, out, as_json)
            return
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
        _write(((alerts, out), (suspects, out.parent / SUSPECTS)))
        emit(result, as_json=as_json)
        if refused or counts.get("conflicts", 0):
            finish(WITH_REJECTS)


def _on_cluster(address: str, folder: Path, book: Any, language: str, out: Path, as_json: bool) -> None:
    from wuzha.live.cluster_jobs import detect_folder, rows_of

    begun = time.perf_counter()
    with cluster(address) as workers, progress("Rows read", total=rows_of(folder)) as step:
        alerts, suspects, result, refused, counts = detect_folder(workers, folder, book, language, step)
    seconds = time.perf_counter() - begun
    result |= {"seconds": round(seconds, 3), "events_per_s": round(result["events"] / seconds), "rejected": refused}
    _write(((alerts, out), (suspects, out.parent / SUSPECTS)))
    emit(result, as_json=as_json)
    if refused or counts.get("conflicts", 0):
        finish(WITH_REJECTS)


def _writable(folder: Path, out: Path) -> None:
    """Refuse a place for the results that is none, before any work is done."""
    from wuzha.events import TABLES

    if out.suffix != ".parquet" or out.name == SUSPECTS:
        say(f"wuzha detect: --out {out}: name a file NAME.parquet, and not {SUSPECTS}, which is written beside it")
        finish(WRONG_USE)
    if out.stem in TABLES and out.parent.resolve() == folder.resolve():
        say(f"wuzha detect: --out {out} is one of the tables that are read")
        finish(WRONG_USE)
    for path in (out, out.parent / SUSPECTS):
        if path.is_dir():
            raise CommandError(f"{path} is a folder")
    above = next(p for p in out.absolute().parents if p.exists())
    if not above.is_dir() or not os.access(above, os.W_OK):
        raise CommandError(f"{out}: cannot write in {above}")


def _write(tables: tuple[tuple[Any, Path], ...]) -> None:
    """All of them, or none."""
    import pyarrow.parquet as pq

    parts = [(path.with_name(path.name + ".part"), path) for _, path in tables]
    try:
        tables[0][1].parent.mkdir(parents=True, exist_ok=True)
        for (table, _), (part, _) in zip(tables, parts, strict=True):
            pq.write_table(table, part, compression="zstd")
        for part, path in parts:
            part.replace(path)
    except OSError as error:
        for part, _ in parts:
            part.unlink(missing_ok=True)
        raise CommandError(f"{tables[0][1]}: {error.strerror or error}") from error


def _keep_memory() -> None:
    """What has been freed is used again, not given back to the system and asked for anew: a twentieth of the time."""
    import ctypes

    import pyarrow as pa

    pa.set_memory_pool(pa.system_memory_pool())
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc's; elsewhere it stays as it is
    if mallopt is not None:
        trim, top_pad, mmap_threshold = -1, -2, -3
        mallopt(trim, 2**31 - 1)
        mallopt(top_pad, 64 * 1024 * 1024)
        mallopt(mmap_threshold, 32 * 1024 * 1024)


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
