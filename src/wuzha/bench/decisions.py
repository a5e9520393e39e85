"""``wuzha bench decisions``: transfers asked about over HTTP at a steady rate while a stream runs, and in batches.

Kept true here: open loop. A question is due at its own time whether the one before is answered or not, and its wait
counts from then; the stream is sent by a process of its own on the same machine.
"""

from __future__ import annotations

import itertools
import json
import multiprocessing
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow as pa

from wuzha import detect
from wuzha.detect.decide import Decider, pending_of
from wuzha.events import TABLES, clock
from wuzha.events.batch import conform
from wuzha.live import decision_batch, decision_policy
from wuzha.live.decision_words import ManyAnswered
from wuzha.store import Database, keys, sources

from . import asking, live
from .machine import machine
from .offering import ARROW, Bodies, bodies, plain
from .serving import free_port, served
from .spending import Spending

_BATCH = 10_000
#: Batches that are sent at once.
_AT_ONCE = 3
_STREAM_BATCH = 1_000
#: Seconds of the stream before the first question, so that there is a state to ask about.
_BEFORE_S = 5.0


def run(*, offered_per_s: int, stream_per_s: int, seconds: float, seed: int) -> dict[str, Any]:
    """Ask ``offered_per_s`` single questions for ``seconds`` while ``stream_per_s`` events come in; then in batches.

    Returns ``{offered_per_s, single_per_s, p50_ms, p99_ms, max_ms, sent_late_ms, asker_cpu_s, answers, missing,
    actions, stream_per_s, seconds, cpu_by, batch_per_s, batch_judged_per_s, batch_http_per_s, batch, machine}``.
    Single: from the moment a question was due to its durable answer, at the bank's own port. ``sent_late_ms``: the
    longest that one waited to be sent. ``answers`` by HTTP status, ``missing`` those in which an owner was
    missing. ``cpu_by``: seconds by process while single questions came. ``batch_per_s``: from strings to actions, a
    second of one core's own time; ``batch_judged_per_s``: of that, judging alone; ``batch_http_per_s``: over HTTP with
    a durable record, three batches at once.
    """
    with tempfile.TemporaryDirectory(prefix="wuzha-asked-") as folder:
        offered = bodies(Path(folder) / "bodies", int(stream_per_s * (seconds + _BEFORE_S)), _STREAM_BATCH, seed)
        pairs = _pairs(offered)
        bank_port = free_port()
        with served("holder", "--bank-port", str(bank_port)) as (db, home, url):
            bank_url = f"http://127.0.0.1:{bank_port}"
            over, spending = threading.Event(), Spending(home)
            watch = threading.Thread(target=spending.watch, args=(over,), daemon=True)
            watch.start()
            told = _singles(db, url, bank_url, offered, pairs, offered_per_s, stream_per_s, seconds)
            over.set()
            watch.join()
            told["cpu_by"] = {name: round(s, 1) for name, s in sorted(spending.spent().cpu_s.items())}
            told["batch_http_per_s"] = _posted(bank_url, _bank(db, "bench-batches"), pairs)
        told |= _batches(offered, pairs)
    return told | {"machine": machine()}


def _pairs(offered: Bodies) -> pa.Table:
    """Payer, payee and amount of the city's transfers."""
    found = []
    for body in offered.listed:
        if body.table == "transfers":
            with pa.ipc.open_stream(offered.read(body)) as reader:
                rows = reader.read_all()
            rows = rows.filter(pa.compute.and_(rows.column("payer").is_valid(), rows.column("payee").is_valid()))
            found.append(rows.select(["payer", "payee", "amount_fen"]))
    if not found:
        raise RuntimeError("the city made no transfers; ask for longer")
    return pa.concat_tables(found)


def _bank(db: Database, name: str) -> str:
    with db.connect("web") as conn:
        number = sources.register(
            conn, name=name, title=name, role="bank", basis="holder_own", purpose="bench", retention_days=1,
            tables=["transfers"],
        )  # fmt: skip
        return keys.issue(conn, number).key


# ---------------------------------------------------------------------- single questions


