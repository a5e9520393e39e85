"""The person's state of mind, as the officer hears it: it chooses the words, and judges nobody.

Kept true here: it is one of five, set by the officer who has the file; until then a rule says unaware or doubting.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import psycopg

from wuzha.command.public import Actor, Refused, require

from .phrases import MINDS
from .step import Done, lock, mine, record, repeated


def set_mind(
    conn: psycopg.Connection[Any], actor: Actor, alert_id: int, *, mind: str, version: int, key: str,
    now: datetime | None = None,
) -> Done:  # fmt: skip
    """Note the state of mind. Refused: unknown_code, and those of `step.mine`."""
    require(actor, "desk.act")
    if mind not in MINDS:
        raise Refused("unknown_code", code=mind)
    if done := repeated(conn, actor, key):
        return done
    alert = lock(conn, alert_id)
    mine(alert, actor, version)
    return record(conn, actor, alert, "mind", key=key, changes={"mind": mind}, at=now, code=mind)


def mind_of(alert: dict[str, Any], contacts: Iterable[dict[str, Any]] = ()) -> str:
    """The alert's state of mind: the officer's word; else doubting where the person has called back or was spoken to
    before, and unaware where nobody has."""
    if alert.get("mind"):
        return str(alert["mind"])
    asked = any(c["kind"] == "call_back" and not c["undone"] for c in contacts)
    return "doubting" if asked or alert["reached_at"] is not None else "unaware"
