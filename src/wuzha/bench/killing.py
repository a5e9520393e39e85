"""SIGKILL of a server's parts at random moments, and how long it takes until it works again.

Kept true here: a kill counts only where something was killed. Works again: a batch that was begun after the kill has
been answered, and the worker has committed results beyond those that stood, or there are none to commit.
"""

from __future__ import annotations

import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import psutil
import psycopg

from wuzha.store import Database

from .retrying import Senders
from .serving import Served, called, works_on

#: What is killed, by how often. Ingest and the pages are one process, the doors. ``server``: the parent alone, which
#: takes the others along; ``everything``: all processes in one sweep, as a power cut does.
PARTS = ("doors", "engine", "database", "everything", "doors", "engine", "database", "server", "keeping")
#: In this time a commit that was under way in the database has come to its end, whoever asked for it was killed.
_LAST_S = 0.1
#: Of so many kills the first one comes alone; the others follow one another while the server comes back.
_TURN = 5


def order(kills: int, chance: random.Random) -> list[str]:
    """So many parts to kill, each of `PARTS` among the first ones."""
    rounds = [list(dict.fromkeys(PARTS))]
    while sum(map(len, rounds)) < kills:
        rounds.append(list(PARTS))
    for some in rounds:
        chance.shuffle(some)
    return [part for some in rounds for part in some][:kills]


@dataclass
class Kills:
    """What was killed, and the seconds until it worked again after kills that came alone."""

    by: Counter[str] = field(default_factory=Counter)
    restart_s: dict[str, list[float]] = field(default_factory=dict)


@dataclass
class _Open:
    part: str
    at: float
    stood: int


class Killer:
    """Kills parts of ``served`` while ``senders`` send, and watches it come back."""

    def __init__(self, served: Served, db: Database, senders: Senders, chance: random.Random) -> None:
        self._served, self._db, self._senders, self._chance = served, db, senders, chance
        self._open: list[_Open] = []
        self._conn: psycopg.Connection[Any] | None = None
        #: The newest results that were seen to stand.
        self._reached = 0
        self.done = Kills()

    def run(self, parts: Sequence[str], pause: Callable[[int], float]) -> Kills:
        """Kill ``parts`` one after the other, each ``pause(number)`` seconds after the one before."""
        for number, part in enumerate(parts):
            self.rest(pause(number))
            self._kill(part)
            if number % _TURN in (0, _TURN - 1):
                self.recovered()
        self.recovered()
        return self.done

    def recovered(self, seconds: float = 900.0) -> None:
        """Wait until the server works again. RuntimeError where it does not, or a sender failed."""
        end = time.monotonic() + seconds
        while self._open:
            if time.monotonic() > end:
                raise RuntimeError(f"it did not work again within {seconds:.0f} s: {self._served.said[-3000:]}")
            self.rest(0.05)

    def rest(self, seconds: float) -> None:
        """Wait, watching for what has come back and for senders that failed."""
        end = time.monotonic() + seconds
        while True:
            if self._senders.failed:
                raise self._senders.failed[0]
            self._look()
            left = end - time.monotonic()
            if left <= 0:
                return
            time.sleep(min(0.05, left))

    def _kill(self, part: str) -> None:
        end = time.monotonic() + 120
        while not self._killed(part):  # it is being started again
            if time.monotonic() > end:
                raise RuntimeError(f"there was no {part} to kill for two minutes: {self._served.said[-3000:]}")
            time.sleep(0.02)
        at = time.monotonic()
        self.done.by[part] += 1
        time.sleep(_LAST_S)
        self._open.append(_Open(part, at, max(self._stands()[0], self._reached)))

    def _killed(self, part: str) -> bool:
        served = self._served
        if part == "everything":
            served.kill()
            served.start()
            return True
        if part == "server":
            there = served.running()
            served.running_itself.kill()
            served.running_itself.wait()
            served.gone(there)  # the kernel and the keeper take them along
            served.start()
            return True
        found = [p for p in psutil.process_iter() if self._is(p, part)]
        if part == "database" and found:
            found = self._some(found)
        for p in found:
            with suppress(psutil.NoSuchProcess):
                p.send_signal(signal.SIGKILL)
        return bool(found)

    def _is(self, p: psutil.Process, part: str) -> bool:
        try:
            return works_on(p, self._served.home) and called(p) == part and p.status() != psutil.STATUS_ZOMBIE
        except psutil.Error:
            return False

    def _some(self, found: list[psutil.Process]) -> list[psutil.Process]:
        """All processes of the database, the postmaster alone, or one of those that it started."""
        pids = {p.pid for p in found}
        masters: list[psutil.Process] = []
        others: list[psutil.Process] = []
        for p in found:
            with suppress(psutil.NoSuchProcess):
                (others if p.ppid() in pids else masters).append(p)
        how = self._chance.randrange(3)
        return found if how == 0 or not others else masters if how == 1 else [self._chance.choice(others)]

    def _look(self) -> None:
        """Close the kills after which the server works again."""
        if not self._open or self._senders.answered <= self._open[-1].at:
            return
        reached, head = self._stands()
        if reached > max(k.stood for k in self._open) or (0 <= reached == head):
            if len(self._open) == 1:
                self.done.restart_s.setdefault(self._open[0].part, []).append(time.monotonic() - self._open[0].at)
            self._open.clear()

    def _stands(self) -> tuple[int, int]:
        """Where results and the log stand; -1 while the database is away."""
        try:
            if self._conn is None or self._conn.closed:
                self._conn = self._db.connect("engine", connect_timeout=2)
            row = self._conn.execute(
                "SELECT p.position, h.position FROM wuzha.log_head h, wuzha.partitions p WHERE partition = 0"
            ).fetchone()
            if row is None:
                return 0, 0
            self._reached = max(self._reached, row[0])
            return row[0], row[1]
        except psycopg.Error:
            if self._conn is not None:
                self._conn.close()
            self._conn = None
            return -1, -2
