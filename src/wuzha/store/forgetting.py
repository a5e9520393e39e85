"""What has crossed between zones long ago is forgotten: what the other side has receipted, what has taken effect here.

Kept true here: nothing goes that has no receipt, that has not taken effect, or that could not (its reason is still to
be seen to); of what was sent to a zone a whole beginning goes, never a number from the middle, and the newest receipted
one stays, by which both sides know that they speak of the same numbering. The database refuses anything else.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from importlib.resources import files
from typing import Any

import psycopg

from wuzha.events import datafile
from wuzha.events.clock import zone

from .queries import q

#: Rows that one call removes at most of each; the next call goes on.
BATCH = 5000
_MOST = 3650


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One dated table: days that a thing is kept after its receipt, or after it came."""

    since: date
    sent_days: int
    taken_days: int


def read(text: str, name: str = "forgetting.toml") -> list[Kept]:
    """The dated tables, oldest first. DataFileError with file, line and what is wrong."""
    file = datafile.parse(text, name)
    rows = file.data.get("kept")
    if set(file.data) != {"kept"} or not isinstance(rows, list) or not rows:
        raise file.error("", "", "wants [[kept]] tables and nothing else")
    found = []
    for n, row in enumerate(rows):
        where = f"kept[{n}]"
        if set(row) != {"from", "sent_days", "taken_days"}:
            raise file.error(where, "", "[[kept]] wants from, sent_days and taken_days")
        if type(row["from"]) is not date:
            raise file.error(where, "from", "from is a day, such as 2026-01-01")
        for key in ("sent_days", "taken_days"):
            if type(row[key]) is not int or not 1 <= row[key] <= _MOST:
                raise file.error(where, key, f"{key} wants a whole number from 1 to {_MOST}")
        if row["taken_days"] < row["sent_days"]:
            raise file.error(where, "taken_days", "what came is kept at least as long as what was sent")
        found.append(Kept(since=row["from"], sent_days=row["sent_days"], taken_days=row["taken_days"]))
    return sorted(found, key=lambda k: k.since)


@lru_cache(maxsize=1)
def shipped() -> list[Kept]:
    """The shipped file."""
    return read((files(__package__) / "forgetting.toml").read_text("utf-8"))


def kept(now: datetime) -> Kept:
    """The table in force; before the first one, the first."""
    today = now.astimezone(zone()).date()
    tables = shipped()
    return next((k for k in reversed(tables) if k.since <= today), tables[0])


def sent(conn: psycopg.Connection[Any], now: datetime) -> int:
    """Forget what was sent and receipted long ago; how many. As the machine, or as wuzha_engine."""
    before = now - timedelta(days=kept(now).sent_days)
    with conn.transaction():
        return conn.execute(q("forgetting.sent"), {"before": before, "limit": BATCH}).rowcount


def taken(conn: psycopg.Connection[Any], now: datetime) -> int:
    """Forget what came and has taken effect long ago; how many. As the machine."""
    before = now - timedelta(days=kept(now).taken_days)
    with conn.transaction():
        return conn.execute(q("forgetting.taken"), {"before": before, "limit": BATCH}).rowcount
