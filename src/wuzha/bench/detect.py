"""``wuzha bench detect``: event tables to alerts on one core, and windowed figures beside two rivals.

The first figures are the command's own: ``wuzha detect`` reads the Parquet tables of a synthetic city (strings in),
joins them into one log, judges every event by the shipped rules and writes alerts and suspects, in a process that may
use one core only.

Rivals do less: of the same city's calls and transfers, in time order, they keep twelve windowed figures (count, sum and
greatest of the last 24 hours, in buckets of ten minutes, for each line's calls made and received and each account's
payments made and received). They know no persons, strangers, duplicates, late rows, rules or reasons. For them ours is
restricted to the same twelve features and no rules; it still hashes every identity, pairs two-sided reports and
remembers first contacts. ``python_dicts`` handles an event at a time in dictionaries; ``polars`` aggregates
micro-batches of 65,536 rows and folds them into its state. ``agrees`` says that every figure of every subject is equal.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from .machine import machine

BATCH = 1 << 16
_BUCKET_US = 600_000_000
_BUCKETS = 144
#: Per subject: count, sum, greatest as side 0 and as side 1; greatest is None where there is nothing.
Figures = dict[str, tuple[int, int, int | None, int, int, int | None]]


def run(*, people: int, days: int, seed: int, first_compile: bool) -> dict[str, Any]:
    """Generate a city, detect in it on one core, let the rivals keep their figures.

    Returns ``{events, seconds, cpu_seconds, start_up_s, events_per_s, events_per_cpu_s, alerts, suspects, compile_s,
    bytes_per_subject, subjects, figures, rivals, machine}``. ``events_per_s`` is by the command's own wall clock,
    ``events_per_cpu_s`` by the processor's, without start-up; ``start_up_s`` is a process's whole processor time to its
    first event. ``compile_s`` is null unless ``first_compile``, which compiles into an empty folder.
    """
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        city = Path(folder) / "city"
        made = [
            sys.executable, "-m", "wuzha", "city", "generate", "--people", str(people), "--days", str(days),
            "--seed", str(seed), "--out", str(city), "--json",
        ]  # fmt: skip
        subprocess.run(made, check=True, capture_output=True)
        compile_s = None
        if first_compile:
            compile_s = _child([_SELF, "compile"], {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")})["seconds"]
        else:
            _child([_SELF, "compile"], {})
        command = ["wuzha", "detect", str(city), "--out", str(Path(folder) / "alerts.parquet"), "--json"]
        start = _child([_SELF, "compile"], {})
        found = _child(command, {})
        measured = _child([_SELF, "figures", str(city)], {})
    return {
        "events": found["events"],
        "seconds": found["seconds"],
        "cpu_seconds": found["cpu_seconds"],
        "start_up_s": start["cpu_seconds"],
        "events_per_s": found["events_per_s"],
        "events_per_cpu_s": round(found["events"] / max(found["cpu_seconds"] - start["cpu_seconds"], 0.01)),
        "alerts": found["alerts"],
        "suspects": found["suspects"],
        "compile_s": compile_s,
        **{name: measured[name] for name in ("subjects", "bytes_per_subject", "figures", "rivals")},
        "machine": machine(),
    }


_SELF = "wuzha.bench.detect"


def _child(module: list[str], more: dict[str, str]) -> dict[str, Any]:
    """The JSON that a module prints when it runs on one core, with the processor seconds that it took."""
    core = min(os.sched_getaffinity(0))
    one = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", _PINNED, str(core), *module],
        capture_output=True, text=True, env={**os.environ, **one, **more}, check=False,
    )  # fmt: skip
    after = os.times()
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(module)} failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {**result, "cpu_seconds": round(used, 2)}


_PINNED = (
    "import os, runpy, sys; os.sched_setaffinity(0, {int(sys.argv[1])}); del sys.argv[1]; sys.argv.pop(0);"
    " import pyarrow; pyarrow.set_cpu_count(1); runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
)


# ---------------------------------------------------------------- in the pinned process


def _compiled() -> dict[str, Any]:
    """Seconds of this process's processor to the first event judged."""
    begun = time.process_time()
    from wuzha.cli.detect import _empty
    from wuzha.detect import Engine, encode

    Engine().feed(encode("calls", _empty(), 1))
    return {"seconds": round(time.process_time() - begun, 2)}


