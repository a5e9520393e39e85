"""The lease: one worker a partition, and an epoch that keeps a woken one out. Real PostgreSQL, as role engine."""

from __future__ import annotations

import subprocess
import sys
import time
from datetime import datetime

import pytest

from wuzha.live import lease
from wuzha.live.lease import LeaseLost
from wuzha.store import Connection, Database


def test_a_running_lease_is_not_given_twice(engine: Connection) -> None:
    assert lease.take(engine, 0, "another-host|b|1|1", 30) is not None
    assert lease.take(engine, 0, lease.worker_name(), 30) is None


def test_taking_over_raises_the_epoch_and_stale_commits_fail(engine: Connection) -> None:
    frozen = lease.take(engine, 0, "another-host|b|1|1", 0.05)
    assert frozen is not None
    with engine.transaction():
        lease.guard(engine, frozen, 3)
    time.sleep(0.1)
    mine = lease.take(engine, 0, lease.worker_name(), 30)
    assert mine is not None and mine.epoch == frozen.epoch + 1 and mine.position == 3
    with pytest.raises(LeaseLost), engine.transaction():
        lease.guard(engine, frozen, 9)
    row = engine.execute("SELECT position, epoch FROM wuzha.partitions").fetchone()
    assert row == (3, mine.epoch), "the stale commit left nothing"


def test_a_dead_workers_lease_on_this_host_is_taken_at_once(engine: Connection) -> None:
    dead = subprocess.run(
        [sys.executable, "-c", "from wuzha.live.lease import worker_name; print(worker_name())"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    assert lease.is_dead(dead) and not lease.is_dead(lease.worker_name())
    assert lease.take(engine, 0, dead, 3600) is not None
    assert lease.take(engine, 0, lease.worker_name(), 30) is not None


@pytest.mark.parametrize("name", ["elsewhere|boot|1|1", "no shape at all"])
def test_another_hosts_worker_is_never_judged_dead(name: str) -> None:
    assert not lease.is_dead(name)


def test_renewal_keeps_the_lease_and_notices_its_loss(db: Database, engine: Connection) -> None:
    held = lease.take(engine, 0, lease.worker_name(), 3.0)
    assert held is not None

    def until() -> datetime:
        row = engine.execute("SELECT leased_until FROM wuzha.partitions").fetchone()
        assert row is not None
        return row[0]  # type: ignore[no-any-return]

    first, end = until(), time.monotonic() + 60
    renewal = lease.Renewal(lambda: db.connect("engine"), held)
    renewal.start()
    while until() == first:
        assert time.monotonic() < end, "never renewed beyond its first span"
        time.sleep(0.02)
    assert lease.take(engine, 0, "another-host|b|1|1", 30) is None
    engine.execute("UPDATE wuzha.partitions SET epoch = epoch + 1")
    assert renewal.lost.wait(60)
    renewal.stop()


def test_a_lease_given_back_is_free(engine: Connection) -> None:
    held = lease.take(engine, 0, "another-host|b|1|1", 3600)
    assert held is not None
    lease.give_back(engine, held)
    assert lease.take(engine, 0, lease.worker_name(), 5) is not None
