"""Shadows and backtests beside the live stream: they see what is live, add nothing to it, and name nobody."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from tests.desks import Centre, centre

from wuzha.bench.outcome import outcome
from wuzha.command import rules
from wuzha.command.public import Actor
from wuzha.detect import drafts
from wuzha.detect.backtest import backtest
from wuzha.events import clock
from wuzha.live import history, keeping, rulebooks, trials
from wuzha.live.past import Past
from wuzha.live.settings import Settings
from wuzha.store import Connection, Database

from .test_rulebooks import draft, given, running, send, text, warnings


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    return centre(db, engine, web)


@pytest.fixture
def ana(house: Centre) -> Actor:
    return house.officer("ana", "安娜", "analyst")


def settings(home: Path) -> Settings:
    return Settings(home=home, seal_rows=1, seal_s=1e-6, log_keep_s=0)


def shadowed(engine: Connection) -> list[tuple[str, int]]:
    """(person, version) of what shadows gave, in the order of time."""
    return engine.execute(
        "SELECT s.value, r.version FROM wuzha.rule_shadows r JOIN wuzha.subjects s USING (subject_id) ORDER BY r.at"
    ).fetchall()


def test_a_shadow_sees_what_is_live_and_leaves_it_as_it_is(make_db: Callable[[], Database], tmp_path: Path) -> None:
    seen = []
    for i, on in enumerate((False, True)):
        db = make_db()
        (tmp_path / str(i)).mkdir()
        with db.connect("engine") as engine, db.connect("web") as web:
            house = centre(db, engine, web)
            writer = house.officer("ana", "安娜", "analyst")
            rule, version = draft(house, writer, text())
            if on:
                with house.scope(writer) as conn:
                    rules.shadow(conn, writer, rule, version)
            follower = trials.Follower(settings(tmp_path / str(i)))
            with running(db, tmp_path / str(i)) as until:
                until(send(db, *(warnings(n, 1) for n in range(4))))
                while follower.follow(engine):
                    pass
                until(send(db, *(warnings(n, 1) for n in range(4, 6))))
                while follower.follow(engine):
                    pass
            assert not given(engine)
            assert [who[-1] for who, _ in shadowed(engine)] == (["0", "1", "2", "3", "4", "5"] if on else [])
            seen.append(outcome(engine))
    assert seen[0] == seen[1]


def test_a_shadow_begins_from_the_newest_snapshot_and_says_where(
    db: Database, engine: Connection, house: Centre, ana: Actor, tmp_path: Path
) -> None:
    with running(db, tmp_path) as until:
        until(send(db, *(warnings(n, 1, line="+8613800000001") for n in range(3))))
    rule, version = draft(house, ana, text().replace("warnings_7d >= 1", "warnings_7d >= 4"))
    with house.scope(ana) as conn:
        rules.shadow(conn, ana, rule, version)
    send(db, warnings(3, 1, line="+8613800000001"))
    follower = trials.Follower(settings(tmp_path))
    while follower.follow(engine):
        pass
    assert [v for _, v in shadowed(engine)] == [1], "it knows what came before it began"
    assert engine.execute("SELECT began_at, position FROM wuzha.rule_follower").fetchall() == [(3, 4)]
    with house.scope(ana) as conn:
        rules.shadow(conn, ana, rule, version, on=False)
    send(db, warnings(4, 1, line="+8613800000001"))
    assert follower.follow(engine) == 0 and len(shadowed(engine)) == 1


def test_the_past_is_the_same_sealed_or_not(db: Database, engine: Connection, house: Centre, tmp_path: Path) -> None:
    with running(db, tmp_path) as until:
        until(send(db, *(warnings(n, 2) for n in range(0, 8, 2))))
    before = rulebooks.Books(engine).at(10**9)
    after = drafts.laid(before, [drafts.read(text(), before)])
    given_ = settings(tmp_path)

    def tried() -> dict[str, object]:
        past = Past(given_.history, engine)
        return backtest(past.blocks(), before, after, "told", past.truth)

    whole = tried()
    assert whole["firings"] == 8 and whole["events"] == 8
    keeping.keep(engine, given_, clock.now(), expire=False)
    assert history.sealed(given_.history).position > 0
    send(db, warnings(8, 1))
    later = tried()
    assert later["firings"] == 9 and later["events"] == 9
    assert [one["subject"] for one in later["on_whom"]][:8] == [one["subject"] for one in whole["on_whom"]]


def test_a_backtest_keeps_no_identifier_and_one_that_fails_says_where(
    db: Database, engine: Connection, house: Centre, ana: Actor, tmp_path: Path
) -> None:
    send(db, *(warnings(n, 1) for n in range(3)))
    for body in (text(), text().replace("warnings_7d", "no_such")):
        with house.scope(ana) as conn:
            conn.execute(
                "INSERT INTO wuzha.rule_backtests (body, days, asked_by, asked_at) VALUES (%s, 7, %s, now())",
                [body, ana.user_id],
            )
    assert trials.run_waiting(engine, settings(tmp_path)) and trials.run_waiting(engine, settings(tmp_path))
    done, failed = engine.execute("SELECT state, result, result::text FROM wuzha.rule_backtests ORDER BY 1").fetchall()
    assert done[0] == "done" and done[1]["firings"] == 3 and "+86138" not in done[2]
    assert failed[0] == "failed" and (failed[1]["line"], failed[1]["column"]) == (4, 9)
    engine.execute("UPDATE wuzha.rule_backtests SET state = 'running'")
    trials.forget(engine, clock.now() - timedelta(days=1))
    assert engine.execute("SELECT DISTINCT state FROM wuzha.rule_backtests").fetchall() == [("waiting",)]
    trials.forget(engine, clock.now() + timedelta(days=1))
    assert engine.execute("SELECT count(*) FROM wuzha.rule_backtests").fetchone() == (0,)
