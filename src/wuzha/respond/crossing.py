"""The process that carries letters between this zone and the others.

Kept true here: one process a deployment carries; a folder that is away, a damaged key file or a handler that fails is
logged once and tried again; nothing is lost by waiting; what crossed long ago goes.
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Mapping

import psycopg
import structlog

from wuzha import store
from wuzha.events import clock
from wuzha.live.logs import configure
from wuzha.live.settings import settings
from wuzha.store import exchange, forgetting, zone_keys
from wuzha.store.embedded import ServerError

from . import door_zone, progress, verify, visits

log = structlog.get_logger(__name__)

#: What each role understands of what comes in; a kind that is not here is kept and reported.
HANDLERS: dict[str, Mapping[str, exchange.Handler]] = {
    "centre": visits.HANDLERS,
    "public": {**verify.HANDLERS, **progress.HANDLERS},
    "phone": door_zone.HANDLERS,
}
#: Seconds between two rounds, by the wall clock.
EVERY_S = 1.0
#: Seconds between two looks at what has crossed long ago.
FORGET_S = 600.0
_LOCK = 0x77757A6878


def run() -> int:
    """Carry until SIGTERM. Returns the exit code; the parent starts a process again that could not go on."""
    configure("exchange")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    try:
        _carry_until(stop)
    except (psycopg.Error, OSError, ServerError) as error:
        log.error("the exchange cannot go on", why=str(error))
        return 1
    return 0


def _carry_until(stop: threading.Event) -> None:
    told: set[str] = set()
    with store.opened(upgrade=False) as db, db.connect("web") as conn:
        while not stop.wait(EVERY_S):
            row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            if row is not None and row[0]:
                break
        forget_at = time.monotonic()
        while not stop.wait(EVERY_S):
            troubles: set[str] = set()
            if time.monotonic() >= forget_at:
                forget_at += FORGET_S
                gone = forgetting.sent(conn, clock.now()) + forgetting.taken(conn, clock.now())
                if gone:
                    log.info("what crossed long ago is forgotten", rows=gone)
            try:
                zone = zone_keys.load(settings().home)
                done = exchange.carry(conn, zone, HANDLERS.get(settings().role, {})) if zone else []
            except zone_keys.KeysError as error:
                troubles.add(str(error))
                done = []
            for one in done:
                troubles.update(f"{one.peer}: {words}" for words in one.trouble)
                for name, reason in one.aside:
                    log.warning("file set aside", peer=one.peer, file=name, reason=reason)
                if one.refused:
                    log.error("messages could not take effect", peer=one.peer, n=one.refused)
            for words in sorted(troubles - told):
                log.warning("exchange waits", why=words)
            if told and not troubles:
                log.info("exchange goes on")
            told = troubles


if __name__ == "__main__":
    sys.exit(run())