def _measure(city: Path) -> dict[str, Any]:
    """Bytes a subject takes, then the twelve figures by all three."""
    from wuzha.detect import Engine
    from wuzha.detect.files import CHUNK, read_folder

    block, _ = read_folder(city)
    engine = Engine()
    for begin in range(0, len(block), CHUNK):
        engine.feed(block.slice(begin, begin + CHUNK))
    subjects = int(engine.snapshot()["n"][0])
    size = sum(engine.sizes().values())
    del block, engine
    calls, transfers = _work(city)
    rows = calls.num_rows + transfers.num_rows
    seconds, expected = _ours(calls, transfers)
    rivals = {}
    for name, rival in (("python_dicts", _dicts), ("polars", _polars)):
        took, got = rival(calls, transfers)
        rivals[name] = {"seconds": round(took, 2), "events_per_s": round(rows / took), "agrees": got == expected}
    ours = {"events": rows, "subjects": len(expected), "seconds": round(seconds, 2)}
    return {
        "subjects": subjects,
        "bytes_per_subject": round(size / max(subjects, 1)),
        "figures": {**ours, "events_per_s": round(rows / seconds)},
        "rivals": rivals,
    }


def _work(city: Path) -> tuple[pa.Table, pa.Table]:
    """Calls and transfers that count, without the second report of one event: the work of all three alike."""
    by = {"calls": ["caller", "callee"], "transfers": ["payer", "payee", "amount_fen"]}
    out = []
    for name, columns in by.items():
        frame = pl.read_parquet(city / f"{name}.parquet").sort("ts", "source", "event_id")
        if name == "transfers":
            frame = frame.filter(pl.col("ok").fill_null(True), pl.col("reverses").is_null())
        gap = pl.col("ts").diff().over(columns)
        out.append(frame.filter(gap.is_null() | (gap > pl.duration(minutes=5))).to_arrow())
    return out[0], out[1]


def _features() -> Any:
    from wuzha.detect.rulebook import Feature, RuleBook

    features = {}
    for subject, kind in (("line", "call"), ("account", "transfer")):
        for side in ("out", "in"):
            for op in ("count", "sum", "max"):
                name = f"{subject}_{side}_{op}"
                features[name] = Feature(
                    name=name, subject=subject, op=op, of=(f"{kind}.{side}",), window_min=1440, unit="count", zh=name,
                    en=name, version=1,
                )  # fmt: skip
    return RuleBook(features, {}, {})


def _ours(calls: pa.Table, transfers: pa.Table) -> tuple[float, Figures]:
    from wuzha.detect import Block, Engine, encode, merge
    from wuzha.detect.files import CHUNK
    from wuzha.events import TABLES
    from wuzha.events.batch import conform

    begun = time.perf_counter()
    engine = Engine(_features())
    rows = (("calls", calls), ("transfers", transfers))
    blocks: list[Block] = []
    for name, table in rows:
        whole = conform(TABLES[name], table)
        blocks += [encode(name, whole.slice(at, CHUNK), len(blocks) + 1) for at in range(0, whole.num_rows, CHUNK)]
    log = merge(blocks)
    for at in range(0, len(log), CHUNK):
        engine.feed(log.slice(at, at + CHUNK))
    seconds = time.perf_counter() - begun
    out: Figures = {}
    named = {"line": ("caller", "callee"), "account": ("payer", "payee")}
    for (kind, columns), (_, table) in zip(named.items(), rows, strict=True):
        for value in {v for c in columns for v in table.column(c).unique().to_pylist() if v is not None}:
            figures = engine.figures(f"{kind}:{value}") or {}
            six = [figures[f"{kind}_{side}_{op}"] for side in ("out", "in") for op in ("count", "sum", "max")]
            out[f"{kind}:{value}"] = tuple(None if v is None else int(v) for v in six)  # type: ignore[assignment]
    return seconds, out


