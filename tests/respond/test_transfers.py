"""Transfers: the clock goes along, who sees the file when, one return, then the common superior."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.desks import Centre
from tests.respond.duty import NOW, city, column, do, dues, refused, sees, steps

from wuzha.command.public import Actor
from wuzha.respond import contact, file, outcome, queue, sign, transfers
from wuzha.web import duty_panel

HOUSE = city


@pytest.fixture
def north(house: Centre) -> Actor:
    return house.officer("north", "北甲", "dissuader", unit="north")


@pytest.fixture
def south(house: Centre) -> Actor:
    return house.officer("south", "南乙", "dissuader", unit="south")


@pytest.fixture
def chief(house: Centre) -> Actor:
    return house.officer("chief", "市长官", "commander", unit="city")


@pytest.fixture
def given(house: Centre, north: Actor) -> int:
    """A file that the north has signed for and given to the south."""
    alert = house.alert(unit="north", level="high", now=NOW, ago=timedelta(seconds=30))
    do(house, north, sign.sign, alert)
    do(house, north, transfers.offer, alert, to_unit=house.units["south"], reason="人在南区", at=later(10))
    return alert


def later(seconds: float) -> object:
    return NOW + timedelta(seconds=seconds)


def test_the_receiver_sees_it_at_once_and_the_sender_until_it_is_signed_for(
    house: Centre, north: Actor, south: Actor, given: int
) -> None:
    assert sees(house, south, given) and sees(house, north, given)
    assert column(house, given, "signed_by") == north.user_id, "the sender answers for it until then"
    do(house, south, transfers.sign_for, given, at=later(20))
    assert column(house, given, "signed_by") == south.user_id
    assert sees(house, south, given, later(20)) and not sees(house, north, given, later(20))


def test_no_deadline_moves_on_the_way(house: Centre, north: Actor, south: Actor) -> None:
    alert = house.alert(unit="north", level="high", now=NOW, ago=timedelta(seconds=30))
    house.warning(alert, feedback_by=NOW + timedelta(minutes=7), ts=NOW)
    do(house, north, sign.sign, alert)
    before = dues(house, north, alert)
    do(house, north, transfers.offer, alert, to_unit=house.units["south"], reason="人在南区", at=later(100))
    assert dues(house, north, alert) == dues(house, south, alert) == before
    do(house, south, transfers.sign_for, alert, at=later(200))
    assert dues(house, south, alert, later(200)) == before
    assert before[3] == NOW + timedelta(minutes=7)


def test_it_comes_back_once_with_a_reason_and_then_goes_to_the_common_superior(
    house: Centre, north: Actor, south: Actor, chief: Actor, given: int
) -> None:
    before = dues(house, north, given)
    assert refused(house, south, transfers.give_back, given, reason=" ") == "no_transfer_reason"
    assert do(house, south, transfers.give_back, given, reason="查无此人，不住南区", at=later(30)) == "returned"
    assert not sees(house, south, given, later(31))
    assert (column(house, given, "signed_by"), column(house, given, "unit_id")) == (
        north.user_id,
        house.units["north"],
    )
    assert column(house, given, "offered_at") is None
    do(house, north, transfers.offer, given, to_unit=house.units["south"], reason="户籍在南区", at=later(40))
    do(house, south, transfers.sign_for, given, at=later(50))
    assert do(house, south, transfers.give_back, given, reason="仍不在", at=later(60)) == "raised"
    assert column(house, given, "unit_id") == house.units["city"]
    assert not sees(house, south, given, later(61)) and sees(house, chief, given, later(61))
    do(house, chief, transfers.sign_for, given, at=later(70))
    assert column(house, given, "signed_by") == chief.user_id
    assert refused(house, chief, transfers.give_back, given, reason="再退") == "decided"
    assert dues(house, chief, given) == before, "all the way round the clock ran on"
    with house.scope(chief) as conn:
        assert [t["state"] for t in transfers.history(conn, given)] == ["returned", "raised"]
        said = [r[0] for r in conn.execute(
            "SELECT action FROM audit WHERE object = %s ORDER BY audit_id", (f"alert:{given}",)
        )]  # fmt: skip
    assert said == [
        "alert.sign", "alert.transfer", "alert.transfer_return", "alert.transfer", "alert.transfer_sign",
        "alert.transfer_raise", "alert.transfer_sign",
    ]  # fmt: skip


def test_a_click_twice_is_one_step(house: Centre, north: Actor, south: Actor, given: int) -> None:
    assert do(house, south, transfers.give_back, given, reason="不在", key="the-same-click") == "returned"
    with house.scope(north) as conn:
        n = conn.execute("SELECT count(*) FROM contacts WHERE kind = 'transfer_return'").fetchone()
    assert n == (1,)


def test_who_may_not(house: Centre, north: Actor, south: Actor, chief: Actor, given: int) -> None:
    hill = house.officer("hill", "山前民警", "station", unit="hill")
    colleague = house.officer("north2", "北丙", "dissuader", unit="north")
    assert refused(house, north, transfers.sign_for, given) == "not_for_you"
    assert refused(house, colleague, transfers.sign_for, given) == "not_for_you"
    assert refused(house, hill, transfers.sign_for, given) == "not_found"
    assert refused(house, north, transfers.give_back, given, reason="x") == "not_for_you"
    assert refused(house, south, transfers.recall, given) == "not_for_you"
    assert refused(house, north, transfers.offer, given, to_unit=house.units["city"], reason="x") == "offered"
    do(house, north, transfers.recall, given)
    assert not sees(house, south, given)
    assert refused(house, north, transfers.offer, given, to_unit=house.units["north"], reason="x") == "same_unit"
    assert refused(house, north, transfers.offer, given, to_unit=999, reason="x") == "not_found"
    south = house.units["south"]
    assert refused(house, north, transfers.offer, given, to_unit=south, reason="  ") == "no_transfer_reason"


def test_until_it_is_signed_for_the_sender_alone_acts_and_the_receiver_sees_what_was_done(
    house: Centre, north: Actor, south: Actor, given: int
) -> None:
    call = {"channel": "call", "result": "busy"}
    assert refused(house, south, contact.contact, given, **call) == "taken"
    assert refused(house, south, outcome.outcome, given, code="false_alarm") == "taken"
    do(house, north, contact.contact, given, at=later(15), **call)
    with house.scope(south, now=later(16)) as conn:
        panel = duty_panel.of_file(conn, south, file.read(conn, south, given, now=later(16)), now=later(16))
    last = panel["acted_last"]
    assert panel["offered"] and (last["officer"], last["kind"], last["code"]) == ("北甲", "call", "busy")
    assert last["at"] == later(15)
    do(house, south, transfers.sign_for, given, at=later(20))
    assert refused(house, north, contact.contact, given, at=later(25), **call) == "not_found", "they are out of it"
    do(house, south, contact.contact, given, at=later(30), **call)


def test_who_takes_over_what_was_given_to_their_unit_signs_for_it(house: Centre, south: Actor, given: int) -> None:
    do(house, south, sign.take_over, given, at=later(20))
    assert column(house, given, "offered_at") is None and column(house, given, "signed_by") == south.user_id
    assert steps(house, south, given)[-1] == ("transfer_sign", None)


def test_a_colleague_who_took_it_over_at_the_sender_has_it_back(house: Centre, south: Actor, given: int) -> None:
    relief = house.officer("relief", "北接班", "dissuader", unit="north")
    do(house, relief, sign.take_over, given, at=later(15))
    assert column(house, given, "offered_at") is not None, "it still waits for the south"
    do(house, south, transfers.give_back, given, reason="人不在南区", at=later(30))
    assert column(house, given, "signed_by") == relief.user_id


def test_the_next_one_may_be_one_that_was_given(house: Centre, north: Actor, south: Actor, given: int) -> None:
    low = house.alert(unit="south", level="low", now=NOW, ago=timedelta(0))
    first = do(house, south, sign.sign_next, queue.Filters())
    second = do(house, south, sign.sign_next, queue.Filters())
    assert (first.alert_id, second.alert_id) == (given, low)
    assert steps(house, south, given)[-1] == ("transfer_sign", None)


def test_the_engine_leaves_an_alert_with_the_unit_that_the_desk_gave_it_to(house: Centre) -> None:
    from wuzha.live.results import _UPSERT

    alert = house.alert(unit="north", level="low", now=NOW)
    for moved, unit in ((None, "south"), (NOW, "north")):
        house.web.execute("SELECT 1")
        with house.scope(house.officer(f"o{unit}", "甲", "dissuader", unit="city")) as conn:
            conn.execute("UPDATE alerts SET unit_id = %s, moved_at = %s", (house.units["north"], moved))
        row = house.engine.execute("SELECT * FROM alerts WHERE alert_id = %s", (alert,))
        names = [c.name for c in row.description or ()]
        values = dict(zip(names, row.fetchone() or (), strict=True))
        values |= {"unit_id": house.units["south"], "now": NOW, "rank": 0, "position": 2}
        house.engine.execute(_UPSERT, values)
        assert column(house, alert, "unit_id") == house.units[unit]


def standing(house: Centre) -> list[tuple[int, str]]:
    """The grants that have not ended: unit and reason, past all policies."""
    with house.db.connect("super") as su:
        return su.execute("SELECT unit_id, reason FROM wuzha.grants WHERE ended_at IS NULL ORDER BY 1").fetchall()


def test_nothing_is_left_open_behind_a_file_that_has_gone_to_and_fro(
    house: Centre, north: Actor, south: Actor, chief: Actor, given: int
) -> None:
    assert standing(house) == [(house.units["north"], "transfer")]
    do(house, south, transfers.give_back, given, reason="不在我区", at=later(20))
    assert standing(house) == [], "who has it back needs no leave to see it, and keeps none for when it goes again"
    do(house, north, transfers.offer, given, to_unit=house.units["south"], reason="确在南区", at=later(30))
    do(house, north, transfers.recall, given, at=later(40))
    assert standing(house) == []
    do(house, north, transfers.offer, given, to_unit=house.units["south"], reason="确在南区", at=later(50))
    assert do(house, south, transfers.give_back, given, reason="不在我区", at=later(60)) == "raised"
    assert standing(house) == [(house.units["north"], "transfer")], "until the superior signs for it"
    do(house, chief, transfers.sign_for, given, at=later(70))
    assert standing(house) == []
    assert [sees(house, one, given, later(80)) for one in (chief, north, south)] == [True, False, False]
