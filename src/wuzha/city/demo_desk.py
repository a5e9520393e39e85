"""What the demo's simulated officers do beside handling alerts: they are signed in, and drop 12381's workbooks.

Kept true here: a database that is away for a moment stops nothing; what was to be done is done at the next look.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import psycopg

from wuzha.cli.output import say
from wuzha.command.public import Refused
from wuzha.store.embedded import ServerError
from wuzha.store.settings import Settings, opened

from .demo_duty import SignedIn
from .demo_lists import Lists

#: Seconds of the wall after which a desk that was away is looked for again, and how many are let pass.
_AGAIN_S, _TRIES = 2.0, 30


class Desk:
    """The centre's desk, from ``data``. ``begin``: when the city begins."""

    def __init__(self, data: Path, city: Path, begin: datetime, logins: dict[str, str]) -> None:
        self._home = data / "centre"
        self.lists = Lists(city, data / "sent-lists.json", begin)
        self._signed_in = SignedIn(logins)
        self._again = 0.0
        self._failed = 0

    def tend(self, now: datetime, elapsed: float) -> None:
        """Do what is due at the city's time ``now``; ``elapsed``: seconds of the wall since it was up."""
        if elapsed < self._again or not (self._signed_in.due(elapsed) or self.lists.due(now)):
            return
        try:
            with opened(Settings(home=self._home, dsn=None), upgrade=False) as db, db.connect("web") as conn:
                self._signed_in.stay(conn, elapsed)
                if self.lists.due(now):
                    self.lists.drop(conn)
            self._failed = 0
        except (psycopg.Error, ServerError, Refused) as error:
            self._again, self._failed = elapsed + _AGAIN_S, self._failed + 1
            if self._failed == _TRIES:
                say(f"demo: the simulated officers cannot work: {error}; trying on")
