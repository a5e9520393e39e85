"""Group commit: batches of many requests go to the log in one transaction, and each is answered when it is durable.

Kept true here: a receipt is given only after the commit that holds its rows; batches keep the order in which they came;
a batch that the log refuses fails alone, its neighbours are committed; what waits is bounded.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import psycopg
import structlog

from wuzha.store import log as store_log

log = structlog.get_logger(__name__)

#: Batches and rows that share a transaction at most: a bound on memory and on how long the first one waits.
_GROUP_BATCHES = 512
_GROUP_ROWS = 200_000
#: How long an unreachable database is tried before the waiting requests are told.
_PATIENCE_S = 10.0

Batch = store_log.Batch
Receipt = store_log.Appended


class QueueFull(Exception):
    """Too many rows wait already; come again after ``retry_after`` seconds."""

    def __init__(self, retry_after: int) -> None:
        super().__init__("the queue is full")
        self.retry_after = retry_after


class Stopped(Exception):
    """The server is stopping; the batch was not taken."""


@dataclass
class _Waiting:
    batch: Batch
    future: Future[Receipt]


class Appender:
    """One thread that owns one connection to the log. `submit` from any thread."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]], *, queue_rows: int) -> None:
        self._connect, self._limit = connect, queue_rows
        self._queue: deque[_Waiting] = deque()
        self._rows = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._rate = 20_000.0  # rows a second, as measured lately; for Retry-After
        self._thread = threading.Thread(target=self._run, name="appender", daemon=True)
        self.groups = 0
        self.committed_rows = 0
        #: Set when the first batch would not wait for anything to be loaded.
        self.warm = threading.Event()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    @property
    def waiting_rows(self) -> int:
        """Rows not yet durable."""
        return self._rows

    def submit(self, batch: Batch) -> Future[Receipt]:
        """The receipt to come. QueueFull beyond the bound (one batch alone is always taken), Stopped while stopping."""
        n = batch.rows.num_rows
        with self._changed:
            if self._stopping:
                raise Stopped
            if self._rows and self._rows + n > self._limit:
                raise QueueFull(max(1, min(30, round(self._rows / self._rate))))
            waiting = _Waiting(batch, Future())
            self._queue.append(waiting)
            self._rows += n
            self._changed.notify()
        return waiting.future

    def stop(self) -> None:
        """Commit what waits, then end."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        if self._thread.is_alive():
            self._thread.join(_PATIENCE_S + 5)

    def _take(self) -> list[_Waiting]:
        """The next group; empty only when stopping. From then on its futures cannot be cancelled any more."""
        group: list[_Waiting] = []
        rows = 0
        with self._changed:
            while not group:
                while not self._queue and not self._stopping:
                    self._changed.wait()
                if not self._queue:
                    break
                while self._queue and len(group) < _GROUP_BATCHES:
                    n = self._queue[0].batch.rows.num_rows
                    if group and rows + n > _GROUP_ROWS:
                        break
                    waiting = self._queue.popleft()
                    if waiting.future.set_running_or_notify_cancel():
                        group.append(waiting)
                        rows += n
                    else:  # its sender has gone, and was told nothing
                        self._rows -= n
        return group

    def _run(self) -> None:
        store_log.warm()
        self.warm.set()
        conn: psycopg.Connection[Any] | None = None
        while group := self._take():
            begun = time.monotonic()
            conn = self._commit(conn, group)
            rows = sum(w.batch.rows.num_rows for w in group)
            took = max(time.monotonic() - begun, 1e-3)
            if rows > 1000:
                self._rate = 0.8 * self._rate + 0.2 * rows / took
            self.groups += 1
        if conn is not None:
            conn.close()

    def _settle(self, waiting: _Waiting, result: Receipt | Exception) -> None:
        """Its rows no longer wait, then its sender is told: whoever has an answer finds room for as much again."""
        with self._changed:
            self._rows -= waiting.batch.rows.num_rows
        if isinstance(result, Exception):
            waiting.future.set_exception(result)
        else:
            self.committed_rows += result.accepted
            waiting.future.set_result(result)

    def _commit(
        self, conn: psycopg.Connection[Any] | None, group: Sequence[_Waiting]
    ) -> psycopg.Connection[Any] | None:
        """Commit ``group``; on trouble with one batch each is tried alone, so only the wrong one fails."""
        until = time.monotonic() + _PATIENCE_S
        while True:
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                receipts = store_log.commit(conn, [w.batch for w in group])
                for waiting, receipt in zip(group, receipts, strict=True):
                    self._settle(waiting, receipt)
                return conn
            except psycopg.errors.DiskFull as error:
                # Nothing of the transaction stands, and waiting makes no room.
                log.error("no room for the log", error=str(error))
                for waiting in group:
                    self._settle(waiting, error)
                return conn
            except (psycopg.OperationalError, psycopg.InterfaceError) as error:
                # The commit may or may not stand. Trying again is safe: what stands is then found as a duplicate.
                if conn is not None:
                    conn.close()
                conn = None
                if time.monotonic() > until:
                    for waiting in group:
                        self._settle(waiting, error)
                    return None
                time.sleep(0.1)
            except Exception as error:
                if len(group) == 1:
                    log.error("batch refused by the log", table=group[0].batch.table, error=repr(error))
                    self._settle(group[0], error)
                    return conn
                for waiting in group:
                    conn = self._commit(conn, [waiting])
                return conn
