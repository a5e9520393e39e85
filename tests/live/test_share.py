"""Several partitions: whatever their number, and whenever it is doubled, the results are those of one worker."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from wuzha.bench.outcome import outcome
from wuzha.live import share, snapshots
from wuzha.live.lease import LeaseLost
from wuzha.live.results import Found
from wuzha.live.settings import Settings
from wuzha.live.share import Share
from wuzha.live.worker import Worker
from wuzha.store import Connection, Database

from .city import Sent
from .test_worker import compiled, fill, follow, settings, small_city


def together(db: Database, given: Settings, parts: int, until: int, *, more: Sequence[Sent] = ()) -> None:
    """Run one worker for each of ``parts`` partitions until the results of all reach ``until``; ``more`` comes in
    meanwhile, and counts in it."""
    compiled()
    workers = [Worker(lambda: db.connect("engine"), given, partition=p) for p in range(parts)]
    failed: list[BaseException] = []

    def run(worker: Worker) -> None:
        while not worker.stop_asked.is_set():
            try:
                worker.run()
            except LeaseLost:  # as its parent would start it again
                continue
            except BaseException as error:
                failed.append(error)
                return

    threads = [threading.Thread(target=run, args=(w,)) for w in workers]
    for t in threads:
        t.start()
    for begin in range(0, len(more), 25):
        fill(db, list(more[begin : begin + 25]))
        time.sleep(0.15)
    with db.connect("engine") as conn:
        end = time.monotonic() + 240
        while not failed and time.monotonic() < end and lowest(conn, parts) < until:
            time.sleep(0.05)
    for w in workers:
        w.stop_asked.set()
    for t in threads:
        t.join(60)
    assert not failed, failed
    with db.connect("engine") as conn:
        assert lowest(conn, parts) >= until


def lowest(conn: Connection, parts: int) -> int:
    row = conn.execute("SELECT count(*), min(position) FROM wuzha.partitions").fetchone()
    assert row is not None
    return int(row[1]) if row[0] == parts else 0


def doubled(db: Database, times: int) -> None:
    with db.connect("engine") as conn:
        for _ in range(times):
            share.double(conn)


def same(one: Database, other: Database) -> None:
    with one.connect("engine") as calm, other.connect("engine") as parted:
        expected, got = outcome(calm), outcome(parted)
        assert expected["alerts"] and expected["evidence"] and expected["suspects"]
        assert any(a[12] for a in expected["alerts"]) or any(e[9] for e in expected["evidence"]), "nothing ever moved"
        for name in expected:
            assert got[name] == expected[name], name


def restless(sent: list[Sent]) -> list[Sent]:
    """The same batches with the registers of who owns what in the midst of them, so that evidence goes to others."""
    late = [s for s in sent if s.table == "relations"]
    rest = [s for s in sent if s.table != "relations"]
    for i, s in enumerate(late):
        rest.insert(len(rest) * (i + 1) // (len(late) + 1), s)
    return rest


def test_four_partitions_and_doubling_on_the_way_give_what_one_gives(
    make_db: Callable[[], Database], tmp_path: Path
) -> None:
    sent = restless(list(small_city()))
    whole, parted = make_db(), make_db()
    follow(whole, settings(tmp_path / "whole"), fill(whole, sent))
    given = settings(tmp_path / "parted")
    third = len(sent) // 3
    follow(parted, given, fill(parted, sent[:third]))  # one
    doubled(parted, 1)
    together(parted, given, 2, fill(parted, sent[third : 2 * third]))
    doubled(parted, 1)
    for path in (tmp_path / "parted" / "partitions" / "1" / "snapshots").glob("*"):
        path.unlink()  # a neighbour's serves as well: all hold the same state
    together(parted, given, 4, fill(parted, sent[2 * third :]))
    same(whole, parted)
    with parted.connect("engine") as conn:
        shares = conn.execute("SELECT partition, parts, position FROM wuzha.partitions ORDER BY 1").fetchall()
        assert shares == [(p, 4, len(sent)) for p in range(4)]


def test_a_child_goes_on_where_its_parent_stood_and_workers_of_before_are_replaced(
    db: Database, engine: Connection, tmp_path: Path
) -> None:
    follow(db, settings(tmp_path), fill(db, list(small_city())[:5]))
    before = engine.execute("SELECT epoch FROM wuzha.partitions").fetchone()
    assert share.double(engine) == 2
    rows = engine.execute("SELECT partition, parts, position, snapshot_position FROM wuzha.partitions").fetchall()
    assert sorted(rows) == [(0, 2, 5, 5), (1, 2, 5, 5)]
    assert before is not None
    assert engine.execute("SELECT epoch FROM wuzha.partitions WHERE partition = 0").fetchone() == (before[0] + 1,)


@pytest.mark.parametrize("parts", [1, 2, 4, 8])
def test_everybody_is_one_partitions_and_a_half_of_their_parents(parts: int) -> None:
    for i in range(200):
        owners = [p for p in range(parts) if Share(partition=p, parts=parts).owns(f"person-{i}")]
        halves = [p for p in range(2 * parts) if Share(partition=p, parts=2 * parts).owns(f"person-{i}")]
        assert len(owners) == len(halves) == 1 and halves[0] % parts == owners[0]
    shares = [sum(Share(partition=p, parts=parts).owns(f"person-{i}") for i in range(2000)) for p in range(parts)]
    assert min(shares) > 0.7 * 2000 / parts, "about as many for each"


def test_rows_of_a_register_are_written_once() -> None:
    registers = [(s.table, s.rows) for s in small_city() if s.table in ("persons", "relations")]
    found = Found(registers=registers)
    parted = [Share(partition=p, parts=4).of(found) for p in range(4)]
    for table in ("persons", "relations"):
        given = [r for t, rows in registers if t == table for r in rows.column("event_id").to_pylist()]
        written = [r for one in parted for t, rows in one.registers if t == table for r in rows["event_id"].to_pylist()]
        assert sorted(written) == sorted(given)
    assert all(one.registers for one in parted)


def test_what_waits_for_others_gives_up_when_it_is_to_stop(db: Database, engine: Connection) -> None:
    doubled(db, 1)
    with pytest.raises(LeaseLost):
        share.wait(engine, Share(partition=1, parts=2), 0, 9, lambda: True)
    engine.execute("UPDATE wuzha.partitions SET position = 9 WHERE partition = 0")
    share.wait(engine, Share(partition=1, parts=2), 0, 9, lambda: True)


def test_a_neighbours_snapshot_serves_where_it_is_newer_and_whole(tmp_path: Path) -> None:
    def write(partition: int, position: int) -> Path:
        return snapshots.write(
            share.home_of(tmp_path, partition) / "snapshots",
            snapshots.Snapshot(position=position, arrays={"a": np.arange(position, dtype=np.int64)}),
        )

    write(1, 5)
    write(0, 9)
    torn = write(2, 7)
    torn.write_bytes(torn.read_bytes()[:-1])
    found, _ = share.newest(tmp_path, 1, not_after=9)
    assert found is not None and found.position == 9
    found, passed = share.newest(tmp_path, 1, not_after=8)
    assert found is not None and found.position == 5 and len(passed) == 1, "partition 2's is torn"
    assert share.newest(tmp_path, 3, not_after=4) == (None, [])
