"""The process of trials (`wuzha.live.trials`), which its parent puts behind all others.

Kept true here: an engine is loaded only once somebody has put a rule in shadow, asked for a backtest or declared a
feature, or another release has come; most deployments do none of this for days, and would else pay for it at each
start.
"""

from __future__ import annotations

import signal
import sys
import threading
from typing import Any

import psycopg
import structlog

from wuzha.store import opened
from wuzha.store.embedded import ServerError

from .lease import Connect
from .logs import configure
from .settings import settings

log = structlog.get_logger(__name__)

_LOOK_S = 0.3


def wanted(conn: psycopg.Connection[Any]) -> bool:
    """Whether there is, or was, anything to try."""
    row = conn.execute(
        "SELECT EXISTS (SELECT 1 FROM wuzha.rule_backtests)"
        " OR EXISTS (SELECT 1 FROM wuzha.rule_changes WHERE kind IN ('shadowed', 'declared'))"
        " OR (SELECT count(*) > 1 FROM wuzha.rule_changes WHERE kind = 'shipped' AND NOT whole)"
    ).fetchone()
    return row is not None and bool(row[0])


def _await_wanted(connect: Connect, stop: threading.Event) -> None:
    conn: psycopg.Connection[Any] | None = None
    while not stop.is_set():
        try:
            if conn is None or conn.closed:
                conn = connect()
            if wanted(conn):
                break
        except psycopg.Error as error:
            log.warning("trials put off", error=type(error).__name__)
            conn = None
        stop.wait(_LOOK_S)
    if conn is not None:
        conn.close()


def run() -> int:
    """Work until SIGTERM. Returns the exit code."""
    configure("trials")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        with opened(upgrade=False) as db:

            def connect() -> psycopg.Connection[Any]:
                return db.connect("engine")

            _await_wanted(connect, stop)
            if not stop.is_set():
                from . import trials

                trials.run(connect, settings(), stop)
    except ServerError as error:
        log.error("no database", why=str(error))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(run())
