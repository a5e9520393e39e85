"""The bank that asks in an open loop tells each wait from the moment at which the question was due."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

import pytest

from wuzha.bench import asking

_REQUEST = b"POST /x HTTP/1.1\r\nHost: bench\r\nContent-Length: 2\r\n\r\n{}"
Answer = Callable[[int, asyncio.StreamWriter], Awaitable[None]]


def told(body: bytes, status: bytes = b"200 OK") -> bytes:
    return b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n%s" % (status, len(body), body)


@contextmanager
def server(answer: Answer) -> Iterator[int]:
    """Answers every request of every connection by ``answer(number, writer)`` until the end of the block: its port."""
    loop, port, begun = asyncio.new_event_loop(), [0], threading.Event()
    numbers = iter(range(1_000_000))

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                await reader.readexactly(len(_REQUEST))
                await answer(next(numbers), writer)
        except asyncio.IncompleteReadError:
            writer.close()

    async def serve() -> None:
        made = await asyncio.start_server(talk, "127.0.0.1", 0)
        port[0] = made.sockets[0].getsockname()[1]
        begun.set()

    def run() -> None:
        loop.create_task(serve())
        loop.run_forever()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert begun.wait(20)
        yield port[0]
    finally:
        loop.call_soon_threadsafe(loop.stop)
        thread.join(20)
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.close()


def test_a_server_that_is_slow_is_charged_for_what_queues_behind() -> None:
    async def slowly(_: int, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        writer.write(told(b'{"action":"warn","missing":[]}'))

    with server(slowly) as port:
        said = asking.ask("127.0.0.1", port, [_REQUEST] * 20, 200.0, connections=2)
    # two at a time, 50 ms each: the last answer comes after 500 ms, and its question was due at 95
    assert len(said.waits) == 20 and said.waits[-1] >= 0.4 and said.late >= 0.35
    assert said.statuses == {"200": 20} and said.actions == {"warn": 20} and said.missing == 0


def test_answers_that_come_in_pieces_are_read_whole_and_counted() -> None:
    async def in_pieces(number: int, writer: asyncio.StreamWriter) -> None:
        body = b'{"action":"hold","missing":["payer"]}' if number % 2 else b'{"title":"busy"}'
        for piece in (said := told(body, b"200 OK" if number % 2 else b"429 Busy"))[:25], said[25:60], said[60:]:
            writer.write(piece)
            await writer.drain()
            await asyncio.sleep(0.002)

    with server(in_pieces) as port:
        said = asking.ask("127.0.0.1", port, [_REQUEST] * 12, 2_000.0, connections=3)
    assert said.statuses == {"200": 6, "429": 6} and said.actions == {"hold": 6, "none": 6} and said.missing == 12


def test_a_server_that_hangs_up_ends_it() -> None:
    async def leave(_: int, writer: asyncio.StreamWriter) -> None:
        writer.close()

    with server(leave) as port, pytest.raises(RuntimeError, match="hung up"):
        asking.ask("127.0.0.1", port, [_REQUEST] * 3, 1_000.0, connections=1)
