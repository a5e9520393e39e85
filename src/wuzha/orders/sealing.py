"""Sealing: a named officer with seal authority sends what is ready, in one press.

Kept true here: nothing is sealed by a machine, nothing against which the guard has a reason, and nothing twice – a
second press, or another officer's at the same moment, finds what the first has done. A sealed order has not been
"sent": it is on its way to a channel, and counts as entered only with the number there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock

from . import guard, states
from .drafting import case_of, member_of
from .law import law
from .step import Done, lock, record, repeated


def seal(
    conn: psycopg.Connection[Any], actor: Actor, case_id: int, order_ids: Sequence[int], *, held: Mapping[int, int],
    key: str, now: datetime | None = None,
) -> Done:  # fmt: skip
    """Seal of these orders all that are ready; ``detail["sealed"]`` lists those that this press sealed.

    ``held``: what the trace says each account may hold at the most (fen). Refused: forbidden, no_key, orders_none
    (nothing of it is ready), order_elsewhere (another unit's stop took the account's turn meanwhile).
    """
    require(actor, "orders.seal")
    now = now or clock.now()
    if actor.user_id == 0:
        raise Refused("forbidden", act="orders.seal")
    if done := repeated(conn, actor, key):
        return done
    case = lock(conn, case_id)
    every = states.of_case(conn, case_id, now=now)
    wanted = [o for o in every if o["order_id"] in set(order_ids)]
    known = guard.facts(conn, case, every, dict(held), now=now)
    sealed: list[int] = []
    for order in wanted:
        if order["state"] != "drafted":
            continue
        stops = account_stops(conn, order["account_id"]) if order["kind"] == "stop" else 0
        if guard.against(known, order, stops, now=now):
            continue
        _seal(conn, actor, order, stops, now)
        order |= {"sealed_at": now, "state": "sealed"}  # the next one of this press counts it
        sealed.append(order["order_id"])
    if not sealed:
        if all(o["state"] != "drafted" for o in wanted) and wanted:
            raise Refused("orders_sealed")  # another officer was quicker: nothing is sent twice
        raise Refused("orders_none")
    for order_id in sealed[:-1]:
        record(conn, actor, case, "order_sealed", at=now, order_id=order_id)
    return record(conn, actor, case, "order_sealed", at=now, key=key, order_id=sealed[-1], detail={"sealed": sealed})


def account_stops(conn: psycopg.Connection[Any], account_id: int) -> int:
    """How many stops an account has had, whoever ordered them."""
    row = conn.execute("SELECT wuzha.account_stops(%s)", (account_id,)).fetchone()
    return int(row[0]) if row else 0


def _seal(conn: psycopg.Connection[Any], actor: Actor, order: dict[str, Any], stops: int, now: datetime) -> None:
    source = member_of(conn, order["bank"]) if order["channel"] == "api" else order["source_id"]
    channel = (
        "platform" if order["channel"] == "api" and source is None else order["channel"]
    )  # it is registered no more
    try:
        with conn.transaction():
            conn.execute(
                "UPDATE wuzha.orders SET sealed_at = %s, sealed_by = %s, turn = %s, source_id = %s,"
                " channel = %s"
                " WHERE order_id = %s AND sealed_at IS NULL AND dropped_at IS NULL",
                (
                    now, actor.user_id, stops + 1 if order["kind"] == "stop" else None, source, channel,
                    order["order_id"],
                ),
            )  # fmt: skip
    except psycopg.errors.UniqueViolation as error:
        raise Refused("order_elsewhere") from error


def approve(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, key: str, now: datetime | None = None
) -> Done:
    """The county's chief approves a freeze (of more than half a year: the city's). Refused: order_own, order_not_now,
    order_level (a year is approved at the city's level)."""
    now = now or clock.now()
    if done := repeated(conn, actor, key):
        return done
    case = case_of(conn, order_id)
    order = states.one(conn, actor, order_id, now=now)
    table = law(now)
    need = table.kind[order["kind"]].approver
    if not need or order["state"] != "drafted" or order["approved_at"] is not None:
        raise Refused("order_not_now")
    require(actor, need)
    if order["drafted_by"] == actor.user_id:
        raise Refused("order_own")
    if order["months"] and order["months"] > table.freeze_months and not _city(conn, actor):
        raise Refused("order_level")
    conn.execute(
        "UPDATE wuzha.orders SET approved_at = %s, approved_by = %s WHERE order_id = %s",
        (now, actor.user_id, order_id),
    )
    return record(conn, actor, case, "order_approved", at=now, key=key, order_id=order_id)


def _city(conn: psycopg.Connection[Any], actor: Actor) -> bool:
    row = conn.execute("SELECT kind FROM wuzha.units WHERE unit_id = %s", (actor.unit_id,)).fetchone()
    return row is not None and row[0] in ("city", "province", "ministry")
