"""Overflow and escalation by time travel: what leaves, what never does, who is told, once."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.desks import Centre
from tests.respond.duty import NOW, city, column, do, dues, make_round, refused, sees, sign_in, steps

from wuzha.command import shifts
from wuzha.command.public import Actor, on_duty
from wuzha.events import LEVELS
from wuzha.respond import contact, escalate, outcome, overflow, queue, sign, undo
from wuzha.respond.codes import codes
from wuzha.store import transaction

HOUSE = city


@pytest.fixture
def one(house: Centre) -> Actor:
    """The one dissuader of the north: twelve conversations an hour."""
    made = house.officer("one", "北甲", "dissuader", unit="north")
    sign_in(house, made)
    return made


def chain(house: Centre, actor: Actor, *to: str, automatic: bool = True, unit: str = "north") -> None:
    with house.scope(actor) as conn:
        overflow.set_route(conn, actor, house.units[unit], [house.units[c] for c in to], automatic=automatic)


def mediums(house: Centre, n: int, level: str = "medium", unit: str = "north") -> list[int]:
    return [house.alert(unit=unit, level=level, now=NOW, ago=timedelta(seconds=n - i)) for i in range(n)]


def test_one_press_takes_back_what_the_list_showed_of_a_unit_once(house: Centre, one: Actor, chief: Actor) -> None:
    chain(house, chief)
    alerts = mediums(house, 36)
    assert make_round(house, overflow.round) == 12
    unit = house.units["north"]
    with house.scope(chief) as conn:
        [shown] = overflow.by_unit(conn)
        assert (shown["unit_id"], shown["n"]) == (unit, 12)
        listed = [r["alert_id"] for r in overflow.rows(conn, unit=unit)]
    assert sorted(listed) == sorted(alerts[24:])
    do(house, one, sign.sign, listed[0])  # signed for since the list was made: stays with who has it
    later = mediums(house, 3)
    make_round(house, overflow.round, at=NOW + timedelta(minutes=1))
    assert refused(house, one, overflow.take_back_all, unit, upto=shown["upto"]) == "forbidden"
    for _ in range(2):  # pressed twice, done once, told alike
        assert do(house, chief, overflow.take_back_all, unit, upto=shown["upto"], key="one-press") == 11
    back = {a for a in alerts if column(house, a, "kept_at") is not None}
    assert back == set(listed[1:])
    assert all(column(house, a, "robot_at") is None for a in back)
    assert all(column(house, a, "robot_at") is not None for a in later), "came after the list: not taken back unseen"
    assert [steps(house, chief, a).count(("overflow_back", "robot")) for a in back] == [1] * 11
    assert refused(house, chief, overflow.take_back_all, unit, upto=shown["upto"]) == "not_overflowed"


def test_twice_the_load_leaves_half_of_it_and_nothing_urgent(house: Centre, one: Actor, chief: Actor) -> None:
    # a medium alert is to be begun within two hours: 24 conversations
    chain(house, chief)
    alerts = mediums(house, 48)
    danger = [house.alert(unit="north", level=level, now=NOW, ago=timedelta(0)) for level in ("urgent", "high")]
    told = house.alert(unit="north", level="low", now=NOW, ago=timedelta(0))
    house.warning(told, sign_by=NOW + timedelta(hours=1), ts=NOW)
    assert make_round(house, overflow.round) == 48 + 2 - 24
    left = {a for a in alerts if column(house, a, "robot_at") is not None}
    assert left == set(alerts[22:]), "the first in the queue's order stay"
    assert [column(house, a, "robot_at") for a in (*danger, told)] == [None, None, None]
    assert {column(house, a, "level") for a in alerts} == {"medium"}
    assert make_round(house, overflow.round) == 0, "what left is no longer in the way"
    assert steps(house, chief, alerts[-1]) == [("overflow", "robot")]
    with house.scope(chief, now=NOW + timedelta(minutes=4)) as conn:
        line = overflow.line(conn, now=NOW + timedelta(minutes=4))
        assert conn.execute("SELECT count(*) FROM robot_calls WHERE state = 'listed'").fetchone() == (26,)
    assert line is not None and (line["n"], line["robot"], line["medium"], line["wait_s"]) == (26, 26, 26, 240.0)


def test_without_a_chain_nothing_leaves(house: Centre, one: Actor) -> None:
    mediums(house, 60)
    assert make_round(house, overflow.round) == 0


def test_the_next_unit_takes_what_it_can_begin_in_time_and_the_rest_is_called_by_machine(
    house: Centre, one: Actor, chief: Actor
) -> None:
    south = house.officer("south", "南乙", "dissuader", unit="south")
    sign_in(house, south)
    top = house.officer("top", "市长官", "commander", unit="city")
    chain(house, top, "south")
    mediums(house, 20, unit="south")
    alerts = mediums(house, 40)
    assert make_round(house, overflow.round) == 16
    where = [(column(house, a, "unit_id"), column(house, a, "robot_at") is not None) for a in alerts[24:]]
    assert where == [(house.units["south"], False)] * 4 + [(house.units["north"], True)] * 12
    assert sees(house, south, alerts[24]) and not sees(house, one, alerts[24])
    assert make_round(house, overflow.round) == 0, "nothing goes to and fro"


def test_nobody_on_duty_means_that_all_that_may_leave_leaves(house: Centre, chief: Actor) -> None:
    chain(house, chief)
    medium, low, high = (house.alert(unit="river", level=v, now=NOW) for v in ("medium", "low", "high"))
    assert make_round(house, overflow.round) == 2
    assert [column(house, a, "robot_at") is not None for a in (medium, low, high)] == [True, True, False]


def test_the_commander_takes_one_back_and_it_stays(house: Centre, chief: Actor, one: Actor) -> None:
    chain(house, chief)
    house.web.execute("DELETE FROM sessions")
    alert = house.alert(unit="north", level="low", now=NOW)
    make_round(house, overflow.round)
    assert refused(house, one, overflow.take_back, alert) == "forbidden"
    do(house, chief, overflow.take_back, alert)
    assert column(house, alert, "robot_at") is None
    assert make_round(house, overflow.round) == 0
    assert refused(house, chief, overflow.take_back, alert) == "not_overflowed"
    with house.scope(chief) as conn:
        assert conn.execute("SELECT state FROM robot_calls").fetchall() == [("taken_back",)]


def test_an_officer_may_sign_what_the_machine_was_to_call_but_comes_to_it_last(
    house: Centre, chief: Actor, one: Actor
) -> None:
    chain(house, chief)
    house.web.execute("DELETE FROM sessions")
    alert = house.alert(unit="north", level="medium", now=NOW)
    make_round(house, overflow.round)
    low = house.alert(unit="north", level="low", now=NOW)
    taken = [do(house, one, sign.sign_next, queue.Filters()).alert_id for _ in range(2)]
    assert taken == [low, alert]
    assert column(house, alert, "robot_at") is None
    with house.scope(chief) as conn:
        assert conn.execute("SELECT state FROM robot_calls").fetchall() == [("signed",)]


def test_a_chain_is_the_commanders_to_set_and_never_leads_to_itself(house: Centre, chief: Actor, one: Actor) -> None:
    with house.scope(one) as conn, pytest.raises(Exception, match="forbidden"):
        overflow.set_route(conn, one, house.units["north"], [], automatic=True)
    for wrong in (["north"], ["river"], ["south", "south"]):
        with house.scope(chief) as conn, pytest.raises(Exception, match="route"):
            overflow.set_route(conn, chief, house.units["north"], [house.units[c] for c in wrong], automatic=True)
    with house.scope(chief) as conn, pytest.raises(Exception, match="not_found"):
        overflow.set_route(conn, chief, house.units["south"], [], automatic=True)


@given(
    st.lists(st.tuples(st.sampled_from(LEVELS), st.integers(0, 7200), st.sampled_from([None, "sign", "feedback"])),
             min_size=1, max_size=25),
    st.integers(0, 2),
)  # fmt: skip
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_nothing_urgent_high_or_with_an_upstream_deadline_ever_leaves_and_every_late_one_is_told_of(
    house: Centre, load: list[tuple[str, int, str | None]], officers: int
) -> None:
    house.web.execute("DELETE FROM sessions")
    top = house.officer(f"top{len(load)}-{id(load)}", "市长官", "commander", unit="city")
    chain(house, top)
    for i in range(officers):
        sign_in(house, house.officer(f"o{i}-{id(load)}", "甲", "dissuader", unit="north"))
    for level, ago, own in load:
        alert = house.alert(unit="north", level=level, now=NOW, ago=timedelta(seconds=ago))
        if own:
            house.warning(alert, ts=NOW, **{f"{own}_by": NOW + timedelta(days=1)})
    for minutes in (0, 1, 5, 90):
        at = NOW + timedelta(minutes=minutes)
        make_round(house, overflow.round, at)
        make_round(house, escalate.round, at)
        with house.scope(top, now=at) as conn:
            held_back = conn.execute(
                "SELECT count(*) FROM overflows o JOIN alerts a USING (alert_id) WHERE a.level IN ('urgent', 'high')"
                " OR EXISTS (SELECT 1 FROM alert_warnings w WHERE w.alert_id = a.alert_id)"
            ).fetchone()
            rows = queue.rows(conn, top, queue.Filters(), now=at)[0]
            unseen = [
                r["alert_id"] for r in rows
                if r["due"] < at and conn.execute(
                    "SELECT 1 FROM escalations WHERE alert_id = %s", (r["alert_id"],)).fetchone() is None
            ]  # fmt: skip
        assert held_back == (0,)
        assert unseen == []


def test_the_next_on_duty_is_told_then_the_unit_above_each_once(house: Centre, one: Actor, chief: Actor) -> None:
    alert = house.alert(unit="north", level="high", now=NOW, ago=timedelta(0))
    at = NOW + timedelta(seconds=300)
    assert make_round(house, escalate.round, at) == 0, "not late yet"
    late = at + timedelta(seconds=1)
    assert make_round(house, escalate.round, late) == 1
    assert make_round(house, escalate.round, late) == 0, "told once"
    with house.scope(one, now=late) as conn:
        assert escalate.told(conn, one) == {"me": 1, "unit": 0}
        rows = queue.rows(conn, one, queue.Filters(scope="late"), now=late)[0]
        assert [(r["alert_id"], r["rung"]) for r in rows] == [(alert, 1)]
    assert column(house, alert, "version") == 1, "a reminder does not disturb who works on it"
    assert make_round(house, escalate.round, at + timedelta(seconds=151)) == 1
    assert make_round(house, escalate.round, at + timedelta(days=3)) == 0
    assert steps(house, chief, alert) == [("escalate", "next_person"), ("escalate", "unit_above")]
    top = house.officer("top", "市长官", "commander", unit="city")
    with house.scope(top, now=late) as conn:
        assert escalate.told(conn, top) == {"me": 0, "unit": 1}
    do(house, one, sign.sign, alert, at=late)
    with house.scope(top, now=late) as conn:
        rows = queue.rows(conn, top, queue.Filters(scope="late"), now=late)[0]
    assert [r["alert_id"] for r in rows] == [alert], "signed, and its contact is what is waited for now"


def test_nobody_on_duty_goes_straight_to_the_unit_above(house: Centre, chief: Actor) -> None:
    alert = house.alert(unit="river", level="urgent", now=NOW, ago=timedelta(0))
    assert make_round(house, escalate.round, NOW + timedelta(seconds=61)) == 2
    assert steps(house, chief, alert) == [("escalate", "nobody_on_duty"), ("escalate", "unit_above")]
    with house.scope(chief) as conn:
        assert escalate.told(conn, chief)["unit"] == 1


def test_a_late_contact_is_told_to_another_than_who_has_it(house: Centre, one: Actor) -> None:
    two = house.officer("two", "北乙", "dissuader", unit="north")
    sign_in(house, two)
    alert = house.alert(unit="north", level="urgent", now=NOW, ago=timedelta(0))
    do(house, one, sign.sign, alert)
    do(house, one, contact.contact, alert, channel="call", result="no_answer")
    assert make_round(house, escalate.round, NOW + timedelta(seconds=180)) == 0
    assert make_round(house, escalate.round, NOW + timedelta(seconds=181)) == 1
    with house.scope(two) as conn:
        assert escalate.told(conn, two)["me"] == 1
        assert escalate.told(conn, one)["me"] == 0


def test_on_duty_is_on_shift_and_signed_in(house: Centre, one: Actor, chief: Actor) -> None:
    def now_on(at: object = NOW) -> list[str]:
        with transaction(house.web, unit=house.units["city"], now=at) as conn:  # type: ignore[arg-type]
            return [o.name for o in on_duty(conn, chief, now=at)]  # type: ignore[arg-type]

    assert now_on() == ["北甲"], "a unit without a roster goes by who is signed in"
    hour = timedelta(hours=1)
    with house.scope(chief) as conn:
        shift = shifts.add(conn, chief, user_id=one.user_id, starts_at=NOW + hour, ends_at=NOW + 9 * hour, now=NOW)
    assert now_on() == []
    house.web.execute("UPDATE sessions SET seen_at = %s", (NOW + 9 * hour,))
    assert now_on(NOW + hour) == ["北甲"]
    assert now_on(NOW + 9 * hour) == []
    with house.scope(chief) as conn:
        shifts.remove(conn, chief, shift)
    assert now_on(NOW + 9 * hour) == ["北甲"]


def test_the_meetings_clock_climbs_both_rungs_until_they_are_met(house: Centre, one: Actor, chief: Actor) -> None:
    two = house.officer("two", "北乙", "dissuader", unit="north")
    top = house.officer("top", "市长官", "commander", unit="city")
    sign_in(house, two)
    alert = house.alert(unit="north", level="high", now=NOW, ago=timedelta(0))
    do(house, one, sign.sign, alert, at=NOW)
    do(house, one, contact.contact, alert, channel="call", result="self", at=NOW)
    two_h = NOW + timedelta(hours=2)
    sign_in(house, one, two, at=two_h)
    assert make_round(house, escalate.round, two_h) == 0, "reached in time, and to be met within two hours"
    assert make_round(house, escalate.round, two_h + timedelta(seconds=1)) == 1
    with house.scope(two, now=two_h) as conn:
        assert escalate.told(conn, two) == {"me": 1, "unit": 0}
        late, _ = queue.rows(conn, two, queue.Filters(scope="late"), now=two_h)
    assert [(r["alert_id"], r["rung"]) for r in late] == [(alert, 1)], "on their desk as every late one"
    assert (late[0]["last_code"], late[0]["tries"]) == ("self", 1), "a reminder is no try to reach anybody"
    up = two_h + timedelta(hours=1)
    assert make_round(house, escalate.round, up - timedelta(seconds=1)) == 0
    assert make_round(house, escalate.round, up) == 1
    assert make_round(house, escalate.round, up + timedelta(days=3)) == 0, "each rung once"
    with house.scope(top, now=up) as conn:
        assert escalate.told(conn, top) == {"me": 0, "unit": 1}
    do(house, one, contact.contact, alert, channel="visit", result="met", at=up)
    with house.scope(top, now=up) as conn:
        assert escalate.told(conn, top) == {"me": 0, "unit": 0}, "met: nobody is late"
    assert dues(house, one, alert, up)[3] is None, "no clock runs on"


@pytest.mark.parametrize(("code", "n"), [("dissuaded", 0), ("half_believing", 1)])
def test_an_outcome_that_ends_it_ends_the_meetings_clock_and_another_visit_does_not(
    house: Centre, one: Actor, code: str, n: int
) -> None:
    alert = house.alert(unit="north", level="high", now=NOW, ago=timedelta(0))
    do(house, one, sign.sign, alert)
    do(house, one, contact.contact, alert, channel="call", result="self")
    do(house, one, outcome.outcome, alert, code=code)
    late = NOW + timedelta(hours=2, seconds=1)
    sign_in(house, one, house.officer("two", "北乙", "dissuader", unit="north"), at=late)
    assert make_round(house, escalate.round, late) == n
    assert [c.code for c in codes()["outcome"].values() if not c.final] == ["half_believing"], "the database knows it"


def test_a_meeting_that_was_taken_back_lets_the_clock_run_on(house: Centre, one: Actor) -> None:
    alert = house.alert(unit="north", level="high", now=NOW, ago=timedelta(0))
    do(house, one, sign.sign, alert)
    met = do(house, one, contact.contact, alert, channel="visit", result="met")
    assert column(house, alert, "met_at") == NOW and column(house, alert, "escalate_at") is None
    do(house, one, undo.undo, alert, contact_id=met.contact_id)
    assert column(house, alert, "met_at") is None
    assert column(house, alert, "escalate_at") == NOW + timedelta(minutes=10), "the contact's"


def test_whoever_is_never_reached_is_told_of_once_more_when_they_should_have_been_met(
    house: Centre, one: Actor
) -> None:
    two = house.officer("two", "北乙", "dissuader", unit="north")
    for seconds in (0, 3600):
        sign_in(house, two, at=NOW + timedelta(seconds=seconds))
    alert = house.alert(unit="north", level="urgent", now=NOW, ago=timedelta(0))
    do(house, one, sign.sign, alert)
    do(house, one, contact.contact, alert, channel="call", result="no_answer")
    for seconds, n in ((180, 0), (181, 1), (269, 0), (271, 1), (3599, 0), (3601, 1), (5399, 0), (5401, 1), (9999, 0)):
        at = NOW + timedelta(seconds=seconds)
        assert make_round(house, escalate.round, at) == n, seconds
    with house.scope(one) as conn:
        rungs = conn.execute("SELECT clock, rung FROM escalations ORDER BY escalation_id").fetchall()
    assert rungs == [("contact", 1), ("contact", 2), ("meet", 1), ("meet", 2)]
