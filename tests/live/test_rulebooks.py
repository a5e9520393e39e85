"""Rules that change while the stream runs: from a place in the log on, in a replay as well, and told as they were."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from tests.desks import Centre, centre

from wuzha import detect
from wuzha.bench.outcome import outcome
from wuzha.command import rules
from wuzha.command.public import Actor, Refused
from wuzha.detect import drafts, reasons
from wuzha.live import rulebooks, snapshots
from wuzha.live.lease import LeaseLost
from wuzha.live.settings import Settings
from wuzha.live.worker import Worker, block_of
from wuzha.store import Connection, Database
from wuzha.store import log as store_log

from .rows import START, table
from .test_worker import compiled, reached, wait

TEXT = """[told]
subject = "person"
stage = "approach"
when = "warnings_7d >= 1"
zh = "7 天内有 {{warnings_7d}} 条{word}"
en = "{{warnings_7d}} {word} in 7 days"
cooldown = "10min"
opens = true
cap = {cap}

[weights]
loan = 5
"""


def text(word: str = "预警", cap: int = 0) -> str:
    return TEXT.format(word=word, cap=cap)


def warnings(first: int, n: int, *, line: str | None = None, hours: float = 1.0) -> pa.Table:
    """``n`` warnings, each on another line (or all on ``line``), ``hours`` apart."""
    return table(
        "warnings",
        [
            {
                "event_id": f"w{i}", "ts": START + timedelta(hours=hours * i), "level_upstream": "low",
                "victim_line": line or f"+86138{i:08d}", "scam_type": "loan",
            }
            for i in range(first, first + n)
        ],
    )  # fmt: skip


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    return centre(db, engine, web)


@pytest.fixture
def ana(house: Centre) -> Actor:
    return house.officer("ana", "安娜", "analyst")


@pytest.fixture
def bai(house: Centre) -> Actor:
    return house.officer("bai", "白杨", "analyst")


def send(db: Database, *tables: pa.Table) -> int:
    with db.connect("web") as conn:
        store_log.append(
            conn, [store_log.Batch(table="warnings", rows=t, source="carrier", basis="warning") for t in tables]
        )
        return store_log.head(conn)


@contextmanager
def running(db: Database, home: Path, *, parts: int = 1, **given: Any) -> Iterator[Callable[[int], None]]:
    """A worker a partition, that follow the log; yields what waits until the results of all reach a position."""
    compiled()
    settings = Settings(home=home, role="centre", snapshot_s=3600, lease_s=2.0, **given)
    workers = [Worker(lambda: db.connect("engine"), settings, partition=p) for p in range(parts)]
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
    for thread in threads:
        thread.start()
    with db.connect("engine") as conn:

        def until(position: int) -> None:
            wait(lambda: bool(failed) or (reached(conn) or 0) >= position)
            assert not failed

        try:
            yield until
        finally:
            for worker in workers:
                worker.stop_asked.set()
            for thread in threads:
                thread.join(30)
    assert not failed, failed


def place(engine: Connection, kind: str, rule: str = "told") -> int | None:
    """Where the newest such change of the rule was taken up."""
    row = engine.execute(
        "SELECT position FROM wuzha.rule_changes WHERE kind = %s AND rule = %s ORDER BY change_id DESC LIMIT 1",
        [kind, rule],
    ).fetchone()
    return None if row is None else row[0]


def given(engine: Connection, rule: str = "told") -> list[tuple[str, int, int, datetime]]:
    """(person, version, log position, time) of the rule's evidence that stands."""
    return engine.execute(
        "SELECT s.value, e.rule_version, e.log_position, e.at FROM wuzha.evidence e"
        " JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.subjects s ON s.subject_id = a.person_id"
        " WHERE e.rule = %s AND e.withdrawn_at IS NULL ORDER BY e.at, 1",
        [rule],
    ).fetchall()


def draft(house: Centre, actor: Actor, body: str) -> tuple[str, int]:
    with house.scope(actor) as conn:
        return rules.save(conn, actor, body, why="a test")


def promoted(house: Centre, writer: Actor, second: Actor, body: str) -> int:
    rule, version = draft(house, writer, body)
    with house.scope(second) as conn:
        rules.promote(conn, second, rule, version)
    return version