def _streams(calls: pa.Table, transfers: pa.Table) -> list[tuple[str, pa.Table, str, str, str]]:
    return [("line:", calls, "caller", "callee", "duration_s"), ("account:", transfers, "payer", "payee", "amount_fen")]


def _dicts(calls: pa.Table, transfers: pa.Table) -> tuple[float, Figures]:
    """A dictionary of buckets for each subject and side; buckets out of the window are dropped as time goes on."""
    begun = time.perf_counter()
    state: dict[str, tuple[dict[int, list[int]], dict[int, list[int]]]] = {}
    newest: dict[str, int] = {}
    for prefix, table, acts, other, amount in _streams(calls, transfers):
        for at in range(0, table.num_rows, BATCH):
            part = table.slice(at, BATCH)
            times = part.column("ts").cast(pa.int64()).to_pylist()
            values = part.column(amount).to_pylist()
            for side, column in ((0, acts), (1, other)):
                for subject, ts, value in zip(part.column(column).to_pylist(), times, values, strict=True):
                    if subject is None:
                        continue
                    key, bucket = prefix + subject, ts // _BUCKET_US
                    if key not in state:
                        state[key] = ({}, {})
                    newest[key] = max(newest.get(key, bucket), bucket)
                    cells = state[key][side]
                    cell = cells.get(bucket)
                    if cell is None:
                        while cells and newest[key] - next(iter(cells)) >= _BUCKETS:
                            del cells[next(iter(cells))]
                        cells[bucket] = [1, value or 0, value or 0]
                    else:
                        cell[0] += 1
                        cell[1] += value or 0
                        cell[2] = max(cell[2], value or 0)
    seconds = time.perf_counter() - begun
    out: Figures = {}
    for key, sides in state.items():
        six: list[int | None] = []
        for cells in sides:
            here = [c for b, c in cells.items() if newest[key] - b < _BUCKETS]
            six += [sum(c[0] for c in here), sum(c[1] for c in here), max((c[2] for c in here), default=None)]
        out[key] = tuple(six)  # type: ignore[assignment]
    return seconds, out


def _polars(calls: pa.Table, transfers: pa.Table) -> tuple[float, Figures]:
    """Micro-batches grouped by subject, side and bucket, folded into one frame of buckets."""
    begun = time.perf_counter()
    state: pl.DataFrame | None = None
    for prefix, table, acts, other, amount in _streams(calls, transfers):
        for at in range(0, table.num_rows, BATCH):
            part = pl.from_arrow(table.slice(at, BATCH).select(["ts", acts, other, amount]))
            assert isinstance(part, pl.DataFrame)
            bucket = pl.col("ts").cast(pl.Int64) // _BUCKET_US
            sides = [
                part.select(
                    subject=prefix + pl.col(column), side=pl.lit(side, pl.Int8), bucket=bucket, n=pl.lit(1, pl.Int64),
                    total=pl.col(amount).cast(pl.Int64).fill_null(0), most=pl.col(amount).cast(pl.Int64).fill_null(0),
                )
                for side, column in ((0, acts), (1, other))
            ]  # fmt: skip
            joined = pl.concat([*sides, *([] if state is None else [state])]).drop_nulls("subject")
            state = (
                joined.group_by("subject", "side", "bucket")
                .agg(pl.col("n").sum(), pl.col("total").sum(), pl.col("most").max())
                .filter(pl.col("bucket") > pl.col("bucket").max().over("subject") - _BUCKETS)
            )
    seconds = time.perf_counter() - begun
    out: dict[str, list[int | None]] = {}
    if state is not None:
        figures = state.group_by("subject", "side").agg(pl.col("n").sum(), pl.col("total").sum(), pl.col("most").max())
        for subject, side, n, total, most in figures.iter_rows():
            out.setdefault(subject, [0, 0, None, 0, 0, None])[side * 3 : side * 3 + 3] = [n, total, most]
    return seconds, {key: tuple(six) for key, six in out.items()}  # type: ignore[misc]


if __name__ == "__main__":
    json.dump(_compiled() if sys.argv[1] == "compile" else _measure(Path(sys.argv[2])), sys.stdout)
