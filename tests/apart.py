"""Work that wants an event loop of its own: a browser test that ran before leaves its own loop in the main thread."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")


def apart(work: Callable[[], T]) -> T:
    """The result of ``work`` in a thread of its own."""
    with ThreadPoolExecutor(1) as one:
        return one.submit(work).result()
