"""The engine's kernels are compiled from the sources that stand here; those of other sources are thrown away."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from wuzha.compiled import refresh

#: Sources without kernels that decide what kernels are.
_TAKEN_IN = ("book", "codes", "compiling", "layout")


def sources(here: Path) -> Iterator[Path]:
    """The files of the package in ``here`` that hold kernels or decide what they are."""
    for path in here.glob("*.py"):
        if path.stem in _TAKEN_IN or b"from .compiling import" in path.read_bytes():
            yield path


refresh(Path(__file__).parent, sources(Path(__file__).parent))
