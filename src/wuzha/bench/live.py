"""``wuzha bench live``: events offered to a whole server at a steady rate, and how long each waits for its answer and
for its alert.

Kept true here: open loop. A batch is due at its own time whether the one before is answered or not, and its wait counts
from then, so that a server that stalls is charged for all that queued behind it.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import psycopg

from wuzha.events import RAW_TABLES
from wuzha.live.results import CHANNEL
from wuzha.store import Database, keys, sources

from .machine import machine
from .offering import ARROW, Bodies, bodies
from .serving import served
from .spending import Spending

BATCH = 1_000
#: Connections of the sender: enough that a batch is never late for want of one.
_CONNECTIONS = 16


def run(*, offered_per_s: int, seconds: float, seed: int, batch: int = BATCH) -> dict[str, Any]:
    """Offer ``offered_per_s`` rows of a city's raw events for ``seconds`` to a holder in a folder of its own.

    Returns ``{offered_per_s, batch, seconds, people, events, events_per_s, durable_p50_ms, durable_p99_ms, alerts,
    alert_p50_ms, alert_p99_ms, lag_max_s, catch_up_s, busy, cpu_s, cpu_us_per_event, cpu_by, memory_mib,
    generator_cpu_s, bytes_written, bytes_per_event, machine}``. Durable: from the moment a batch was due to its
    answer. Alert: from the moment the last batch was due that a new alert cites to the word that it is committed (null
    where there was none). Lag: how long the oldest batch had waited that the worker's results did not hold yet. Catch-
    up: how long after the last answer they held everything. Busy: how often a batch was sent away with 429. CPU
    (seconds; microseconds an event) and memory (most at once) are of all the server's processes, database included,
    without the sender's; bytes are those that the disk took, whoever wrote them (null where the folder stands in
    memory).
    """
    with tempfile.TemporaryDirectory(prefix="wuzha-offered-") as folder:
        offered = bodies(Path(folder) / "bodies", int(offered_per_s * seconds), batch, seed)
        with served("holder") as (db, home, url):
            return _measure(db, home, url, offered, offered_per_s, batch) | {"machine": machine()}


@dataclass
class _Sent:
    """What became of the batches: when each was due and how long it waited, by their number."""

    due: list[float]
    waits: list[float]
    taken: list[int] = field(default_factory=list)
    busy: int = 0


def _measure(db: Database, home: Path, url: str, offered: Bodies, offered_per_s: int, batch: int) -> dict[str, Any]:
    key = _sender(db)
    lags: list[float] = [0.0]
    told: dict[int, float] = {}
    over = threading.Event()
    spending = Spending(home)
    watches = [
        threading.Thread(target=_watch, args=(db, lags, over), daemon=True),
        threading.Thread(target=_hear, args=(db, told, over), daemon=True),
        threading.Thread(target=spending.watch, args=(over,), daemon=True),
    ]
    # The sender is a process of its own: what watches here takes no time from it.
    fork = multiprocessing.get_context("fork")
    here, there = fork.Pipe()
    sender = fork.Process(target=_sending, args=(there, url, key, offered, offered_per_s), daemon=True)
    sender.start()
    there.close()
    for watch in watches:
        watch.start()
    begun = time.monotonic()
    here.send("go")
    try:
        sent, own = here.recv()
    except EOFError:
        raise RuntimeError("the sender died; what it said stands above") from None
    answered = time.monotonic()
    sender.join()
    _caught_up(db)
    caught_up = time.monotonic()
    over.set()
    for watch in watches:
        watch.join()
    spent = spending.spent()
    events, cpu_s = sum(sent.taken), sum(spent.cpu_s.values())
    alerts = _alerts(db, told, offered, sent.due)
    return {
        "offered_per_s": offered_per_s,
        "batch": batch,
        "seconds": round(answered - begun, 1),
        "people": offered.people,
        "events": events,
        "events_per_s": round(events / (caught_up - begun)),
        "durable_p50_ms": _ms(sent.waits, 50),
        "durable_p99_ms": _ms(sent.waits, 99),
        "alerts": len(alerts),
        "alert_p50_ms": _ms(alerts, 50),
        "alert_p99_ms": _ms(alerts, 99),
        "lag_max_s": round(max(lags), 2),
        "catch_up_s": round(caught_up - answered, 2),
        "busy": sent.busy,
        "cpu_s": round(cpu_s, 1),
        "cpu_us_per_event": round(cpu_s / events * 1e6, 1),
        "cpu_by": {name: round(seconds, 1) for name, seconds in sorted(spent.cpu_s.items())},
        "memory_mib": {name: round(most / 2**20) for name, most in sorted(spent.memory.items())},
        "generator_cpu_s": round(own, 1),
        "bytes_written": spent.written,
        "bytes_per_event": None if spent.written is None else round(spent.written / events),
    }


def _sender(db: Database) -> str:
    with db.connect("web") as conn:
        number = sources.register(
            conn, name="bench", title="bench", role="carrier", basis="holder_own", purpose="bench", retention_days=1,
            tables=sorted(RAW_TABLES), late_allowance=dict.fromkeys(sorted(RAW_TABLES), 7 * 86400),
        )  # fmt: skip
        return keys.issue(conn, number).key


def _sending(out: Connection, url: str, key: str, offered: Bodies, offered_per_s: float) -> None:
    """In the sender's own process: once it is told to, all bodies; then what became of them, and its CPU seconds."""
    out.recv()
    own = time.process_time()
    sent = _send(url, key, offered, offered_per_s)
    out.send((sent, time.process_time() - own))


