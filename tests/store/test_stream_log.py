"""The log in a stream, on three nodes: it keeps what the log in the database keeps, with a node gone too."""

from __future__ import annotations

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pytest
from tests.loopback import Nodes, nodes

from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.store import Connection, Database, fingerprints, log, log_index
from wuzha.store.jetstream import LogUnsound, Place, Stream, unsound
from wuzha.store.stream_log import StreamLog

from .rows import BASE, batch

_names = (f"log-{n}" for n in range(10_000))


@pytest.fixture(scope="module")
def cluster(enterable_tmp: Path) -> Iterator[Nodes]:
    with nodes(enterable_tmp) as running:
        running.stream("first").close()  # the nodes have found each other
        yield running


@pytest.fixture
def place(cluster: Nodes, db: Database, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A fresh stream, where the log of ``db`` stands from now on."""
    url = f"{cluster.url}/{next(_names)}"
    monkeypatch.setenv("WUZHA_LOG", url)
    with db.connect("engine") as conn:
        log_index.settle(conn)
    yield url
    opened = log.stream_of(url)
    opened.stream.close()
    log.stream_of.cache_clear()


def another(place: str) -> StreamLog:
    """The log as another process has it."""
    return StreamLog(Stream(Place.read(place)))


def ids(conn: Connection, after: int = 0) -> list[tuple[int, list[str]]]:
    return [(b.position, b.rows.column("event_id").to_pylist()) for b in log.read(conn, after)]


def test_positions_follow_one_another_and_batches_come_back_as_they_went_in(place: str, engine: Connection) -> None:
    given = batch(["a", "b", "c"])
    said = log.commit(engine, [given, batch(["d"]), batch(["e", "f"])])
    assert [(s.position, s.accepted) for s in said] == [(1, 3), (2, 1), (3, 2)] and log.head(engine) == 3
    (first,) = log.at(engine, [1])
    assert first.rows.equals(given.rows) and (first.source, first.basis) == ("carrier-a", "holder_own")
    assert ids(engine, 1) == [(2, ["d"]), (3, ["e", "f"])]
    assert [b.position for b in log.read(engine, 0, limit_rows=3)] == [1]
    assert [b.position for b in log.read(engine, 0, until=2)] == [1, 2]


def test_an_event_stands_once_and_one_with_another_time_is_refused(place: str, engine: Connection) -> None:
    log.commit(engine, [batch(["a", "b"])])
    again, within = log.commit(engine, [batch(["b", "c"], seconds=[1, 2]), batch(["c", "c"], seconds=[2, 2])])
    assert (again.position, again.accepted, again.duplicates) == (2, 1, [0])
    assert (within.position, within.accepted, within.duplicates) == (None, 0, [0, 1])
    (other,) = log.commit(engine, [batch(["a"], seconds=[77])])
    assert other.accepted == 0 and [r.reason for r in other.rejects] == ["ts_differs"]
    assert log.head(engine) == 2


def test_several_that_append_at_once_agree_on_what_is_new(place: str, db: Database) -> None:
    n, accepted, failed = 400, [0, 0, 0], []

    def send(who: int) -> None:
        order = list(range(n))
        random.Random(who).shuffle(order)
        mine = another(place)
        try:
            with db.connect("web") as conn:
                for at in range(0, n, 40):
                    parts = [order[at : at + 20], order[at + 20 : at + 40]]
                    said = mine.append(
                        conn, [batch([f"e{i}" for i in p], seconds=[float(i) for i in p]) for p in parts]
                    )
                    for one in said:
                        assert one.accepted + len(one.duplicates) == 20 and not one.rejects
                        accepted[who] += one.accepted
        except BaseException as error:
            failed.append(error)
        finally:
            mine.stream.close()

    threads = [threading.Thread(target=send, args=(who,)) for who in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(60)
    assert not failed and sum(accepted) == n
    with db.connect("engine") as conn:
        there = [e for _, events in ids(conn) for e in events]
    assert len(there) == n and len(set(there)) == n


def test_an_answer_that_is_lost_is_found_in_the_stream(place: str, engine: Connection) -> None:
    mine = another(place)
    publish = mine.stream.publish
    lost = []

    def unheard(after: int, bodies: list[bytes]) -> bool:
        stands = publish(after, bodies)
        if not lost:
            lost.append(stands)
            return False  # it stands, and nobody was told
        return stands

    mine.stream.publish = unheard  # type: ignore[method-assign, assignment]
    said = mine.append(engine, [batch(["a", "b"]), batch(["b", "c"], seconds=[1, 2])])
    assert lost == [True]
    assert [(s.position, s.accepted, s.duplicates) for s in said] == [(1, 2, []), (2, 1, [0])]
    assert ids(engine) == [(1, ["a", "b"]), (2, ["c"])]
    mine.stream.close()


def test_a_batch_larger_than_a_message_is_cut(place: str, engine: Connection) -> None:
    rng = random.Random(5)
    n = 60_000
    rows = pa.table(
        {
            "source": pa.array(["carrier-a"] * n),
            "event_id": [f"{i}-{rng.getrandbits(64):x}" for i in range(n)],
            "ts": pa.array([BASE + timedelta(seconds=i) for i in range(n)], pa.timestamp("us", tz="UTC")),
            "caller": [f"+861{rng.getrandbits(33):010d}" for _ in range(n)],
            "callee": [f"+861{rng.getrandbits(33):010d}" for _ in range(n)],
        }
    )
    whole = log.Batch(table="calls", rows=conform(TABLES["calls"], rows), source="carrier-a", basis="holder_own")
    (said,) = log.commit(engine, [whole])
    assert said.accepted == n and said.position == log.head(engine) > 1
    assert [e for _, events in ids(engine) for e in events] == rows.column("event_id").to_pylist()
    (again,) = log.commit(engine, [whole])
    assert again.accepted == 0 and again.duplicates == list(range(n))


def test_a_duplicate_is_known_after_folding_and_trimming_and_by_a_new_process(place: str, engine: Connection) -> None:
    log.commit(engine, [batch([f"e{i}" for i in range(10)]), batch(["x"], seconds=[50])])
    elsewhere = log.stream()
    assert elsewhere is not None and log_index.follow(engine, elsewhere) == 2
    assert log.trim(engine, 1) == 1
    assert [p for p, _ in ids(engine)] == [2] and list(log.at(engine, [1])) == []
    for one in (elsewhere, another(place)):
        (said,) = one.append(engine, [batch(["e3", "x", f"new-{id(one)}"], seconds=[3, 50, 60])])
        assert (said.accepted, said.duplicates) == (1, [0, 1])


def test_what_is_over_goes_from_the_stream_and_leaves_a_hole(place: str, engine: Connection) -> None:
    ends = BASE + timedelta(days=1)
    given = [batch(["a"]), replace(batch(["b"]), basis_until=ends), batch(["c"])]
    log.commit(engine, given)
    elsewhere = log.stream()
    assert elsewhere is not None
    log_index.follow(engine, elsewhere)
    assert log.drop_over(engine, 3, ends - timedelta(seconds=1)) == 0
    assert log.drop_over(engine, 3, ends) == 1
    assert ids(engine) == [(1, ["a"]), (3, ["c"])]
    assert [b.position for b in log.at(engine, [1, 2, 3])] == [1, 3]
    (again,) = log.commit(engine, [batch(["b"])])
    assert again.duplicates == [0]


def test_what_a_desk_writes_goes_to_the_stream_only_when_its_own_rows_stand(place: str, db: Database) -> None:
    with db.connect("web") as web, db.connect("engine") as engine:
        with pytest.raises(RuntimeError, match="the desk"), web.transaction():
            log.append(web, batch(["undone"]))
            raise RuntimeError("the desk thought better of it")
        with web.transaction():
            (said,) = log.append(web, batch(["a", "b"]))
            assert (said.position, said.accepted) == (None, 2)
        elsewhere = log.stream()
        assert elsewhere is not None and log.head(engine) == 0
        assert log_index.carry(engine, elsewhere) == 1 and log_index.carry(engine, elsewhere) == 0
        assert ids(engine) == [(1, ["a", "b"])]


def test_a_row_too_large_for_a_message_is_refused_and_holds_nothing_up(place: str, db: Database) -> None:
    noise = "".join(random.Random(3).choices("abcdefghijklmnopqrstuvwxyz0123456789", k=2_500_000))
    large = pa.table(
        {
            "source": ["carrier-a"], "event_id": ["big"], "ts": pa.array([BASE], pa.timestamp("us", tz="UTC")),
            "sender": ["+8613800000001"], "recipient": ["+8613900000001"], "channel": ["sms"], "text": [noise],
        }
    )  # fmt: skip
    big = log.Batch(table="messages", rows=conform(TABLES["messages"], large), source="carrier-a", basis="holder_own")
    with db.connect("web") as web, db.connect("engine") as engine:
        elsewhere = log.stream()
        assert elsewhere is not None
        with pytest.raises(ValueError, match="larger than"):
            log.commit(web, [big])
        log.append(web, [big, batch(["a"])])
        assert log_index.carry(engine, elsewhere) == 2
        assert ids(engine) == [(1, ["a"])]
        said = engine.execute("SELECT reason, event_id FROM wuzha.rejects").fetchall()
        assert said == [("set_aside", "big")]


def test_the_index_follows_and_is_made_again_from_the_stream(place: str, engine: Connection, owner: Connection) -> None:
    log.commit(engine, [batch(["a", "b"]), batch(["c"])])
    elsewhere = log.stream()
    assert elsewhere is not None
    rows = "SELECT position, table_name, source, n, min_ts, basis, fingerprints FROM wuzha.log ORDER BY 1"
    log_index.follow(engine, elsewhere)
    before = engine.execute(rows).fetchall()
    assert len(before) == 2 and log.indexed(engine) == 2
    engine.execute("DELETE FROM wuzha.log")
    engine.execute("UPDATE wuzha.log_head SET position = 0")
    log_index.follow(engine, elsewhere)
    assert engine.execute(rows).fetchall() == before
    assert fingerprints.fold(engine, 2) == 3


def test_a_log_goes_on_only_where_it_stood(
    cluster: Nodes, place: str, db: Database, engine: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.commit(engine, [batch(["a"])])
    log_index.settle(engine)
    monkeypatch.setenv("WUZHA_LOG", f"{cluster.url}/{next(_names)}")
    with pytest.raises(LogUnsound, match="not in"):
        log_index.settle(engine)
    monkeypatch.delenv("WUZHA_LOG")
    with pytest.raises(LogUnsound, match="as before"):
        log_index.settle(engine)


def test_a_log_that_began_in_the_database_does_not_move_unnoticed(
    cluster: Nodes, engine: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.append(engine, batch(["a"]))
    monkeypatch.setenv("WUZHA_LOG", f"{cluster.url}/{next(_names)}")
    with pytest.raises(LogUnsound, match="in its database"):
        log_index.settle(engine)


def test_a_stream_under_which_something_could_be_lost_is_refused(cluster: Nodes) -> None:
    stream = cluster.stream(next(_names))
    assert unsound(stream.state()) == []
    stream.close()
    two = cluster.stream(next(_names), replicas=2)
    with pytest.raises(LogUnsound, match="2 replicas"):
        two.make()
    two.close()


@pytest.mark.parametrize("said", ["", "http://x:1", "nats://", "nats://h:1/a b"])
def test_an_address_that_is_none_is_told(said: str) -> None:
    with pytest.raises(ValueError, match="WUZHA_LOG"):
        Place.read(said)


def test_a_node_that_dies_takes_nothing_along(cluster: Nodes, place: str, db: Database) -> None:
    """The stream's leader is killed while batches come in; it comes back and is killed no more."""
    n, became = 120, []
    mine = another(place)

    def send() -> None:
        with db.connect("web") as conn:
            for i in range(n):
                (said,) = mine.append(conn, [batch([f"k{i}", f"l{i}"], seconds=[float(i), float(i) + 0.5])])
                became.append(said)

    thread = threading.Thread(target=send)
    thread.start()
    while len(became) < n // 3:
        assert thread.is_alive()
    dead = cluster.leader(Place.read(place).name)
    cluster.kill(dead)
    thread.join(90)
    cluster.start(dead)
    assert len(became) == n and all(s.accepted == 2 and not s.duplicates for s in became)
    with db.connect("engine") as conn:
        there = [e for _, events in ids(conn) for e in events]
    assert there == [e for i in range(n) for e in (f"k{i}", f"l{i}")]
    mine.stream.close()
