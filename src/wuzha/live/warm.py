"""The engine's kernels, compiled before they are needed. The first time on a machine it takes a while, then no more.

Kept true here: a worker that holds the lease answers within its time; it does not stop to compile.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numba.core import event

from wuzha import detect
from wuzha.detect.decide import Decider, Transfer, pending
from wuzha.events import TABLES
from wuzha.events.batch import conform

from .cited import read_words
from .worker import block_of

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)


class _Compiling(event.Listener):
    """Hears the compiler; loading what stands compiled on disk is not heard."""

    def __init__(self, say: Callable[[], None]) -> None:
        self._say: Callable[[], None] | None = say

    def on_start(self, _: object) -> None:
        if self._say is not None:
            say, self._say = self._say, None
            say()

    def on_end(self, _: object) -> None:
        pass


def warm(compiling: Callable[[], None] = lambda: None) -> None:
    """Read one message, run one event through an engine of its own, and its state through a snapshot. ``compiling`` is
    called once where anything must be compiled."""
    with event.install_listener("numba:compile", _Compiling(compiling)):
        _run()


def _run() -> None:
    rows = pa.table(
        {
            "source": ["warm"], "event_id": ["1"], "ts": pa.array([_WHEN], pa.timestamp("us", "UTC")),
            "caller": ["+8613800000001"], "callee": ["+8613800000002"],
        }
    )  # fmt: skip
    engine = detect.Engine()
    engine.feed(block_of("calls", conform(TABLES["calls"], rows), 1, np.zeros(1, bool)))
    read_words(
        "messages",
        conform(TABLES["messages"], rows.select(["source", "event_id", "ts"]).append_column("text", [["刷单返利"]])),
    )
    Decider().judge(engine, pending([Transfer(0, "1", "2", 1, "warm")]), figures=True)
    detect.Engine.restore(engine.snapshot())


def say() -> None:
    """One line for people."""
    sys.stderr.write("Engine: compiling (once on this machine; a minute or two)\n")


if __name__ == "__main__":
    warm(say)
