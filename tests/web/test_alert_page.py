"""The file's page: masks, reveals, refusals, steps without scripts, hostile text."""

from __future__ import annotations

import html as entities
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import psycopg
from tests.desks import Centre
from tests.furnished import furnish

from wuzha.command import metrics
from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import queue

NUMBERS = ("13812341234", "张小兰", "350203196205041234", "6222021234567890128", "6217001234567894321", "13966216621",
           "张丽",           "85212345678")  # fmt: skip


def test_no_name_or_number_stands_in_any_page_before_a_reveal_and_the_audit_tells_of_it(
    house: Centre, wang: Actor, zhao: Actor, officer: Callable[..., Any]
) -> None:
    rich = furnish(house, wang, zhao)["rich"]
    who = officer("wang")
    for path in ("/desk", "/desk/rows", f"/alerts/{rich}", "/wall", "/figures/alerts"):
        text = who.get(path).text
        for number in NUMBERS:
            assert number not in text, (path, number)
    assert who.post(f"/alerts/{rich}/reveal", {"purpose": "curiosity"}).status_code == 409
    assert NUMBERS[0] not in who.get(f"/alerts/{rich}").text
    assert who.post(f"/alerts/{rich}/reveal", {"purpose": "dissuade"}).status_code == 303
    text = who.get(f"/alerts/{rich}").text
    for number in ("13812341234", "张小兰", "6222021234567890128", "13966216621", "张丽"):
        assert number in text
    assert NUMBERS[0] not in who.get("/desk").text
    assert NUMBERS[0] not in officer("zhao").get(f"/alerts/{rich}").text
    rows = house.engine.execute("SELECT user_id, purpose FROM reveals").fetchall()
    assert rows == [(wang.user_id, "dissuade")]
    row = house.engine.execute("SELECT detail->>'purpose' FROM audit WHERE action = 'alert.reveal'").fetchone()
    assert row == ("dissuade",)


def test_a_warnings_words_name_nobody_in_the_queue(house: Centre, officer: Callable[..., Any], wang: Actor) -> None:
    alert = house.alert("欧阳小兰")
    house.warning(alert, issued_by="部", level="high", reasons=["欧阳小兰接到境外来电，号码 13812341234"])
    house.warning(alert, issued_by="部", level="high", reasons=["欧阳小兰又接到来电"])
    who = officer("wang")
    for path in ("/desk", "/desk/rows", f"/alerts/{alert}"):
        text = who.get(path).text
        assert "欧阳小兰" not in text and "13812341234" not in text
    assert "部 高危 ×2" in who.get("/desk").text


def test_a_purposes_words_stay_out_of_the_audit(house: Centre, officer: Callable[..., Any], wang: Actor) -> None:
    alert = house.alert("张小兰")
    officer("wang").post(f"/alerts/{alert}/reveal", {"purpose": "dissuade", "words": "张小兰的女儿来电"})
    assert house.engine.execute("SELECT purpose FROM reveals").fetchone() == ("dissuade: 张小兰的女儿来电",)
    assert house.engine.execute("SELECT 1 FROM audit WHERE detail::text LIKE '%小兰%'").fetchone() is None


def test_a_reveal_ends(
    house: Centre, wang: Actor, officer: Callable[..., Any], superuser: psycopg.Connection[tuple[object, ...]]
) -> None:
    alert = house.alert("张小兰", line="+8613812341234")
    who = officer("wang")
    who.post(f"/alerts/{alert}/reveal", {"purpose": "dissuade"})
    assert "13812341234" in who.get(f"/alerts/{alert}").text
    past = clock.now() - timedelta(minutes=1)
    superuser.execute("UPDATE wuzha.reveals SET until = %s", (past,))
    assert "13812341234" not in who.get(f"/alerts/{alert}").text


def test_a_foreign_units_file_is_not_there(house: Centre, officer: Callable[..., Any]) -> None:
    alert = house.alert(unit="east")
    house.officer("li", "李强", "dissuader", unit="south")
    who = officer("li")
    assert who.get(f"/alerts/{alert}").status_code == 404
    for verb in ("sign", "contacts", "outcome", "close", "notes", "reveal", "take-over", "undo"):
        data = {"version": 1, "words": "x", "purpose": "dissuade", "channel": "call", "result": "self",
                "code": "false_alarm", "contact": 1}  # fmt: skip
        assert who.post(f"/alerts/{alert}/{verb}", data).status_code == 404, verb
    assert who.get("/alerts/999999999999").status_code == 404
    assert who.get("/alerts/x").status_code == 404
    assert who.get(f"/alerts/{10**30}").status_code == 404


