"""Where the log stands in a stream: what the database keeps of it follows, and what the desks wrote goes into it.

Kept true here: this runs beside the stream and holds nobody up; whichever machine does it, it is done by one at a time.
"""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import structlog

from wuzha.store import log as store_log
from wuzha.store import log_index
from wuzha.store.jetstream import LogUnsound

from .lease import Connect

log = structlog.get_logger(__name__)

_EVERY_S = 0.2


class Indexing(threading.Thread):
    """Follows the stream until `stop`; where the log stands in the database there is nothing to do, and it ends."""

    def __init__(self, connect: Connect) -> None:
        super().__init__(name="indexing", daemon=True)
        self._connect = connect
        self._stop_asked = threading.Event()

    def run(self) -> None:
        """Look five times a second."""
        elsewhere = store_log.stream()
        if elsewhere is None:
            return
        conn: psycopg.Connection[Any] | None = None
        while not self._stop_asked.wait(_EVERY_S):
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                log_index.carry(conn, elsewhere)
                log_index.follow(conn, elsewhere)
            except (psycopg.Error, LogUnsound, ValueError) as error:
                log.warning("the log's index waits", error=repr(error)[:200])
                if conn is not None and isinstance(error, psycopg.Error):
                    conn.close()
                self._stop_asked.wait(1.0)
        if conn is not None:
            conn.close()

    def stop(self) -> None:
        """End after the look under way."""
        self._stop_asked.set()
        self.join(10)
