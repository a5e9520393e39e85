"""Visits at the door between the two zones: orders out, records back, each once, with the link cut and without."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.doors import PIN, Doors, doors

from wuzha.command.public import Refused
from wuzha.events import clock
from wuzha.respond import contact, dispatch, door_zone, file, outcome, phones, reveal, safety, visits
from wuzha.respond.codes import tries
from wuzha.store import Database

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 40


@pytest.fixture
def both(make_db: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    with doors(make_db, tmp_path, monkeypatch) as made:
        yield made


def iso(at: datetime | None = None) -> str:
    return (at or datetime.now(UTC)).isoformat()


def open_(phone: Any, order: int) -> dict[str, Any]:
    answer = phone.post(
        "/door/api/open", json={"id": str(uuid.uuid4()), "order": str(order), "at": iso(), "now": iso()}
    )
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def record(visit: int, result: str = "met", revision: int = 1, **fields: Any) -> dict[str, Any]:
    notice = {"state": "refused", "reason": "不愿签", "at": iso()} if result == "met" else {"state": "none"}
    return {
        "kind": "record", "id": str(uuid.uuid4()), "order": str(visit), "at": iso(), "revision": revision,
        "result": result, "checks": [{"code": "screen_share", "at": iso()}, {"code": "bank", "at": iso()}],
        "notice": notice, "signature": None, "pictures": [], "place": {"text": "东街12号"}, "kin": {"present": True},
        "mind": "doubting", "words": "已停止共享屏幕",
    } | fields  # fmt: skip


def sync(phone: Any, *items: Any) -> list[tuple[str, str | None]]:
    answer = phone.post("/door/api/sync", json={"now": iso(), "items": list(items)})
    assert answer.status_code == 200, answer.text
    return [(a["status"], a.get("reason")) for a in answer.json()["items"]]


def test_an_order_crosses_is_masked_until_opened_and_its_opening_stands_on_the_file(both: Doors) -> None:
    alert = both.signed("张小兰", level="urgent", line="+8613812341234", vault={"place": "东街道"})
    order = both.sent(alert)
    phone = both.phone(both.officer("li", "李强"))
    listed = phone.get("/door/api/orders")
    assert [o["ref"] for o in listed.json()["orders"]] == [str(order)]
    for secret in ("张小兰", "13812341234", "东街12号"):
        assert secret not in listed.text
    told = open_(phone, order)
    assert told["name"] == "张小兰" and told["tel"] == "+8613812341234" and "北门" in told["route"]
    assert told["places"] == ["东街道"] and told["first"] and told["number"] and told["talk"]["opening"]
    assert phone.get("/door/api/orders").json()["orders"][0]["name"] == "张小兰"  # changes of it reach who has it open
    both.pass_on()
    acts = both.desk.engine.execute("SELECT action, actor FROM audit WHERE object = %s", (f"alert:{alert}",)).fetchall()
    assert ("alert.order_told", "machine:tell_orders") in acts and ("alert.order_opened", "li") in acts
    assert both.refused == []


def test_a_phone_sees_its_own_units_orders_only(both: Doors) -> None:
    order = both.sent(both.signed(), unit="south")
    phone = both.phone(both.officer("li", "李强", unit="east"))
    assert phone.get("/door/api/orders").json()["orders"] == []
    answer = phone.post("/door/api/open", json={"id": str(uuid.uuid4()), "order": str(order), "at": iso()})
    assert answer.status_code == 404
    assert sync(phone, record(order)) == [("refused", "order")]


def test_a_record_makes_one_met_visit_once_however_often_it_comes(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert)
    li = both.officer("li", "李强")
    phone = both.phone(li)
    picture = {
        "kind": "picture", "id": str(uuid.uuid4()), "order": str(order), "at": iso(), "what": "signature",
        "mime": "image/png", "data": base64.b64encode(PNG).decode(),
    }  # fmt: skip
    going = {"kind": "going", "id": str(uuid.uuid4()), "order": str(order), "at": iso()}
    mine = record(order, signature=picture["id"], notice={"state": "signed", "at": iso()})
    assert sync(phone, going) == [("kept", None)]
    both.pass_on()
    assert both.one("SELECT state, going_by FROM dispatches") is None  # no scope, no sight
    assert both.desk.engine.execute("SELECT state FROM alerts WHERE alert_id = %s", (alert,)).fetchone() == (
        "contacting",
    )
    assert sync(phone, picture, mine) == [("kept", None), ("kept", None)]
    assert sync(phone, picture, mine, going) == [("again", None)] * 3
    both.pass_on(3)
    assert sync(phone, {**mine, "words": "anders"}) == [("refused", "changed")]
    both.pass_on(3)
    assert both.steps(alert)[-2:] == [("visit_record", "met", li.user_id), ("visit", "met", li.user_id)]
    assert [s[:2] for s in both.steps(alert)].count(("visit", "met")) == 1
    row = both.desk.engine.execute(
        "SELECT state, mind, reached_at IS NOT NULL FROM alerts WHERE alert_id = %s", (alert,)
    ).fetchone()
    assert row == ("reached", "doubting", True)
    with both.desk.scope(both.caller) as conn:
        found = visits.of_file(conn, alert)
        assert conn.execute("SELECT state, result, done_by FROM dispatches").fetchone() == ("done", "met", li.user_id)
    assert [(r["result"], r["stands"], r["outcome"], len(r["images"])) for r in found] == [("met", True, "met", 1)]
    assert found[0]["form"]["checks"].keys() == {"screen_share", "bank"}
    assert phone.get("/door/api/orders").json()["orders"][0]["ended"] == "本次上门已反馈"
    assert both.refused == []


@pytest.mark.parametrize("first", [0, 1])
def test_two_officers_records_are_both_kept_with_one_outcome_in_whatever_order_they_come(
    both: Doors, first: int
) -> None:
    alert = both.signed()
    order = both.sent(alert)
    li, sun = both.officer("li", "李强"), both.officer("sun", "孙悦")
    one, two = both.phone(li), both.phone(sun)
    sends = [(one, record(order, "not_here")), (two, record(order, "met"))]
    for phone, what in sends if first == 0 else reversed(sends):
        assert sync(phone, what) == [("kept", None)]
        both.pass_on()
    told = one.get("/door/api/orders").json()["orders"][0]
    assert told["differs"] and told["outcome"] == "已见面" and len(told["records"]) == 2
    with both.desk.scope(both.caller) as conn:
        found = visits.of_file(conn, alert)
    assert {r["result"] for r in found} == {"met", "not_here"} and all(r["differs"] for r in found)
    assert [s for s in both.steps(alert) if s[0] == "visit"][1:] == [("visit", "met", sun.user_id)]
    # She corrects hers: nobody was met after all. The visit's one outcome follows, and the file is not reached.
    assert sync(two, record(order, "not_here", revision=2)) == [("kept", None)]
    both.pass_on(3)
    assert [s[:2] for s in both.steps(alert) if s[0] == "visit"][1:] == [("visit", "not_here")]
    row = both.desk.engine.execute("SELECT state, reached_at FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row == ("contacting", None)
    with both.desk.scope(both.caller) as conn:
        assert len(visits.of_file(conn, alert)) == 3
        assert conn.execute("SELECT result FROM dispatches").fetchone() == ("not_here",)


def test_with_the_link_cut_the_phones_work_on_and_everything_counts_once_it_is_back(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert)
    phone = both.phone(both.officer("li", "李强"))
    open_(phone, order)
    both.folders["centre"].rename(both.folders["centre"].with_name("away"))
    assert sync(phone, record(order)) == [("kept", None)]
    both.pass_on(3)
    assert all(s[:2] != ("visit", "met") for s in both.steps(alert))
    both.folders["centre"].with_name("away").rename(both.folders["centre"])
    later = clock.now() + timedelta(seconds=40)
    both.pass_on(3, now=later)
    assert [s[:2] for s in both.steps(alert)].count(("visit", "met")) == 1
    for n in range(3):  # letters that are laid there once more count nothing
        for sent in both.folders["centre"].glob("*.wzx"):
            sent.with_name(f"copy-{n}-{sent.name}").write_bytes(sent.read_bytes())
        both.pass_on(now=later + timedelta(seconds=40 * (n + 1)))
    assert [s[:2] for s in both.steps(alert)].count(("visit", "met")) == 1
    assert both.refused == []


def test_what_the_desk_answered_by_hand_stands_and_the_record_stands_beside_it(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert)
    li = both.officer("li", "李强")
    phone = both.phone(li)
    with both.desk.scope(li) as conn:
        dispatch.finish(conn, li, order, result="met", key="by-hand-key")
    assert sync(phone, record(order, "not_here")) == [("kept", None)]
    both.pass_on(3)
    assert [s[:2] for s in both.steps(alert)].count(("visit", "met")) == 1
    with both.desk.scope(both.caller) as conn:
        assert conn.execute("SELECT result FROM dispatches").fetchone() == ("met",)
        assert [r["result"] for r in visits.of_file(conn, alert)] == ["not_here"]


@pytest.mark.parametrize("stations", [["east"], ["east", "south"]])
def test_a_meeting_told_by_telephone_and_by_the_phone_at_the_door_is_one(both: Doors, stations: list[str]) -> None:
    """The officer is told "met" by telephone and enters it; the station's phone sends its record later."""
    alert = both.signed()
    orders = [both.sent(alert, unit=unit) for unit in stations]
    li = both.officer("li", "李强")
    phone = both.phone(li)
    with both.desk.scope(both.caller) as conn:
        contact.contact(
            conn, both.caller, alert, channel="visit", result="met", version=both.version(alert), key="by-telephone"
        )
    both.pass_on(3)  # the order's end has reached the phone before its record is sent
    assert sync(phone, record(orders[0], "met")) == [("kept", None)]
    both.pass_on(3)
    assert [s[:2] for s in both.steps(alert)].count(("visit", "met")) == 1
    with both.desk.scope(both.caller) as conn:
        assert conn.execute("SELECT state, result FROM dispatches WHERE dispatch_id = %s", (orders[0],)).fetchone() == (
            "done", "met",
        )  # fmt: skip
        ladder = [c["code"] for c in file.read(conn, both.caller, alert).contacts if c["kind"] == "visit"]
    assert tries(ladder) == len(stations)  # sent out and met is one visit, not two


