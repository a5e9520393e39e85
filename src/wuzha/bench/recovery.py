"""``wuzha bench recovery``: a holder is killed again and again while events come in, and what it then holds is compared
with what an undisturbed one holds that was sent the same events in the same order.

Kept true here: events come over HTTP from senders that send again whatever was not answered; nothing of the compared
runs is shared; a run in which nothing was found is no proof and ends as an error.
"""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from wuzha.city import generator
from wuzha.city.scripts import load
from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.store import Database
from wuzha.store.embedded import Server

from . import outcome, starting
from .arriving import Arriving
from .killing import Killer, Kills, order
from .machine import machine
from .retrying import Senders, Tally, caught_up, post, registered
from .serving import Served, free_port

DAYS = 3
#: What a server does now and then it does often, so that kills fall into all of it; senders are sent away soon.
_DISTURBED = {"WUZHA_SNAPSHOT_S": "2", "WUZHA_SEAL_ROWS": "20000", "WUZHA_LEASE_S": "2", "WUZHA_LAG_S": "60"}
#: Where it goes on for long: a segment is many files.
_LONG = {"WUZHA_SEAL_ROWS": "1000000"}
_CAUGHT_UP_S = 7200.0
#: Rows of each kind that are told where they stand in one of the two runs only.
_TOLD = 10


def run(
    *, kills: int, people: int, rate: float, seed: int, seconds: float | None = None, subjects: int = 0,
    say: Callable[[str], None],
) -> dict[str, Any]:  # fmt: skip
    """Kill ``kills`` times while a city of ``people`` is sent at ``rate`` events a second: as long as the kills take,
    or for ``seconds``, over which they are then spread. Then a start with so many ``subjects`` is timed (`starting`).

    Returns ``{kills, events, lost, duplicated, alerts_differ, restart_s, ...}``. ``lost``, ``duplicated``: events that
    were answered for and are not in the log, and that stand there more than once. ``alerts_differ``: rows of alerts,
    evidence, warnings, suspects, vault and relations that stand in one of the two only (``differ_by``: which).
    ``history_wrong``: sealed rows that do not stand in history exactly once. ``unsent``: levels of alerts that have no
    warning to leave, or two. ``restart_s``: from a kill that came alone until an event begun after it is answered
    and results go on.
    """
    chance = random.Random(seed)
    say(f"generating a city of {people}")
    arriving = Arriving(_city(people, seed), DAYS)
    with _two(_DISTURBED if seconds is None else _DISTURBED | _LONG) as (shaken, calm):
        begun = time.monotonic()
        tally, done = _disturbed(shaken, arriving, kills, rate, seconds, chance, say)
        took = time.monotonic() - begun
        with Server(shaken.home / "postgres") as server, server.database().connect("engine") as conn:
            logged, firsts = outcome.identities(conn)
            got, left = outcome.outcome(conn), outcome.unsent(conn)
            wrong = outcome.history_wrong(conn, shaken.home / "history")
        say("comparing with an undisturbed run of the same events")
        db = _undisturbed(calm, arriving, in_order(tally, firsts))
        with db.connect("engine") as conn:
            expected, whole = outcome.outcome(conn), len(outcome.identities(conn)[0])
        calm.stop(seconds=60)
    if not expected["alerts"] or not expected["evidence"]:
        raise RuntimeError("the city raised no alert, so nothing was compared")
    lost, duplicated = held(np.concatenate(tally.identities), logged)
    differing = outcome.differ(expected, got)
    for name in differing:
        for only, side in ((got, "disturbed"), (expected, "undisturbed")):
            other = expected if only is got else got
            for row in sorted(map(str, only[name] - other[name]))[:_TOLD]:
                say(f"{name} in the {side} run only: {row}")
    return {
        "kills": sum(done.by.values()),
        "events": tally.rows,
        "lost": lost,
        "duplicated": duplicated,
        "alerts_differ": sum(differing.values()),
        "restart_s": _spread([s for some in done.restart_s.values() for s in some]),
        "restart_by": {part: _spread(some) for part, some in sorted(done.restart_s.items())},
        "kills_by": dict(sorted(done.by.items())),
        "differ_by": differing,
        "history_wrong": wrong,
        "unsent": left,
        "alerts": len(expected["alerts"]),
        "evidence": len(expected["evidence"]),
        "undisturbed_events": whole,
        "offered_per_s": rate,
        "events_per_s": round(tally.rows / took),
        "seconds": round(took, 1),
        "resent": {"broken": tally.broken, "rows_known": tally.known,
                   "refused": {str(k): n for k, n in sorted(tally.refused.items())}},
        **(starting.run(subjects) if subjects else {}),
        "load": round(os.getloadavg()[2], 1),
        "machine": machine(),
    }  # fmt: skip


