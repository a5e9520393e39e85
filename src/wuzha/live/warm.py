"""The engine's kernels, compiled before they are needed. The first time on a machine it takes a while, then no more.

Kept true here: a worker that holds the lease answers within its time; it does not stop to compile.
"""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import pyarrow as pa

from wuzha import detect
from wuzha.events import TABLES
from wuzha.events.batch import conform

from .worker import block_of

_WHEN = datetime(2026, 1, 1, tzinfo=UTC)


def warm() -> None:
    """Run one event through an engine of its own, and its state through a snapshot."""
    rows = pa.table(
        {
            "source": ["warm"], "event_id": ["1"], "ts": pa.array([_WHEN], pa.timestamp("us", "UTC")),
            "caller": ["+8613800000001"], "callee": ["+8613800000002"],
        }
    )  # fmt: skip
    engine = detect.Engine()
    engine.feed(block_of("calls", conform(TABLES["calls"], rows), 1, np.zeros(1, bool)))
    detect.Engine.restore(engine.snapshot())


if __name__ == "__main__":
    warm()
