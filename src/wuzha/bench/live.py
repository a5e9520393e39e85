"""``wuzha bench live``: events offered to a whole server at a steady rate, and how long each waits for its answer.

Kept true here: open loop. A batch is due at its own time whether the one before is answered or not, and its wait counts
from then, so that a server that stalls is charged for all that queued behind it.
"""

from __future__ import annotations

import io
import json
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
import pyarrow as pa

from wuzha.city import generator
from wuzha.city.scripts import load
from wuzha.events import RAW_TABLES
from wuzha.store import Database, keys, sources

from .machine import machine
from .serving import served

BATCH = 1_000


def run(*, offered_per_s: int, seconds: float, seed: int) -> dict[str, Any]:
    """Offer ``offered_per_s`` rows of a city's raw events for ``seconds`` to a holder in a folder of its own.

    Returns ``{offered_per_s, batch, events, durable_p50_ms, durable_p99_ms, alert_p99_ms, lag_max_s, cpu_s,
    bytes_written, machine}``: durable is from the moment a batch was due to its answer; alert from the arrival of the
    rows to the commit of the alert that they raised (null where none was); lag how far the worker's results were behind
    the log's head; CPU and bytes of all the server's processes, database included.
    """
    bodies = _bodies(int(offered_per_s * seconds), seed)
    with served("holder") as (db, home, url):
        return _measure(db, home, url, bodies, offered_per_s) | {"machine": machine()}


def _bodies(rows: int, seed: int) -> list[tuple[str, bytes, int]]:
    """Batches of a city's raw events in the order of their time, as the doors take them."""
    people = max(500, rows // 30)
    made = generator.make(people, 2, seed, load(None), date(2026, 3, 2), generator.check(people, 2, seed, None))
    whole: list[tuple[int, str, pa.Table]] = []
    for name in sorted(RAW_TABLES & made.keys()):
        table = made[name].sort_by("ts")
        for at in range(0, table.num_rows, BATCH):
            part = table.slice(at, BATCH)
            whole.append((part.column("ts")[0].value, name, part))
    out: list[tuple[str, bytes, int]] = []
    for _, name, part in sorted(whole, key=lambda w: (w[0], w[1])):
        sink = io.BytesIO()
        with pa.ipc.new_stream(sink, part.schema) as writer:
            writer.write_table(part)
        out.append((name, sink.getvalue(), part.num_rows))
        rows -= part.num_rows
        if rows <= 0:
            break
    return out


def _measure(
    db: Database, home: Path, url: str, bodies: list[tuple[str, bytes, int]], offered_per_s: int
) -> dict[str, Any]:
    with db.connect("web") as conn:
        number = sources.register(
            conn, name="bench", title="bench", role="carrier", basis="holder_own", purpose="bench", retention_days=1,
            tables=sorted(RAW_TABLES), late_allowance=dict.fromkeys(sorted(RAW_TABLES), 7 * 86400),
        )  # fmt: skip
        key = keys.issue(conn, number).key
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/vnd.apache.arrow.stream"}
    waits: list[float] = []
    taken: list[int] = []
    lags: list[float] = [0.0]
    over = threading.Event()
    watch = threading.Thread(target=_watch, args=(db, lags, over), daemon=True)
    before = _spent(home)
    watch.start()
    with httpx.Client(base_url=url, trust_env=False, timeout=120) as client, ThreadPoolExecutor(16) as posting:

        def post(due: float, table: str, body: bytes) -> None:
            while True:
                answer = client.post(f"/v1/events/{table}", content=body, headers=headers)
                if answer.status_code != 429:
                    break
                time.sleep(0.1)
            answer.raise_for_status()
            waits.append(time.monotonic() - due)
            taken.append(int(json.loads(answer.content)["accepted"]))

        due, sent = time.monotonic(), []
        for table, body, rows in bodies:
            time.sleep(max(0.0, due - time.monotonic()))
            sent.append(posting.submit(post, due, table, body))
            due += rows / offered_per_s
        for one in sent:
            one.result()
    _caught_up(db)
    over.set()
    watch.join()
    spent = _spent(home)
    return {
        "offered_per_s": offered_per_s,
        "batch": BATCH,
        "events": sum(taken),
        "durable_p50_ms": _ms(waits, 50),
        "durable_p99_ms": _ms(waits, 99),
        "alert_p99_ms": _ms(_alerts(db), 99),
        "lag_max_s": round(max(lags), 2),
        "cpu_s": round(spent[0] - before[0], 1),
        "bytes_written": spent[1] - before[1],
    }


def _ms(waits: list[float], q: int) -> float | None:
    return round(float(np.percentile(waits, q)) * 1000, 1) if waits else None


def _watch(db: Database, lags: list[float], over: threading.Event) -> None:
    """How long the oldest batch has waited that the worker's results do not hold yet, four times a second."""
    with db.connect("engine") as conn:
        while not over.wait(0.25):
            row = conn.execute(
                "SELECT extract(epoch FROM clock_timestamp() - min(received_at)) FROM wuzha.log"
                " WHERE position > (SELECT position FROM wuzha.partitions WHERE partition = 0)"
            ).fetchone()
            if row is not None and row[0] is not None:
                lags.append(float(row[0]))


def _alerts(db: Database) -> list[float]:
    """Seconds from the rows' arrival to the alert's commit; ``log_position`` is that of the alert's newest word, so
    only alerts that one commit wrote whole are counted."""
    with db.connect("engine") as conn:
        return [
            float(s)
            for (s,) in conn.execute(
                "SELECT extract(epoch FROM a.committed_at - l.received_at) FROM wuzha.alerts a"
                " JOIN wuzha.log l ON l.position = a.log_position WHERE a.committed_at >= l.received_at"
            )
        ]


def _caught_up(db: Database) -> None:
    with db.connect("engine") as conn:
        while conn.execute(
            "SELECT h.position > p.position FROM wuzha.log_head h, wuzha.partitions p WHERE partition = 0"
        ).fetchone() == (True,):
            time.sleep(0.05)


def _spent(home: Path) -> tuple[float, int]:
    """CPU seconds and bytes written so far of every process that works on ``home``."""
    cpu, written = 0.0, 0
    for p in psutil.process_iter():
        try:
            if str(home) in p.cwd() or p.environ().get("WUZHA_HOME") == str(home):
                times = p.cpu_times()
                cpu += times.user + times.system
                written += p.io_counters().write_bytes
        except psutil.Error:
            continue
    return cpu, written