def _city(people: int, seed: int) -> dict[str, Any]:
    made = generator.make(people, DAYS, seed, load(None), date(2026, 3, 2), 0.05, lambda _: None)
    return {name: conform(TABLES[name], t) for name, t in made.items() if name != "labels" and t.num_rows}


@contextmanager
def _two(disturbed: dict[str, str]) -> Iterator[tuple[Served, Served]]:
    """Two holders in folders of their own, not started; nothing is left of them."""
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        place = Path(folder)
        place.chmod(0o711)
        (place / "centre.key").write_text("nobody listens there")
        outwards = ("--centre", f"http://127.0.0.1:{free_port()}", "--centre-key-file", str(place / "centre.key"))
        told = {"WUZHA_LOG_LEVEL": "error"}
        shaken = Served.role(place / "shaken", "holder", *outwards, environment=told | disturbed)
        calm = Served.role(place / "calm", "holder", *outwards, environment=told)
        try:
            yield shaken, calm
        finally:
            for one in (shaken, calm):
                if one.process is not None:
                    one.kill()


def _disturbed(
    served: Served, arriving: Arriving, kills: int, rate: float, seconds: float | None, chance: random.Random,
    say: Callable[[str], None],
) -> tuple[Tally, Kills]:  # fmt: skip
    """Send and kill; the server has taken everything in and has stopped by itself when this returns."""
    served.start()
    served.ready(900)
    db = served.database()
    senders = Senders(served.url.removeprefix("http://"), registered(db, arriving.sources), arriving, rate)
    begun = time.monotonic()
    killer = Killer(served, db, senders, chance)
    moments = sorted(chance.uniform(0.02, 0.97) * (seconds or 0.0) for _ in range(kills))

    def pause(number: int) -> float:
        if seconds is None:
            return chance.uniform(0.0, 2.0)
        return moments[number] - (time.monotonic() - begun)

    say(f"killing {kills} times")
    done = killer.run(order(kills, chance), pause)
    if seconds is not None:
        killer.rest(begun + seconds - time.monotonic())
    tally = senders.finish()
    caught_up(db, _CAUGHT_UP_S)
    served.stop(seconds=60)
    return tally, done


def _undisturbed(served: Served, arriving: Arriving, numbers: list[int]) -> Database:
    """A server that has taken in these batches, in this order."""
    served.start()
    served.ready(900)
    db = served.database()
    made = registered(db, arriving.sources)
    for number in numbers:
        sent = arriving[number]
        post(served.url.removeprefix("http://"), made[sent.source], sent)
    caught_up(db, _CAUGHT_UP_S)
    return db


def in_order(tally: Tally, firsts: list[np.uint64]) -> list[int]:
    """The batches' numbers in the order of the log; those of which nothing is there, last."""
    known = {int(some[0]): number for number, some in zip(tally.taken, tally.identities, strict=True)}
    there = [known[int(first)] for first in firsts if int(first) in known]
    return [*there, *sorted(set(tally.taken) - set(there))]


def held(sent: npt.NDArray[np.uint64], logged: npt.NDArray[np.uint64]) -> tuple[int, int]:
    """How many of the events that were answered for are not there, and how many stand there once too often."""
    there = np.unique(logged)
    return int((~np.isin(np.unique(sent), there)).sum()), len(logged) - len(there)


def _spread(seconds: list[float]) -> dict[str, float]:
    return {"p50": round(float(np.median(seconds)), 2), "max": round(max(seconds), 2)} if seconds else {}
