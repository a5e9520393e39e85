"""The telephony process: takes the desk's calls one by one, has the exchange make them, writes down how each fares.

Kept true here: pages never wait for the exchange, they write a row and read one; a call is taken by one process and
made once; while a call goes on its row is held, and a process that dies lets go, so that the row says ``unknown``.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import psycopg
import structlog

from wuzha import store
from wuzha.events import clock

from . import dialling
from .dialling import Request
from .sip import Ending, Exchange, Settings

#: Seconds between two looks for calls, and between two renewals of the hold on those that go on.
LOOK_S, HOLD_S = 0.25, 3.0
#: An exchange that cannot be reached is tried again after so long.
AGAIN_S = 5.0

log = structlog.get_logger(__name__)
T = TypeVar("T")


class Telephony:
    """One process's calls over one exchange. ``connect`` gives a connection as wuzha_web."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], exchange: Exchange) -> None:
        self.exchange = exchange
        self.who = f"{socket.gethostname()}:{os.getpid()}:{id(self):x}"
        self.stop = asyncio.Event()
        self._connect = connect
        self._conn: psycopg.Connection[Any] | None = None
        # One thread, one connection: what is told of a call is written in the order in which it was told.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="telephony")
        self._calls: dict[int, tuple[int, asyncio.Task[None]]] = {}

    async def run(self) -> None:
        """Until ``stop``: then calls that go on are left, and say so."""
        held = asyncio.get_running_loop().time()
        try:
            while not self.stop.is_set():
                for root, request in await self._do(self._take):
                    task = asyncio.create_task(self._call(root, request))
                    self._calls[request.call_id] = (root, task)
                    task.add_done_callback(lambda _, key=request.call_id: self._calls.pop(key, None))  # type: ignore[misc]
                if asyncio.get_running_loop().time() - held > HOLD_S and self._calls:
                    held = asyncio.get_running_loop().time()
                    await self._do(self._hold, {key: root for key, (root, _) in self._calls.items()})
                await _wait(self.stop, LOOK_S)
        finally:
            tasks = [task for _, task in self._calls.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            self._thread.shutdown()
            if self._conn is not None:
                self._conn.close()

    async def _call(self, root: int, request: Request) -> None:
        told: list[asyncio.Future[Any]] = []

        def tell(state: str, status: int | None, forwarded: bool) -> None:
            told.append(asyncio.ensure_future(self._do(self._told, root, request.call_id, state, status, forwarded)))

        try:
            ending = await self.exchange.call(
                request.extension, request.number, reference=request.reference, tell=tell
            )  # fmt: skip
        except asyncio.CancelledError:
            await asyncio.shield(self._do(self._ended, root, request.call_id, Ending(state="unknown", why="stopped")))
            raise
        except Exception as error:
            log.error("call failed", call=request.call_id, error=type(error).__name__, exc_info=error)
            ending = Ending(state="unknown", why="failed")
        await asyncio.gather(*told)
        await self._do(self._ended, root, request.call_id, ending)

    # ---------------------------------------------------------------- in the thread

    async def _do(self, work: Callable[..., T], *args: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work, *args)

    def _db(self) -> psycopg.Connection[Any]:
        if self._conn is None:
            self._conn = self._connect()
        return self._conn

    def _roots(self) -> list[int]:
        rows = self._db().execute("SELECT unit_id FROM wuzha.units WHERE parent_id IS NULL ORDER BY unit_id")
        return [r[0] for r in rows.fetchall()]

    def _take(self) -> list[tuple[int, Request]]:
        found: list[tuple[int, Request]] = []
        for root in self._roots():
            with store.transaction(self._db(), unit=root) as conn:
                found += [(root, r) for r in dialling.take(conn, self.who, now=clock.now())]
        return found

    def _hold(self, calls: dict[int, int]) -> None:
        for root in set(calls.values()):
            with store.transaction(self._db(), unit=root) as conn:
                mine = [key for key, unit in calls.items() if unit == root]
                dialling.hold(conn, self.who, mine, now=clock.now())

    def _told(self, root: int, call_id: int, state: str, status: int | None, forwarded: bool) -> None:
        with store.transaction(self._db(), unit=root) as conn:
            dialling.told(conn, self.who, call_id, state, now=clock.now(), sip=status, forwarded=forwarded)

    def _ended(self, root: int, call_id: int, ending: Ending) -> None:
        with store.transaction(self._db(), unit=root) as conn:
            dialling.told(
                conn, self.who, call_id, ending.state, now=clock.now(), sip=ending.status, why=ending.why,
                forwarded=ending.forwarded,
            )  # fmt: skip


async def _wait(event: asyncio.Event, seconds: float) -> None:
    try:
        await asyncio.wait_for(event.wait(), seconds)
    except TimeoutError:
        return


async def _serve(db: store.Database, settings: Settings) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    exchange = Exchange(settings)
    while not stop.is_set():
        try:
            await exchange.open()
            break
        except (OSError, ValueError, TimeoutError) as error:
            # The round calls off what waits meanwhile, and the officers dial by hand.
            log.error("the exchange cannot be reached", why=str(error) or type(error).__name__)
            await _wait(stop, AGAIN_S)
    else:
        return 0
    try:
        telephony = Telephony(lambda: db.connect("web"), exchange)
        telephony.stop = stop
        await telephony.run()
    finally:
        await exchange.close()
    return 0


def run() -> int:
    """Make calls until SIGTERM. Returns the exit code."""
    from wuzha.live.logs import configure

    configure("telephony")
    settings = Settings()
    if not settings.server:
        return 0
    with store.opened(upgrade=False) as db:
        return asyncio.run(_serve(db, settings))


if __name__ == "__main__":
    sys.exit(run())
