"""A stream of batches on two cores: the next rows become numbers and are looked up while these are judged.

Kept true here: what comes out is what `Engine.feed` of each `encode` gives, one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from .changes import Changes
from .encode import Block, encode
from .engine import Engine
from .windows import guess

#: Batches that are numbers already while one is judged.
_READY = 2


def guessed(engine: Engine, block: Block) -> npt.NDArray[np.int32]:
    """What numbers the block's subjects seem to have by now; it may be asked while another thread feeds the engine,
    which believes none of it and is spared most of the looking up."""
    ids = np.empty(block.keys.shape, np.int32)
    guess(np.require(block.keys, requirements=("C", "W")), engine._state.slots, ids)
    return ids


def changes(engine: Engine, batches: Iterable[tuple[str, pa.Table, int]]) -> Iterator[Changes]:
    """What each batch (table, rows, position) changes, in log order; rows and errors are those of `encode`."""

    def prepared(table: str, rows: pa.Table, position: int) -> tuple[Block, npt.NDArray[np.int32]]:
        block = encode(table, rows, position)
        return block, guessed(engine, block)

    waiting: deque[Future[tuple[Block, npt.NDArray[np.int32]]]] = deque()
    with ThreadPoolExecutor(1, "encode") as second:
        for table, rows, position in batches:
            waiting.append(second.submit(prepared, table, rows, position))
            if len(waiting) > _READY:
                yield engine.feed(*waiting.popleft().result())
        while waiting:
            yield engine.feed(*waiting.popleft().result())
