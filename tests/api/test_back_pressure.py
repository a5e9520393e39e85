"""Whatever is offered, what waits is bounded; whoever is sent away is told when to come again, and loses nothing."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

from tests.api.conftest import Opened
from tests.store.rows import calls

from wuzha.events import clock
from wuzha.store import Connection, Database
from wuzha.store import log as store_log

NDJSON = "application/x-ndjson"


def lines(first: int, n: int) -> bytes:
    rows = calls([f"e{i}" for i in range(first, first + n)]).select(["event_id", "ts", "caller", "callee"]).to_pylist()
    return "\n".join(
        f'{{"event_id": "{r["event_id"]}", "ts": "{r["ts"].isoformat()}", "caller": "{r["caller"]}",'
        f' "callee": "{r["callee"]}"}}'
        for r in rows
    ).encode()


def test_a_log_that_stands_still_fills_no_memory(
    opened: Opened, sender: Callable[..., str], db: Database, engine: Connection
) -> None:
    client = opened(role="holder", queue_rows=2_000)
    headers = {"Authorization": sender(), "Content-Type": NDJSON}
    doors = client.app.state.doors  # type: ignore[attr-defined]
    most, over, refused = [0, 0], threading.Event(), []

    def watch() -> None:
        while not over.wait(0.005):
            most[0], most[1] = max(most[0], doors.appender.waiting_rows), max(most[1], doors.bodies)

    def post(i: int) -> int:
        while True:
            answer = client.post("/v1/events/calls", content=lines(500 * i, 500), headers=headers)
            if answer.status_code != 429:
                assert answer.status_code == 200, answer.text
                return int(answer.json()["accepted"])
            assert int(answer.headers["retry-after"]) >= 1
            refused.append(i)
            if len(refused) == 40:
                stands.set()
            over.wait(0.2)

    stands = threading.Event()
    watching = threading.Thread(target=watch)
    watching.start()
    with ThreadPoolExecutor(12) as posting:
        with db.connect("web") as other, other.transaction():
            other.execute("SELECT 1 FROM wuzha.log_head FOR UPDATE")  # another appender that never commits
            sent = [posting.submit(post, i) for i in range(12)]
            stands.wait(15)
            assert stands.is_set(), (len(refused), [s.exception() for s in sent if s.done()], most)
        accepted = sum(s.result(60) for s in sent)
    over.set()
    watching.join()
    assert accepted == 6_000 and refused
    assert 0 < most[0] <= 2_000 and most[1] <= 12 * len(lines(10_000, 500))
    assert doors.bodies == 0 and doors.appender.waiting_rows == 0
    assert sum(b.rows.num_rows for b in store_log.read(engine, 0)) == 6_000


def test_results_far_behind_send_senders_away(opened: Opened, sender: Callable[..., str], engine: Connection) -> None:
    client = opened(role="holder", lag_s=60)
    headers = {"Authorization": sender(), "Content-Type": NDJSON}
    assert client.post("/v1/events/calls", content=lines(0, 1), headers=headers).status_code == 200
    engine.execute("INSERT INTO wuzha.partitions (partition, position) VALUES (0, 0)")
    doors = client.app.state.doors  # type: ignore[attr-defined]
    assert doors.lag_s() < 60
    old = clock.now() - timedelta(seconds=120)
    store_log.append(engine, store_log.Batch(table="calls", rows=calls(["late"], source="b"), source="b",
                                             basis="holder_own", received_at=old))  # fmt: skip
    engine.execute("UPDATE wuzha.partitions SET position = 1")
    doors._lag = (0.0, 0.0)
    answer = client.post("/v1/events/calls", content=lines(1, 1), headers=headers)
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    engine.execute("UPDATE wuzha.partitions SET position = 2")
    doors._lag = (0.0, 0.0)
    assert client.post("/v1/events/calls", content=lines(1, 1), headers=headers).status_code == 200
