"""Keeping, a process of its own: the log is sealed into history, trimmed, and rows whose end has come are dropped.

Kept true here: a log row goes only when it stands in history, lies below the newest snapshot, and is old enough, or
when its basis is over and the engine has taken it in; one process at a time seals (an advisory lock that a frozen
process keeps as well).
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog

from wuzha.events import clock
from wuzha.store import benches, forgetting, opened
from wuzha.store import log as store_log
from wuzha.store.embedded import ServerError

from . import history
from .aside import Aside
from .cited import read_words
from .indexing import Indexing
from .logs import configure
from .settings import Settings, settings
from .steady import Steady
from .supervise import step_back
from .watching import resident, tell

log = structlog.get_logger(__name__)

_EVERY_S = 5.0
_EXPIRE_EVERY = 120  # rounds: ten minutes
_LOCK = 0x77757A6868


def run() -> int:
    """Keep every few seconds until SIGTERM, behind everything else that wants the processor. Returns the exit code."""
    configure("keeping")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    told = settings()
    try:
        with opened(upgrade=False) as db:
            indexing = Indexing(lambda: db.connect("engine"))
            indexing.start()
            if store_log.stream() is not None:  # what indexing does is waited for: this thread alone steps back
                step_back(session=False)
            rounds, steady = 0, Steady(told.home)
            while not stop.wait(_EVERY_S):
                try:
                    with db.connect("engine") as conn:
                        now = clock.now()
                        believed = steady.sees(now)
                        keep(conn, told, now, expire=rounds % _EXPIRE_EVERY == 0, delete=believed)
                        tell(conn, "keeping", {"unsealed_s": unsealed_s(conn, told), "memory_bytes": resident()})
                    rounds += 1
                except Exception as error:
                    log.warning("keeping put off", error=repr(error)[:200])
            indexing.stop()
    except ServerError as error:
        log.error("no database", why=str(error))
        return 1
    return 0


def keep(
    conn: psycopg.Connection[Any], settings: Settings, now: datetime, *, expire: bool, delete: bool = True
) -> None:
    """One round: fold fingerprints and seal whole segments that are due, trim, and where ``expire`` drop what is over;
    the latter two also where the disk has no room to seal. Without ``delete`` nothing goes."""
    row = conn.execute("SELECT pg_try_advisory_lock(%s)", [_LOCK]).fetchone()
    if row is None or not row[0]:
        return
    try:
        try:
            store_log.fold(conn)
            while seal_due(conn, settings, now):
                store_log.fold(conn)
        except OSError as error:
            log.error("sealing put off", error=str(error))
        if not delete:
            return
        trim(conn, settings, now)
        if expire:
            dropped = history.expire(settings.history, now)
            if dropped:
                log.info("history rows ended", rows=dropped)
            store_log.forget(conn, (now - timedelta(days=settings.duplicates_days)).date())
            if gone := forgetting.sent(conn, now):
                log.info("what left long ago is forgotten", rows=gone)
            if over := benches.ended(conn, now):
                log.info("workbenches ended", n=over)
    finally:
        conn.execute("SELECT pg_advisory_unlock(%s)", [_LOCK])


def unsealed_s(conn: psycopg.Connection[Any], settings: Settings) -> float:
    """Seconds that the oldest row has waited for history."""
    row = conn.execute(
        "SELECT received_at FROM wuzha.log WHERE position > %s ORDER BY position LIMIT 1",
        [history.sealed(settings.history).position],
    ).fetchone()
    return 0.0 if row is None else max((clock.now() - row[0]) / clock.stretch(1.0), 0.0)


def seal_due(conn: psycopg.Connection[Any], settings: Settings, now: datetime) -> bool:
    """Seal one segment if it is due; whether one was."""
    begin = history.sealed(settings.history).position
    row = conn.execute("SELECT min(position) FROM wuzha.partitions").fetchone()
    reached = row[0] if row and row[0] is not None else 0
    waiting = conn.execute(
        "SELECT position, sum(n) OVER (ORDER BY position), received_at FROM wuzha.log"
        " WHERE position > %s AND position <= %s ORDER BY position LIMIT 20000",
        [begin, reached],
    ).fetchall()
    if not waiting:
        return False
    full = next((position for position, rows, _ in waiting if rows >= settings.seal_rows), None)
    if full is None and now - waiting[0][2] < clock.stretch(settings.seal_s) and len(waiting) < 20000:
        return False
    last = full if full is not None else waiting[-1][0]
    history.sweep(settings.history)
    rows = history.seal(settings.history, _opened(conn, settings, begin, last), last)
    log.info("sealed", first=begin + 1, last=last, rows=rows)
    return full is not None


def _opened(conn: psycopg.Connection[Any], settings: Settings, begin: int, last: int) -> Iterator[history.LogBatch]:
    retention: dict[str, int] = dict(conn.execute("SELECT name, retention_days FROM wuzha.sources").fetchall())
    aside = Aside(settings.home).positions
    at = begin
    while at < last:
        batches = list(store_log.read(conn, at, until=last))
        for b in batches:
            if b.position > last:
                return
            until = history.end_of(b.basis_until, b.received_at, retention.get(b.source))
            rows = b.rows if b.position in aside else read_words(b.table, b.rows)
            yield history.LogBatch(
                position=b.position, table=b.table, source=b.source, rows=rows, basis=b.basis, until=until
            )
        if not batches:
            return
        at = batches[-1].position


def trim(conn: psycopg.Connection[Any], settings: Settings, now: datetime) -> int:
    """Remove log rows that are no longer needed; returns how many batches."""
    sealed = history.sealed(settings.history).position
    old = now - timedelta(seconds=settings.log_keep_s)
    row = conn.execute("SELECT coalesce(min(least(position, snapshot_position)), 0) FROM wuzha.partitions").fetchone()
    floor = int(row[0]) if row else 0
    row = conn.execute(
        "SELECT coalesce(max(position), 0) FROM wuzha.log WHERE position <= %s AND received_at < %s",
        [min(floor, sealed), old],
    ).fetchone()
    until = int(row[0]) if row else 0
    gone = store_log.trim(conn, until) if until else 0
    gone += store_log.drop_over(conn, floor, now)
    if gone:
        log.info("log trimmed", batches=gone)
    return gone


if __name__ == "__main__":
    sys.exit(run())
