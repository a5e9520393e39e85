"""The log: positions in commit order without gaps, each event once, whoever appends."""

from __future__ import annotations

import itertools
import multiprocessing
import random
import threading
import time
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.store.rows import BASE, append_all, batch, calls

from wuzha.events import TABLES
from wuzha.store import Connection, Database, fingerprint_kernels, fingerprints, log

_numbers = itertools.count()


def _ids(conn: Connection) -> list[str]:
    return [i for b in log.read(conn, 0, limit_rows=10**9) for i in b.rows.column("event_id").to_pylist()]


def test_what_is_appended_is_read_in_order(web: Connection, engine: Connection) -> None:
    first, second = log.append(web, [batch(["a", "b"]), batch(["c"])])
    assert (first.position, first.accepted, second.position) == (1, 2, 2)
    got = list(log.read(engine, 0))
    assert [b.position for b in got] == [1, 2]
    assert got[0].rows.equals(calls(["a", "b"]))
    assert got[0].rows.schema.names == TABLES["calls"].schema.names
    assert (got[0].min_ts, got[0].basis, got[0].source) == (BASE, "holder_own", "carrier-a")
    assert [b.position for b in log.read(engine, 1)] == [2]
    assert [b.position for b in log.read(engine, 0, limit_rows=1)] == [1]
    assert [b.position for b in log.read(engine, 0, until=1)] == [1]
    assert [b.position for b in log.at(engine, [2, 99])] == [2]
    assert log.head(web) == 2


def test_batches_of_earlier_versions_are_read(web: Connection, engine: Connection, superuser: Connection) -> None:
    log.append(web, batch([f"c{i}" for i in range(20)]))
    (stands,) = log.read(engine, 0)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, stands.rows.schema, options=pa.ipc.IpcWriteOptions(compression="zstd")) as writer:
        writer.write_table(stands.rows)
    superuser.execute("UPDATE wuzha.log SET payload = %s", [sink.getvalue().to_pybytes()])
    (again,) = log.read(engine, 0)
    assert again.rows.equals(stands.rows)


def test_an_event_counts_once(web: Connection) -> None:
    log.append(web, batch(["a", "b"]))
    (again,) = log.append(web, batch(["b", "c", "c"], seconds=[1, 5, 5]))
    assert (again.accepted, again.duplicates, again.rejects) == (1, [0, 2], [])
    (nothing,) = log.append(web, batch(["a", "b"]))
    assert (nothing.position, nothing.accepted, nothing.duplicates) == (None, 0, [0, 1])
    assert log.head(web) == 2


def test_the_same_id_with_another_time_is_a_reject(web: Connection) -> None:
    log.append(web, batch(["a"]))
    (later,) = log.append(web, batch(["a", "b"], seconds=[7, 8]))
    assert later.accepted == 1 and later.duplicates == []
    reject = later.rejects[0]
    assert (reject.row, reject.column, reject.reason) == (0, "ts", "ts_differs")
    assert reject.value == "2026-03-02T08:00:07+00:00"
    (within,) = log.append(web, batch(["x", "x", "x"], seconds=[1, 2, 1]))
    assert (within.accepted, within.duplicates, [r.row for r in within.rejects]) == (1, [2], [1])


def test_the_same_id_from_another_source_is_another_event(web: Connection) -> None:
    results = log.append(web, [batch(["a"]), batch(["a"], source="carrier-b")])
    assert [r.accepted for r in results] == [1, 1]


def test_duplicates_are_found_between_the_batches_of_one_call(web: Connection) -> None:
    results = log.append(web, [batch(["a", "b"]), batch(["b", "c"], seconds=[1, 2])])
    assert [(r.accepted, r.duplicates) for r in results] == [(2, []), (1, [0])]


def test_a_rolled_back_append_leaves_no_trace(web: Connection, engine: Connection) -> None:
    log.append(web, batch(["a"]))
    with pytest.raises(ZeroDivisionError), web.transaction():
        log.append(web, batch(["b"]))
        (own,) = log.append(web, batch(["b"]))
        assert own.duplicates == [0], "a transaction knows its own rows"
        raise ZeroDivisionError
    assert log.head(web) == 1
    (again,) = log.append(web, batch(["b"]))
    assert (again.position, again.accepted) == (2, 1)
    assert _ids(engine) == ["a", "b"]


