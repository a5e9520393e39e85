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

import pyarrow.parquet as pq

from . import rivals
from .machine import machine


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
            compile_s = child([_SELF, "compile"], {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")})["seconds"]
        else:
            child([_SELF, "compile"], {})
        command = ["wuzha", "detect", str(city), "--out", str(Path(folder) / "alerts.parquet"), "--json"]
        start = child([_SELF, "compile"], {})
        found = child(command, {})
        measured = child([_SELF, "figures", str(city)], {})
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


def child(module: list[str], more: dict[str, str] | None = None, cores: int = 1) -> dict[str, Any]:
    """The JSON that a module prints when it runs on so many cores, with the processor seconds that it took."""
    here = sorted(os.sched_getaffinity(0))[:cores]
    one = {"POLARS_MAX_THREADS": "1", "OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    before = os.times()
    done = subprocess.run(
        [sys.executable, "-c", _PINNED, ",".join(map(str, here)), *module],
        capture_output=True, text=True, env={**os.environ, **one, **(more or {})}, check=False,
    )  # fmt: skip
    after = os.times()
    if done.returncode not in (0, 3):
        raise RuntimeError(f"{' '.join(module)} failed: {done.stderr[-2000:]}")
    result: dict[str, Any] = json.loads(done.stdout)
    used = after.children_user + after.children_system - before.children_user - before.children_system
    return {**result, "cpu_seconds": round(used, 2)}


_PINNED = (
    "import os, runpy, sys; os.sched_setaffinity(0, map(int, sys.argv[1].split(','))); del sys.argv[1];"
    " sys.argv.pop(0); import pyarrow; pyarrow.set_cpu_count(1);"
    " runpy.run_module(sys.argv[0], run_name='__main__', alter_sys=True)"
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
    work = rivals.streams({name: pq.read_table(city / f"{name}.parquet") for name in ("calls", "transfers")})
    rows = sum(stream.rows.num_rows for stream in work)
    seconds, expected = rivals.ours(work)
    beside = {}
    for name in ("python_dicts", "polars"):
        took, got, _ = rivals.RIVALS[name](work)
        beside[name] = {"seconds": round(took, 2), "events_per_s": round(rows / took), "agrees": got == expected}
    ours = {"events": rows, "subjects": len({key for key, _, _ in expected}), "seconds": round(seconds, 2)}
    return {
        "subjects": subjects,
        "bytes_per_subject": round(size / max(subjects, 1)),
        "figures": {**ours, "events_per_s": round(rows / seconds)},
        "rivals": beside,
    }


if __name__ == "__main__":
    json.dump(_compiled() if sys.argv[1] == "compile" else _measure(Path(sys.argv[2])), sys.stdout)
