"""Whether the clock may be believed when something is to be deleted for good.

Kept true here: a clock that is set ahead by mistake, while the server runs or while it is off, ends no retention and
trims no log until it has gone on steadily for a day; whoever sees the word in the log has that long to set it right.
"""

from __future__ import annotations

import json
import os
from datetime import datetime
from pathlib import Path

import structlog

from wuzha.events import clock

log = structlog.get_logger(__name__)

NAME = "clock.json"
#: Time that passes unseen at most, and how long the clock must then go on before it is believed again. Seconds.
UNSEEN_S = 6 * 3600.0
STEADY_S = 86400.0
#: How often the file is written. Seconds.
_WRITTEN_S = 60.0


class Steady:
    """What a deployment has seen of its clock, kept in its folder. ``sees`` is asked every few seconds."""

    def __init__(self, home: Path) -> None:
        self._path = home / NAME
        self._seen: datetime | None = None
        self._believed_from: datetime | None = None
        self._written: datetime | None = None
        try:
            said = json.loads(self._path.read_text("utf-8"))
            self._seen = self._written = datetime.fromisoformat(said["seen"])
            self._believed_from = datetime.fromisoformat(said["believed_from"])
        except (OSError, ValueError, KeyError):
            pass  # a new deployment has nothing to delete yet

    def sees(self, now: datetime) -> bool:
        """Whether ``now`` may be believed."""
        if self._seen is None or self._believed_from is None:
            self._believed_from = now
        elif abs(now - self._seen) > clock.stretch(UNSEEN_S):
            self._believed_from = now + clock.stretch(STEADY_S)
            self._written = None
            log.error(
                "the clock jumped; nothing is deleted until it has gone on for a day",
                before=self._seen.isoformat(timespec="seconds"), now=now.isoformat(timespec="seconds"),
            )  # fmt: skip
        self._seen = now
        if self._written is None or abs(now - self._written) > clock.stretch(_WRITTEN_S):
            self._write(now)
        return now >= self._believed_from

    def _write(self, now: datetime) -> None:
        assert self._seen is not None and self._believed_from is not None
        fresh = self._path.with_name(f".{NAME}.{os.getpid()}")
        said = {"seen": self._seen.isoformat(), "believed_from": self._believed_from.isoformat()}
        try:
            fresh.write_text(json.dumps(said), "utf-8")
            os.replace(fresh, self._path)
            self._written = now
        except OSError as error:  # a full disk; it is tried again
            log.warning("the clock was not noted", error=str(error))
