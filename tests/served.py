"""Folders for real servers, and their end whatever happens."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wuzha.bench.serving import Served, free_port

__all__ = ["Served", "ended", "folder", "free_port"]


@contextmanager
def folder(enterable_tmp: Path) -> Iterator[Path]:
    """A folder for data folders, which the database's user may pass through."""
    made = enterable_tmp / f"served-{free_port()}"
    made.mkdir(mode=0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextmanager
def ended(*served: Served) -> Iterator[None]:
    """Whatever happens, nothing of these is left running."""
    try:
        yield
    finally:
        for one in served:
            if one.process is not None:
                one.kill()
