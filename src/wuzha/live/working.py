"""A machine that only judges: workers of a deployment whose doors, log and records stand on others.

Kept true here: it acknowledges nothing and keeps nothing that others lack but snapshots, so it may be taken away at any
moment; it does not start where it could not write what it finds.
"""

from __future__ import annotations

import signal
import threading
import time
from collections.abc import Callable

import psycopg

from wuzha.store import opened
from wuzha.store.embedded import ServerError
from wuzha.store.settings import Settings as StoreSettings
from wuzha.store.settings import make_home

from .server import CannotServe, environment_of, others, say_log
from .settings import Settings
from .supervise import Supervisor


def work(settings: Settings, *, say: Callable[[str], None], stop: threading.Event | None = None) -> None:
    """Run ``settings.workers`` workers until SIGINT or SIGTERM (or ``stop``). CannotServe where they cannot work."""
    if not StoreSettings().dsn:
        raise CannotServe(
            "workers on a machine of their own need a PostgreSQL that all machines reach: name it in WUZHA_DSN"
        )
    stop = stop or threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stop.set())
    make_home(settings.home)
    try:
        with opened(upgrade=False) as db:
            say_log(db, say)
    except (ServerError, psycopg.OperationalError) as error:
        raise CannotServe(f"the database does not answer: {str(error).strip()}") from error
    supervisor = Supervisor(say)
    try:
        for child in others(settings.workers, environment_of(settings)):
            supervisor.start(child)
        say(f"Working: {settings.workers} workers take what partitions are free (Ctrl-C stops them)")
        while not stop.is_set():
            supervisor.tend()
            time.sleep(0.2)
    finally:
        say("Stopping")
        supervisor.stop(together=True)
