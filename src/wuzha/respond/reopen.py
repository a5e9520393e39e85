"""A closed file that is opened again, because the person has lost money after all.

Kept true here: what was done before stays on record in the steps; the file goes back to the queue as unsigned, with
its clocks from now; a claim of success ends with it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused

from .step import Done, record

#: The desk's columns of a file nobody has signed for.
_FRESH = dict.fromkeys(
    ("sign_by", "contact_by", "signed_at", "signed_by", "contacted_at", "reached_at", "closed_at", "closed_by",
     "outcome", "avoided_fen", "lost_fen", "own_sign_by", "own_feedback_by", "offered_at", "robot_at")
)  # fmt: skip


def reopen(
    conn: psycopg.Connection[Any],
    actor: Actor,
    alert: dict[str, Any],
    *,
    key: str,
    at: datetime,
    words: str | None = None,
    amount_fen: int | None = None,
) -> Done:
    """Open a closed file again; ``alert`` is locked. Refused("wrong_state") where it is not closed, or another alert
    has taken it in."""
    if alert["state"] != "closed" or alert["merged_into"] is not None:
        raise Refused("wrong_state", state=alert["state"])
    changes = {**_FRESH, "state": "new", "tries": 0, "reopened_at": at, "level_at": at}
    done = record(
        conn, actor, alert, "reopen", key=key, changes=changes, at=at, words=words, amount_fen=amount_fen
    )  # fmt: skip
    # What was planned after its close no longer waits.
    conn.execute(
        "UPDATE wuzha.followups SET dropped_at = %s WHERE alert_id = %s AND done_at IS NULL AND dropped_at IS NULL",
        (at, alert["alert_id"]),
    )
    # Nor does a transfer that nobody signed for before the close.
    conn.execute(
        "UPDATE wuzha.transfers SET state = 'recalled', state_at = %s WHERE alert_id = %s AND state = 'offered'",
        (at, alert["alert_id"]),
    )
    return done