def test_hostile_names_and_texts_are_shown_not_run(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    attack = '"><script>alert(1)</script><img src=x onerror=alert(2)>'
    alert = house.alert(attack, unit="centre")
    now = clock.now()
    house.evidence(alert, attack, {"x": attack}, at=now,
                   events=[("messages", now, {"text": attack}), ("visits", now, {"host": attack}),
                           ("app_events", now, {"app": attack, "action": "install"})])  # fmt: skip
    house.warning(alert, issued_by=attack, source_no=attack, reasons=[attack])
    who = officer("wang")
    who.post(f"/alerts/{alert}/reveal", {"purpose": "dissuade", "words": attack})
    who.post(f"/alerts/{alert}/notes", {"words": attack})
    for path in ("/desk", f"/alerts/{alert}", "/wall", "/desk?q=" + entities.escape(attack)):
        text = who.get(path).text
        assert "<script>alert" not in text and "<img" not in text, path
    assert "&lt;script&gt;alert(1)" in who.get(f"/alerts/{alert}").text


def test_all_steps_work_without_scripts(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    alert = house.alert(level="urgent", amount_fen=18_200_000)
    who = officer("wang")
    for verb, data in (
        ("sign", {"version": 1}),
        ("contacts", {"version": 2, "channel": "call", "result": "busy"}),
        ("contacts", {"version": 3, "channel": "call", "result": "self"}),
        ("outcome", {"version": 4, "code": "dissuaded", "amount": "18.2万元"}),
        ("close", {"version": 5}),
    ):
        answer = who.post(f"/alerts/{alert}/{verb}", data)
        assert answer.status_code == 303, (verb, answer.text[:2000])
        assert answer.headers["location"] == f"/alerts/{alert}"
    row = house.engine.execute("SELECT state, avoided_fen FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row == ("closed", 18_200_000)


def test_the_second_officer_is_told_who_has_it(
    house: Centre, wang: Actor, zhao: Actor, officer: Callable[..., Any]
) -> None:
    alert = house.alert()
    first, second = officer("wang"), officer("zhao")
    assert "签收本预警" in second.get(f"/alerts/{alert}").text
    first.post(f"/alerts/{alert}/sign", {"version": 1})
    answer = second.post(f"/alerts/{alert}/sign", {"version": 1})
    assert answer.status_code == 409
    assert "王敏 已于" in answer.text and "没有执行" in answer.text


def test_a_click_twice_is_one_step(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    alert = house.alert()
    who = officer("wang")
    who.post(f"/alerts/{alert}/sign", {"version": 1})
    for _ in range(2):
        data = {"version": 2, "channel": "call", "result": "busy", "click": "the-same-click"}
        assert who.post(f"/alerts/{alert}/contacts", data).status_code == 303
    row = house.engine.execute("SELECT count(*) FROM contacts WHERE kind = 'call'").fetchone()
    assert row == (1,)


def test_an_amount_that_cannot_be_read_is_said_and_nothing_is_recorded(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    alert = house.alert()
    who = officer("wang")
    who.post(f"/alerts/{alert}/sign", {"version": 1})
    answer = who.post(f"/alerts/{alert}/outcome", {"version": 2, "code": "deceived", "amount": "很多"})
    assert answer.status_code == 409 and "金额看不懂" in answer.text
    row = house.engine.execute("SELECT outcome FROM alerts").fetchone()
    assert row == (None,)


def test_those_who_may_only_look_find_no_button(house: Centre, officer: Callable[..., Any]) -> None:
    alert = house.alert()
    house.officer("aud", "督导", "auditor")
    text = officer("aud").get(f"/alerts/{alert}").text
    assert f"/alerts/{alert}/sign" not in text and f"/alerts/{alert}/reveal" not in text
    assert officer("aud").post(f"/alerts/{alert}/sign", {"version": 1}).status_code == 403


def test_an_alert_that_another_has_taken_in_leads_to_that_one_and_is_no_work_of_its_own(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    stays, first, second = house.alert("张小兰"), house.alert("王大海"), house.alert("李四维")
    for alert, into in ((first, second), (second, stays)):
        house.engine.execute(
            "UPDATE alerts SET merged_into = %s, state = 'closed', closed_at = %s WHERE alert_id = %s",
            [into, clock.now(), alert],
        )
    who = officer("wang")
    answer = who.get(f"/alerts/{first}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/alerts/{stays}")
    with house.scope(wang) as conn:
        told = {s: [r["alert_id"] for r in queue.rows(conn, wang, queue.Filters.of({"state": s}))[0]]
                for s in ("open", "closed")}  # fmt: skip
        wall = metrics.wall(conn, wang, now=clock.now() + timedelta(seconds=1))
    assert stays in told["open"] and not {first, second} & {*told["open"], *told["closed"]}
    assert wall.today["alerts"] == 1
    assert not [f for f in wall.feed if f["alert_id"] in (first, second)]
