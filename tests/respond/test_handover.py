"""A shift change, a visit beside the call, who uses the line, who has the file open; thirty who sign at once."""

from __future__ import annotations

import threading
from datetime import timedelta

import pytest
from tests.desks import Centre
from tests.respond.duty import NOW, city, column, do, refused, sees, steps

from wuzha.command import shifts
from wuzha.command.public import Actor, Refused
from wuzha.events import LEVELS, clock
from wuzha.respond import contact, dispatch, file, handover, locate, presence, queue, sign, undo
from wuzha.store import Database

HOUSE = city

HOUR = timedelta(hours=1)


@pytest.fixture
def day(house: Centre) -> Actor:
    return house.officer("day", "白班", "dissuader", unit="north")


@pytest.fixture
def night(house: Centre) -> Actor:
    return house.officer("night", "夜班", "dissuader", unit="north")


def roster(house: Centre, chief: Actor, *who: tuple[Actor, int, int]) -> None:
    with house.scope(chief, now=NOW) as conn:
        for actor, begin, end in who:
            shifts.add(conn, chief, user_id=actor.user_id, starts_at=NOW + begin * HOUR, ends_at=NOW + end * HOUR,
                       post="1号席", now=NOW)  # fmt: skip


def test_a_shift_change_hands_everything_open_over_in_one_press(
    house: Centre, chief: Actor, day: Actor, night: Actor
) -> None:
    roster(house, chief, (day, -8, 0), (night, 0, 8))
    files = [house.alert(unit="north", level=level, now=NOW, ago=timedelta(0)) for level in ("low", "urgent", "high")]
    for alert in files:
        do(house, day, sign.sign, alert)
    do(house, day, contact.contact, files[1], channel="call", result="busy")
    before = [column(house, a, "rank_at") for a in files]
    with house.scope(day, now=NOW) as conn:
        sheet = handover.sheet(conn, day, now=NOW)
        assert [row["level"] for row, _ in sheet] == ["urgent", "high", "low"]
        assert all(step is not None and step.verb == "contact" for _, step in sheet)
        assert [r["name"] for r in handover.receivers(conn, day, now=NOW)] == ["夜班"]
    for _ in range(2):  # the same press twice
        n = do(house, day, handover.hand_over, to=[night.user_id], note="紧急那条还占线", key="one-press-hand-over")
    assert n == 3
    assert {column(house, a, "signed_by") for a in files} == {night.user_id}
    assert [column(house, a, "rank_at") for a in files] == before, "clocks run on"
    assert steps(house, night, files[0])[-1] == ("hand_over", None)
    with house.scope(night, now=NOW) as conn:
        [got] = handover.received(conn, night, now=NOW)
        assert (got["name"], got["n"], got["open"], got["note"]) == ("白班", 3, 3, "紧急那条还占线")
        assert file.read(conn, night, files[0], now=NOW).code is not None, "the new officer has a code of their own"
    assert refused(house, day, handover.hand_over, to=[night.user_id], note="") == "nothing_open"
    assert refused(house, day, handover.hand_over, to=[day.user_id], note="") == "no_receiver"
    assert refused(house, day, handover.hand_over, to=[], note="") == "no_receiver"


def test_what_is_left_when_a_shift_has_ended_is_shown_and_can_be_taken(
    house: Centre, chief: Actor, day: Actor, night: Actor
) -> None:
    roster(house, chief, (day, -8, 1), (night, 1, 9))
    alert = house.alert(unit="north", now=NOW)
    do(house, day, sign.sign, alert)

    def left(at: object) -> list[int]:
        with house.scope(night, now=at) as conn:  # type: ignore[arg-type]
            return [r["alert_id"] for r in queue.rows(conn, night, queue.Filters(scope="left"), now=at)[0]]  # type: ignore[arg-type]

    assert left(NOW) == []
    assert left(NOW + HOUR) == [alert]
    do(house, night, sign.take_over, alert, at=NOW + HOUR)
    assert left(NOW + HOUR) == []
    assert left(NOW + 9 * HOUR) == [alert]


