"""12381's workbooks, dropped on the demo's desk as they arrive, by the simulated officer of the night shift.

Kept true here: they come in as an officer drops them; what was dropped is noted after the desk has it, and one that is
dropped again counts nothing twice.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

from wuzha.respond import books
from wuzha.store import Connection, transaction

from .demo_seed import officer, write_secret
from .feeds import LISTED
from .lists import List, lists

#: The city's time between two workbooks.
EVERY = timedelta(hours=1)


class Lists:
    """Drops what has come; ``n`` counts the workbooks that this demo dropped."""

    def __init__(self, city: Path, note: Path, begin: datetime) -> None:
        self._note = note
        done = datetime.fromisoformat(json.loads(note.read_text("utf-8"))["until"]) if note.exists() else begin
        self._coming: Iterator[List] = (one for one in lists(city, begin, EVERY) if one.at > done)
        self._next = next(self._coming, None)
        self.n = 0

    def due(self, now: datetime) -> bool:
        """Whether one has come that is not dropped yet."""
        return self._next is not None and self._next.at <= now

    def drop(self, conn: Connection) -> None:
        """Drop the next one. ``conn`` as role web."""
        one, actor = self._next, officer(conn, "yeban")
        assert one is not None and actor is not None
        with transaction(conn, unit=actor.unit_id, user=actor.user_id) as within:
            books.drop(within, actor, one.name, one.data, source=LISTED)
        write_secret(self._note, json.dumps({"until": one.at.isoformat()}))
        self._next = next(self._coming, None)
        self.n += 1