def _singles(
    db: Database, url: str, bank_url: str, offered: Bodies, pairs: pa.Table, rate: int, stream_per_s: int,
    seconds: float,
) -> dict[str, Any]:  # fmt: skip
    key, sender = _bank(db, "bench-bank"), live._sender(db)
    n = int(rate * seconds)
    some = pairs.take(pa.array(np.arange(n) % pairs.num_rows)).to_pylist()
    requests = [_request(key, i, row) for i, row in enumerate(some)]
    host, port = bank_url.removeprefix("http://").split(":")
    fork = multiprocessing.get_context("fork")
    stream = fork.Process(target=live._send, args=(url, sender, offered, stream_per_s), daemon=True)
    stream.start()
    try:
        time.sleep(_BEFORE_S)
        bank = asking.ask(host, int(port), requests, rate)
    finally:
        stream.join(max(10.0, seconds * 2))
        if stream.is_alive():
            stream.terminate()
    waits = np.array(bank.waits)
    return {
        "offered_per_s": rate,
        "single_per_s": round(len(waits) / bank.took),
        "p50_ms": round(float(np.percentile(waits, 50)) * 1000, 2),
        "p99_ms": round(float(np.percentile(waits, 99)) * 1000, 2),
        "max_ms": round(float(waits.max()) * 1000, 2),
        "sent_late_ms": round(bank.late * 1000, 2),
        "asker_cpu_s": round(bank.cpu_s, 2),
        "answers": dict(bank.statuses),
        "missing": bank.missing,
        "actions": dict(bank.actions),
        "stream_per_s": stream_per_s,
        "seconds": seconds,
    }


def _request(key: str, number: int, row: dict[str, Any]) -> bytes:
    body = json.dumps({"payer": row["payer"], "payee": row["payee"], "amount_fen": max(row["amount_fen"], 1)}).encode()
    return (
        b"POST /v1/decisions/transfer HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
        b"Authorization: Bearer %s\r\nIdempotency-Key: q%d\r\nContent-Length: %d\r\n\r\n"
        % (key.encode(), number, len(body))
    ) + body


# ---------------------------------------------------------------------- batches


def _rows(pairs: pa.Table, n: int) -> pa.Table:
    some = pairs.take(pa.array(np.arange(n) % pairs.num_rows))
    now = clock.now()
    return conform(
        TABLES["transfers"],
        pa.table(
            {
                "source": pa.array(["bench"] * n), "event_id": pa.array([f"b{i}" for i in range(n)]),
                "ts": pa.array([now] * n, pa.timestamp("us", "UTC")), "payer": some.column("payer"),
                "payee": some.column("payee"), "amount_fen": some.column("amount_fen"),
            }
        ),
    )  # fmt: skip


def _batches(offered: Bodies, pairs: pa.Table) -> dict[str, Any]:
    """In this process: the engine is fed as the worker's was, and answers batches as the worker does."""
    engine = detect.Engine()
    for position, body in enumerate(offered.listed, 1):
        with pa.ipc.open_stream(offered.read(body)) as reader:
            rows = conform(TABLES[body.table], reader.read_all())
        engine.feed(detect.encode(body.table, rows, position))
    rows, policy, decider = plain(_rows(pairs, _BATCH)), decision_policy.shipped(), Decider()
    judged = whole = 0.0
    done = 0
    for turn in itertools.count():
        begun = time.process_time()
        wanted = pending_of(detect.encode("transfers", rows, 0))
        at = time.process_time()
        found = decider.judge(engine, wanted, figures=False)
        judged_s = time.process_time() - at
        said = ManyAnswered(
            number=0, partition=0, epoch=0, position=0, rows=0, book="", sides=found.sides.tobytes(),
            flags=found.flags.tobytes(), full={}, typologies=[(t.id, t.scam_type, t.interdict)
                                                             for t in engine.rules.typologies.values()],
            books={},
        )  # fmt: skip
        decision_batch.actions(policy, rows, {0: said}, 1)
        if turn == 0:
            continue  # pages are touched and kernels loaded for the first time
        judged, whole, done = judged + judged_s, whole + time.process_time() - begun, done + _BATCH
        if whole > 3 or done >= 50 * _BATCH:
            break
    return {"batch": _BATCH, "batch_per_s": round(done / whole), "batch_judged_per_s": round(done / judged)}


def _posted(url: str, key: str, pairs: pa.Table) -> int:
    rows = plain(_rows(pairs, _BATCH).drop_columns(["source"]))
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    content = sink.getvalue().to_pybytes()

    def send(client: httpx.Client, number: int) -> None:
        answer = client.post(
            "/v1/decisions/transfers", content=content,
            headers={
                "Authorization": f"Bearer {key}", "Content-Type": ARROW, "Accept": ARROW,
                "Idempotency-Key": f"batch-{number}",
            },
        )  # fmt: skip
        if answer.status_code != 200:
            raise RuntimeError(f"HTTP {answer.status_code}: {answer.text[:300]}")

    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client, ThreadPoolExecutor(_AT_ONCE) as senders:
        list(senders.map(lambda n: send(client, n), range(_AT_ONCE)))  # all is loaded and touched
        begun, done = time.perf_counter(), 0
        while done < 60 and time.perf_counter() - begun < 10:
            numbers = range(_AT_ONCE + done, 5 * _AT_ONCE + done)
            done += len(list(senders.map(lambda n: send(client, n), numbers)))
        return round(done * _BATCH / (time.perf_counter() - begun))
