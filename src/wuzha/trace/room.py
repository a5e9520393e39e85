"""Whether what a file holds fits into memory: asked before it is read, not when the machine has begun to swap."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from resource import RLIM_INFINITY, RLIMIT_AS, RLIMIT_DATA, getrlimit

import pyarrow.parquet as pq

#: Bytes in memory for a byte unpacked: the rows as read, as checked, and the index of them with its tables of accounts
#: and identities. Some five were seen, with two million transfers; three, as it stood here, let a machine run short.
_TIMES = 6.0


def free_bytes() -> int | None:
    """Bytes of memory that may still be taken: of the machine, of the group that this process stands in, of its own
    limits; None where nobody says."""
    free: list[int] = []
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                free.append(int(line.split()[1]) * 1024)
    except (OSError, ValueError):
        pass
    try:
        group = Path("/sys/fs/cgroup")
        free.append(int((group / "memory.max").read_text()) - int((group / "memory.current").read_text()))
    except (OSError, ValueError):
        pass
    for limit, name in ((RLIMIT_AS, "VmSize"), (RLIMIT_DATA, "VmData")):
        most, _ = getrlimit(limit)
        if most != RLIM_INFINITY:
            free.append(most - _taken(name))
    return min(free) if free else None


def _taken(name: str) -> int:
    """Bytes that this process has, as its status names them; 0 where it is not told."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:")), 0)
    except (OSError, ValueError):
        return 0


def needed(files: Iterable[Path], columns: Iterable[str]) -> int:
    """Bytes of memory that reading these columns of Parquet files and indexing them takes, about."""
    wanted = set(columns)
    total = 0
    for file in files:
        about = pq.read_metadata(file)
        for g in range(about.num_row_groups):
            group = about.row_group(g)
            for c in range(group.num_columns):
                column = group.column(c)
                if column.path_in_schema.split(".")[0] in wanted:
                    # a dictionary's texts are written once and stand in memory for every row
                    total += max(column.total_uncompressed_size, 8 * column.num_values)
    return round(total * _TIMES)


def check(files: Iterable[Path], columns: Iterable[str]) -> None:
    """ValueError with both figures where it does not fit."""
    need, free = needed(files, columns), free_bytes()
    if free is not None and need > free:
        raise ValueError(
            f"these transfers need about {need / 1e9:.1f} GB of memory and {max(free, 0) / 1e9:.1f} GB are free: "
            f"nothing was read; give fewer files (by time or bank), or run it where there is more memory"
        )