def test_a_record_of_a_closed_file_is_kept_and_moves_nothing(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert)
    phone = both.phone(both.officer("li", "李强"))
    open_(phone, order)
    with both.desk.scope(both.caller) as conn:
        outcome.outcome(
            conn, both.caller, alert, code="false_alarm", version=both.version(alert), key="outcome-key-1"
        )  # fmt: skip
        outcome.close(conn, both.caller, alert, version=both.version(alert) + 1, key="close-key-12")
    both.pass_on()
    assert phone.get("/door/api/orders").json()["orders"][0]["ended"] == "预警已结案"
    assert sync(phone, record(order)) == [("kept", None)]
    both.pass_on(3)
    row = both.desk.engine.execute("SELECT state, outcome FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row == ("closed", "false_alarm")
    with both.desk.scope(both.caller) as conn:
        assert len(visits.of_file(conn, alert)) == 1
    assert both.refused == []


def test_an_order_that_ended_with_its_file_stands_again_when_the_file_is_opened_again(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert)
    phone = both.phone(both.officer("li", "李强"))
    open_(phone, order)

    def turn(state: str) -> str:
        with both.desk.scope(both.caller) as conn:
            conn.execute(
                "UPDATE alerts SET state = %s, version = version + 1 WHERE alert_id = %s", (state, alert)
            )  # fmt: skip
        both.pass_on()
        return str(phone.get("/door/api/orders").json()["orders"][0]["ended"])

    assert [turn(s) for s in ("closed", "signed", "closed", "contacting")] == ["预警已结案", "", "预警已结案", ""]
    assert both.refused == []


def test_a_phone_whose_clock_is_wrong_is_put_right_and_never_ahead_or_before_the_order(both: Doors) -> None:
    order = both.sent(both.signed())
    phone = both.phone(both.officer("li", "李强"))
    wrong = datetime.now(UTC) + timedelta(days=3)
    for now, at in ((wrong, wrong), (datetime.now(UTC), wrong), (wrong, wrong - timedelta(days=9))):
        item = record(order, at=iso(at), revision=1)
        assert phone.post("/door/api/sync", json={"now": iso(now), "items": [item]}).json()["items"][0] == {
            "id": item["id"], "status": "kept",
        }  # fmt: skip
    sent = both.there.execute("SELECT sent_at FROM door_orders").fetchone()
    for (made,) in both.there.execute("SELECT made_at FROM door_items").fetchall():
        assert sent is not None and sent[0] <= made <= datetime.now(UTC)


def test_kin_cross_only_where_they_may_be_told_and_a_later_flag_reaches_the_phone(both: Doors) -> None:
    kin, _ = both.desk.person("张丽", line="+8613966216621")
    alert = both.signed("张小兰", level="urgent")
    person = both.desk.engine.execute("SELECT person_id FROM alerts WHERE alert_id = %s", (alert,)).fetchone()[0]  # type: ignore[index]
    both.desk.relate(person, kin, "child")
    order = both.sent(alert)
    phone = both.phone(both.officer("li", "李强"))
    assert open_(phone, order)["kin"]["people"][0]["name"] == "张丽"
    with both.desk.scope(both.caller) as conn:
        safety.flag(conn, both.caller, alert, code="family_violence", key="flag-key-1")
    both.pass_on()
    told = phone.get("/door/api/orders").json()["orders"][0]
    assert told["kin"] == {"forbidden": True, "reasons": [], "people": []} and told["flags"]
    assert "张丽" not in both.there.execute("SELECT body::text FROM door_orders").fetchone()[0]  # type: ignore[index]
    rude = record(order, kin={"present": True, "told": True, "reason": "", "what": ""})
    assert sync(phone, rude) == [("refused", "kin")]
    sextortion = both.signed("李强", scam_type="net_black.sextortion")
    both.desk.relate(
        both.desk.engine.execute("SELECT person_id FROM alerts WHERE alert_id = %s", (sextortion,)).fetchone()[0],  # type: ignore[index]
        kin, "child",
    )  # fmt: skip
    second = both.sent(sextortion)
    both.pass_on()
    assert open_(phone, second)["kin"]["people"] == []


#: What a phone of ours never sends, and why it is not taken.
BAD: tuple[tuple[dict[str, Any], str], ...] = (
    ({"result": "dissuaded"}, "result"), ({"notice": {"state": "none"}}, "notice"),
    ({"notice": {"state": "signed", "at": iso()}}, "notice"), ({"notice": {"state": "refused"}}, "notice"),
    ({"checks": [{"code": "bank"}]}, "form"), ({"checks": [{"code": "nothing", "at": iso()}]}, "form"),
    ({"checks": "x"}, "form"), ({"revision": True}, "form"), ({"pictures": ["x"]}, "form"),
    ({"pictures": [str(uuid.uuid4())] * 9}, "pictures"), ({"mind": "glad"}, "form"), ({"at": "noon"}, "form"),
    ({"place": {"lat": 1e9}}, "form"), ({"kin": {"told": True, "reason": "danger"}}, "kin"),
    ({"kind": "order"}, "form"), ({"id": "../x"}, "form"), ({"words": 7}, "form"), ({"order": "777"}, "order"),
)  # fmt: skip


def test_what_cannot_be_taken_is_answered_with_a_reason_and_nothing_is_kept(both: Doors) -> None:
    order = both.sent(both.signed())
    phone = both.phone(both.officer("li", "李强"))
    answers = sync(phone, *(record(order, **change) for change, _ in BAD), "no item")
    assert answers == [*(("refused", reason) for _, reason in BAD), ("refused", "form")]
    assert both.there.execute("SELECT count(*) FROM door_items").fetchone() == (0,)
    cross = phone.post("/door/api/sync", json={"items": []}, headers={"origin": "https://elsewhere.example"})
    assert cross.status_code == 403
    assert phone.post("/door/api/sync", content=b"x" * 1_300_000).status_code in (400, 403)
    assert phone.post("/door/api/sync", content=b"{", headers={"content-type": "application/json"}).status_code == 400


def test_pairing_holds_once_and_for_its_minutes_and_wrong_pins_take_the_phone_off(both: Doors) -> None:
    li = both.officer("li", "李强")
    from fastapi.testclient import TestClient

    def enter(client: Any, **form: str) -> int:
        return int(client.post("/door/login", data=form).status_code)

    code = both.code(li)
    one, other = (TestClient(both.app, follow_redirects=False) for _ in range(2))
    assert enter(one, code=code, pin="123456") == 403 and enter(one, code=code, pin="111111") == 403
    assert enter(one, code="0" * 10, pin=PIN) == 403
    assert enter(one, code=f"{code[:4]} {code[4:]}", pin=PIN) == 303
    assert enter(other, code=code, pin=PIN) == 403  # a code pairs one phone
    for row in both.there.execute("SELECT * FROM door_phones").fetchall():
        assert code not in str(row) and PIN not in str(row)
    both.pass_on()
    with both.desk.scope(li) as conn:
        assert [p["paired_at"] is not None for p in phones.listed(conn, li)] == [True]
    assert enter(one, pin=PIN) == 303
    for _ in range(4):
        assert enter(one, pin="000001") == 403
    assert enter(one, pin="000001") == 403
    assert enter(one, pin=PIN) == 403  # off for good
    assert one.get("/door/api/orders").json() == {"reason": "revoked"}
    both.pass_on()
    with both.desk.scope(li) as conn:
        assert [p["revoked_why"] for p in phones.listed(conn, li)] == ["pin"]
    late = both.code(li)
    both.there.execute("UPDATE door_phones SET code_until = now() - interval '1 minute' WHERE paired_at IS NULL")
    assert enter(other, code=late, pin=PIN) == 403


def test_a_phone_that_is_taken_off_gets_nothing_more_and_an_officer_who_moves_loses_it(both: Doors) -> None:
    both.sent(both.signed())
    li, sun = both.officer("li", "李强"), both.officer("sun", "孙悦")
    one, two = both.phone(li), both.phone(sun)
    with both.desk.scope(sun) as conn, pytest.raises(Refused):
        phones.revoke(conn, sun, 1)  # not hers
    with both.desk.scope(li) as conn:
        phones.revoke(conn, li, phones.listed(conn, li)[0]["phone_id"])
    both.desk.web.execute(
        "UPDATE users SET unit_id = %s WHERE user_id = %s", (both.desk.units["south"], sun.user_id)
    )  # fmt: skip
    both.pass_on()
    for phone in (one, two):
        answer = phone.get("/door/api/me")
        assert answer.status_code == 401 and answer.json() == {"reason": "revoked"}
    assert both.there.execute("SELECT count(*) FROM door_phones WHERE store_key IS NOT NULL").fetchone() == (0,)


def test_a_mark_of_an_officer_who_has_moved_since_holds_up_nobodys_record(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert)
    sun = both.officer("sun", "孙悦")
    one, two = both.phone(sun), both.phone(both.officer("li", "李强"))
    assert sync(one, {"kind": "going", "id": str(uuid.uuid4()), "order": str(order), "at": iso()}) == [("kept", None)]
    both.desk.web.execute(
        "UPDATE users SET unit_id = %s WHERE user_id = %s", (both.desk.units["south"], sun.user_id)
    )  # fmt: skip
    assert sync(two, record(order)) == [("kept", None)]
    both.pass_on()
    assert ("visit", "met") in [s[:2] for s in both.steps(alert)]


def test_the_centre_believes_no_phone_that_was_not_paired_or_is_of_another_unit(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert, unit="east")
    phone = both.phone(both.officer("li", "李强", unit="south"))
    # The phones' zone is broken into: it claims that the order is the other unit's.
    both.there.execute("UPDATE door_orders SET unit_ref = %s", (str(both.desk.units["south"]),))
    assert sync(phone, record(order)) == [("kept", None)]
    both.there.execute("UPDATE outbox SET written_at = written_at")  # any write of its own is allowed to it
    both.pass_on(3)
    assert all(s[:2] != ("visit", "met") for s in both.steps(alert))
    assert both.one("SELECT refused FROM visit_records") == ("not_for_you",)
    # The phone is told, and the record no longer stands there; so is whoever has the file or the order in reach.
    told = phone.get("/door/api/orders").json()["orders"][0]
    assert told["records"] == [] and "没有生效" in told["refused"][0]
    with both.desk.scope(both.caller) as conn:
        [row] = visits.refused(conn, both.caller)
    assert (row["alert_id"], row["refused"], row["name"]) == (alert, "not_for_you", "李强")


def test_what_has_ended_is_deleted_in_the_phones_zone_after_its_days(both: Doors) -> None:
    order = both.sent(both.signed())
    phone = both.phone(both.officer("li", "李强"))
    assert sync(phone, record(order)) == [("kept", None)]
    both.pass_on(3)
    both.there.execute("UPDATE outbox SET receipted_at = receipted_at - interval '9 days'")
    with both.there.transaction():
        assert door_zone.purge(both.there, clock.now()) == 0
        assert door_zone.purge(both.there, clock.now() + timedelta(days=4)) == 1
    assert both.there.execute("SELECT count(*) FROM door_items").fetchone() == (0,)
    kept = both.there.execute("SELECT count(*) FROM outbox WHERE body <> '{}'").fetchone()
    assert kept is not None and kept[0] <= 1
    both.pass_on()
    assert both.refused == []


def test_pictures_are_for_those_who_have_the_file_open_and_each_look_is_recorded(both: Doors) -> None:
    alert = both.signed()
    order = both.sent(alert)
    phone = both.phone(both.officer("li", "李强"))
    shot = {
        "kind": "picture", "id": str(uuid.uuid4()), "order": str(order), "at": iso(), "what": "photo",
        "mime": "image/png", "data": base64.b64encode(PNG).decode(),
    }  # fmt: skip
    bad = {**shot, "id": str(uuid.uuid4()), "data": base64.b64encode(b"<svg/>").decode()}
    assert sync(phone, bad) == [("refused", "picture")]
    assert sync(phone, shot, record(order, pictures=[shot["id"]])) == [("kept", None), ("kept", None)]
    both.pass_on(3)
    with both.desk.scope(both.caller) as conn, pytest.raises(Refused) as caught:
        visits.picture(conn, both.caller, alert, str(shot["id"]))
    assert caught.value.reason == "not_revealed"
    with both.desk.scope(both.caller) as conn:
        reveal.reveal(conn, both.caller, alert, purpose="visit")
        assert visits.picture(conn, both.caller, alert, str(shot["id"])) == ("image/png", PNG)
    stranger = both.desk.officer("yu", "于", "dissuader", unit="south")
    with both.desk.scope(stranger) as conn, pytest.raises(Refused) as caught:
        visits.picture(conn, stranger, alert, str(shot["id"]))
    assert caught.value.reason == "not_found"
    seen = both.desk.engine.execute("SELECT actor FROM audit WHERE action = 'alert.picture_seen'").fetchall()
    assert seen == [("wang",)]