def test_a_change_holds_from_a_place_in_the_log_and_a_replay_judges_the_same(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    first = send(db, *(warnings(i, 1) for i in range(3)))
    with running(db, tmp_path) as until:
        until(first)
        promoted(house, ana, bai, text())
        wait(lambda: place(engine, "promoted") is not None)
        assert place(engine, "promoted") == first, "it is taken up where the worker stands, and nothing is judged anew"
        assert not given(engine)
        last = send(db, *(warnings(i, 1) for i in range(3, 6)))
        until(last)
        assert [(who[-1], version) for who, version, _, _ in given(engine)] == [("3", 1), ("4", 1), ("5", 1)]
    # the engine by itself: the shipped book up to that place, the changed one after it
    book = rulebooks.Books(engine).at(first)
    alone = detect.Engine()
    for i in range(6):
        if i == 3:
            alone.use(book)
        rows = warnings(i, 1)
        changes = alone.feed(block_of("warnings", rows, i + 1, late(rows)))
        assert ("told" in {e.rule for e in changes.evidence}) is (i >= 3)
    # replayed from nothing, and gone on from there, it stands as if it had never stopped
    stood = outcome(engine)
    for path in snapshots.listing(tmp_path / "snapshots"):
        path.unlink()
    end = send(db, warnings(6, 1))
    with running(db, tmp_path) as until:
        until(end)
    now = outcome(engine)
    assert all(stood[name] <= now[name] for name in stood)
    assert [who[-1] for who, _, _, _ in given(engine)] == ["3", "4", "5", "6"]


def late(rows: pa.Table) -> Any:
    import numpy as np

    return np.zeros(rows.num_rows, bool)


def test_an_alert_tells_the_version_that_raised_it(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    with running(db, tmp_path) as until:
        promoted(house, ana, bai, text("预警"))
        wait(lambda: place(engine, "promoted") is not None)
        until(send(db, warnings(0, 1, line="+8613800000001")))
        promoted(house, ana, bai, text("提示"))
        wait(lambda: place(engine, "promoted") == 1)
        until(send(db, warnings(1, 1, line="+8613800000001"), warnings(2, 1)))
    assert [v for _, v, _, _ in given(engine)] == [1, 2, 2]
    rulebooks.learn(engine)
    said = [reasons.reason("told", v, {"warnings_7d": 2.0}) for v in (1, 2)]
    assert said == ["7 天内有 2 条预警", "7 天内有 2 条提示"]


def test_evidence_of_a_version_that_is_over_is_told_as_that_version_whenever_it_is_told() -> None:
    base = detect.shipped()
    quiet = text().replace("opens = true\n", "").replace("loan = 5", "loan = 0.1")
    old = drafts.read(quiet, base, number=1024, version=1)
    new = drafts.read(quiet.replace(">= 1", ">= 100"), base, number=1025, version=2)
    lone = detect.RuleBook(base.features, {}, {i: _without_weights(t) for i, t in base.typologies.items()})
    engine = detect.Engine(drafts.laid(lone, [old]))
    rows = warnings(0, 1, line="+8613800000001")
    assert not engine.feed(block_of("warnings", rows, 1, late(rows))).evidence, "too little for an alert"
    opening = drafts.read(text().replace("[told]", "[opening]"), base, number=1026, version=1)
    engine.use(drafts.laid(lone, [new, opening], former={1024: old.rule}))
    rows = warnings(1, 1, line="+8613800000001")
    told = engine.feed(block_of("warnings", rows, 2, late(rows))).evidence
    assert {(e.rule, e.version) for e in told} == {("told", 1), ("opening", 1)}


def _without_weights(typology: Any) -> Any:
    from dataclasses import replace

    return replace(typology, weights={})


def test_who_wrote_a_version_does_not_promote_it(house: Centre, ana: Actor, bai: Actor) -> None:
    rule, version = draft(house, ana, text())
    with pytest.raises(Refused, match="rule_own"), house.scope(ana) as conn:
        rules.promote(conn, ana, rule, version)
    with pytest.raises(psycopg.errors.InsufficientPrivilege), house.scope(ana) as conn:
        conn.execute(
            "INSERT INTO wuzha.rule_changes (kind, rule, version, by_user, at) VALUES ('promoted', %s, %s, %s, now())",
            [rule, version, ana.user_id],
        )
    with pytest.raises(psycopg.errors.InsufficientPrivilege), house.scope(ana) as conn:
        conn.execute("UPDATE wuzha.rule_versions SET body = 'x'")
    with house.scope(bai) as conn:
        rules.promote(conn, bai, rule, version)
    acts = house.engine.execute("SELECT action, user_id FROM wuzha.audit WHERE object = 'rule:told' ORDER BY audit_id")
    assert acts.fetchall() == [("rule.write", ana.user_id), ("rule.promote", bai.user_id)]


def test_a_rule_above_its_cap_is_taken_out_and_it_is_said(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    with running(db, tmp_path) as until:
        version = promoted(house, ana, bai, text(cap=3))
        wait(lambda: place(engine, "promoted") is not None)
        until(send(db, *(warnings(i, 1, hours=2) for i in range(6))))
        assert place(engine, "braked") is None, "six in twelve hours are no more than three in any"
        until(send(db, *(warnings(i, 1, hours=0.1) for i in range(200, 206))))
        wait(lambda: place(engine, "braked") is not None)
        at, before = place(engine, "braked"), given(engine)
        until(send(db, *(warnings(i, 1, hours=0.1) for i in range(206, 210))))
        assert given(engine) == before, "it gives nothing more, and what it gave stands"
        assert at is not None and all(p <= at for _, _, p, _ in before)
        said = engine.execute("SELECT action, user_id, detail FROM wuzha.audit WHERE action = 'rule.brake'").fetchall()
        assert [(a, u, d["version"], d["cap"]) for a, u, d in said] == [("rule.brake", None, version, 3)]
        with house.scope(bai) as conn:
            assert rules.standing(conn).out == {"told": "braked"}
            rules.promote(conn, bai, "told", version)  # looked at, and brought back
        wait(lambda: (place(engine, "promoted") or 0) > at)
        until(send(db, warnings(300, 1, hours=2)))
        assert len(given(engine)) == len(before) + 1


def test_rules_without_a_cap_may_be_given_one_by_the_deployment(
    db: Database, engine: Connection, house: Centre, tmp_path: Path
) -> None:
    with running(db, tmp_path, rule_cap=4) as until:
        until(send(db, *(warnings(i, 1, hours=0.1) for i in range(6))))
        wait(lambda: place(engine, "braked", "warned_low") is not None)
        before = given(engine, "warned_low")
        until(send(db, warnings(6, 1, hours=0.1)))
    assert given(engine, "warned_low") == before and len(before) == 6
    said = engine.execute("SELECT detail ->> 'cap' FROM wuzha.rule_changes WHERE kind = 'braked'").fetchall()
    assert ("4",) in said


def test_a_snooze_is_for_one_subject_and_ends_by_itself(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    one, other = "+8613800000001", "+8613800000002"
    now = START + timedelta(hours=1)
    with running(db, tmp_path) as until:
        promoted(house, ana, bai, text())
        wait(lambda: place(engine, "promoted") is not None)
        until(send(db, warnings(0, 1, line=one), warnings(1, 1, line=other)))
        with house.scope(ana) as conn:
            rules.snooze(conn, ana, "told", f"person:line:{one}", START + timedelta(hours=10), why="known", now=now)
        wait(lambda: place(engine, "snoozed") is not None)
        until(send(db, *(warnings(i, 1, line=(one, other)[i % 2]) for i in range(2, 14))))
    hours = {
        who: [(at - START) // timedelta(hours=1) for w, _, _, at in given(engine) if who in w] for who in (one, other)
    }
    assert hours == {one: [0, 10, 12], other: [1, 3, 5, 7, 9, 11, 13]}


@pytest.mark.parametrize(
    ("subject", "until", "why", "reason"),
    [
        ("person:nobody", START + timedelta(days=1), "x", "unknown_subject"),
        ("line:+8613800000001", START + timedelta(days=1), "x", "rule_subject"),
        ("person:p", START - timedelta(days=1), "x", "snooze_time"),
        ("person:p", START + timedelta(days=91), "x", "snooze_time"),
        ("person:p", START + timedelta(days=1), " ", "rule_why"),
        ("somebody", START + timedelta(days=1), "x", "unknown_subject"),
    ],
)
def test_a_snooze_wants_somebody_known_a_near_end_and_a_reason(
    house: Centre, ana: Actor, subject: str, until: datetime, why: str, reason: str
) -> None:
    with pytest.raises(Refused, match=reason), house.scope(ana) as conn:
        rules.snooze(conn, ana, "warned_low", subject, until, why=why, now=START)


def test_retired_rules_rest_and_their_evidence_stays(
    db: Database, engine: Connection, house: Centre, ana: Actor, bai: Actor, tmp_path: Path
) -> None:
    with running(db, tmp_path) as until:
        until(send(db, warnings(0, 1, line="+8613800000001")))
        with house.scope(ana) as conn:
            rules.retire(conn, ana, "warned_low", why="too loud")
        wait(lambda: place(engine, "retired", "warned_low") is not None)
        until(send(db, warnings(30, 1, line="+8613800000001"), warnings(31, 1)))
    assert [p for _, _, p, _ in given(engine, "warned_low")] == [1]
    with pytest.raises(Refused, match="rule_out"), house.scope(ana) as conn:
        rules.retire(conn, ana, "warned_low", why="again")


def test_files_of_another_release_hold_from_where_they_are_taken_up(engine: Connection, db: Database) -> None:
    rulebooks.note_shipped(engine, START)
    rulebooks.note_shipped(engine, START)
    with db.connect("super") as owner:
        owner.execute(
            "UPDATE wuzha.rule_texts SET digest = 'older', files = jsonb_set(files, '{rules/warnings.toml}',"
            " to_jsonb(replace(files ->> 'rules/warnings.toml', 'warnings_low_7d >= 1', 'warnings_low_7d >= 9')))"
        )
    rulebooks.note_shipped(engine, datetime.now(UTC))
    line = engine.execute("SELECT kind, position FROM wuzha.rule_changes ORDER BY change_id").fetchall()
    assert line == [("shipped", 0), ("shipped", None)]
    assert rulebooks.Books(engine).at(10**9).rules["warned_low"].when == "warnings_low_7d >= 9"
    watch = rulebooks.Watch(lambda: db.connect("engine"), lambda conn, change: pytest.fail("nothing is rebuilt"))
    watch.look(engine)
    ready = watch.take()
    assert ready is not None and ready.book is detect.shipped()
