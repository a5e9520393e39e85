"""A feature that is declared while the stream runs: null, rebuilt from history and log, live; killed at any moment."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.desks import Centre, centre

from wuzha import detect
from wuzha.bench.outcome import outcome
from wuzha.command import features, rules
from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.live import history, keeping, rebuilding, rulebooks, share, snapshots
from wuzha.live.rebuilding import Rebuilder
from wuzha.live.settings import Settings
from wuzha.live.worker import block_of
from wuzha.store import Connection, Database

from .test_rulebooks import given, place, promoted, running, send, warnings
from .test_worker import wait

LINE = "+8613800000001"
FEATURE = """[warned_{days}d]
subject = "person"
op = "count"
of = "warning"
window = "{days}d"
unit = "count"
zh = "{days} 天内的预警"
en = "warnings in {days} days"
"""
RULE = """[told]
subject = "person"
stage = "approach"
when = "warned_40d >= 20"
zh = "{warned_40d} 条"
en = "{warned_40d}"
cooldown = "10min"
opens = true

[weights]
loan = 5
"""


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    return centre(db, engine, web)


@pytest.fixture
def ana(house: Centre) -> Actor:
    return house.officer("ana", "安娜", "analyst")


@pytest.fixture
def bai(house: Centre) -> Actor:
    return house.officer("bai", "白杨", "analyst")


def declare(house: Centre, ana: Actor, bai: Actor, days: int = 40) -> None:
    with house.scope(ana) as conn:
        name, version = features.save(conn, ana, FEATURE.format(days=days), why="a test")
    with house.scope(bai) as conn:
        features.promote(conn, bai, name, version)


def days(first: int, n: int) -> list[Any]:
    """A warning a day on the same line."""
    return [warnings(i, 1, line=LINE, hours=24) for i in range(first, first + n)]


def taken(engine: Connection, kind: str) -> int | None:
    row = engine.execute(
        "SELECT position FROM wuzha.rule_changes WHERE kind = %s ORDER BY change_id DESC LIMIT 1", [kind]
    ).fetchone()
    return None if row is None else row[0]


def counts(engine: Connection) -> list[float]:
    return [
        row[0]
        for row in engine.execute(
            "SELECT (args ->> 'warned_40d')::float8 FROM wuzha.evidence WHERE rule = 'told' ORDER BY at"
        )
    ]


def by_person(engine: Connection) -> dict[str, list[float]]:
    """What the rule's evidence counted, by person."""
    found: dict[str, list[float]] = {}
    for person, value in engine.execute(
        "SELECT s.value, (e.args ->> 'warned_40d')::float8 FROM wuzha.evidence e JOIN wuzha.alerts a USING (alert_id)"
        " JOIN wuzha.subjects s ON s.subject_id = a.person_id WHERE e.rule = 'told' ORDER BY e.at"
    ):
        found.setdefault(person, []).append(value)
    return found


def sealed(engine: Connection, home: Path) -> None:
    keeping.keep(engine, Settings(home=home, seal_rows=1, seal_s=1e-6), clock.now(), expire=False)