def test_a_savepoint_taken_back_leaves_no_trace(web: Connection, engine: Connection) -> None:
    with web.transaction():
        log.append(web, batch(["a"]))
        with pytest.raises(ZeroDivisionError), web.transaction():
            log.append(web, batch(["b"]))
            raise ZeroDivisionError
        (again,) = log.append(web, batch(["a", "b"]))
        assert again.duplicates == [0] and again.accepted == 1
    assert _ids(engine) == ["a", "b"]


def test_a_reader_never_skips_a_batch_that_commits_late(db: Database) -> None:
    """One appender holds its transaction open; another waits for it instead of overtaking."""
    with db.connect("web") as slow, db.connect("web") as fast, db.connect("engine") as reader:
        taken = threading.Event()

        def second() -> None:
            assert taken.wait(60)
            log.append(fast, batch(["fast"], source="fast"))

        other = threading.Thread(target=second)
        other.start()
        with slow.transaction():
            log.append(slow, batch(["slow"], source="slow"))
            taken.set()
            time.sleep(0.3)
            assert other.is_alive(), "positions are given in commit order, so the second appender waits"
            assert list(log.read(reader, 0)) == []
        other.join(60)
        assert [(b.position, b.source) for b in log.read(reader, 0)] == [(1, "slow"), (2, "fast")]


