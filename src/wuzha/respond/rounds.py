"""The desk's rounds: what is done when a time has come, without anybody pressing a button.

Kept true here: a round runs in one transaction a root of the unit tree, as the machine – one that works through many
files (`PIECEMEAL`) in one a file – and does a thing once however often it runs; a round that fails is logged and leaves
the others running; of several processes one makes the rounds.
Nothing here restricts a person: rounds move work, remind, and end what has ended.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime
from typing import Any

import psycopg
import structlog

from wuzha import store
from wuzha.command.public import Actor, machine
from wuzha.events import clock
from wuzha.live.logs import configure

from . import (
    answers,
    books,
    dialling,
    door_orders,
    engaged,
    escalate,
    lookback,
    overflow,
    phones,
    reach,
    releases,
    sender,
    tiers,
    verify,
    visits,
    waves,
)
from .step import GAVE_WAY

Round = Callable[[psycopg.Connection[Any], Actor, datetime], int]

#: Every round by name, in the order in which they are made; each returns how many things it did.
ROUNDS: dict[str, Round] = {
    "reach": reach.turn,
    "clocks": tiers.put_in_force,
    "overflow": overflow.round,
    "escalate": escalate.round,
    "answers": answers.round,
    "workbooks": books.round,
    "release": releases.round,
    "lookback": lookback.round,
    "tell_codes": verify.tell,
    "phones": phones.round,
    "visits": visits.round,
    "tell_orders": door_orders.tell,
    "waves": waves.join_later,
    "telephone": dialling.lapse,
    "engaged": engaged.round,
}
#: Rounds that open their own transactions, so that they never hold more than one file.
PIECEMEAL = frozenset({"lookback", "visits"})
#: Seconds between two rounds, by the wall clock.
EVERY_S = 1.0
_LOCK = 0x77757A6872

log = structlog.get_logger(__name__)


def go_round(conn: psycopg.Connection[Any], *, now: datetime | None = None) -> dict[str, int]:
    """Make every round once over each root of the unit tree; how many things each did. Role wuzha_web."""
    done: dict[str, int] = {}
    roots = [r[0] for r in conn.execute("SELECT unit_id FROM wuzha.units WHERE parent_id IS NULL ORDER BY unit_id")]
    for name, work in ROUNDS.items():
        for root in roots:
            at = now or clock.now()
            try:
                whole: AbstractContextManager[Any] = (
                    nullcontext() if name in PIECEMEAL else store.transaction(conn, unit=root, user=None, now=at)
                )
                with whole:
                    done[name] = done.get(name, 0) + work(conn, machine(root, name), at)
            except GAVE_WAY as error:
                log.warning("round gave way", round=name, error=type(error).__name__)  # it comes again in a second
            except psycopg.OperationalError:
                raise
            except Exception as error:
                log.error("round failed", round=name, error=type(error).__name__, exc_info=error)
    return done


def run() -> int:
    """Make the rounds until SIGTERM. Returns the exit code; the parent starts a process again that could not go on."""
    configure("rounds")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with store.opened(upgrade=False) as db, db.connect("web") as conn:
        while not stop.wait(EVERY_S):
            row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            if row is not None and row[0]:
                break
        conn.execute("SELECT set_config('lock_timeout', '2s', false)")  # one held file does not hold up all rounds
        sending = sender.Sender(lambda: db.connect("web"))
        sending.start()
        while not stop.wait(EVERY_S):
            go_round(conn)
        sending.stop()
    return 0


if __name__ == "__main__":
    sys.exit(run())