def test_the_roster(house: Centre, chief: Actor, day: Actor) -> None:
    roster(house, chief, (day, 0, 8))
    with house.scope(chief, now=NOW) as conn:
        for begin, end, why in ((7, 9, "shift_overlap"), (9, 9, "shift_times"), (9, 40, "shift_times")):
            with pytest.raises(Refused) as caught:
                shifts.add(conn, chief, user_id=day.user_id, starts_at=NOW + begin * HOUR, ends_at=NOW + end * HOUR)
            assert caught.value.reason == why
        week = NOW.date() + timedelta(days=7)
        assert shifts.copy_week(conn, chief, week) == (1, 0)
        assert shifts.copy_week(conn, chief, week) == (0, 1)
        [copied] = shifts.week(conn, chief, week)
        assert (copied["starts_at"], copied["post"]) == (NOW + timedelta(days=7), "1号席")
    with house.scope(day) as conn, pytest.raises(Refused):
        shifts.remove(conn, day, copied["shift_id"])
    other = house.officer("other", "南长官", "commander", unit="south")
    with house.scope(other) as conn, pytest.raises(Refused):
        shifts.remove(conn, other, copied["shift_id"])


def test_a_visit_goes_while_the_officer_calls(house: Centre, day: Actor) -> None:
    hill = house.officer("hill", "山前民警", "station", unit="hill")
    alert = house.alert(unit="north", level="urgent", now=NOW, ago=timedelta(0))
    do(house, day, sign.sign, alert)
    assert not sees(house, hill, alert)
    do(house, day, dispatch.send, alert, unit_id=house.units["hill"], words="三单元502")
    assert refused(house, day, dispatch.send, alert, unit_id=house.units["hill"]) == "sent_already"
    version = column(house, alert, "version")
    with house.scope(hill, now=NOW) as conn:
        [order] = dispatch.ours(conn, hill)
    assert order["meet_by"] == NOW + clock.stretch(3600), "the visit has its own clock"
    do(house, hill, dispatch.going, order["dispatch_id"])
    assert column(house, alert, "version") == version, "the officer on the phone is not disturbed"
    do(house, day, contact.contact, alert, channel="call", result="busy")
    assert refused(house, day, dispatch.finish, order["dispatch_id"], result="met") == "not_for_you"
    do(house, hill, dispatch.finish, order["dispatch_id"], result="met")
    assert column(house, alert, "state") == "reached"
    with house.scope(hill, now=NOW) as conn:
        last = undo.undoable(conn, hill, alert, now=NOW)
    assert last is not None
    do(house, hill, undo.undo, alert, contact_id=last["contact_id"])
    assert column(house, alert, "state") == "contacting"
    do(house, hill, dispatch.finish, order["dispatch_id"], result="met")
    assert refused(house, hill, dispatch.going, order["dispatch_id"]) == "order_state"
    assert [s for s in steps(house, day, alert)] == [
        ("sign", None), ("visit", "dispatched"), ("visit_going", None), ("call", "busy"), ("visit", "met"),
        ("undo", "visit"), ("visit", "met")]  # fmt: skip


def test_with_the_step_the_order_is_taken_back(house: Centre, day: Actor) -> None:
    alert = house.alert(unit="north", now=NOW)
    do(house, day, sign.sign, alert)
    sent = do(house, day, dispatch.send, alert, unit_id=house.units["river"])
    do(house, day, undo.undo, alert, contact_id=sent.contact_id)
    with house.scope(day, now=NOW) as conn:
        assert dispatch.of_file(conn, alert) == []
    assert column(house, alert, "state") == "signed"


