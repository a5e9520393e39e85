"""The rounds of cases and orders: what is done when a time has come, without anybody pressing a button.

Kept true here: a round drafts, ranks, tells and lets lapse – it seals nothing and answers for no bank; each case is
followed in a transaction of its own, and one that cannot be followed is put off and holds up no other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Collection
from datetime import datetime, timedelta
from typing import Any

import psycopg
import structlog

from wuzha.command.public import Actor, machine
from wuzha.live import rounds
from wuzha.orders import public as orders
from wuzha.store import transaction

log = structlog.get_logger(__name__)

#: Cases followed in one round; the others come with the next.
_MOST = 50
#: A case that could not be followed is tried again after this.
_PUT_OFF = timedelta(minutes=10)
#: Seconds between two rounds, by the wall clock.
EVERY_S = 2.0
_LOCK = 0x77757A6873

Round = Callable[[psycopg.Connection[Any], Actor, datetime], int]


def follow_again(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Follow every case whose moment has come: a stop ran out, a bank answered, an answer grew old; how many."""
    with transaction(conn, unit=actor.unit_id, user=None, now=now):
        ids = conn.execute(
            "SELECT case_id FROM wuzha.cases WHERE pursue_at <= %s AND unit_id IN (SELECT descendant"
            " FROM wuzha.unit_closure WHERE ancestor = %s) ORDER BY pursue_at, case_id LIMIT %s",
            (now, actor.unit_id, _MOST),  # those that are only shared with this root are another's to follow
        ).fetchall()
    return sum(_follow(conn, actor, int(row[0]), now) for row in ids)


def _follow(conn: psycopg.Connection[Any], actor: Actor, case_id: int, now: datetime) -> bool:
    from . import pursuit  # the trace's kernels are loaded where there is something to follow

    try:
        with rounds.giving_way(log, case=case_id), transaction(conn, unit=actor.unit_id, user=None, now=now):
            case = orders.lock(conn, case_id)
            if case["pursue_at"] is None or case["pursue_at"] > now:
                return False  # somebody was quicker
            pursuit.pursue(conn, case, now=now)
            return True
    except psycopg.OperationalError:
        raise
    except Exception as error:
        log.error("a case could not be followed", case=case_id, error=type(error).__name__, exc_info=error)
        with transaction(conn, unit=actor.unit_id, user=None, now=now):
            conn.execute("UPDATE wuzha.cases SET pursue_at = %s WHERE case_id = %s", (now + _PUT_OFF, case_id))
    return False


def fit_curves(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Fit the curves of survival once a day, at night."""
    from . import fitting

    return fitting.daily(conn, actor, now)


def tell_refunds(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Tell the public pages how far refunds have come; how many letters."""
    from .refund import progress

    return progress.round(conn, actor, now)


#: Every round by name, in the order in which they are made; each returns how many things it did.
ROUNDS: dict[str, Round] = {
    "queue": orders.give_turns,
    "pursuit": follow_again,
    "due": orders.tell_due,
    "reconcile": orders.reconcile_daily,
    "survival": fit_curves,
    "refund": tell_refunds,
}
#: Seconds between two rounds of what need not be looked at with every one.
SELDOM = {"due": 60.0, "reconcile": 300.0, "survival": 600.0}
#: Rounds that open their own transactions.
PIECEMEAL = frozenset({"queue", "pursuit", "reconcile", "survival"})


def _as_machine(name: str, work: Round) -> rounds.Work:
    return lambda conn, root, now: work(conn, machine(root, name), now)


def go_round(
    conn: psycopg.Connection[Any], *, now: datetime | None = None, names: Collection[str] = tuple(ROUNDS)
) -> dict[str, int]:
    """Make every round once over each root of the unit tree; how many things each did. Role wuzha_web."""
    works = {name: _as_machine(name, work) for name, work in ROUNDS.items() if name in names}
    return rounds.once(conn, works, piecemeal=PIECEMEAL, now=now)


def run() -> int:
    """Make the rounds until SIGTERM. Returns the exit code."""
    last: dict[str, float] = {}

    def make(conn: psycopg.Connection[Any]) -> None:
        at = time.monotonic()
        due = [name for name in ROUNDS if at - last.get(name, -float("inf")) >= SELDOM.get(name, 0.0)]
        last.update(dict.fromkeys(due, at))
        go_round(conn, names=due)

    return rounds.run("pursuit", _LOCK, make, every_s=EVERY_S)


if __name__ == "__main__":
    sys.exit(run())
