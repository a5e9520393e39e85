"""Calls that come in: the same whatever the order of telling; whose they are; what is left when nobody answered."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.desks import Centre, centre

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import callbacks, contact, incoming, sign
from wuzha.respond.incoming import Told

LINE = "+8613812341234"


def told(
    house: Centre, call: str, event: Any, *, after: float = 0, number: str | None = LINE, unit: str = "centre",
    at: datetime | None = None, **columns: Any,
) -> str:  # fmt: skip
    from wuzha import store

    at = (at or clock.now()) + timedelta(seconds=after)
    with store.transaction(house.web, unit=house.units[unit]) as conn:
        said = Told(call=call, event=event, at=at, number=number, **columns)
        return incoming.tell(conn, "pbx", house.units[unit], said)


def extension(house: Centre, actor: Actor, number: str) -> None:
    house.web.execute("UPDATE users SET extension = %s WHERE user_id = %s", (number, actor.user_id))


def test_an_answered_call_is_a_contact_of_its_file_once(house: Centre, wang: Actor) -> None:
    extension(house, wang, "801")
    alert = house.alert(line=LINE)
    assert told(house, "c1", "ringing", extension="801") == "new"
    assert told(house, "c1", "answered", after=3, extension="801") == "new"
    assert told(house, "c1", "ended", after=90, recording="rec/1.wav") == "new"
    assert told(house, "c1", "ended", after=91) == "known"  # the earlier time stands
    with house.scope(wang) as conn:
        call = conn.execute("SELECT state, alert_id, user_id, recording, contact_id FROM phone_calls").fetchall()
        steps = conn.execute("SELECT contact_id, alert_id, kind, code FROM contacts").fetchall()
    assert len(steps) == 1 and steps[0][1:] == (alert, "call_back", "answered")
    assert call == [("ended", alert, wang.user_id, "rec/1.wav", steps[0][0])]


def test_a_missed_call_waits_once_however_often_it_came(house: Centre, wang: Actor) -> None:
    house.alert(line=LINE)
    for n in range(3):
        told(house, f"c{n}", "ringing", after=n)
        told(house, f"c{n}", "missed", after=n + 1)
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
    assert (row["n"], row["number"], row["why"]) == (3, LINE, "missed")


def test_a_call_that_ended_without_an_answer_was_missed(house: Centre, wang: Actor) -> None:
    told(house, "c1", "ringing")
    told(house, "c1", "ended", after=20)
    with house.scope(wang) as conn:
        assert [r["number"] for r in callbacks.listed(conn, wang)] == [LINE]


def test_a_withheld_number_cannot_be_called_back(house: Centre, wang: Actor) -> None:
    told(house, "c1", "missed", number=None)
    with house.scope(wang) as conn:
        assert callbacks.listed(conn, wang) == []


def test_their_own_line_comes_before_their_kins_and_danger_before_age(house: Centre, wang: Actor) -> None:
    mother, line = house.person("李母", line=LINE)
    low = house.alert("李强", level="low")
    urgent = house.alert("李芳", level="urgent")
    for alert in (low, urgent):
        person = house.engine.execute("SELECT person_id FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert person is not None
        house.relate(person[0], mother, "mother")
    with house.scope(wang) as conn:
        assert incoming.match(conn, LINE) == (line, urgent)
    own = house.alert("李母", level="low", person=(mother, line))
    with house.scope(wang) as conn:
        assert incoming.match(conn, LINE) == (line, own)
        assert incoming.match(conn, "+8613999999999") == (None, None)
        assert incoming.match(conn, None) == (None, None)


def test_call_backs_stand_by_danger_then_tries_then_time(house: Centre, wang: Actor) -> None:
    lines = [f"+8613812340{n:03d}" for n in range(5)]
    house.alert("低", level="low", line=lines[0])
    house.alert("急", level="urgent", line=lines[1])
    for i, line in enumerate(lines):
        told(house, f"c{i}", "missed", after=-60 + i, number=line)
    told(house, "more", "missed", number=lines[4])
    with house.scope(wang) as conn:
        order = [r["number"] for r in callbacks.listed(conn, wang)]
    assert order == [lines[1], lines[0], lines[4], lines[2], lines[3]]


def test_a_call_back_that_another_answers_asks_for_the_ground_where_kin_may_not_be_told(
    house: Centre, wang: Actor
) -> None:
    house.alert(line=LINE, scam_type="romance")
    told(house, "c1", "missed")
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
    for reason, words, why in ((None, "说了", "other_reason"), ("neutral", None, "other_words")):
        with house.scope(wang) as conn, pytest.raises(Refused, match=why):
            callbacks.settle(
                conn, wang, row["callback_id"], result="told_other", key="another-one", reason=reason, words=words
            )
    with house.scope(wang) as conn:
        callbacks.settle(
            conn, wang, row["callback_id"], result="told_other", key="another-one", reason="neutral", words="请其回拨"
        )
    assert house.engine.execute("SELECT code, reason FROM contacts WHERE code IS NOT NULL").fetchall() == [
        ("told_other", "neutral")
    ]


def test_one_officer_at_a_time_calls_back(house: Centre, wang: Actor, zhao: Actor) -> None:
    alert = house.alert(line=LINE)
    told(house, "c1", "missed")
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
    with house.scope(zhao) as conn, pytest.raises(Refused) as refused:
        callbacks.take(conn, zhao, row["callback_id"])
    assert (refused.value.reason, refused.value.values["who"]) == ("call_back_taken", "王敏")
    with house.scope(zhao) as conn, pytest.raises(Refused, match="call_back_taken"):
        callbacks.settle(conn, zhao, row["callback_id"], result="self", key="zhao-settles")
    for _ in range(2):  # the same click twice
        with house.scope(wang) as conn:
            callbacks.settle(conn, wang, row["callback_id"], result="self", key="wang-settles", words="说清了")
    found = house.engine.execute("SELECT state, signed_by FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert found == ("reached", wang.user_id)  # whoever calls back signs for it
    steps = house.engine.execute("SELECT kind, code, words FROM contacts ORDER BY contact_id").fetchall()
    assert steps == [("sign", None, None), ("call", "self", "说清了")]
    with house.scope(wang) as conn:
        assert callbacks.listed(conn, wang) == []


def test_a_taken_call_back_goes_back_after_its_time(house: Centre, wang: Actor, zhao: Actor) -> None:
    told(house, "c1", "missed")
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
    later = clock.now() + timedelta(minutes=11)
    with house.scope(zhao, now=later) as conn:
        assert not callbacks.listed(conn, zhao, now=later)[0]["held"]
        callbacks.take(conn, zhao, row["callback_id"], now=later)


def test_an_unanswered_call_back_waits_on(house: Centre, wang: Actor) -> None:
    told(house, "c1", "missed")
    with house.scope(wang) as conn:
        (row,) = callbacks.listed(conn, wang)
        callbacks.take(conn, wang, row["callback_id"])
        callbacks.settle(conn, wang, row["callback_id"], result="no_answer", key="no-answer-click")
        (row,) = callbacks.listed(conn, wang)
        assert (row["state"], row["result"], row["taken_by"]) == ("open", "no_answer", None)


def test_who_was_reached_since_is_not_called_back(house: Centre, wang: Actor) -> None:
    alert = house.alert(line=LINE)
    told(house, "c1", "missed", after=-60)
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it")
        contact.contact(conn, wang, alert, channel="call", result="self", version=2, key="reached-them")
        assert callbacks.listed(conn, wang) == []


def test_who_comes_through_later_is_not_called_back(house: Centre, wang: Actor) -> None:
    told(house, "c1", "missed", after=-60)
    told(house, "c2", "answered", extension="801")
    with house.scope(wang) as conn:
        assert callbacks.listed(conn, wang) == []


def test_another_centre_sees_no_call(house: Centre) -> None:
    house.unit("far", "外地反诈中心", "county")
    far = house.officer("far", "外", "dissuader", unit="far")
    told(house, "c1", "missed")
    with house.scope(far) as conn:
        assert callbacks.listed(conn, far) == []
        assert incoming.popping(conn, far) == []
        assert conn.execute("SELECT count(*) FROM phone_calls").fetchone() == (0,)


def test_a_call_shows_where_it_rings(house: Centre, wang: Actor, zhao: Actor) -> None:
    extension(house, wang, "801")
    extension(house, zhao, "802")
    alert = house.alert(line=LINE)
    told(house, "c1", "ringing", extension="801")

    def shown(actor: Actor) -> list[Any]:
        with house.scope(actor) as conn:
            return [(r["state"], r["alert_id"]) for r in incoming.popping(conn, actor)]

    assert (shown(wang), shown(zhao)) == ([("ringing", alert)], [])
    with house.scope(zhao) as conn:
        sign.sign(conn, zhao, alert, version=1, key="zhao-has-it")
    assert shown(zhao) == [("ringing", alert)]  # their file's person calls, wherever it rings
    told(house, "c1", "answered", after=1, extension="801")
    assert (shown(wang), shown(zhao)) == ([("answered", alert)], [])
    told(house, "c1", "ended", after=2)
    assert shown(wang) == []
    told(house, "c2", "ringing", number="+8613999999999")  # the hotline itself: everybody
    assert shown(wang) == shown(zhao) == [("ringing", None)]


EVENTS = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from(incoming.EVENTS), st.integers(0, 30), st.sampled_from(["801", None])),
    min_size=1, max_size=6,
)  # fmt: skip
NOW = datetime(2026, 3, 2, 1, 0, tzinfo=UTC)


@given(events=EVENTS, data=st.data())
@settings(
    max_examples=10, deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    phases=[Phase.explicit, Phase.generate],  # each example is two databases: no time to shrink
)  # fmt: skip
def test_events_in_any_order_and_twice_make_the_same_calls(make_db: Any, events: Any, data: st.DataObject) -> None:
    order = data.draw(st.permutations(events))
    twice = data.draw(st.lists(st.sampled_from(events), max_size=3))
    found = []
    for given_events in (events, [*order, *twice]):
        db = make_db()
        with db.connect("engine") as engine, db.connect("web") as web:
            house = centre(db, engine, web)
            wang = house.officer("wang", "王敏", "dissuader")
            extension(house, wang, "801")
            house.alert(line=LINE)
            for call, event, seconds, where in given_events:
                told(house, f"c{call}", event, at=NOW, after=seconds, extension=where)
            with house.scope(wang) as conn:
                found.append((
                    conn.execute("SELECT ref, state, at, answered_at, missed_at, ended_at, extension"
                                 " FROM phone_calls ORDER BY ref").fetchall(),
                    conn.execute("SELECT number, first_at, n FROM call_backs WHERE state <> 'done'").fetchall(),
                    conn.execute("SELECT count(*) FROM contacts").fetchall(),
                ))  # fmt: skip
    assert found[0] == found[1]
