"""What changed while a block was read: plain records, in the order in which they came to stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def moment(us: int) -> datetime:
    """The time of microseconds since 1970, UTC."""
    return EPOCH + timedelta(microseconds=us)


@dataclass(frozen=True, kw_only=True)
class Alert:
    """State of one person's alert. ``person``, ``line``, ``account`` are bare values."""

    person: str
    episode: int
    line: str | None
    account: str | None
    device: str | None
    place: str | None
    raised_at: datetime
    high_at: datetime | None
    last_evidence_at: datetime
    level: str
    scam_type: str
    stage: str
    score: float
    typology: str
    amount_fen: int | None
    interdict: bool


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One reason. ``events`` are refs, position << 20 | row, the triggering event first."""

    person: str
    episode: int
    rule: str
    version: int
    at: datetime
    weight: float
    typology: str
    stage: str
    args: dict[str, float | None]
    events: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class JoinedWarning:
    """A warning that stands on a person's alert."""

    person: str
    episode: int
    ref: int


@dataclass(frozen=True, kw_only=True)
class Suspect:
    """A subject judged a suspect. ``args``: by rule, its version, time, figures and events."""

    subject: str
    typology: str
    score: float
    first_at: datetime
    last_at: datetime
    args: dict[str, dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Move:
    """What stood on ``source`` (as a rule a provisional person) stands on ``target`` from now on."""

    source: str
    target: str
    at: datetime


@dataclass
class Changes:
    """Only what changed. An alert, an evidence list and a suspect appear with their newest state."""

    alerts: list[Alert] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    warnings: list[JoinedWarning] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
