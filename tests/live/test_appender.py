"""Group commit: order, no gaps, no double, and one bad batch harms nobody else."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
from tests.refusing import refusing, tries

from wuzha.live.appender import Appender, Batch, QueueFull, Receipt, Stopped
from wuzha.store import Connection, Database

from .rows import calls


@pytest.fixture
def appender(db: Database) -> Iterator[Appender]:
    running = Appender(lambda: db.connect("web"), queue_rows=100_000)
    running.start()
    yield running
    running.stop()


def batch(first: int, n: int = 10, source: str = "carrier") -> Batch:
    return Batch(table="calls", rows=calls(n, first=first, source=source), source=source, basis="holder_own")


def test_positions_are_gap_free_and_each_event_counts_once_under_concurrency(
    appender: Appender, engine: Connection
) -> None:
    # Eight senders send the same forty batches, each in its own order.
    def send(k: int) -> list[Receipt]:
        return [appender.submit(batch(10 * ((i * 7 + k) % 40))).result(30) for i in range(40)]

    with ThreadPoolExecutor(8) as pool:
        receipts = [r for part in pool.map(send, range(8)) for r in part]
    assert sum(r.accepted for r in receipts) == 400
    assert sum(len(r.duplicates) for r in receipts) == 7 * 400
    positions = [r[0] for r in engine.execute("SELECT position FROM wuzha.log ORDER BY position")]
    assert positions == list(range(1, len(positions) + 1))
    assert sorted(r.position for r in receipts if r.position) == positions
    assert engine.execute("SELECT sum(n) FROM wuzha.log").fetchone() == (400,)


def test_duplicates_are_known_to_the_next_process(db: Database, appender: Appender) -> None:
    assert appender.submit(batch(0)).result(10).accepted == 10
    again = Appender(lambda: db.connect("web"), queue_rows=1000)
    again.start()
    receipt = again.submit(batch(5)).result(10)
    assert (receipt.accepted, len(receipt.duplicates)) == (5, 5)
    again.stop()


def test_a_poisoned_batch_fails_alone(appender: Appender, engine: Connection) -> None:
    poisoned = Batch(table="calls", rows=calls(3).drop_columns(["callee"]), source="carrier", basis="holder_own")
    gate = threading.Barrier(3)

    def send(b: Batch) -> Future[Receipt]:
        gate.wait()
        return appender.submit(b)

    with ThreadPoolExecutor(3) as pool:
        one, bad, two = (pool.submit(send, b) for b in (batch(0), poisoned, batch(100)))
        assert one.result().result(10).accepted == 10
        with pytest.raises(ValueError, match="columns"):
            bad.result().result(10)
        assert two.result().result(10).accepted == 10
    assert engine.execute("SELECT position FROM wuzha.log_head").fetchone() == (2,)


def test_a_database_that_breaks_the_connection_is_met_again(appender: Appender, superuser: Connection) -> None:
    assert appender.submit(batch(0)).result(10).accepted == 10
    superuser.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'wuzha-web'")
    assert appender.submit(batch(100)).result(15).accepted == 10
    assert len(appender.submit(batch(0)).result(10).duplicates) == 10


def test_beyond_the_bound_senders_are_told_when_to_come_again(db: Database) -> None:
    waiting = Appender(lambda: db.connect("web"), queue_rows=25)  # not started: nothing drains
    waiting.submit(batch(0))
    waiting.submit(batch(10))
    with pytest.raises(QueueFull) as full:
        waiting.submit(batch(20))
    assert full.value.retry_after >= 1


def test_stopping_commits_what_waits_and_takes_nothing_more(db: Database, engine: Connection) -> None:
    appender = Appender(lambda: db.connect("web"), queue_rows=1000)
    futures = [appender.submit(batch(10 * i)) for i in range(5)]
    appender.start()
    appender.stop()
    assert [f.result(0).position for f in futures] == [1, 2, 3, 4, 5]
    with pytest.raises(Stopped):
        appender.submit(batch(0))


def test_who_goes_away_while_waiting_takes_nobody_along(appender: Appender, engine: Connection) -> None:
    with engine.transaction():
        engine.execute("LOCK TABLE wuzha.log IN EXCLUSIVE MODE")  # the first group waits, the others queue behind it
        first = appender.submit(batch(0))
        while not first.running():
            pass
        gone, stays = appender.submit(batch(100)), appender.submit(batch(200))
        assert gone.cancel() and not first.cancel(), "what is being committed is answered"
    assert first.result(10).accepted == 10 and stays.result(10).accepted == 10
    assert appender.submit(batch(300)).result(10).accepted == 10, "the thread goes on"
    assert engine.execute("SELECT sum(n) FROM wuzha.log").fetchone() == (30,)
    assert appender.waiting_rows == 0


def test_a_disk_that_is_full_is_said_at_once_and_the_next_batch_stands(
    appender: Appender, engine: Connection, db: Database
) -> None:
    with refusing(db, "wuzha.log", "disk_full") as conn:
        with pytest.raises(psycopg.errors.DiskFull):
            appender.submit(batch(0)).result(10)
        assert tries(conn) == 1
    assert appender.submit(batch(0)).result(10).accepted == 10
    assert engine.execute("SELECT count(*), max(position) FROM wuzha.log").fetchone() == (1, 1)
