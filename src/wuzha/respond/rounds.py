"""The desk's rounds: what is done when a time has come, without anybody pressing a button.

Kept true here: a round runs in one transaction a root of the unit tree, as the machine – one that works through many
files (`PIECEMEAL`) in one a file – and does a thing once however often it runs; a round that fails is logged and leaves
the others running; of several processes one makes the rounds.
Nothing here restricts a person: rounds move work, remind, and end what has ended.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, machine
from wuzha.live import rounds
from wuzha.store import Database

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


def _as_machine(name: str, work: Round) -> rounds.Work:
    return lambda conn, root, now: work(conn, machine(root, name), now)


def go_round(conn: psycopg.Connection[Any], *, now: datetime | None = None) -> dict[str, int]:
    """Make every round once over each root of the unit tree; how many things each did. Role wuzha_web."""
    works = {name: _as_machine(name, work) for name, work in ROUNDS.items()}
    return rounds.once(conn, works, piecemeal=PIECEMEAL, now=now)


def _sending(db: Database) -> sender.Sender:
    sending = sender.Sender(lambda: db.connect("web"))
    sending.start()
    return sending


def run() -> int:
    """Make the rounds until SIGTERM. Returns the exit code."""
    return rounds.run("rounds", _LOCK, go_round, every_s=EVERY_S, beside=_sending)


if __name__ == "__main__":
    sys.exit(run())
