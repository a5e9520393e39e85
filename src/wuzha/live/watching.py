"""What each process of a deployment tells of itself, and how the whole fares.

Kept true here: what is told are figures, never a row or a value of one; telling is done beside the work and never holds
it up; a process that tells nothing any more is seen by its age.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import structlog
from psycopg.types.json import Jsonb

from wuzha.events import clock

from .lease import Connect
from .settings import Settings

log = structlog.get_logger(__name__)

_EVERY_S = 2.0
_PAGE = os.sysconf("SC_PAGE_SIZE")
#: Half of what the rate was counts so long ago.
_HALF_S = 10.0


class Telling(threading.Thread):
    """Writes the figures of one process every few seconds. ``figures`` is called in this thread; ``events`` in what it
    returns is a count since the start, of which the rate is kept."""

    def __init__(self, connect: Connect, process: str, figures: Callable[[], dict[str, Any]]) -> None:
        super().__init__(name="telling", daemon=True)
        self._connect, self._process, self._figures = connect, process, figures
        self._stop_asked = threading.Event()
        self._before: tuple[float, int] | None = None
        self._rate = 0.0

    def run(self) -> None:
        """Tell until `stop`."""
        conn: psycopg.Connection[Any] | None = None
        while not self._stop_asked.is_set():
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                tell(conn, self._process, self._told())
            except psycopg.Error as error:
                log.warning("figures not told", error=type(error).__name__)
                conn = None
            self._stop_asked.wait(_EVERY_S)
        if conn is not None:
            conn.close()

    def stop(self) -> None:
        """Tell no more."""
        self._stop_asked.set()
        self.join(10)

    def _told(self) -> dict[str, Any]:
        figures = self._figures()
        now, events = time.monotonic(), int(figures.get("events", 0))
        if self._before is not None and now > self._before[0]:
            over = now - self._before[0]
            keep = 0.5 ** (over / _HALF_S)
            self._rate = keep * self._rate + (1 - keep) * (events - self._before[1]) / over
        self._before = now, events
        return {**figures, "events_per_s": round(self._rate, 1), "memory_bytes": resident()}


def resident() -> int:
    """Bytes of memory that this process holds."""
    try:
        return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE
    except OSError:
        return 0


def tell(conn: psycopg.Connection[Any], process: str, figures: dict[str, Any]) -> None:
    """Write what ``process`` tells. Role wuzha_engine."""
    conn.execute(
        "INSERT INTO wuzha.watch (process, at, figures) VALUES (%s, clock_timestamp(), %s)"
        " ON CONFLICT (process) DO UPDATE SET at = EXCLUDED.at, figures = EXCLUDED.figures",
        [process, Jsonb(figures)],
    )


@dataclass(frozen=True, kw_only=True)
class Standing:
    """How a deployment fares, at one moment. Times in seconds, sizes in bytes."""

    head: int
    position: int
    leased: bool
    #: How long the oldest batch has waited that results do not hold yet; 0 where none waits.
    lag_s: float
    #: What each process told last, by its name, and how long ago.
    told: dict[str, dict[str, Any]] = field(default_factory=dict)
    age_s: dict[str, float] = field(default_factory=dict)

    @property
    def engine(self) -> dict[str, Any]:
        """What the worker of the first partition told last."""
        return self.told.get("engine:0", {})


def standing(conn: psycopg.Connection[Any]) -> Standing:
    """As the database knows it. Roles wuzha_engine, wuzha_web."""
    row = conn.execute(
        "SELECT greatest(h.position, p.reached), p.reached, p.leased,"
        " (SELECT l.received_at FROM wuzha.log l WHERE l.position > p.reached ORDER BY l.position LIMIT 1)"
        " FROM wuzha.log_head h, (SELECT coalesce(min(position), 0) AS reached,"
        " coalesce(bool_and(coalesce(leased_until > clock_timestamp(), false)), false) AS leased"
        " FROM wuzha.partitions) AS p"
    ).fetchone()
    assert row is not None
    told = conn.execute(
        "SELECT process, figures, extract(epoch FROM clock_timestamp() - at)::float8 FROM wuzha.watch"
    ).fetchall()
    # Measured by the deployment's clock, of which a demo's second has many; one that was put back tells no lag.
    lag = 0.0 if row[3] is None else max((clock.now() - row[3]) / clock.stretch(1.0), 0.0)
    return Standing(
        head=row[0], position=row[1], leased=row[2], lag_s=lag,
        told={process: figures for process, figures, _ in told}, age_s={process: age for process, _, age in told},
    )  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing looked at. ``state`` is fine, watch or bad; ``values`` fill the sentences of ``name``."""

    name: str
    state: str
    values: dict[str, Any] = field(default_factory=dict)


