"""What the handlers share: the database, the appender, the limits, the counters; and who it is that asks.

Kept true here: a request is somebody's, by a key or a session, before its body is read; a key's source comes from the
database each time, so that a revoked key is refused at once.
"""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psycopg
from fastapi import Request
from fastapi.security import HTTPBearer
from prometheus_client import CollectorRegistry, Counter, Histogram
from psycopg_pool import ConnectionPool

from wuzha.live.appender import Appender
from wuzha.live.settings import Settings
from wuzha.live.watching import standing
from wuzha.store import Database, keys
from wuzha.store.sources import Source

from .problems import Problem

#: Bodies held at once, as sent, beyond which senders are asked to come again.
_BODIES = 256 * 1024 * 1024

#: PostgreSQL writes ahead into files of this size, and stops where it cannot make the next.
_WAL = 16 * 1024 * 1024

bearer = HTTPBearer(auto_error=False, scheme_name="key", description="API key of a registered source")


class Figures:
    """Counters of this process, for ``/metrics``."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.rows = Counter("wuzha_rows", "Rows by what became of them", ["table", "became"], registry=self.registry)
        self.batches = Counter("wuzha_batches", "Batches taken", ["table"], registry=self.registry)
        self.refused = Counter("wuzha_refused", "Requests refused", ["status"], registry=self.registry)
        self.sent = Counter("wuzha_body_bytes", "Bytes of bodies taken, as sent", ["table"], registry=self.registry)
        self.durable = Histogram(
            "wuzha_durable_seconds", "From the request's start to its durable answer",
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10), registry=self.registry,
        )  # fmt: skip
        self.decisions = Counter("wuzha_decisions", "Transfers decided", ["action"], registry=self.registry)
        self.decided = Histogram(
            "wuzha_decided_seconds", "From a transfer's question to its durable answer",
            buckets=(0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 5), registry=self.registry,
        )  # fmt: skip


@dataclass
class Doors:
    """One server process's shared things. `open` and `close` once each."""

    db: Database
    settings: Settings
    #: What this process is called in figures.
    process: str = "doors"
    pool: ConnectionPool[psycopg.Connection[Any]] = field(init=False)
    appender: Appender = field(init=False)
    readers: ThreadPoolExecutor = field(init=False)
    figures: Figures = field(default_factory=Figures)
    bodies: int = 0
    #: What a face has begun, to be ended before the connections go.
    ending: list[Callable[[], None]] = field(default_factory=list)
    _free: tuple[float, int] = (0.0, 0)
    _lag: tuple[float, float] = (0.0, 0.0)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, *, taking: bool = True) -> Doors:
        """Connect, and begin to take batches where this process takes any."""
        self.pool = self.db.pool("web", min_size=1, max_size=8)
        self.readers = ThreadPoolExecutor(max_workers=2, thread_name_prefix="body")
        self.appender = Appender(lambda: self.db.connect("web"), queue_rows=self.settings.queue_rows)
        if taking:
            self.appender.start()
        return self

    def close(self) -> None:
        """Commit what waits, then let go of everything."""
        for end in self.ending:
            end()
        self.appender.stop()
        self.readers.shutdown()
        self.pool.close()

    def free_space(self) -> int:
        """Free bytes of the data folder's disk, looked at once a second."""
        at, free = self._free
        if time.monotonic() - at > 1.0:
            free = shutil.disk_usage(self.settings.home).free
            self._free = (time.monotonic(), free)
        return free

    def lag_s(self) -> float:
        """How long the oldest batch has waited for its results, looked at every two seconds; the last known where the
        database does not answer."""
        at, lag = self._lag
        if time.monotonic() - at > 2.0:
            self._lag = (time.monotonic(), lag)  # one request looks, the others go on
            with suppress(psycopg.Error), self.pool.connection(timeout=2) as conn:
                lag = standing(conn).lag_s
                self._lag = (time.monotonic(), lag)
        return lag

    def full(self, least: int = _WAL) -> bool:
        """Whether senders are to be told that there is no room: below what is kept free, ``least`` in any case."""
        return self.free_space() < max(self.settings.free_space, least)

    def take_body(self, size: int) -> None:
        """Count a body in. 429 where too many are held."""
        with self._lock:
            if self.bodies and self.bodies + size > _BODIES:
                raise busy(1)
            self.bodies += size

    def drop_body(self, size: int) -> None:
        """Count it out."""
        with self._lock:
            self.bodies -= size


def busy(retry_after: int) -> Problem:
    """429: the sender keeps its batch and comes again."""
    return Problem(
        429, "busy", "The queue is full / 队列已满", f"nothing was taken; send the same batch again in {retry_after} s",
        {"Retry-After": str(retry_after)},
    )  # fmt: skip


def doors(request: Request) -> Doors:
    """The process's doors."""
    return request.app.state.doors  # type: ignore[no-any-return]


def source_of(request: Request) -> Source:
    """The registered source whose key came with the request. 401 without a key or with one that is unknown, revoked
    or of a source that is no longer active."""
    scheme, _, key = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key.strip():
        raise Problem(
            401,
            "no_key",
            "An API key is needed / 需要API密钥",
            "send Authorization: Bearer <key>",
            {"WWW-Authenticate": "Bearer"},
        )
    with doors(request).pool.connection() as conn:
        source = keys.check(conn, key.strip())
    if source is None:
        raise Problem(
            401, "bad_key", "The API key is unknown or revoked / 密钥无效或已撤销", None, {"WWW-Authenticate": "Bearer"}
        )
    return source
