"""How long a worker takes from its process's begin until its state stands again: of so many subjects, from a snapshot.

Kept true here: the state is made by feeding events, written by the worker's own snapshot and read in a process of its
own, as a worker does; the state that stands then is the one that was written.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from .detect import child

_SELF = "wuzha.bench.starting"
_SIZE = 1 << 16


def run(subjects: int) -> dict[str, Any]:
    """Returns ``{start_s, start_subjects, start_bytes, start_by}``; ``start_by``: seconds of loading the program,
    its kernels, reading and checking the file, and of making the state from it."""
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        made = child([_SELF, "write", folder, str(subjects)])
        begun = time.time()
        read = child([_SELF, "read", folder, str(begun)], cores=os.cpu_count() or 1)
    if made["subjects"] != read["subjects"]:
        raise RuntimeError(f"{made['subjects']} subjects were written and {read['subjects']} read")
    return {
        "start_s": read["seconds"],
        "start_subjects": read["subjects"],
        "start_bytes": made["bytes"],
        "start_by": read["by"],
    }


def _write(folder: Path, subjects: int) -> dict[str, Any]:
    import numpy as np

    from wuzha.detect import Engine, encode
    from wuzha.live import snapshots

    from .stream import calls

    # lines call in a ring, each once, and each is then a subject
    engine, position, lines = Engine(), 0, subjects
    step = 86_400_000_000 // lines
    for at in range(0, lines, _SIZE):
        position += 1
        numbers = np.arange(at, min(at + _SIZE, lines), dtype=np.int64)
        engine.feed(encode("calls", calls(numbers, (numbers + 1) % lines, at, step), position))
    begun = time.perf_counter()
    path = snapshots.write(folder, snapshots.Snapshot(position=position, arrays=engine.snapshot()))
    took = time.perf_counter() - begun
    return {"subjects": engine.n_subjects, "bytes": path.stat().st_size, "seconds": round(took, 2)}


def _read(folder: Path, begun: float) -> dict[str, Any]:
    times = [begun]
    from wuzha import detect
    from wuzha.live import process, snapshots, warm

    del process  # the worker's whole program
    times.append(time.time())
    warm.warm()
    times.append(time.time())
    snapshot, passed = snapshots.newest(folder, not_after=1 << 60)
    if snapshot is None:
        raise RuntimeError(f"the snapshot is not whole: {passed}")
    times.append(time.time())
    engine = detect.Engine.restore(snapshot.arrays)
    times.append(time.time())
    parts = ("program", "kernels", "read", "state")
    return {
        "subjects": engine.n_subjects,
        "seconds": round(times[-1] - begun, 2),
        "by": {part: round(b - a, 2) for part, a, b in zip(parts, times, times[1:], strict=False)},
    }


def main(arguments: list[str]) -> dict[str, Any]:
    """One half in this process."""
    what, folder, number = arguments
    return _write(Path(folder), int(number)) if what == "write" else _read(Path(folder), float(number))


if __name__ == "__main__":
    json.dump(main(sys.argv[1:]), sys.stdout)