def _send(url: str, key: str, offered: Bodies, offered_per_s: float) -> _Sent:
    """All bodies at their time; returns when each has been answered."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": ARROW}
    place = url.removeprefix("http://").rstrip("/")
    mine = threading.local()
    rows = np.cumsum([0, *(b.rows for b in offered.listed[:-1])])
    first = time.monotonic() + 0.05
    sent = _Sent([first + float(before) / offered_per_s for before in rows], [0.0] * len(rows))

    def post(number: int) -> None:
        if not hasattr(mine, "connection"):
            mine.connection = http.client.HTTPConnection(place, timeout=120)
        body = offered.listed[number]
        content = offered.read(body)
        while True:
            mine.connection.request("POST", f"/v1/events/{body.table}", content, headers)
            answer = mine.connection.getresponse()
            said = answer.read()
            if answer.status != 429:
                break
            sent.busy += 1
            time.sleep(float(answer.headers.get("Retry-After", "1")))
        if answer.status != 200:
            raise RuntimeError(f"HTTP {answer.status}: {said[:300].decode(errors='replace')}")
        sent.waits[number] = time.monotonic() - sent.due[number]
        sent.taken.append(int(json.loads(said)["accepted"]))

    with ThreadPoolExecutor(_CONNECTIONS) as posting:
        begun = []
        for number, due in enumerate(sent.due):
            time.sleep(max(0.0, due - time.monotonic()))
            begun.append(posting.submit(post, number))
        for one in begun:
            one.result()
    return sent


def offer(db: Database, url: str, offered: Bodies, offered_per_s: float = 1e9) -> None:
    """Send all of ``offered`` as a registered sender; at once where no rate is given."""
    _send(url, _sender(db), offered, offered_per_s)


def _ms(waits: list[float], q: int) -> float | None:
    return round(float(np.percentile(waits, q)) * 1000, 1) if waits else None


def _watch(db: Database, lags: list[float], over: threading.Event) -> None:
    """How long the oldest batch has waited that the worker's results do not hold yet, four times a second."""
    with db.connect("engine") as conn:
        while not over.wait(0.25):
            row = conn.execute(
                "SELECT extract(epoch FROM clock_timestamp() - received_at) FROM wuzha.log"
                " WHERE position > (SELECT position FROM wuzha.partitions WHERE partition = 0)"
                " ORDER BY position LIMIT 1"
            ).fetchone()
            if row is not None:
                lags.append(float(row[0]))


def _hear(db: Database, told: dict[int, float], over: threading.Event) -> None:
    """When each new alert was told of, which PostgreSQL does as its transaction commits."""
    with db.connect("engine") as conn:
        conn.execute(psycopg.sql.SQL("LISTEN {}").format(psycopg.sql.Identifier(CHANNEL)))
        while not over.is_set():
            for notice in conn.notifies(timeout=0.2):
                said = json.loads(notice.payload)
                if said["new"]:
                    told.setdefault(int(said["alert"]), time.monotonic())


def _alerts(db: Database, told: dict[int, float], offered: Bodies, due: list[float]) -> list[float]:
    """Seconds to each new alert from the last batch of those that its first evidence cites."""
    with db.connect("engine") as conn:
        cited = conn.execute(
            "SELECT e.alert_id, v.event_id FROM wuzha.evidence e JOIN wuzha.evidence_events v USING (evidence_id)"
            " WHERE e.log_position = (SELECT min(log_position) FROM wuzha.evidence f WHERE f.alert_id = e.alert_id)"
        ).fetchall()
    stands = offered.which([event_id for _, event_id in cited])
    last: dict[int, float] = {}
    for alert, event_id in cited:
        if alert in told and event_id in stands:
            last[alert] = max(last.get(alert, 0.0), due[stands[event_id]])
    return [told[alert] - at for alert, at in last.items()]


def _caught_up(db: Database) -> None:
    with db.connect("engine") as conn:
        while conn.execute(
            "SELECT h.position > p.position FROM wuzha.log_head h, wuzha.partitions p WHERE partition = 0"
        ).fetchone() == (True,):
            time.sleep(0.05)