def test_read_by_another_role_is_refused(web: Connection, member: Connection) -> None:
    log.append(web, batch(["a"]))
    for conn in (web, member):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            list(log.read(conn, 0))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"source": "other"}, "another source"),
        ({"basis": "none"}, "unknown basis"),
        ({"table": "messages"}, "columns of messages"),
        ({"rows": calls(["a"]).drop_columns(["callee"])}, "columns of calls"),
    ],
)
def test_unchecked_batches_are_refused_whole(web: Connection, change: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        log.append(web, [batch(["ok"]), replace(batch(["a"]), **change)])
    assert log.head(web) == 0


def test_trimmed_rows_are_still_known(db: Database) -> None:
    with db.connect("web") as web, db.connect("engine") as engine:
        log.append(web, batch(["a", "b"], seconds=[0, 86400 * 3]))
        log.append(web, batch(["c"], source="carrier-b"))
        assert log.trim(engine, 1) == 1
        assert [b.position for b in log.read(engine, 0)] == [2]
        for forget in (False, True):
            if forget:
                fingerprints._of.clear()  # as a new process would begin
            (again,) = log.append(web, batch(["a", "b", "a"], seconds=[0, 86400 * 3, 5]))
            assert again.accepted == 0 and again.duplicates == [0, 1]
            assert [r.reason for r in again.rejects] == ["ts_differs"], "the same day's segment knows another time"
        assert log.trim(engine, 99) == 1
        (other,) = log.append(web, batch(["c"], source="carrier-b"))
        assert other.duplicates == [0]
        assert log.append(web, batch(["d"]))[0].position == 3


def test_memory_is_folded_and_nothing_forgotten(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MEMORY_ROWS", 50)
    monkeypatch.setattr(fingerprints, "_RUN_ROWS", 70)
    ids = [f"e{i}" for i in range(600)]
    seconds = [float(i * 997 % (86400 * 3)) for i in range(600)]
    with db.connect("web") as web, db.connect("super") as su:
        for at in range(0, 600, 20):
            (new,) = log.append(web, batch(ids[at : at + 20], seconds=seconds[at : at + 20]))
            assert new.accepted == 20
            (again,) = log.append(web, batch(ids[: at + 20], seconds=seconds[: at + 20]))
            assert again.accepted == 0 and len(again.duplicates) == at + 20
        folded, runs, held = su.execute(
            "SELECT (SELECT folded FROM wuzha.log_head), count(*), sum(n) FROM wuzha.log_runs"
        ).fetchone()  # type: ignore[misc]
        assert folded > 0 and 3 <= runs <= 12 and held == 20 * folded


def test_appenders_go_on_while_fingerprints_are_folded(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that has read what it folds and is about to write does not hold anybody up; what came meanwhile is
    still known afterwards, and so is what it merged away."""
    monkeypatch.setattr(fingerprints, "_RUN_ROWS", 30)
    ids, seconds = [f"e{i}" for i in range(100)], [float(i) for i in range(100)]
    reading, go_on = threading.Event(), threading.Event()
    read = fingerprints._unfolded

    def slowly(*given: Any) -> Any:
        found = read(*given)
        reading.set()
        assert go_on.wait(60)
        return found

    with db.connect("web") as web, db.connect("engine") as engine, db.connect("super") as su:
        log.append(web, batch(ids[:40], seconds=seconds[:40]))
        assert log.fold(engine, rows=41) == 0 and log.fold(engine, rows=40) == 40
        log.append(web, batch(ids[40:80], seconds=seconds[40:80]))
        monkeypatch.setattr(fingerprints, "_unfolded", slowly)
        folder = threading.Thread(target=log.fold, args=(engine,), kwargs={"rows": 1})
        folder.start()
        assert reading.wait(60)
        with web.transaction():
            web.execute("SET LOCAL statement_timeout = '30s'")
            assert log.append(web, batch(ids[60:], seconds=seconds[60:]))[0].accepted == 20
        go_on.set()
        folder.join(60)
        assert su.execute("SELECT folded FROM wuzha.log_head").fetchone() == (2,)
        held = su.execute("SELECT n, first_ts IS NULL FROM wuzha.log_runs ORDER BY run").fetchall()
        assert sorted(held) == [(20, True), (30, False), (30, False)]
        for forget in (False, True):
            if forget:
                fingerprints._of.clear()
            (again,) = log.append(web, batch(ids, seconds=seconds))
            assert again.duplicates == list(range(100))


def test_fingerprints_of_old_days_are_dropped_when_their_time_is_over(db: Database) -> None:
    with db.connect("web") as web, db.connect("engine") as engine:
        log.append(web, batch(["old", "new"], seconds=[0, 86400 * 3]))
        log.trim(engine, 1)
        assert log.forget(engine, BASE.date()) == 0 and log.forget(engine, (BASE + timedelta(days=1)).date()) == 1
        fingerprints._of.clear()
        (again,) = log.append(web, batch(["old", "new"], seconds=[0, 86400 * 3]))
        assert again.accepted == 1 and again.duplicates == [1]


@given(st.data())
def test_a_sorted_run_is_searched_as_a_plain_set_is(data: st.DataObject) -> None:
    some = st.integers(1, 2**64 - 1) | st.integers(1, 50) | st.integers(2**64 - 50, 2**64 - 1)
    pairs = data.draw(st.lists(st.tuples(some, st.integers(0, 3)), max_size=200))
    asked = data.draw(st.lists(st.tuples(some, st.integers(0, 3)), max_size=30)) + pairs[:20]
    held = np.array(sorted(pairs), fingerprints.PAIR) if pairs else np.empty(0, fingerprints.PAIR)
    keys = np.array([k for k, _ in asked], np.uint64)
    ts = np.array([t for _, t in asked], np.int64)
    out = np.zeros(len(asked), np.uint8)
    rkeys, rts = np.ascontiguousarray(held["key"]), np.ascontiguousarray(held["ts"])
    fingerprint_kernels.find_sorted(rkeys, rts, keys, ts, out)
    known = {k for k, _ in pairs}
    for pair, verdict in zip(asked, out.tolist(), strict=True):
        expected = fingerprints.DUPLICATE if pair in set(pairs) else fingerprints.DIFFERS if pair[0] in known else 0
        assert verdict == expected


def test_a_rolled_back_fold_is_forgotten(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "MEMORY_ROWS", 5)
    with db.connect("web") as web:
        log.append(web, batch([f"a{i}" for i in range(10)]))
        log.append(web, batch(["warm"]))
        with pytest.raises(ZeroDivisionError), web.transaction():
            log.append(web, batch([f"b{i}" for i in range(10)]))
            log.append(web, batch([f"c{i}" for i in range(10)]))
            raise ZeroDivisionError
        (again,) = log.append(web, batch([f"a{i}" for i in range(10)]))
        assert len(again.duplicates) == 10
        (lost,) = log.append(web, batch([f"b{i}" for i in range(10)]))
        assert lost.accepted == 10


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    stream=st.lists(
        st.lists(st.tuples(st.integers(0, 6), st.sampled_from([0.0, 1.0, 90000.0])), max_size=8), min_size=1, max_size=6
    ),
    chance=st.randoms(use_true_random=False),
)
def test_any_cut_keeps_the_same_events(
    stream: list[list[tuple[int, float]]], chance: random.Random, module_db: Database
) -> None:
    """The plain definition: the first time that an id comes with counts; then it is a duplicate or differs."""
    with module_db.connect("web") as web, module_db.connect("super") as su:
        source = f"s{next(_numbers)}"
        plain: dict[int, float] = {}
        expected, got = Counter[str](), Counter[str]()
        for rows in stream:
            for i, second in rows:
                if i not in plain:
                    plain[i] = second
                    expected["accepted"] += 1
                else:
                    expected["duplicates" if plain[i] == second else "rejects"] += 1
            cut = chance.randint(0, len(rows))
            parts = [p for p in (rows[:cut], rows[cut:]) if p]
            batches = [batch([str(i) for i, _ in p], source=source, seconds=[s for _, s in p]) for p in parts]
            for given_, result in zip(batches, log.append(web, batches), strict=True):
                assert given_.rows.num_rows == result.accepted + len(result.duplicates) + len(result.rejects)
                got["accepted"] += result.accepted
                got["duplicates"] += len(result.duplicates)
                got["rejects"] += len(result.rejects)
        assert got == expected
        positions = [r[0] for r in su.execute("SELECT position FROM wuzha.log ORDER BY position")]
        assert positions == list(range(1, len(positions) + 1))


def test_processes_that_append_the_same_events_count_each_once(db: Database) -> None:
    context = multiprocessing.get_context("spawn")
    out = context.Queue()
    n = 300
    processes = [context.Process(target=append_all, args=(db.conninfo("web"), s, n, out)) for s in range(3)]
    for process in processes:
        process.start()
    accepted = [out.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert sum(accepted) == n
    with db.connect("engine") as engine:
        ids = _ids(engine)
        assert Counter(ids) == Counter({f"e{i}": 1 for i in range(n)})
        positions = [b.position for b in log.read(engine, 0, limit_rows=10**9)]
        assert positions == list(range(1, len(positions) + 1))


@pytest.mark.parametrize("lasting", [False, True])
def test_what_memory_holds_does_not_hang_on_how_it_grew(lasting: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fingerprints, "_MANY", 5_000)
    monkeypatch.setattr(fingerprints, "MEMORY_ROWS", 20_000)
    numbers = np.random.default_rng(7)
    pairs = np.empty(12_000, fingerprints.PAIR)
    pairs["key"], pairs["ts"] = numbers.integers(1, 2**63, len(pairs)), numbers.integers(0, 5, len(pairs))
    known = fingerprints.Known(lasting=lasting)

    def judged(some: Any) -> set[int]:
        out = np.zeros(len(some), np.uint8)
        fingerprint_kernels.find(known.keys, known.ts, some["key"].copy(), some["ts"].copy(), out)
        return set(out.tolist())

    for turn in range(2):
        for at in range(0, 11_000, 700):
            known.add(pairs[at : at + 1_000])  # each overlaps the one before
        held = pairs[:11_500]
        assert known.rows == len(held) and 2 * known.rows <= len(known.keys)
        assert judged(held) == {fingerprints.DUPLICATE} and judged(pairs[11_500:]) == {fingerprints.NEW}
        later = held.copy()
        later["ts"] += 9
        assert judged(later) == {fingerprints.DIFFERS}
        room = len(known.keys)
        known.clear()
        assert known.rows == 0 and len(known.keys) == room and judged(pairs) == {fingerprints.NEW}, turn
