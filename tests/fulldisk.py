"""A real file system that is full: a small one of its own, where this machine lets us mount one."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_BLOCK = bytes(1 << 16)


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    """A file system of ``size`` at ``place`` until the end of the block; the test is skipped where none can be had."""
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=711", "tmpfs", place], capture_output=True, text=True
    )
    if made.returncode:
        pytest.skip(f"no file system can be mounted here: {made.stderr.strip()}")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def fill(disk: Path, leave: int = 0) -> Path:
    """A file that takes all of the room but about ``leave`` bytes; removed, the room is there again."""
    filler = disk / "filler"
    with filler.open("ab", buffering=0) as out:
        try:
            while True:
                out.write(_BLOCK)
        except OSError:
            out.truncate(max(out.tell() - leave, 0))
    return filler
