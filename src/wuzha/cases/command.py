"""The commands of cases as the faces call them: take a report and pursue; move the case and pursue; seal.

Kept true here: whatever changes what is known of a case is followed in the same transaction, so that the list of orders
on every page is what the facts say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, require
from wuzha.events import clock
from wuzha.orders import public as orders

from . import flow, pursuit, reports
from .refund import opening
from .reports import Report, Taken


def report(
    conn: psycopg.Connection[Any], actor: Actor, told: Report, *, key: str, now: datetime | None = None
) -> Taken:
    """Take a report (`reports.take`) and draft what follows from it at once; a refund that runs is computed anew."""
    now = now or clock.now()
    taken = reports.take(conn, actor, told, key=key, now=now)
    if not taken.repeated:
        case = orders.lock(conn, taken.case_id)
        pursuit.pursue(conn, case, now=now)
        if taken.joined:
            opening.joined(conn, case, now=now)
    return taken


def again(conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, now: datetime | None = None) -> None:
    """Follow the money anew, as time has passed or a stop has ended."""
    require(actor, "orders.draft")
    now = now or clock.now()
    pursuit.pursue(conn, orders.lock(conn, case_id), now=now)


def move(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, *, to: str, words: str = "", key: str,
    now: datetime | None = None,
) -> orders.Done:  # fmt: skip
    """Move a case's state (`reports.move`): one that is over lets go of what its orders hold, its drafts go."""
    now = now or clock.now()
    done = reports.move(conn, actor, case_id, to=to, words=words, key=key, now=now)
    if not done.repeated:
        pursuit.pursue(conn, orders.lock(conn, case_id), now=now)
    return done


def seal(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, order_ids: Sequence[int], *, key: str,
    now: datetime | None = None,
) -> orders.Done:  # fmt: skip
    """Send all of these that are ready, as one press (`orders.seal`), by what the trace says at this moment."""
    require(actor, "orders.seal")
    now = now or clock.now()
    orders.lock(conn, case_id)
    known = flow.follow(flow.read(conn, case_id), until=now)
    return orders.seal(conn, actor, case_id, order_ids, held=known.held(), key=key, now=now)
