"""A loop that is woken once for many calls from other threads loses none of them."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from tests.apart import apart

from wuzha.live.listening import Loop


def run(main: Callable[[], Coroutine[Any, Any, None]], loop: type[Loop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(main())


def test_no_call_from_another_thread_is_left_lying() -> None:
    calls, threads = 2_000, 4
    heard: list[int] = []

    async def main() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def take(number: int) -> None:
            heard.append(number)
            if len(heard) == calls * threads:
                over.set()

        def hand_over() -> None:
            for number in range(calls):
                loop.call_soon_threadsafe(take, number)
                if number % 50 == 0:
                    time.sleep(0.0005)  # the loop falls asleep in between

        others = [threading.Thread(target=hand_over) for _ in range(threads)]
        for one in others:
            one.start()
        # a call that is left lying is only found by the next one: at the end there is none
        await asyncio.wait_for(over.wait(), 20)
        for one in others:
            one.join()

    apart(lambda: run(main, Loop))
    assert len(heard) == calls * threads


def test_one_byte_wakes_for_all_that_is_handed_over() -> None:
    written = 0

    class Counted(Loop):
        def _write_to_self(self) -> None:
            nonlocal written
            before = self._woken
            super()._write_to_self()
            written += not before

    async def main() -> None:
        loop, over = asyncio.get_running_loop(), asyncio.Event()

        def hand_over() -> None:
            for _ in range(100):
                loop.call_soon_threadsafe(lambda: None)
            loop.call_soon_threadsafe(over.set)

        other = threading.Thread(target=hand_over)
        other.start()
        other.join()  # the loop cannot look meanwhile
        await over.wait()

    apart(lambda: run(main, Counted))
    assert 1 <= written < 10
