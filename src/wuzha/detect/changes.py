"""What changed while a block was read: plain records, in the order in which they came to stand."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

#: A person's bare value and the number of their alert, from 1.
Episode = tuple[str, int]

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
    """Evidence or warnings of ``source`` (as a rule a provisional person) stand on ``target`` from now on."""

    source: str
    target: str
    at: datetime


@dataclass
class Changes:
    """Only what changed. An alert and a suspect appear with their newest state, evidence and warnings as they came.

    Where evidence went from one person to another: ``withdrawn`` are alerts (person, episode) that no longer stand, and
    of those ``restated`` all evidence and warnings are told here again.
    """

    alerts: list[Alert] = field(default_factory=list)
    evidence: list[Evidence] = field(default_factory=list)
    warnings: list[JoinedWarning] = field(default_factory=list)
    suspects: list[Suspect] = field(default_factory=list)
    moves: list[Move] = field(default_factory=list)
    withdrawn: list[Episode] = field(default_factory=list)
    restated: list[Episode] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)


class Told:
    """What is told while one block is read, in the order of the log: of one thing the last word."""

    def __init__(self) -> None:
        self.moves: list[Move] = []
        self._alerts: dict[Episode, Alert] = {}
        self._evidence: dict[Episode, list[Evidence]] = {}
        self._warnings: dict[Episode, list[JoinedWarning]] = {}
        self._suspects: dict[str, Suspect] = {}
        self._withdrawn: dict[Episode, None] = {}
        self._restated: dict[Episode, None] = {}

    def alert(self, one: Alert) -> None:
        """An alert as it stands now."""
        self._alerts[one.person, one.episode] = one
        if self._withdrawn.pop((one.person, one.episode), 0) is None:
            self._restated[one.person, one.episode] = None

    def evidence(self, one: Evidence) -> None:
        """A piece of evidence of an alert."""
        self._evidence.setdefault((one.person, one.episode), []).append(one)

    def warning(self, one: JoinedWarning) -> None:
        """A warning on an alert."""
        self._warnings.setdefault((one.person, one.episode), []).append(one)

    def suspect(self, one: Suspect) -> None:
        """A suspect as it stands now."""
        self._suspects[one.subject] = one

    def withdraw(self, episode: Episode) -> None:
        """This alert stands no more."""
        self._drop(episode)
        self._restated.pop(episode, None)
        self._withdrawn[episode] = None

    def restate(self, episode: Episode) -> None:
        """What is told of this alert from here on is all that stands on it."""
        self._drop(episode)
        self._withdrawn.pop(episode, None)
        self._restated[episode] = None

    def _drop(self, episode: Episode) -> None:
        for kept in (self._alerts, self._evidence, self._warnings):
            kept.pop(episode, None)

    def changes(self, counts: dict[str, int]) -> Changes:
        """All of it, with the engine's counts."""
        return Changes(
            alerts=list(self._alerts.values()),
            evidence=[e for pieces in self._evidence.values() for e in pieces],
            warnings=[w for joined in self._warnings.values() for w in joined],
            suspects=list(self._suspects.values()),
            moves=self.moves,
            withdrawn=list(self._withdrawn),
            restated=list(self._restated),
            counts=counts,
        )
