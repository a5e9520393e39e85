"""Waves: made once, joined by those who are found later, handed out, seen by the units that have a share; lists."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import group_text, rounds, seized, waves
from wuzha.store import Connection, log

HOST = "gov-ga.top"


@pytest.fixture
def touched(house: Centre) -> Callable[..., int]:
    """An alert of somebody who has visited a site."""

    def make(unit: str = "centre", host: str = HOST, level: str = "high") -> int:
        alert = house.alert(unit=unit, level=level)
        now = clock.now()
        house.evidence(
            alert, "suspect_site", {}, at=now, events=[("visits", now - timedelta(minutes=5), {"host": host})]
        )
        return alert

    return make


def test_what_three_people_share_is_a_wave_in_the_making_and_two_presses_make_one(
    house: Centre, web: Connection, wang: Actor, zhao: Actor, touched: Callable[..., int]
) -> None:
    ids = [touched(), touched("east"), touched(host="GOV-GA.top")]
    touched(host="shop.example")
    with house.scope(wang):
        assert [(m.mark, m.people, m.urgent) for m in waves.in_the_making(web, wang)] == [(f"site:{HOST}", 3, 3)]
        one = waves.make(web, wang, mark=f"site:{HOST}", title="假公安网站", key="click-one")
        assert waves.make(web, wang, mark=f"site:{HOST}", title="假公安网站", key="click-one") == one
    with house.scope(zhao):
        assert waves.make(web, zhao, mark=f"site:{HOST}", title="另一名", key="click-two") == one
        assert waves.in_the_making(web, zhao) == []
        assert waves.read(web, zhao, one).total["people"] == 3
        assert {p["alert_id"] for p in waves.people(web, zhao, one)} == set(ids)
    later = touched("south")
    assert rounds.ROUNDS["waves"](web, wang, clock.now()) == 0  # outside a scope it sees nothing
    assert rounds.go_round(web)["waves"] == 1
    with house.scope(wang):
        assert waves.read(web, wang, one).total["people"] == 4
        assert [w["wave_id"] for w in waves.of_alert(web, later)] == [one]
        waves.close(web, wang, one)
        with pytest.raises(Refused, match="closed"):
            waves.close(web, wang, one)
    touched()
    assert rounds.go_round(web)["waves"] == 0


def test_each_place_sees_its_share_only_after_it_was_handed_and_signs_for_it(
    house: Centre, web: Connection, wang: Actor, touched: Callable[..., int]
) -> None:
    mine, theirs, others = touched(), touched("east"), touched("south")
    east = house.officer("east-1", "东街", "station", unit="east")
    with house.scope(wang):
        one = waves.make(web, wang, mark=f"site:{HOST}", title="假公安网站", key="click-one")
    with house.scope(east), pytest.raises(Refused, match="not_found"):
        waves.read(web, east, one)
    with house.scope(wang):
        assert waves.hand_out(web, wang, one) == 2
        assert waves.hand_out(web, wang, one) == 0  # a second press
    with house.scope(east):
        assert [(w["wave_id"], w["people"], w["handed"]) for w in waves.waves(web, east)] == [(one, 1, True)]
        assert [p["alert_id"] for p in waves.people(web, east, one)] == [theirs]
        assert waves.sign_share(web, east, one) == 1
        with pytest.raises(Refused, match="nothing_handed"):
            waves.sign_share(web, east, one)
        with pytest.raises(Refused, match="closed"):  # not theirs to end
            waves.close(web, east, one)
    with house.scope(wang):
        signed = {u["unit_id"]: u["signed_at"] for u in waves.read(web, wang, one).units}
    assert signed[house.units["east"]] and not signed[house.units["south"]]
    assert {mine, theirs, others} == {p["alert_id"] for p in _people(house, web, wang, one)}


def _people(house: Centre, web: Connection, actor: Actor, wave: int) -> list[dict[str, Any]]:
    with house.scope(actor):
        return waves.people(web, actor, wave)


def test_a_seized_list_needs_its_case_and_puts_each_person_into_the_log(
    house: Centre, web: Connection, wang: Actor
) -> None:
    text = "姓名,手机号,身份证号\n张三,13800001111,\n李四,,350203196205041234\n王五,,\n张三,13800001111,\n"
    with house.scope(wang), pytest.raises(Refused, match="no_case"):
        seized.take(web, wang, name="a.csv", data=text.encode(), case_no=" ", title="话术名单", key="click-one")
    with house.scope(wang), pytest.raises(Refused, match="nobody_named"):
        seized.take(
            web,
            wang,
            name="a.csv",
            data="姓名,手机号\n王五,\n".encode(),
            case_no="A2026-001",
            title="名单",
            key="k" * 9,
        )
    with house.scope(wang), pytest.raises(Refused, match="book_unreadable"):
        seized.take(web, wang, name="a.csv", data=b"", case_no="A2026-001", title="名单", key="click-nil")
    with house.scope(wang):
        assert web.execute("SELECT count(*) FROM waves").fetchone() == (0,)
        one = seized.take(
            web, wang, name="名单.csv", data=text.encode("gbk"), case_no="A2026-001", title="话术名单", key="click-one"
        )
        found = waves.read(web, wang, one).wave
        assert (found["kind"], found["case_no"], found["rows_n"]) == ("list", "A2026-001", 2)
        seized.take(web, wang, name="b.csv", data=text.encode(), case_no="A2026-001", title="话术名单", key="click-two")
    (batch,) = log.read(house.engine, 0)
    assert (batch.table, batch.basis, batch.basis_ref, batch.rows.num_rows) == (
        "warnings",
        "case_query",
        "A2026-001",
        2,
    )
    assert batch.basis_until is not None
    assert set(batch.rows["source_no"].to_pylist()) == {"list:A2026-001"}
    alert = house.alert("张三")
    house.warning(alert, source="desk", source_no="list:A2026-001")
    assert rounds.go_round(web)["waves"] == 1
    assert [p["alert_id"] for p in _people(house, web, wang, one)] == [alert]


def test_a_group_text_reaches_each_who_was_not_spoken_to_once_a_press_and_carries_no_link(
    house: Centre, web: Connection, wang: Actor, touched: Callable[..., int]
) -> None:
    ids = [touched(), touched("east"), touched("south")]
    house.engine.execute("UPDATE alerts SET scam_type = 'investment.pig_butchering' WHERE alert_id = %s", [ids[0]])
    with house.scope(wang):
        one = waves.make(web, wang, mark=f"site:{HOST}", title="假公安网站", key="click-one")
        web.execute("UPDATE alerts SET reached_at = now() WHERE alert_id = %s", [ids[2]])
        files = [group_text.send(web, wang, one, purpose="dissuade", key="click-text") for _ in range(2)]
        steps = web.execute("SELECT alert_id, code FROM contacts WHERE kind = 'sms' ORDER BY 1").fetchall()
    assert steps == [(ids[0], "sent"), (ids[1], "sent")]
    rows = [list(openpyxl.load_workbook(io.BytesIO(f)).active.iter_rows(values_only=True)) for f in files]
    assert rows[0] == rows[1] and [r[0] for r in rows[0][1:]] == [str(ids[0]), str(ids[1])]
    assert "提不出来" in rows[0][1][3] and "96110" in rows[0][2][3]
    assert all(len(str(r[2])) == 11 and "*" in r[1] for r in rows[0][1:])
    with house.scope(wang), pytest.raises(Refused, match="no_purpose"):
        group_text.send(web, wang, one, purpose="curiosity", key="click-else")


def test_a_text_with_a_link_is_refused_where_it_stands() -> None:
    with pytest.raises(ValueError, match=r"\[loan\] carries a link"):
        group_text.read('[general]\nzh="a"\nen="a"\n[loan]\nzh="请登录 wuzha.cn 核实"\nen="a"\n')