def test_a_feature_is_null_until_it_is_rebuilt_and_then_counts_all_that_history_holds(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    given_settings = Settings(home=tmp_path)
    with running(db, tmp_path) as until:
        until(send(db, *days(0, 20)))
        sealed(engine, tmp_path)
        assert history.sealed(tmp_path / "history").position == 20
        until(send(db, *days(20, 5)))
        declare(house, ana, bai)
        promoted(house, ana, bai, RULE)
        wait(lambda: taken(engine, "declared") is not None and place(engine, "promoted") is not None)
        assert taken(engine, "declared") == 25
        with house.scope(ana) as conn:
            told = features.progress(conn)
        assert [(f["name"], f["state"]) for f in told] == [("warned_40d", "queued")]
        until(send(db, *days(25, 3)))
        assert not given(engine), "a rule over it does not fire, though twenty-eight warnings came"
        until(0)
    # stopped in the middle: what was begun goes on
    with running(db, tmp_path) as until:
        until(send(db, *days(28, 2)))
        assert not given(engine)
        assert Rebuilder(given_settings).work(engine) and not Rebuilder(given_settings).work(engine)
        wait(lambda: taken(engine, "rebuilt") is not None)
        assert taken(engine, "rebuilt") == 30
        until(send(db, *days(30, 15)))
        assert counts(engine) == [31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 40, 40, 40, 40, 40]
        with house.scope(ana) as conn:
            assert [f["state"] for f in features.progress(conn)] == ["live"]
    stood = outcome(engine)
    # from nothing, with the rebuilt windows' file and without it: the same
    for lost in (False, True):
        for path in snapshots.listing(tmp_path / "snapshots"):
            path.unlink()
        if lost:
            for path in snapshots.listing(rebuilding.folder(given_settings)):
                path.unlink()
        end = send(db, *days(45 + lost, 1))
        with running(db, tmp_path) as until:
            until(end)
        now = outcome(engine)
        assert all(stood[name] <= now[name] for name in ("evidence", "warnings"))
        assert counts(engine) == [*range(31, 40), *[40] * (7 + lost)]
    # the engine by itself, that had it from the beginning
    book = rulebooks.Books(engine).at(10**9)
    alone = detect.Engine(book)
    for i in range(47):
        rows = warnings(i, 1, line=LINE, hours=24)
        alone.feed(block_of("warnings", rows, i + 1, np.zeros(1, bool)))
    assert (alone.figures(f"person:line:{LINE}") or {})["warned_40d"] == 40


def test_a_snapshot_of_the_same_place_has_the_windows_once(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    """The worker stops where it took the windows up; its last snapshot has them, the one before at that place not."""
    with running(db, tmp_path) as until:
        until(send(db, *days(0, 25)))
        declare(house, ana, bai)
        promoted(house, ana, bai, RULE)
        wait(lambda: taken(engine, "declared") is not None and place(engine, "promoted") is not None)
        until(send(db, *days(25, 1)))
    before = snapshots.listing(tmp_path / "snapshots")[0].read_bytes()
    assert Rebuilder(Settings(home=tmp_path)).work(engine)
    with running(db, tmp_path):
        wait(lambda: taken(engine, "rebuilt") is not None)
    (newest, *_) = snapshots.listing(tmp_path / "snapshots")
    assert int(newest.stem) == taken(engine, "rebuilt") == 26
    newest.write_bytes(before)
    with running(db, tmp_path) as until:
        until(send(db, *days(26, 1)))
    with running(db, tmp_path) as until:
        until(send(db, *days(27, 1)))
    assert counts(engine) == [27, 28]


def test_workers_of_two_partitions_take_the_windows_up_at_one_place(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    lines = [f"+861380000000{n}" for n in range(6)]

    def all_lines(first: int, n: int) -> list[Any]:
        """A warning a day on each line, a batch a day."""
        found = []
        for i in range(first, first + n):
            each = pa.concat_tables(warnings(i, 1, line=line, hours=24) for line in lines)
            ids = pa.array([f"{i}-{line}" for line in lines])
            found.append(each.set_column(each.column_names.index("event_id"), "event_id", ids))
        return found

    with running(db, tmp_path) as until:
        until(send(db, *all_lines(0, 10)))
    assert share.double(engine) == 2
    persons = {f"line:{line}" for line in lines}
    assert {share.Share(partition=1, parts=2).owns(p) for p in persons} == {True, False}, "some of each"
    with running(db, tmp_path, parts=2) as until:
        until(send(db, *all_lines(10, 12)))
        declare(house, ana, bai)
        promoted(house, ana, bai, RULE)
        wait(lambda: taken(engine, "declared") is not None and place(engine, "promoted") is not None)
        until(send(db, *all_lines(22, 2)))
        assert not by_person(engine), "null until it is rebuilt"
        assert Rebuilder(Settings(home=tmp_path)).work(engine)
        wait(lambda: taken(engine, "rebuilt") is not None)
        until(send(db, *all_lines(24, 3)))
    assert by_person(engine) == {p: [25.0, 26.0, 27.0] for p in persons}
    # each from the other's snapshots or its own, from before the place
    for path in (tmp_path / "partitions" / "1" / "snapshots").glob("*"):
        path.unlink()
    with running(db, tmp_path, parts=2) as until:
        until(send(db, *all_lines(27, 2)))
    assert by_person(engine) == {p: [25.0, 26.0, 27.0, 28.0, 29.0] for p in persons}


def test_a_rebuilding_that_fails_says_why_and_is_tried_again(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    with running(db, tmp_path) as until:
        until(send(db, *days(0, 25)))
        sealed(engine, tmp_path)
        declare(house, ana, bai)
        wait(lambda: taken(engine, "declared") is not None)
        (path, *_) = history.files(tmp_path / "history")
        whole = path.read_bytes()
        path.write_bytes(b"PAR1 torn")
        rebuilder = Rebuilder(Settings(home=tmp_path))
        assert not rebuilder.work(engine)
        with house.scope(ana) as conn:
            (told,) = features.progress(conn)
        assert told["state"] == "rebuilding" and "Parquet" in told["why"]
        path.write_bytes(whole)
        assert not rebuilder.work(engine), "not at once"
        assert Rebuilder(Settings(home=tmp_path)).work(engine)
        until(send(db, *days(25, 1)))
        wait(lambda: taken(engine, "rebuilt") is not None)
        assert taken(engine, "rebuilt") == 26, "once the log has gone on"


def test_one_after_the_other_and_what_is_taken_back_ends_it(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    with running(db, tmp_path) as until:
        until(send(db, *days(0, 25)))
        declare(house, ana, bai, 40)
        wait(lambda: taken(engine, "declared") is not None)
        declare(house, ana, bai, 60)
        until(send(db, *days(25, 1)))
        with house.scope(ana) as conn:
            states = {f["name"]: f["state"] for f in features.progress(conn)}
        assert states == {"warned_40d": "waiting", "warned_60d": "waiting"}
        assert taken(engine, "declared") is None
        with house.scope(bai) as conn:
            features.retire(conn, bai, "warned_40d", why="not wanted")
            features.retire(conn, bai, "warned_60d", why="not wanted")
        wait(lambda: taken(engine, "undeclared") is not None)
        assert not Rebuilder(Settings(home=tmp_path)).work(engine)
        with house.scope(bai) as conn:
            features.promote(conn, bai, "warned_60d", 1)
        until(send(db, *days(26, 1)))
        wait(lambda: taken(engine, "declared") is not None)
        assert Rebuilder(Settings(home=tmp_path)).work(engine)
        until(send(db, *days(27, 1)))
        wait(lambda: taken(engine, "rebuilt") is not None)
        with house.scope(ana) as conn:
            assert [(f["name"], f["state"]) for f in features.progress(conn)] == [("warned_60d", "live")]


def test_what_windows_reach_already_is_live_at_once(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    with running(db, tmp_path) as until:
        until(send(db, *days(0, 10)))
        declare(house, ana, bai, 3)
        wait(lambda: taken(engine, "declared") is not None)
        assert not Rebuilder(Settings(home=tmp_path)).work(engine)
        with house.scope(ana) as conn:
            assert [f["state"] for f in features.progress(conn)] == ["live"]


def test_a_feature_is_brought_in_by_a_second_person_and_out_where_nothing_reads_it(
    house: Centre, ana: Actor, bai: Actor
) -> None:
    with house.scope(ana) as conn:
        name, version = features.save(conn, ana, FEATURE.format(days=40), why="a test")
    with pytest.raises(Refused, match="rule_own"), house.scope(ana) as conn:
        features.promote(conn, ana, name, version)
    with pytest.raises(Refused, match="rule_wrong"), house.scope(ana) as conn:
        rules.save(conn, ana, RULE, why="over what is not there")
    with house.scope(bai) as conn:
        features.promote(conn, bai, name, version)
    promoted(house, ana, bai, RULE)
    with house.scope(bai) as conn:
        rules.retire(conn, bai, "told", why="x")
    with pytest.raises(Refused, match="feature_read"), house.scope(bai) as conn:
        features.retire(conn, bai, name, why="what it gave still weighs")
    declare(house, ana, bai, 60)
    with house.scope(bai) as conn:
        features.retire(conn, bai, "warned_60d", why="x")
    acts = house.engine.execute("SELECT action FROM wuzha.audit WHERE object = 'feature:warned_60d' ORDER BY audit_id")
    assert [a for (a,) in acts.fetchall()] == ["feature.write", "feature.promote", "feature.retire"]


def test_longer_windows_of_another_release_are_null_until_rebuilt(
    db: Database, engine: Connection, house: Centre, tmp_path: Path
) -> None:
    """The files in the package look seven days back where those of the release before looked back six."""
    with running(db, tmp_path) as until:
        until(send(db, *days(0, 5)))
    with db.connect("super") as owner:
        owner.execute(
            "UPDATE wuzha.rule_texts SET digest = 'older', files = jsonb_set(files, '{features.toml}',"
            " to_jsonb(replace(files ->> 'features.toml', 'window = \"7d\"', 'window = \"6d\"')))"
        )
    with running(db, tmp_path) as until:
        until(send(db, *days(5, 1)))
        wait(lambda: taken(engine, "shipped") is not None)
        book = rulebooks.Books(engine).at(10**9)
        assert "warnings_7d" in {f.name for f in book.kept}
        assert Rebuilder(Settings(home=tmp_path)).work(engine)
        until(send(db, *days(6, 1)))
        wait(lambda: taken(engine, "rebuilt") is not None)
    assert rulebooks.Books(engine).at(10**9).kept == ()
