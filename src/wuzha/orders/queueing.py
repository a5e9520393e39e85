"""A freeze that waits its turn (轮候冻结): an account that another has frozen is not frozen twice, it is lined up for.

Kept true here: a freeze that waits holds nothing and runs no term; it takes effect by itself at the moment when the
earlier one ended or was let go, with what says so on its row – our own order, or the bank's word, which is presumed
until the bank confirms it; of two that wait, the one that the bank took down first comes first; a turn is given once.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
import structlog
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused
from wuzha.live.rounds import giving_way
from wuzha.store import transaction

from . import tells
from .states import SELECT, stated
from .step import Done, lock, record
from .terms import end_of

log = structlog.get_logger(__name__)

#: Turns given in one round.
_MOST = 200


def line_up(
    conn: psycopg.Connection[Any], actor: Actor, case: dict[str, Any], order: dict[str, Any], *, behind: str,
    until: datetime | None, fen: int | None, key: str, now: datetime,
) -> Done:  # fmt: skip
    """The bank has put a freeze in its line, or says anew what that waits for. Refused: order_queue (it is no freeze,
    nothing says behind whom, or the earlier one is over by the bank's own word)."""
    if order["kind"] != "freeze" or (until is not None and until <= now):
        raise Refused("order_queue")
    # Whoever's it is: a unit beside ours may hold it, whose case we do not see.
    row = conn.execute(
        "SELECT wuzha.account_freeze(%s, %s, %s)", (order["account_id"], now, order["case_id"])
    ).fetchone()
    earlier = row[0] if row else None
    if earlier is None and not behind.strip():
        raise Refused("order_queue")
    if fen is not None and order["amount_fen"] is not None:
        fen = min(fen, order["amount_fen"])
    conn.execute(
        "UPDATE wuzha.orders SET answered_at = %(now)s, queued_at = coalesce(queued_at, %(now)s), queued_behind ="
        " coalesce(%(behind)s, queued_behind), queued_of = %(of)s, queued_until = %(until)s, queued_fen = %(fen)s,"
        " executed_at = NULL, done_fen = NULL, ends_at = NULL, effect_presumed = false, effect_basis = NULL"
        " WHERE order_id = %(order)s",
        {
            "now": now, "behind": behind.strip()[:100] or None, "of": earlier, "until": until, "fen": fen,
            "order": order["order_id"],
        },
    )  # fmt: skip
    return record(
        conn, actor, case, "order_queued", at=now, key=key, order_id=order["order_id"],
        detail={"of": earlier, "until": until.isoformat() if until else None},
    )  # fmt: skip


def waiting(conn: psycopg.Connection[Any], unit_id: int) -> list[int]:
    """Freezes of the unit's own cases, and those below it, that wait their turn, in the bank's order."""
    rows = conn.execute(
        "SELECT o.order_id FROM wuzha.orders o JOIN wuzha.cases k USING (case_id) WHERE o.queued_at IS NOT NULL"
        " AND o.executed_at IS NULL AND o.failed_code IS NULL AND o.released_at IS NULL AND k.unit_id IN"
        " (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s) ORDER BY o.queued_at, o.order_id LIMIT %s",
        (unit_id, _MOST),
    ).fetchall()
    return [int(row[0]) for row in rows]


def round(conn: psycopg.Connection[Any], actor: Actor, now: datetime) -> int:
    """Give the turn to every freeze whose earlier one has ended; each in a transaction of its own. ``actor`` sees the
    whole house. Returns how many took effect."""
    with transaction(conn, unit=actor.unit_id, user=None, now=now):
        ids = waiting(conn, actor.unit_id)
    given = 0
    for order_id in ids:
        with giving_way(log, order=order_id), transaction(conn, unit=actor.unit_id, user=None, now=now):
            given += _turn(conn, actor, order_id, now)
    return given


def _turn(conn: psycopg.Connection[Any], actor: Actor, order_id: int, now: datetime) -> bool:
    row = conn.execute("SELECT case_id FROM wuzha.orders WHERE order_id = %s", (order_id,)).fetchone()
    if row is None:
        return False
    case = lock(conn, row[0])
    found = conn.cursor(row_factory=dict_row).execute(SELECT + " WHERE o.order_id = %s", (order_id,)).fetchone()
    if found is None or stated([found], now)[0]["state"] != "queued":
        return False
    ended, basis = _earlier(conn, found, now)
    if ended is None or ended > now:
        return False
    standing = conn.execute(
        "SELECT wuzha.account_freeze(%s, %s, %s)", (found["account_id"], now, found["case_id"])
    ).fetchone()
    if standing is not None and standing[0] is not None:  # another's turn came first: wait behind that one now
        conn.execute("UPDATE wuzha.orders SET queued_of = %s WHERE order_id = %s", (standing[0], order_id))
        return False
    at = max(ended, found["queued_at"])
    # The bank said how much it will hold, else it is what was asked for; of a whole account nobody has said.
    fen = found["queued_fen"] if found["queued_fen"] is not None else found["amount_fen"] or 0
    conn.execute(
        "UPDATE wuzha.orders SET executed_at = %s, ends_at = %s, done_fen = %s, effect_basis = %s,"
        " effect_presumed = true WHERE order_id = %s",
        (at, end_of(found, at), fen, basis, order_id),
    )
    conn.execute("UPDATE wuzha.cases SET pursue_at = %s WHERE case_id = %s", (now, case["case_id"]))
    record(
        conn, actor, case, "queue_in_force", at=now, order_id=order_id,
        detail={"since": at.isoformat(), "basis": basis, "done_fen": fen},
    )  # fmt: skip
    tells.tell(
        conn, unit_id=case["unit_id"], kind="queue_in_force", key=f"queue_in_force:{order_id}:{at.isoformat()}", at=now,
        case_id=case["case_id"], order_id=order_id,
    )  # fmt: skip
    return True


def _earlier(conn: psycopg.Connection[Any], order: dict[str, Any], now: datetime) -> tuple[datetime | None, str]:
    """When what an order waits for ends, and what says so: our own order with its renewals, else the bank's word."""
    if order["queued_of"] is None:
        until = order["queued_until"]
        return until, f"word:{until.isoformat()}" if until else ""
    row = conn.execute(
        "WITH RECURSIVE chain AS (SELECT order_id, ends_at, released_at FROM wuzha.orders WHERE order_id = %s"
        " UNION SELECT r.order_id, r.ends_at, r.released_at FROM chain c JOIN wuzha.orders r ON r.of_order = c.order_id"
        "  AND r.kind = 'freeze' AND r.executed_at IS NOT NULL)"
        " SELECT order_id, least(ends_at, released_at) AS ended, released_at IS NOT NULL AND released_at <= ends_at"
        " FROM chain ORDER BY ended DESC NULLS FIRST LIMIT 1",
        (order["queued_of"],),
    ).fetchone()
    if row is None:
        return None, ""
    return row[1], f"{'released' if row[2] else 'lapsed'}:{row[0]}"
