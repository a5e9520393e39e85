"""Steps on an alert: the way from new to closed, who may, what is done once, what can be taken back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import contact, file, outcome, queue, sign, undo
from wuzha.respond.next_step import next_step
from wuzha.store import log


def version(house: Centre, alert_id: int) -> int:
    row = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert_id,)).fetchone()
    assert row is not None
    return int(row[0])


def state(house: Centre, alert_id: int, column: str = "state") -> Any:
    row = house.engine.execute(f"SELECT {column} FROM alerts WHERE alert_id = %s", (alert_id,)).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return row[0]


def do(house: Centre, actor: Actor, verb: Callable[..., Any], alert_id: int, **values: Any) -> Any:
    """One step in a transaction of its own, at the version that stands."""
    now = values.pop("at", None)
    values.setdefault("key", f"click-{verb.__name__}-{values}"[:80])
    if verb not in (undo.undo, contact.note):
        values.setdefault("version", version(house, alert_id))
    with house.scope(actor, now=now) as conn:
        return verb(conn, actor, alert_id, now=now, **values)


def refused(house: Centre, actor: Actor, verb: Callable[..., Any], alert_id: int, **values: Any) -> Refused:
    values.setdefault("key", f"refused-{verb.__name__}-{values}"[:80])
    with pytest.raises(Refused) as caught:
        do(house, actor, verb, alert_id, **values)
    return caught.value


def test_from_new_to_closed_and_the_log_learns_of_it(house: Centre, wang: Actor) -> None:
    alert = house.alert(amount_fen=1_820_000)
    do(house, wang, sign.sign, alert)
    do(house, wang, contact.contact, alert, channel="call", result="busy")
    assert state(house, alert) == "contacting"
    do(house, wang, contact.contact, alert, channel="call", result="self")
    assert state(house, alert) == "reached"
    do(house, wang, outcome.outcome, alert, code="dissuaded", amount_fen=1_820_000)
    do(house, wang, outcome.close, alert)
    assert state(house, alert) == "closed"
    assert state(house, alert, "avoided_fen") == 1_820_000
    [batch] = list(log.read(house.engine, after=0))
    assert batch.table == "findings"
    [row] = batch.rows.to_pylist()
    assert row["kind"] == "alert_closed"
    assert row["code"] == "dissuaded"
    assert row["episode"] == 1
    assert row["amount_fen"] == 1_820_000
    assert row["subject"].startswith("person:")


def test_a_close_and_its_finding_stand_or_fall_together(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    do(house, wang, outcome.outcome, alert, code="false_alarm")
    with pytest.raises(RuntimeError), house.scope(wang) as conn:
        outcome.close(conn, wang, alert, version=version(house, alert), key="close-and-fail")
        raise RuntimeError
    assert state(house, alert) == "signed"
    assert list(log.read(house.engine, after=0)) == []


def test_a_close_is_final_and_a_second_close_is_a_finding_of_its_own(house: Centre, wang: Actor) -> None:
    """The engine ends the episode by the finding, so a close that were taken back would leave evidence without a file;
    where the engine itself opens a file again, its next close must not be refused as the first one at another time."""
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    do(house, wang, outcome.outcome, alert, code="false_alarm")
    closed = do(house, wang, outcome.close, alert)
    with house.scope(wang) as conn:
        assert undo.undoable(conn, wang, alert) is None
    assert refused(house, wang, undo.undo, alert, contact_id=closed.contact_id).reason == "too_late"
    assert state(house, alert) == "closed"
    assert len(list(log.read(house.engine, after=0))) == 1

    house.engine.execute(
        "UPDATE alerts SET state = 'signed', closed_at = NULL, episode = 2 WHERE alert_id = %s", (alert,)
    )
    do(house, wang, outcome.close, alert, key="close-again")
    rows = [row for batch in log.read(house.engine, after=0) for row in batch.rows.to_pylist()]
    assert [row["episode"] for row in rows] == [1, 2]
    assert len({row["event_id"] for row in rows}) == 2


def test_of_two_who_sign_at_once_exactly_one_has_it_and_the_other_learns_who(
    house: Centre, wang: Actor, zhao: Actor
) -> None:
    alert = house.alert()
    seen = version(house, alert)
    gate, results = threading.Barrier(2), {}

    def try_it(actor: Actor) -> None:
        with house.db.connect("web") as conn:
            gate.wait()
            try:
                with house.scope(actor, conn):
                    sign.sign(conn, actor, alert, version=seen, key="click-" + actor.login)
                results[actor.name] = "signed"
            except Refused as error:
                results[actor.name] = error

    threads = [threading.Thread(target=try_it, args=(a,)) for a in (wang, zhao)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    winner = [name for name, r in results.items() if r == "signed"]
    assert len(winner) == 1
    [loser] = [r for r in results.values() if r != "signed"]
    assert loser.reason == "taken"
    assert loser.values["who"] == winner[0]
    assert state(house, alert, "signed_by") in (wang.user_id, zhao.user_id)


def test_sign_next_never_gives_one_alert_to_two(house: Centre, wang: Actor, zhao: Actor) -> None:
    for _ in range(8):
        house.alert()
    got: list[int] = []
    gate = threading.Barrier(2)

    def work(actor: Actor) -> None:
        with house.db.connect("web") as conn:
            gate.wait()
            for i in range(4):
                with house.scope(actor, conn):
                    got.append(sign.sign_next(conn, actor, queue.Filters(), key=f"next-{actor.login}-{i}").alert_id)

    threads = [threading.Thread(target=work, args=(a,)) for a in (wang, zhao)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(got) == len(set(got)) == 8


def test_the_second_click_does_nothing(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    before = version(house, alert)
    first = do(house, wang, contact.contact, alert, channel="call", result="busy", key="one-click", version=before)
    second = do(house, wang, contact.contact, alert, channel="call", result="self", key="one-click", version=before)
    assert second.repeated and second.contact_id == first.contact_id
    assert state(house, alert) == "contacting"
    row = house.engine.execute(
        "SELECT count(*) FROM contacts WHERE alert_id = %s AND kind = 'call'", (alert,)
    ).fetchone()
    assert row == (1,)


def test_sign_next_twice_with_one_click_signs_one(house: Centre, wang: Actor) -> None:
    house.alert()
    house.alert()
    with house.scope(wang) as conn:
        first = sign.sign_next(conn, wang, queue.Filters(), key="next-click")
    with house.scope(wang) as conn:
        second = sign.sign_next(conn, wang, queue.Filters(), key="next-click")
    assert second.repeated and second.alert_id == first.alert_id


def test_another_officer_may_not_work_on_it_but_may_take_it_over(house: Centre, wang: Actor, zhao: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    assert refused(house, zhao, contact.contact, alert, channel="call", result="busy").values["who"] == "王敏"
    do(house, zhao, sign.take_over, alert)
    assert refused(house, wang, contact.contact, alert, channel="call", result="busy").values["who"] == "赵磊"
    do(house, zhao, contact.contact, alert, channel="call", result="busy")


def test_an_old_page_changes_nothing(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    old = version(house, alert)
    do(house, wang, contact.contact, alert, channel="call", result="busy")
    assert (
        refused(
            house, wang, contact.contact, alert, channel="call", result="self", version=old, key="other-click"
        ).reason
        == "changed"
    )


@pytest.mark.parametrize(
    ("verb", "values", "reason"),
    [
        (outcome.close, {}, "no_outcome"),
        (outcome.outcome, {"code": "dissuaded"}, "not_reached"),
        (outcome.outcome, {"code": "nonsense"}, "unknown_code"),
        (outcome.outcome, {"code": "deceived", "amount_fen": -1}, "amount"),
        (contact.contact, {"channel": "call", "result": "dispatched"}, "unknown_code"),
        (contact.contact, {"channel": "pigeon", "result": "self"}, "unknown_code"),
        (contact.contact, {"channel": "call", "result": "self", "to_id": 999_999}, "unknown_code"),
        (sign.sign, {}, "already_yours"),
    ],
)  # fmt: skip
def test_what_is_refused_changes_nothing(
    house: Centre, wang: Actor, verb: Callable[..., Any], values: dict[str, Any], reason: str
) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    before = version(house, alert)
    assert refused(house, wang, verb, alert, **values).reason == reason
    assert version(house, alert) == before


def test_half_believing_does_not_close(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    do(house, wang, contact.contact, alert, channel="visit", result="met")
    do(house, wang, outcome.outcome, alert, code="half_believing")
    assert refused(house, wang, outcome.close, alert).reason == "not_final"


def test_kin_told_is_not_the_person_reached(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    do(house, wang, contact.contact, alert, channel="kin", result="self", reason="danger", words="请她先别转账")
    assert state(house, alert) == "contacting"


def test_undo_within_ten_seconds_restores_what_was(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    start = clock.now()
    do(house, wang, sign.sign, alert, at=start)
    done = do(house, wang, contact.contact, alert, channel="call", result="self", at=start)
    do(house, wang, undo.undo, alert, contact_id=done.contact_id, at=start + timedelta(seconds=9))
    assert state(house, alert) == "signed"
    assert state(house, alert, "reached_at") is None
    assert state(house, alert, "contacted_at") is None
    again = refused(
        house, wang, undo.undo, alert, contact_id=done.contact_id, at=start + timedelta(seconds=9), key="again-undo"
    )
    assert again.reason == "too_late"


def test_undo_of_the_signature_puts_the_alert_back(house: Centre, wang: Actor, zhao: Actor) -> None:
    alert = house.alert()
    done = do(house, wang, sign.sign, alert)
    do(house, wang, undo.undo, alert, contact_id=done.contact_id)
    assert state(house, alert) == "new"
    do(house, zhao, sign.sign, alert)


def test_undo_is_too_late_after_ten_seconds_after_another_step_for_others_and_after_the_close(
    house: Centre, wang: Actor, zhao: Actor
) -> None:
    alert = house.alert()
    start = clock.now()
    do(house, wang, sign.sign, alert, at=start)
    call = do(house, wang, contact.contact, alert, channel="call", result="busy", at=start)
    late = start + timedelta(seconds=11)
    assert refused(house, wang, undo.undo, alert, contact_id=call.contact_id, at=late).reason == "too_late"
    assert refused(house, zhao, undo.undo, alert, contact_id=call.contact_id, at=start).reason == "too_late"
    do(house, wang, outcome.outcome, alert, code="false_alarm", at=start)
    assert (
        refused(house, wang, undo.undo, alert, contact_id=call.contact_id, at=start, key="other-key").reason
        == "too_late"
    )
    closed = do(house, wang, outcome.close, alert, at=start)
    assert refused(house, wang, undo.undo, alert, contact_id=closed.contact_id, at=start).reason == "too_late"


def test_a_note_is_kept_even_on_a_closed_file_and_an_empty_one_is_refused(
    house: Centre, wang: Actor, zhao: Actor
) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    do(house, wang, outcome.outcome, alert, code="false_alarm")
    do(house, wang, outcome.close, alert)
    do(house, zhao, contact.note, alert, words="核对过")
    assert refused(house, zhao, contact.note, alert, words="  ", key="empty-note").reason == "no_words"


def test_every_step_leaves_its_audit_row(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    do(house, wang, contact.contact, alert, channel="call", result="busy")
    rows = house.engine.execute(
        "SELECT action, actor, unit_id FROM audit WHERE object = %s ORDER BY audit_id", (f"alert:{alert}",)
    ).fetchall()
    assert rows == [("alert.sign", "wang", wang.unit_id), ("alert.call", "wang", wang.unit_id)]


def test_roles_that_may_not_act_are_refused(house: Centre) -> None:
    alert = house.alert()
    for role in ("auditor", "analyst"):
        actor = house.officer(role, role, role)
        assert refused(house, actor, sign.sign, alert).reason == "forbidden"


def test_a_foreign_unit_sees_nothing_of_it(house: Centre) -> None:
    alert = house.alert(unit="east")
    south = house.officer("li", "李强", "dissuader", unit="south")
    east = house.officer("sun", "孙丽", "dissuader", unit="east")
    assert refused(house, south, sign.sign, alert).reason == "not_found"
    with house.scope(south) as conn:
        assert queue.rows(conn, south, queue.Filters())[0] == []
        with pytest.raises(Refused):
            file.read(conn, south, alert)
    do(house, east, sign.sign, alert)


def test_the_officers_code_belongs_to_one_officer_and_file_and_ends(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    do(house, wang, sign.sign, alert)
    with house.scope(wang) as conn:
        code = file.read(conn, wang, alert).code
        assert code is not None
        found = sign.verify_code(conn, code)
        assert found is not None and found["officer"] == "王敏" and found["alert_id"] == alert
        assert sign.verify_code(conn, code, now=clock.now() + timedelta(days=2)) is None
        assert sign.verify_code(conn, "0000") is None


def test_the_next_step_leads_from_signing_to_the_close(house: Centre, wang: Actor) -> None:
    alert = house.alert(level="urgent")
    kin, line = house.person("张丽", line="+8613966216621")
    person = state(house, alert, "person_id")
    house.relate(person, kin, "child")

    def proposed() -> tuple[str, str | None]:
        with house.scope(wang) as conn:
            step = next_step(file.read(conn, wang, alert), wang)
        return step.verb, step.channel

    assert proposed() == ("sign", None)
    do(house, wang, sign.sign, alert)
    assert proposed() == ("contact", "call")
    do(house, wang, contact.contact, alert, channel="call", result="busy")
    assert proposed() == ("contact", "kin")
    do(house, wang, contact.contact, alert, channel="kin", result="told_other", to_id=line, reason="cannot_reach",
       words="请去找到本人")  # fmt: skip
    assert proposed() == ("contact", "visit")
    do(house, wang, contact.contact, alert, channel="visit", result="met")
    assert proposed() == ("outcome", None)
    do(house, wang, outcome.outcome, alert, code="dissuaded")
    assert proposed() == ("close", None)
    do(house, wang, outcome.close, alert)
    assert proposed() == ("nothing", None)
