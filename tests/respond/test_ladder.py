"""Engaged and forwarded lines are evidence: the visit is raised, the log learns of it; an undone call is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from importlib.resources import files
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, machine
from wuzha.respond import codes, contact, engaged, file, ladder, sign, undo
from wuzha.respond.next_step import next_step

T0 = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


def steps(*rows: tuple[str, str, float]) -> list[dict[str, Any]]:
    return [{"kind": k, "code": c, "at": T0 + timedelta(minutes=m), "to_id": 1} for k, c, m in rows]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("call", "busy", 0)], None),
        ([("call", "busy", 0), ("call", "busy", 2)], None),  # too close together
        ([("call", "busy", 0), ("call", "busy", 4)], "engaged"),
        ([("call", "busy", 0), ("robot", "busy", 2), ("own_phone", "busy", 4)], "engaged"),
        ([("call", "busy", 0), ("call", "no_answer", 2), ("call", "busy", 4)], None),  # it was free between
        ([("call", "busy", 0), ("kin", "busy", 2), ("call", "busy", 4)], "engaged"),  # the kin's line is another
        ([("call", "forwarded", 0)], "forwarded"),
        ([("call", "forwarded", 0), ("call", "self", 1)], None),
        ([("robot", "listed", 0)], None),
        ([], None),
    ],
)
def test_what_counts_as_held(rows: Any, said: str | None) -> None:
    assert engaged.held(steps(*rows), 1) == said


@pytest.mark.parametrize(
    ("results", "n"),
    [
        (["dispatched", "met"], 1),
        (["listed", "heard", "listed"], 2),
        (["dispatched", "dispatched", "not_here", "met"], 2),
        (["sent", "delivered", "sent", "undelivered"], 2),
        (["asked", "bank_holds"], 1),
        (["busy", "busy", "self"], 3),
        (["met", "met"], 2),
        ([], 0),
    ],
)
def test_a_try_that_began_and_what_came_of_it_are_one(results: list[str | None], n: int) -> None:
    assert codes.tries(results) == n


def call(house: Centre, wang: Actor, alert: int, result: str, version: int, at: datetime, channel: str = "call") -> int:
    with house.scope(wang, now=at) as conn:
        return contact.contact(
            conn, wang, alert, channel=channel, result=result, version=version, key=f"{result}-{version}-click", now=at
        ).contact_id


def round_at(house: Centre, at: datetime) -> int:
    root = machine(house.units["centre"], "engaged")
    with house.scope(root, now=at) as conn:
        return engaged.round(conn, root, at)


def findings(house: Centre) -> list[Any]:
    return house.engine.execute("SELECT table_name, n, source FROM log ORDER BY position").fetchall()


def test_an_engaged_line_raises_the_visit_and_the_log_learns_once(house: Centre, wang: Actor) -> None:
    alert = house.alert(level="medium", now=T0)
    with house.scope(wang, now=T0) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it", now=T0)
    call(house, wang, alert, "busy", 2, T0)
    with house.scope(wang, now=T0) as conn:
        assert next_step(file.read(conn, wang, alert, now=T0), wang).why != "line_engaged"
    later = T0 + timedelta(minutes=5)
    call(house, wang, alert, "busy", 3, later)
    with house.scope(wang, now=later) as conn:
        step = next_step(file.read(conn, wang, alert, now=later), wang)
    assert (step.channel, step.why) == ("visit", "line_engaged")
    assert round_at(house, later) == 0  # it may still be undone
    assert round_at(house, later + timedelta(minutes=1)) == 1
    assert round_at(house, later + timedelta(minutes=2)) == 0
    assert findings(house) == [("findings", 1, "desk")]


def test_an_undone_call_is_no_evidence(house: Centre, wang: Actor) -> None:
    alert = house.alert(now=T0)
    with house.scope(wang, now=T0) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it", now=T0)
    done = call(house, wang, alert, "forwarded", 2, T0)
    with house.scope(wang, now=T0) as conn:
        undo.undo(conn, wang, alert, contact_id=done, key="takes-back", now=T0 + timedelta(seconds=2))
    assert round_at(house, T0 + timedelta(minutes=1)) == 0
    assert findings(house) == []


def test_a_forwarded_line_raises_the_visit_at_once(house: Centre, wang: Actor) -> None:
    alert = house.alert(level="low", now=T0)
    with house.scope(wang, now=T0) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it", now=T0)
    call(house, wang, alert, "forwarded", 2, T0)
    with house.scope(wang, now=T0) as conn:
        step = next_step(file.read(conn, wang, alert, now=T0), wang)
    assert (step.channel, step.why) == ("visit", "line_forwarded")
    assert round_at(house, T0 + timedelta(minutes=1)) == 1


def test_a_file_put_on_the_list_by_hand_stands_there_once(house: Centre, wang: Actor) -> None:
    alert = house.alert(now=T0)
    with house.scope(wang, now=T0) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it", now=T0)
    for version in (2, 3):
        call(house, wang, alert, "listed", version, T0, channel="robot")
    with house.scope(wang) as conn:
        assert conn.execute("SELECT alert_id, state FROM robot_calls").fetchall() == [(alert, "listed")]


def test_taken_back_it_leaves_the_list_again(house: Centre, wang: Actor) -> None:
    alert = house.alert(now=T0)
    with house.scope(wang, now=T0) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it", now=T0)
    done = call(house, wang, alert, "listed", 2, T0, channel="robot")
    with house.scope(wang, now=T0) as conn:
        undo.undo(conn, wang, alert, contact_id=done, key="takes-back", now=T0 + timedelta(seconds=2))
        assert conn.execute("SELECT state FROM robot_calls").fetchall() == [("taken_back",)]


@pytest.mark.parametrize(
    ("old", "new", "wrong"),
    [
        ("times = 2", "times = 0", "times is no whole number"),
        ("[engaged]", "[engagd]", "no such table"),
        ('busy = "f"', 'busy = "z"', "does something else"),
        ('busy = "f"', 'bussy = "f"', "no such result"),
        ("[sip.486]", "[sip.999]", "no status of SIP"),
        ('[sip.486]\nresult = "busy"', '[sip.486]\nresult = "met"', "no result met"),
        ("[sip.181]", "[sip.181", ""),
    ],
)
def test_a_wrong_file_is_refused_with_its_place(old: str, new: str, wrong: str) -> None:
    text = (files("wuzha.respond") / "ladder.toml").read_text("utf-8")
    with pytest.raises(ValueError, match=rf"ladder.toml:\d+:\d+: .*{wrong}"):
        ladder.read(text.replace(old, new))


def test_every_result_that_a_key_records_has_words_and_a_call_offers_it() -> None:
    from wuzha.respond.codes import codes

    assert set(ladder.ladder().keys) <= set(codes()["channel"]["call"].results)
