"""A bank's camt.029 becomes the answer of its order, by the member's interface or as a file that an officer lays down.

Kept true here: the message is kept as it came; sent again it changes nothing, and another message under its number is
refused; it answers the order that its case names, and no other's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.orders import public as orders

from . import answers


def take(
    conn: psycopg.Connection[Any], actor: Actor, data: bytes, *, mine: Callable[[int], bool] | None = None,
    order_id: int | None = None, now: datetime | None = None,
) -> answers.Took:  # fmt: skip
    """Take a resolution. ``mine``: whether an order is the sender's to answer; ``order_id``: the one it must be of.

    Refused: those of `resolution.read` and `answers.take`; camt_foreign (it names no case of ours that the sender may
    answer), camt_repeated (another message stands under its number).
    """
    now = now or clock.now()
    known = orders.read_resolution(data, asked_fen=0)  # whose it is, before anything is looked up by it
    tail = known.case_id.rpartition("-")[2]
    number = int(tail) if tail.isascii() and tail.isdigit() and len(tail) < 18 else 0
    if not number or (order_id is not None and order_id != number) or (mine is not None and not mine(number)):
        raise Refused("camt_foreign")
    try:
        order = orders.one(conn, actor, number, now=now)
    except Refused as refused:
        raise Refused("camt_foreign") from refused
    recall = f"{known.case_id}-R"
    if order["kind"] != "stop" or orders.case_id(order) != known.case_id or known.recall_id not in ("", recall):
        raise Refused("camt_foreign")
    case = orders.lock(conn, order["case_id"])
    digest = hashlib.sha256(data).hexdigest()
    key = f"camt029:{number}:{known.message_id}"
    row = conn.execute(
        "SELECT digest FROM wuzha.order_messages WHERE order_id = %s AND kind = 'camt.029' AND message_id = %s",
        (number, known.message_id),
    ).fetchone()
    if row is not None:
        if row[0] != digest:
            raise Refused("camt_repeated")
        return answers.Took(order_id=number, case_id=case["case_id"], rows=0, known=0, rejects=[], repeated=True)
    told = orders.read_resolution(data, asked_fen=order["amount_fen"] or order["transfer_fen"])
    if order["state"] == "sealed":
        orders.entered(conn, actor, number, external_no=known.message_id, key=f"{key}:entered", now=now)
    conn.execute(
        "INSERT INTO wuzha.order_messages (order_id, sender, message_id, kind, at, digest, xml)"
        " VALUES (%s, %s, %s, 'camt.029', %s, %s, %s)",
        (number, actor.login, known.message_id, now, digest, data.decode("utf-8-sig")),
    )
    if told.answer is None:
        if orders.one(conn, actor, number, now=now)["state"] == "entered":
            orders.accepted(conn, actor, number, receipt=known.message_id, key=f"{key}:accepted", now=now)
        return answers.Took(order_id=number, case_id=case["case_id"], rows=0, known=0, rejects=[])
    return answers.take(conn, actor, number, answer=told.answer, key=key, now=now)
