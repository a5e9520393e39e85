"""A file that another has taken in: what is done afterwards lands where the work goes on. And what undo brings back."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests.desks import Centre
from tests.doors import Doors, doors
from tests.respond.test_door import record, sync
from tests.respond.test_incoming import LINE, told

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import callbacks, dispatch, file, measure_list, rounds, safety, sign, undo, visits
from wuzha.store import Database


@pytest.fixture
def both(make_db: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    with doors(make_db, tmp_path, monkeypatch) as made:
        yield made


def take_in(house: Centre, gone: int, into: int) -> None:
    """The engine finds that both are one person."""
    house.engine.execute(
        "UPDATE alerts SET merged_into = %s, state = 'closed', closed_at = %s WHERE alert_id = %s",
        (into, clock.now(), gone),
    )


def test_a_correction_from_the_door_lands_on_the_file_that_carries_the_work(both: Doors) -> None:
    old, living = both.signed(), both.signed("张晓岚")
    order = both.sent(old)
    phone = both.phone(both.officer("li", "李强"))
    assert sync(phone, record(order, "not_here", words="没人开门")) == [("kept", None)]
    both.pass_on()
    assert ("visit", "not_here") in [s[:2] for s in both.steps(old)]
    take_in(both.desk, old, living)
    assert sync(phone, record(order, revision=2)) == [("kept", None)]
    both.pass_on()
    assert both.refused == []
    assert ("visit", "met") in [s[:2] for s in both.steps(living)]
    assert ("visit", "not_here") not in [s[:2] for s in both.steps(old)], "one visit has one outcome"
    found = both.desk.engine.execute("SELECT state, reached_at FROM alerts WHERE alert_id = %s", (living,)).fetchone()
    assert found is not None and found[0] == "reached" and found[1] is not None
    with both.desk.scope(both.caller) as conn:
        assert conn.execute("SELECT state, result FROM dispatches").fetchone() == ("done", "met")
        assert [r["result"] for r in visits.of_file(conn, living)] == ["not_here", "met"]
        assert [d["dispatch_id"] for d in dispatch.of_file(conn, living)] == [order]
        assert "not_here" in [c["code"] for c in file.read(conn, both.caller, living).contacts]


def test_flags_measures_and_steps_of_another_units_file_come_with_it(house: Centre, wang: Actor) -> None:
    house.unit("far", "外区反诈中心", "county")
    far = house.officer("far", "远", "dissuader", unit="far")
    old, living = house.alert(unit="far"), house.alert()
    with house.scope(far) as conn:
        sign.sign(conn, far, old, version=1, key="far-signs")
        safety.flag(conn, far, old, code="family_violence", words="丈夫", key="far-flags")
        conn.execute(
            "INSERT INTO measures (alert_id, person_id, kind, basis, law_from, target_id, hours, reason, requested_at,"
            " requested_by) SELECT alert_id, person_id, 'transfer_delay', 'own_act', '2024-01-01', line_id, 24, '本人',"
            " %s, %s FROM alerts WHERE alert_id = %s",
            (clock.now(), far.user_id, old),
        )
    with house.scope(wang) as conn:
        assert file.read(conn, wang, living).flags == []
    take_in(house, old, living)
    with house.scope(wang) as conn:
        found = file.read(conn, wang, living)
        assert [f["flag"] for f in found.flags] == ["family_violence"]
        assert found.kin_rule.forbidden, "kin are not called where the other unit knew why"
        assert [m["kind"] for m in measure_list.of_person(conn, found.alert)] == ["transfer_delay"]
        assert "sign" in [c["kind"] for c in found.contacts]


def test_a_call_back_is_answered_on_the_file_that_carries_the_work(house: Centre, wang: Actor) -> None:
    old, living = house.alert(line=LINE), house.alert()
    told(house, "c1", "missed")
    take_in(house, old, living)
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
        callbacks.settle(conn, wang, row["callback_id"], result="self", key="settles-it")
    steps = house.engine.execute("SELECT alert_id, kind, code FROM contacts ORDER BY contact_id").fetchall()
    assert steps == [(living, "sign", None), (living, "call", "self")]


def test_a_call_back_whose_file_has_gone_to_another_place_is_still_ones_own(house: Centre, wang: Actor) -> None:
    house.unit("far", "外区反诈中心", "county")
    alert = house.alert(line=LINE)
    told(house, "c1", "missed")
    house.engine.execute("UPDATE alerts SET unit_id = %s WHERE alert_id = %s", (house.units["far"], alert))
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
        callbacks.settle(conn, wang, row["callback_id"], result="self", key="settles-it")
        assert callbacks.listed(conn, wang) == []


def last_step(house: Centre) -> tuple[int, int]:
    row = house.engine.execute("SELECT alert_id, contact_id FROM contacts ORDER BY contact_id DESC").fetchone()
    assert row is not None
    return row  # type: ignore[return-value]


@pytest.mark.parametrize("result", ["self", "no_answer"])
def test_an_undone_call_back_is_the_officers_to_make_again(house: Centre, wang: Actor, result: str) -> None:
    house.alert(line=LINE)
    told(house, "c1", "missed")
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
        callbacks.settle(conn, wang, row["callback_id"], result=result, key="settles-it")
    alert, step = last_step(house)
    with house.scope(wang) as conn:
        undo.undo(conn, wang, alert, contact_id=step, key="takes-it-back")
        (row,) = callbacks.listed(conn, wang)
        assert (row["state"], row["taken_by"], row["result"]) == ("taken", wang.user_id, None)
        callbacks.settle(conn, wang, row["callback_id"], result="told_other", key="settles-anew")
        assert callbacks.listed(conn, wang) == []


def test_an_undone_call_back_does_not_wait_twice(house: Centre, wang: Actor) -> None:
    house.alert(line=LINE)
    told(house, "c1", "missed", after=-60)
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
        callbacks.settle(conn, wang, row["callback_id"], result="told_other", key="settles-it")
    alert, step = last_step(house)
    told(house, "c2", "missed", after=1)  # they call again meanwhile
    with house.scope(wang) as conn:
        undo.undo(conn, wang, alert, contact_id=step, key="takes-it-back")
        assert len(callbacks.listed(conn, wang)) == 1


def test_an_undone_departure_is_no_departure(house: Centre, wang: Actor) -> None:
    li = house.officer("li", "李强", "station", unit="east")
    alert = house.alert()
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it")
        dispatch.send(conn, wang, alert, unit_id=house.units["east"], version=2, key="sends-them")
    with house.scope(li) as conn:
        (order,) = dispatch.ours(conn, li)
        done = dispatch.going(conn, li, order["dispatch_id"], key="sets-out-now")
        undo.undo(conn, li, alert, contact_id=done.contact_id, key="stays-here")
        (order,) = dispatch.ours(conn, li)
        assert (order["state"], order["going_by"], order["going_at"]) == ("sent", None, None)
        assert dispatch.going(conn, li, order["dispatch_id"], key="sets-out-again").contact_id


# ---------------------------------------------------------------- rounds hold one file at a time


def test_a_records_reason_holds_nothing_of_the_person(both: Doors) -> None:
    old = both.signed()
    order, li = both.sent(old), both.officer("li", "李强")
    phone = both.phone(li)
    assert sync(phone, record(order)) == [("kept", None)]
    secret = "13812341234"
    both.carry("phone")
    both.carry("centre")
    item = both.one("SELECT record_id FROM visit_records")
    with both.desk.scope(both.caller) as conn:
        conn.execute(
            "INSERT INTO contacts (alert_id, at, user_id, kind, words, key) VALUES (%s, %s, %s, 'note', %s, %s)",
            (old, clock.now(), li.user_id, secret, f"{li.user_id}:door-{item[0]}"),
        )
    both.pass_on()
    why = both.one("SELECT refused FROM visit_records")[0]
    assert why == "UniqueViolation 23505 contacts contacts_key_key"


def test_of_many_records_the_one_whose_file_is_held_waits_and_the_others_count(both: Doors) -> None:
    alerts = [both.signed(f"人{n}") for n in range(3)]
    orders = [both.sent(alert) for alert in alerts]
    phone = both.phone(both.officer("li", "李强"))
    assert [a[0] for a in sync(phone, *(record(order) for order in orders))] == ["kept"] * 3
    both.carry("phone")
    both.carry("centre")
    with both.desk.db.connect("engine") as other:
        other.execute("BEGIN")
        other.execute("UPDATE alerts SET score = score WHERE alert_id = %s", (alerts[0],))
        both.desk.web.execute("SET lock_timeout = '200ms'")
        rounds.go_round(both.desk.web)
        met = [("visit", "met") in [s[:2] for s in both.steps(alert)] for alert in alerts]
        other.execute("ROLLBACK")
    assert met == [False, True, True]
    rounds.go_round(both.desk.web)
    assert ("visit", "met") in [s[:2] for s in both.steps(alerts[0])]
    assert both.one("SELECT count(*) FROM visit_records WHERE refused IS NOT NULL") == (0,)