def test_who_uses_the_line_is_the_desks_own_word_and_can_be_taken_back(house: Centre, day: Actor) -> None:
    alert = house.alert("张父", unit="north", line="+8613812340000", now=NOW)
    before = column(house, alert, "line_id")
    do(house, day, sign.sign, alert)
    assert refused(house, day, locate.judge, alert, code="other") == "no_user"
    assert refused(house, day, locate.judge, alert, code="other", line="hello") == "line_form"
    assert refused(house, day, locate.judge, alert, code="who") == "unknown_code"
    do(house, day, locate.judge, alert, code="other", name="张子", line="139 1234 0000", place="杭州西湖")
    assert column(house, alert, "line_id") != before
    with house.scope(day, now=NOW) as conn:
        said = locate.standing(conn, alert)
        row = queue.one(conn, day, alert, now=NOW)
        assert said is not None and (said["name"], said["place"], said["officer"]) == ("张子", "杭州西湖", "白班")
        assert row is not None and row["line"] == "+8613912340000"
        told = conn.execute("SELECT role, source, valid_to FROM relations WHERE source = 'desk'").fetchall()
    assert told == [("user", "desk", None)] * 2
    do(house, day, contact.contact, alert, channel="call", result="self", to_id=column(house, alert, "line_id"))
    do(house, day, locate.take_back, alert, judgement_id=said["judgement_id"])
    assert column(house, alert, "line_id") == before
    with house.scope(day, now=NOW) as conn:
        assert locate.standing(conn, alert) is None
        assert conn.execute("SELECT count(*) FROM relations WHERE source = 'desk' AND valid_to IS NULL").fetchone() == (
            0,
        )
    assert refused(house, day, locate.take_back, alert, judgement_id=said["judgement_id"]) == "not_found"


def test_no_other_sources_word_is_ended_by_the_desk(house: Centre, day: Actor) -> None:
    house.alert(unit="north", now=NOW)
    with house.scope(day) as conn:
        assert conn.execute("UPDATE relations SET valid_to = now() WHERE source = 'test'").rowcount == 0


def test_who_has_the_file_open_is_told_and_forgotten(house: Centre, day: Actor, night: Actor) -> None:
    alert = house.alert(unit="north", now=NOW)
    stranger = house.officer("stranger", "南乙", "dissuader", unit="south")
    for actor in (day, night, stranger):
        with house.scope(actor, now=NOW) as conn:
            presence.here(conn, actor, alert, now=NOW)
    with house.scope(day, now=NOW) as conn:
        assert presence.others(conn, day, alert, now=NOW) == ["夜班"]
        assert presence.others(conn, day, alert, now=NOW + clock.stretch(presence.GONE_S)) == []
    with house.scope(night, now=NOW) as conn:
        presence.gone(conn, night, alert)
    with house.scope(day, now=NOW) as conn:
        assert presence.others(conn, day, alert, now=NOW) == []


@pytest.mark.parametrize("seed", [1, 2])
def test_thirty_officers_who_sign_at_once_never_hold_the_same_alert(house: Centre, db: Database, seed: int) -> None:
    officers = [house.officer(f"o{i}", f"甲{i}", "dissuader", unit="north") for i in range(30)]
    alerts = [
        house.alert(unit=("north", "river")[i % 2], level=LEVELS[(i * seed) % 4], now=NOW, amount_fen=i * 100)
        for i in range(70)
    ]
    got: dict[int, list[int]] = {}
    wrong: list[BaseException] = []
    gate = threading.Barrier(30)

    def work(actor: Actor) -> None:
        mine: list[int] = []
        try:
            with db.connect("web") as conn:
                gate.wait()
                for n in range(4):
                    try:
                        with house.scope(actor, conn):
                            mine.append(
                                sign.sign_next(conn, actor, queue.Filters(), key=f"click-{actor.user_id}-{n}").alert_id
                            )
                    except Refused as refused:
                        assert refused.reason == "queue_empty"
                    try:
                        with house.scope(actor, conn):
                            sign.sign(conn, actor, alerts[n], version=1, key=f"direct-{actor.user_id}-{n}")
                            mine.append(alerts[n])
                    except Refused as refused:
                        assert refused.reason in ("taken", "already_yours", "changed")
        except BaseException as error:
            wrong.append(error)
        got[actor.user_id] = mine

    threads = [threading.Thread(target=work, args=(actor,)) for actor in officers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
    held = [alert for mine in got.values() for alert in mine]
    assert sorted(held) == sorted(alerts), "each once, none left"
    standing = dict(house.engine.execute("SELECT alert_id, signed_by FROM alerts").fetchall())
    assert standing == {alert: user for user, mine in got.items() for alert in mine}
    signs = house.engine.execute(
        "SELECT count(*), count(DISTINCT alert_id) FROM contacts WHERE kind = 'sign'"
    ).fetchone()
    assert signs == (70, 70)
