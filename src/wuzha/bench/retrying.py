"""Senders who must lose nothing: each batch is sent until it is answered for, and what became of it is counted.

Kept true here: a batch is given up only by an error of our own; whatever a server does, refuses or breaks off, it is
sent again. Batches are due at the offered rate; those that an outage held up follow as fast as the server takes them.
"""

from __future__ import annotations

import http.client
import json
import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from wuzha.events.hashing import identity
from wuzha.store import Database, keys, sources

from .arriving import Arriving, Sent, body
from .offering import ARROW

#: Senders at once: so many batches are under way when a server dies.
CONNECTIONS = 4
_RETRY = frozenset((429, 503, 507))
_PATIENCE_S = 600.0


@dataclass
class Tally:
    """What became of the batches; ``taken`` are those that were answered, by number."""

    rows: int = 0
    #: Rows of batches that were sent again and stood already: the answer to the first try was lost, not the rows.
    known: int = 0
    #: Tries that a broken connection ended, and that were refused, by status.
    broken: int = 0
    refused: dict[int, int] = field(default_factory=dict)
    taken: list[int] = field(default_factory=list)
    #: Identities of their rows, in the order of ``taken``.
    identities: list[npt.NDArray[np.uint64]] = field(default_factory=list)


def registered(db: Database, names: Iterable[str]) -> dict[str, str]:
    """Senders that may send everything, and the key of each."""
    made = {}
    with db.connect("web") as conn:
        for name in sorted(names):
            number = sources.register(
                conn, name=name, title=name, role="carrier", basis="holder_own", purpose="bench", retention_days=3650,
                tables=list(sources.SENDABLE), late_allowance={},
            )  # fmt: skip
            made[name] = keys.issue(conn, number).key
    return made


def post(place: str, key: str, sent: Sent, tally: Tally | None = None) -> dict[str, int]:
    """Send one batch until it is taken; what the server said then. RuntimeError where it is refused for good."""
    content, tally = body(sent), tally or Tally()
    headers = {"Authorization": f"Bearer {key}", "Content-Type": ARROW}
    end = time.monotonic() + _PATIENCE_S
    while time.monotonic() < end:
        connection = http.client.HTTPConnection(place, timeout=60)
        try:
            connection.request("POST", f"/v1/events/{sent.table}", content, headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException):
            tally.broken += 1
            time.sleep(0.05)
            continue
        finally:
            connection.close()
        if answer.status == 200:
            return dict(json.loads(said))
        if answer.status not in _RETRY:
            raise RuntimeError(f"HTTP {answer.status}: {said[:300].decode(errors='replace')}")
        tally.refused[answer.status] = tally.refused.get(answer.status, 0) + 1
        time.sleep(min(float(answer.headers.get("Retry-After", "0.2")), 1.0))
    raise RuntimeError(f"a batch of {sent.table} was not taken within {_PATIENCE_S:.0f} s")


def caught_up(db: Database, seconds: float) -> None:
    """Wait until results hold all of the log. RuntimeError where that takes longer."""
    end = time.monotonic() + seconds
    with db.connect("engine") as conn:
        while conn.execute(
            "SELECT h.position > p.position FROM wuzha.log_head h, wuzha.partitions p WHERE partition = 0"
        ).fetchone() == (True,):
            if time.monotonic() > end:
                raise RuntimeError(f"results did not catch up with the log within {seconds:.0f} s")
            time.sleep(0.1)


class Senders:
    """Send ``arriving`` at ``rate`` rows a second to ``place`` (host:port) until `finish`."""

    def __init__(self, place: str, keys: dict[str, str], arriving: Arriving, rate: float) -> None:
        self._place, self._keys, self._arriving, self._rate = place, keys, arriving, rate
        self.tally = Tally()
        self.failed: list[BaseException] = []
        #: When the newest batch that was answered had been begun.
        self.answered = 0.0
        self._over = threading.Event()
        self._lock = threading.Lock()
        self._next, self._due = 0, time.monotonic()
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(CONNECTIONS)]
        for thread in self._threads:
            thread.start()

    def finish(self) -> Tally:
        """Send what is begun, and no more; what became of it all. Raises what a sender met."""
        self._over.set()
        for thread in self._threads:
            thread.join(_PATIENCE_S)
        if self.failed:
            raise self.failed[0]
        return self.tally

    def _take(self) -> tuple[int, Sent, float]:
        with self._lock:
            number, due = self._next, self._due
            sent = self._arriving[number]
            self._next, self._due = number + 1, due + sent.rows.num_rows / self._rate
        return number, sent, due

    def _run(self) -> None:
        try:
            while not self._over.is_set():
                number, sent, due = self._take()
                time.sleep(max(0.0, due - time.monotonic()))
                mine, n, begun = Tally(), sent.rows.num_rows, time.monotonic()
                said = post(self._place, self._keys[sent.source], sent, mine)
                if said["accepted"] + said["duplicates"] != n or said["rejected"]:
                    raise RuntimeError(f"a batch of {n} rows of {sent.table} was answered {said}")
                self._count(mine, number, said["duplicates"], sent, begun)
        except BaseException as error:
            self.failed.append(error)

    def _count(self, mine: Tally, number: int, known: int, sent: Sent, begun: float) -> None:
        identities = identity(sent.rows)
        with self._lock:
            tally = self.tally
            tally.rows += len(identities)
            tally.known += known
            tally.broken += mine.broken
            for status, times in mine.refused.items():
                tally.refused[status] = tally.refused.get(status, 0) + times
            tally.taken.append(number)
            tally.identities.append(identities)
            self.answered = max(self.answered, begun)