def findings(
    now: Standing,
    settings: Settings,
    *,
    free: int,
    memory: int,
    aside: int,
    rows: int,
    rejected: int,
    waiting_s: float,
    rebuilt: float = 0.0,
    stuck: bool = False,
) -> list[Finding]:
    """What is looked at, the worst first. ``free`` bytes of the disk; ``memory`` of the machine; ``aside`` batches set
    aside; ``rows`` and ``rejected`` of the last hour; ``waiting_s``: how long a warning has waited for the centre;
    ``rebuilt``: the share of history that is read for features that wait, ``stuck``: the last try failed."""
    engine, age = now.engine, now.age_s.get("engine:0", float("inf"))
    found: list[Finding] = []

    def look(name: str, *, bad: bool, watch: bool = False, **values: Any) -> None:
        found.append(Finding(name=name, state="bad" if bad else "watch" if watch else "fine", values=values))

    working = now.leased and age < 30
    look("worker", bad=not working, age_s=None if age == float("inf") else round(age))
    replaying = bool(engine.get("replaying"))
    name = "lag_replay" if replaying else "lag" if working else "lag_stopped"
    look(name, bad=now.lag_s > 60, watch=now.lag_s > 5, lag_s=round(now.lag_s, 1), behind=now.head - now.position)
    look("rate", bad=False, per_s=round(float(engine.get("events_per_s", 0))))
    share = rejected / (rows + rejected) if rows + rejected else 0.0
    look("rejects", bad=share > 0.1, watch=share > 0.01, rejected=rejected, rows=rows, share=share)
    look("aside", bad=aside > 0, batches=aside)
    snapshot = engine.get("snapshot") or {}
    unsaved = int(engine.get("unsaved", 0))
    waited = float(engine.get("unsaved_s", 0.0))
    late = unsaved > 0 and waited > 3 * settings.snapshot_s + 10 * float(snapshot.get("seconds", 0))
    look("snapshot", bad=False, watch=late, unsaved=unsaved, unsaved_s=round(waited), at=snapshot.get("at"),
         size=snapshot.get("size"))  # fmt: skip
    held = int(engine.get("memory_bytes", 0))
    look("state", bad=held > 0.8 * memory, watch=held > 0.5 * memory, bytes=held, memory=memory,
         subjects=int(engine.get("subjects", 0)))  # fmt: skip
    keep = max(settings.free_space, 1)
    look("space", bad=free < keep, watch=free < 8 * keep, free=free, keep=keep)
    kept = now.age_s.get("keeping", float("inf"))
    unsealed = float(now.told.get("keeping", {}).get("unsealed_s", 0.0))
    look("keeping", bad=kept > 900, watch=kept > 120 or unsealed > 2 * settings.seal_s, unsealed_s=round(unsealed),
         age_s=None if kept == float("inf") else round(kept))  # fmt: skip
    null = engine.get("null_features") or []
    look("features", bad=stuck and bool(null), watch=bool(null), n=len(null), names=", ".join(null[:5]) or None,
         share=rebuilt if null else None)  # fmt: skip
    if settings.role == "holder":
        look("outbox", bad=waiting_s > 900, watch=waiting_s > 60, waiting_s=round(waiting_s))
    order = {"bad": 0, "watch": 1, "fine": 2}
    return sorted(found, key=lambda f: order[f.state])
