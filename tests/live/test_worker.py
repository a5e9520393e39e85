"""The worker: what it commits is a pure function of the log, whenever it stops, whoever takes over."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import psycopg
import pytest
from tests.refusing import refusing

from wuzha import detect, text
from wuzha.bench.outcome import outcome
from wuzha.detect.files import Collected
from wuzha.live import aside, snapshots, worker
from wuzha.live.late import Watermarks
from wuzha.live.lease import LeaseLost
from wuzha.live.settings import Settings
from wuzha.live.subjects import first_unit
from wuzha.live.worker import Worker, block_of
from wuzha.store import Connection, Database
from wuzha.store import log as store_log

from . import city


def fill(db: Database, sent: list[city.Sent]) -> int:
    """Append ``sent`` to the log as the doors would; returns the last position."""
    with db.connect("web") as conn:
        first_unit(conn, "反诈中心")
        batches = [store_log.Batch(table=s.table, rows=s.rows, source=s.source, basis="holder_own") for s in sent]
        store_log.append(conn, batches)
        return store_log.head(conn)


@cache
def small_city() -> tuple[city.Sent, ...]:
    return tuple(city.batches(city.tables()))


def settings(home: Path, **changes: Any) -> Settings:
    return Settings(home=home, **{"role": "holder", "snapshot_s": 3600, "lease_s": 2.0, **changes})


@cache
def compiled() -> None:
    """Kernels are compiled before anything is waited for: on a busy machine that takes longer than the wait."""
    first = next(s for s in small_city() if s.table == "calls")
    detect.Engine().feed(block_of("calls", first.rows.slice(0, 1), 1, np.zeros(1, bool)))


def follow(db: Database, given: Settings, until: int) -> None:
    """Run a worker in this process until its results reach ``until``."""
    compiled()
    worker = Worker(lambda: db.connect("engine"), given)
    failed: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except BaseException as error:
            failed.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    with db.connect("engine") as conn:
        end = time.monotonic() + 120
        while not failed and time.monotonic() < end:
            if (reached(conn) or 0) >= until:
                break
            time.sleep(0.02)
    worker.stop_asked.set()
    thread.join(30)
    if failed:
        raise failed[0]


def reached(conn: Connection) -> int | None:
    row = conn.execute("SELECT min(position) FROM wuzha.partitions").fetchone()
    return None if row is None else row[0]


@pytest.fixture(scope="module")
def undisturbed(module_db: Database, tmp_path_factory: pytest.TempPathFactory) -> Database:
    """What one worker made of the small city without a stop."""
    follow(module_db, settings(tmp_path_factory.mktemp("whole")), fill(module_db, list(small_city())))
    return module_db


def test_live_results_equal_the_engine_on_the_same_rows_in_the_same_order(undisturbed: Database) -> None:
    sent = small_city()
    # the engine by itself, on the rows that are not too late to count
    alone, marks, found = detect.Engine(), Watermarks(), Collected(detect.shipped())
    for position, s in enumerate(sent, start=1):
        late = marks.late(s.table, s.source, s.rows)
        rows = text.annotate(s.rows) if s.table == "messages" else s.rows
        found.add(alone.feed(block_of(s.table, rows, position, late)))
    alerts, suspects = found.alerts, found.suspects
    evidence = {(*at, e.rule, e.version, e.at) for at in alerts for e in found.evidence.get(at, [])}
    assert alerts and evidence, "a city without alerts proves nothing"
    with undisturbed.connect("engine") as engine:
        got = outcome(engine)
        cited = engine.execute("SELECT count(*) FROM wuzha.evidence_events").fetchone()
        vault = engine.execute(
            "SELECT count(*) FROM wuzha.evidence_events WHERE event ?| %s", [["payer_name", "victim_name"]]
        ).fetchone()
    assert cited is not None and cited[0] >= len(evidence) and vault == (0,)
    figures = (
        "raised_at",
        "high_at",
        "last_evidence_at",
        "level",
        "scam_type",
        "stage",
        "score",
        "typology",
        "amount_fen",
    )
    assert {r[:11] for r in got["alerts"] if not r[12]} == {
        (a.person, a.episode, *(getattr(a, f) for f in figures)) for a in alerts.values()
    }
    assert {r[:5] for r in got["evidence"] if r[9] is None} == evidence
    assert {(f"{r[0]}:{r[1]}", r[2], r[3]) for r in got["suspects"]} == {
        (x.subject, x.typology, x.score) for x in suspects.values()
    }
    named, registered = {r[0] for r in got["persons"]}, set(city.tables()["persons"]["person"].to_pylist())
    assert registered <= named
    assert named - registered <= {person for person, _ in alerts}, "else only whom a warning names"
    assert len(got["relations"]) == city.tables()["relations"].num_rows


@pytest.mark.parametrize("stops", [(40, 41, 300), (7, 500)])
def test_stopping_anywhere_and_going_on_gives_the_same(
    undisturbed: Database, db: Database, tmp_path: Path, stops: tuple[int, ...]
) -> None:
    sent = list(small_city())
    begin = 0
    for i, stop in enumerate([*stops, len(sent)]):
        at = fill(db, sent[begin:stop])
        begin = stop
        # Without a snapshot, with one, and with one of which the newest is torn.
        follow(db, settings(tmp_path / "cut", snapshot_events=10**9), at)
        files = snapshots.listing(tmp_path / "cut" / "snapshots")
        if i == 1 and files:
            files[0].write_bytes(files[0].read_bytes()[:-1])
    with undisturbed.connect("engine") as one, db.connect("engine") as other:
        expected, got = outcome(one), outcome(other)
        for name in expected:
            assert got[name] == expected[name], name


def test_a_log_trimmed_below_the_last_whole_snapshot_is_said_plainly(
    db: Database, engine: Connection, tmp_path: Path
) -> None:
    follow(db, settings(tmp_path), fill(db, list(small_city())[:30]))
    for path in snapshots.listing(tmp_path / "snapshots"):
        path.unlink()
    engine.execute("DELETE FROM wuzha.log")
    with pytest.raises(RuntimeError, match="trimmed"):
        follow(db, settings(tmp_path), 31)


def test_a_frozen_worker_that_wakes_commits_nothing(
    db: Database, engine: Connection, tmp_path: Path, enterable_tmp: Path
) -> None:
    sent = list(small_city())
    first = fill(db, sent[:200])
    program = (
        "import sys, json\n"
        "from pathlib import Path\n"
        "import psycopg\n"
        "from wuzha.live.settings import Settings\n"
        "from wuzha.live.worker import Worker\n"
        "from wuzha.live.lease import LeaseLost\n"
        "conninfo, home = sys.argv[1:]\n"
        "worker = Worker(lambda: psycopg.connect(conninfo, autocommit=True), Settings(home=Path(home), role='holder',"
        " lease_s=1.0, snapshot_s=3600))\n"
        "try:\n    worker.run()\n"
        "except LeaseLost:\n    sys.exit(75)\n"
    )
    frozen = subprocess.Popen([sys.executable, "-c", program, db.conninfo("engine"), str(tmp_path / "frozen")])
    try:
        wait(lambda: (reached(engine) or 0) >= first)
        os.kill(frozen.pid, signal.SIGSTOP)
        engine.execute("UPDATE wuzha.partitions SET leased_by = 'another-host|b|1|1'")  # its death cannot be seen
        last = fill(db, sent[200:])
        time.sleep(1.2)
        follow(db, settings(tmp_path / "mine"), last)
        expected = outcome(engine)
        epoch = engine.execute("SELECT epoch FROM wuzha.partitions").fetchone()
        os.kill(frozen.pid, signal.SIGCONT)
        assert frozen.wait(30) == 75, "it learns that it was replaced"
    finally:
        frozen.kill()
    assert outcome(engine) == expected and engine.execute("SELECT epoch FROM wuzha.partitions").fetchone() == epoch


def wait(check: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.05)


def test_a_second_worker_waits_for_the_lease(db: Database, tmp_path: Path) -> None:
    fill(db, list(small_city())[:3])
    compiled()
    with db.connect("engine") as conn:
        conn.execute(
            "INSERT INTO wuzha.partitions (partition, leased_by, leased_until) VALUES (0, 'x|b|1|1', now() + '1 h')"
        )
    worker = Worker(lambda: db.connect("engine"), settings(tmp_path))
    thread = threading.Thread(target=worker.run)
    thread.start()
    time.sleep(0.5)
    with db.connect("engine") as conn:
        assert reached(conn) == 0
    worker.stop_asked.set()
    thread.join(60)
    assert not thread.is_alive()


def test_a_worker_whose_epoch_is_over_stops_by_itself(db: Database, engine: Connection, tmp_path: Path) -> None:
    fill(db, list(small_city())[:3])
    worker = Worker(lambda: db.connect("engine"), settings(tmp_path, lease_s=0.3))
    lost: list[BaseException] = []

    def run() -> None:
        try:
            worker.run()
        except LeaseLost as error:
            lost.append(error)

    thread = threading.Thread(target=run)
    thread.start()
    wait(lambda: (reached(engine) or 0) >= 3)
    engine.execute("UPDATE wuzha.partitions SET epoch = epoch + 1")
    thread.join(60)
    assert lost


def test_a_batch_that_cannot_be_worked_on_is_set_aside_and_the_line_goes_on(
    db: Database, engine: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = list(small_city()[:8])
    until, given = fill(db, sent), settings(tmp_path)
    feed = Worker._feed

    def poisoned(self: Worker, at_work: Any, marks: Any, batch: Any) -> Any:
        if batch.position == 5:
            raise ValueError("a row that nobody thought of")
        return feed(self, at_work, marks, batch)

    monkeypatch.setattr(Worker, "_feed", poisoned)
    for _ in range(aside.TRIES):
        with pytest.raises(ValueError, match="nobody thought of"):
            follow(db, given, until)
    assert reached(engine) == 4 and aside.count(tmp_path) == 1
    assert aside.Aside(tmp_path).trace(5)[-1].startswith("test_worker.py:") and not aside.Aside(tmp_path).trace(4)
    follow(db, given, until)
    monkeypatch.undo()
    assert reached(engine) == until
    said = engine.execute("SELECT table_name, source, message FROM wuzha.rejects WHERE reason = 'set_aside'").fetchall()
    assert said == [(sent[4].table, sent[4].source, "ValueError: a row that nobody thought of")]
    # A restart that replays decides the same.
    for path in given.snapshots.glob("*"):
        path.unlink()
    follow(db, given, until)
    assert engine.execute("SELECT count(*) FROM wuzha.rejects").fetchone() == (1,)


def test_a_database_without_room_is_no_fault_of_the_batches(
    db: Database, engine: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = list(small_city()[:8])
    until, given = fill(db, sent), settings(tmp_path)
    monkeypatch.setattr(worker, "_TRIES", 2)
    for _ in range(aside.TRIES + 1):
        with refusing(db, "wuzha.persons", "disk_full"), pytest.raises(psycopg.errors.DiskFull):
            follow(db, given, until)
    assert not reached(engine) and aside.count(tmp_path) == 0
    follow(db, given, until)
    assert reached(engine) == until


def test_a_snapshot_without_room_is_put_off_and_the_line_goes_on(
    db: Database, engine: Connection, tmp_path: Path
) -> None:
    given = settings(tmp_path, snapshot_events=1)
    given.snapshots.touch()  # no folder, so nothing can be written there
    sent = small_city()
    follow(db, given, fill(db, list(sent[:4])))
    follow(db, given, fill(db, list(sent[4:8])))
    assert reached(engine) == 8
    given.snapshots.unlink()
    until = fill(db, list(sent[8:12]))
    follow(db, given, until)
    assert engine.execute("SELECT snapshot_position FROM wuzha.partitions").fetchone() == (until,)
