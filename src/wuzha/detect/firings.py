"""Which rules fired on whom: every piece of evidence that an engine gave, whether or not an alert came of it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from .changes import moment
from .engine import Engine
from .layout import used


@dataclass(frozen=True, kw_only=True)
class Firing:
    """One rule, by its number, on one subject (by key). ``known_at`` is the event time at which it was judged."""

    number: int
    subject: str
    at: datetime
    known_at: datetime


def fired(engine: Engine, since: int = 0) -> tuple[list[Firing], int]:
    """What was given from piece ``since`` on, and the number to ask from next time."""
    state = engine._state
    end = used(state, "evidence")
    out = [
        Firing(
            number=int(piece["rule"]),
            subject=engine.subject(int(state.dossiers[piece["dossier"]]["subject"])),
            at=moment(int(piece["at"])),
            known_at=moment(int(piece["known"])),
        )
        for piece in state.evidence[since:end]
    ]
    return out, end
