"""When the quiet leave the worker's memory (`detect.cooling`): seldom, and where it is worth it.

Kept true here: the engine is at rest meanwhile, and where the disk takes nothing they stay.
"""

from __future__ import annotations

import time
from contextlib import AbstractContextManager
from typing import Any

import structlog

from wuzha.detect import cooling

from .settings import Settings

log = structlog.get_logger(__name__)

#: They are looked for so often at most, and leave where they have at least so many bytes in memory.
EVERY_S, LEAST_BYTES = 3600.0, 64 << 20
_DAY_US = 86_400_000_000


class Quiet:
    """Looks for them once in a while. ``bytes``: what left memory last."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._looked, self.bytes = time.monotonic() - EVERY_S, 0

    def look(self, engine: Any, rest: AbstractContextManager[Any]) -> None:
        """Let them out of memory where they are many; the engine rests within ``rest``."""
        days = self._settings.quiet_days
        if not days or time.monotonic() - self._looked < EVERY_S:
            return
        self._looked = time.monotonic()
        before = cooling.newest(engine) - round(days * _DAY_US)
        if cooling.quiet(engine, before) < max(2 * self.bytes, LEAST_BYTES):
            return
        try:
            with rest:
                self.bytes = cooling.cool(engine, before, self._settings.home)
        except OSError as error:
            log.error("the quiet stay in memory", error=str(error))
        else:
            log.info("the quiet left memory", bytes=self.bytes, seconds=round(time.monotonic() - self._looked, 2))
