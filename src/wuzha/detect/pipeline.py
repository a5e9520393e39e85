"""A stream of batches on two cores: the next rows become numbers while these are judged.

Kept true here: what comes out is what `Engine.feed` of each `encode` gives, one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pyarrow as pa

from .changes import Changes
from .encode import Block, encode
from .engine import Engine

#: Batches that are numbers already while one is judged.
_READY = 2


def changes(engine: Engine, batches: Iterable[tuple[str, pa.Table, int]]) -> Iterator[Changes]:
    """What each batch (table, rows, position) changes, in log order; rows and errors are those of `encode`."""
    waiting: deque[Future[Block]] = deque()
    with ThreadPoolExecutor(1, "encode") as second:
        for table, rows, position in batches:
            waiting.append(second.submit(encode, table, rows, position))
            if len(waiting) > _READY:
                yield engine.feed(waiting.popleft().result())
        while waiting:
            yield engine.feed(waiting.popleft().result())
