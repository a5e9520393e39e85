"""Rounds: what a desk does when a time has come, without anybody pressing a button; how all desks make them.

Kept true here: a round runs in one transaction a root of the unit tree, or opens its own (piecemeal: one a file); a
round that fails is logged and leaves the others running; of several processes one makes a desk's rounds.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wuzha import store
from wuzha.events import clock

from .logs import configure

#: What a transaction loses against another; the work comes again with the next round.
GAVE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.SerializationFailure, psycopg.errors.LockNotAvailable)

#: A round's work: (connection, root unit, now) → how many things it did.
Work = Callable[[psycopg.Connection[Any], int, datetime], int]

log = structlog.get_logger(__name__)


@contextmanager
def giving_way(log: Any, **what: Any) -> Iterator[None]:
    """Around one piece of a round, in a transaction of its own: where another had the same rows the other way round, it
    comes again in the next round, and the rest goes on now."""
    try:
        yield
    except GAVE_WAY as error:
        log.warning("a step gave way", error=type(error).__name__, **what)


def once(
    conn: psycopg.Connection[Any], works: Mapping[str, Work], *, piecemeal: Collection[str] = (),
    now: datetime | None = None,
) -> dict[str, int]:  # fmt: skip
    """Make every round once over each root of the unit tree; how many things each did. Role wuzha_web."""
    done: dict[str, int] = {}
    roots = [r[0] for r in conn.execute("SELECT unit_id FROM wuzha.units WHERE parent_id IS NULL ORDER BY unit_id")]
    for name, work in works.items():
        for root in roots:
            at = now or clock.now()
            try:
                whole: AbstractContextManager[Any] = (
                    nullcontext() if name in piecemeal else store.transaction(conn, unit=root, user=None, now=at)
                )
                with whole:
                    done[name] = done.get(name, 0) + work(conn, root, at)
            except GAVE_WAY as error:
                log.warning("round gave way", round=name, error=type(error).__name__)
            except psycopg.OperationalError:
                raise
            except Exception as error:
                log.error("round failed", round=name, error=type(error).__name__, exc_info=error)
    return done


def run(
    process: str, lock: int, make: Callable[[psycopg.Connection[Any]], object], *, every_s: float,
    beside: Callable[[store.Database], Any] | None = None,
) -> int:  # fmt: skip
    """Call ``make`` every ``every_s`` seconds until SIGTERM; returns the exit code (the parent starts a process again
    that could not go on). ``lock``: whoever holds it makes these rounds; ``beside`` starts what runs with them, and is
    stopped after."""
    configure(process)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with store.opened(upgrade=False) as db, db.connect("web") as conn:
        while not stop.wait(min(every_s, 1.0)):
            row = conn.execute("SELECT pg_try_advisory_lock(%s)", (lock,)).fetchone()
            if row is not None and row[0]:
                break
        conn.execute("SELECT set_config('lock_timeout', '2s', false)")  # one held file does not hold up all rounds
        running = beside(db) if beside is not None and not stop.is_set() else None
        while not stop.wait(every_s):
            make(conn)
        if running is not None:
            running.stop()
    return 0
