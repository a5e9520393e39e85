"""A disk that is really full: what stands stays, what could not be written leaves nothing, and with room it goes on."""

from __future__ import annotations

import errno
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from tests.fulldisk import fill as filled
from tests.fulldisk import small_disk
from tests.served import Served, ended

from wuzha.bench import outcome
from wuzha.bench.retrying import Tally, caught_up, post, registered
from wuzha.events import clock
from wuzha.live import aside, history, keeping, snapshots
from wuzha.store import Connection, Database, durable
from wuzha.store.embedded import Server

from . import city
from .test_worker import fill, follow, reached, settings


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", "48m") as place:
        yield place


def test_a_snapshot_on_a_full_disk_leaves_the_one_before_and_no_crumb(disk: Path) -> None:
    folder = disk / "snapshots"
    old = snapshots.write(folder, snapshots.Snapshot(position=1, arrays={"a": np.arange(1000)}))
    filler = filled(disk, leave=1 << 20)
    big = snapshots.Snapshot(position=2, arrays={"a": np.arange(1 << 18)})
    with pytest.raises(OSError) as met:
        snapshots.write(folder, big)
    assert met.value.errno == errno.ENOSPC
    with pytest.raises(OSError, match="No space"):
        snapshots.begin(folder, 2, lambda: big).over(wait=True)
    assert [p.name for p in folder.iterdir()] == [old.name] and snapshots.read(old).position == 1
    filler.unlink()
    snapshots.write(folder, big)
    found, passed = snapshots.newest(folder, not_after=9)
    assert found is not None and found.position == 2 and not passed


def test_small_notes_on_a_full_disk_stay_as_they_were(disk: Path) -> None:
    notes = aside.Aside(disk)
    notes.failed(1, 3, ValueError("first"))
    filler = filled(disk)
    with pytest.raises(OSError, match="No space"):
        notes.failed(2, 2, ValueError("second"))
    assert aside.Aside(disk).careful(2) and not list(disk.glob(".*.tmp"))
    with pytest.raises(OSError, match="No space"):
        durable.write(disk / "other", b"x" * 5000)
    filler.unlink()
    for _ in range(aside.TRIES):
        notes.failed(2, 2, ValueError("second"))
    assert aside.count(disk) == 1


def test_results_go_on_while_nothing_can_be_sealed_or_saved_and_all_is_made_up_for(
    db: Database, engine: Connection, disk: Path
) -> None:
    sent = list(city.batches(city.tables()))
    given = settings(disk, snapshot_events=1, seal_rows=2000, seal_s=0.001)
    first = fill(db, sent[:150])
    follow(db, given, first)
    keeping.keep(engine, given, clock.now(), expire=True)
    sealed, saved = history.sealed(given.history), snapshots.listing(given.snapshots)[0]
    assert sealed.position == first and int(saved.stem) == first
    filler = filled(disk)
    last = fill(db, sent[150:400])
    follow(db, given, last)
    keeping.keep(engine, given, clock.now(), expire=True)
    assert reached(engine) == last, "results need no room in the data folder"
    assert history.sealed(given.history) == sealed and snapshots.listing(given.snapshots)[0] == saved
    assert aside.count(disk) == 0 and outcome.history_wrong(engine, given.history) == 0
    filler.unlink()
    last = fill(db, sent[400:420])
    follow(db, given, last)
    keeping.keep(engine, given, clock.now(), expire=True)
    assert history.sealed(given.history).position == last and int(snapshots.listing(given.snapshots)[0].stem) == last
    assert outcome.history_wrong(engine, given.history) == 0
    assert not list(given.history.rglob(".*"))


@pytest.mark.soak
def test_a_server_on_a_full_disk_refuses_keeps_what_it_has_and_recovers_by_itself(
    enterable_tmp: Path, make_db: Callable[[], Database], tmp_path: Path
) -> None:
    sent = list(city.batches(city.tables(people=300, days=2, scam_rate=0.1), minutes=240))
    told = {
        "WUZHA_FREE_SPACE": "0", "WUZHA_SNAPSHOT_S": "1", "WUZHA_SEAL_ROWS": "2000", "WUZHA_LEASE_S": "2",
        "WUZHA_LOG_LEVEL": "error",
    }  # fmt: skip
    with small_disk(enterable_tmp / "disk", "1g") as disk:
        served = Served.role(disk / "home", "holder", environment=told)
        served.log = tmp_path / "said.log"
        with ended(served):
            served.start()
            served.ready()
            db = served.database()
            made, place, tally = registered(db, {s.source for s in sent}), served.url.removeprefix("http://"), Tally()
            filler = disk / "filler"

            def send() -> None:
                for s in sent[20:]:
                    post(place, made[s.source], s, tally)

            for s in sent[:20]:
                post(place, made[s.source], s)
            filled(disk)
            sender = Thread(target=send, daemon=True)
            sender.start()
            end = time.monotonic() + 120
            while not tally.refused.get(507) and time.monotonic() < end:
                filled(disk)  # also what was reserved and given back
                time.sleep(0.2)
            assert tally.refused.get(507), (tally, served.said)
            time.sleep(3)
            filler.unlink()
            sender.join(300)
            assert not sender.is_alive(), served.said
            caught_up(db, 120)
            assert served.stop() < 30
        whole = make_db()
        follow(whole, settings(tmp_path / "whole"), fill(whole, sent))
        with Server(disk / "home" / "postgres") as server, server.database().connect("engine") as shaken:
            with whole.connect("engine") as calm:
                assert outcome.events(shaken) == outcome.events(calm)
                expected = outcome.outcome(calm)
                assert expected["alerts"] and outcome.differ(expected, outcome.outcome(shaken)) == {}
            assert outcome.history_wrong(shaken, disk / "home" / "history") == 0
        assert aside.count(disk / "home") == 0
