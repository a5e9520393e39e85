"""In a real Chromium: a step that cannot be told by its own page leaves the page and what was typed on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
from tests.desks import PASSWORD, Centre
from tests.serving import log_in

from wuzha.command.public import Actor
from wuzha.web import words

if TYPE_CHECKING:
    from playwright.sync_api import Page


def signed_file(page: Page, address: str, house: Centre) -> int:
    alert = house.alert()
    log_in(page, address, "wang")
    page.keyboard.press("a")
    page.wait_for_url(f"{address}/alerts/{alert}")
    page.fill("#note", "写了一半的备注")
    return alert


@pytest.mark.browser
def test_a_form_of_an_older_session_leaves_the_page_and_the_note(
    page: Page, address: str, house: Centre, wang: Actor
) -> None:
    signed_file(page, address, house)
    house.web.execute("UPDATE sessions SET csrf = 'another'")  # logged in again in another tab
    page.get_by_role("button", name="添加备注").click()
    page.locator("#live-bar").get_by_text("页面太旧").wait_for()
    assert page.input_value("#note") == "写了一半的备注"


@pytest.mark.browser
def test_a_file_that_left_ones_sight_is_told_and_the_note_is_kept(
    page: Page, address: str, house: Centre, wang: Actor
) -> None:
    signed_file(page, address, house)
    house.web.execute("UPDATE users SET unit_id = %s WHERE login = 'wang'", (house.units["east"],))
    page.get_by_role("button", name="添加备注").click()
    page.locator("#live-bar").get_by_text("不在您的管辖范围").wait_for()
    assert page.input_value("#note") == "写了一半的备注"


@pytest.mark.browser
def test_a_step_that_gets_no_answer_can_be_pressed_again_and_counts_once(
    page: Page, address: str, house: Centre, wang: Actor
) -> None:
    alert = signed_file(page, address, house)
    page.route("**/notes", lambda route: route.abort())
    page.get_by_role("button", name="添加备注").click()
    page.locator("#live-bar").get_by_text("没有收到回答").wait_for()
    page.unroute("**/notes")
    page.get_by_role("button", name="添加备注").click()
    page.locator(".trail").get_by_text("写了一半的备注").wait_for()
    found = house.engine.execute("SELECT count(*) FROM contacts WHERE alert_id = %s AND kind = 'note'", (alert,))
    assert found.fetchone() == (1,)


@pytest.mark.browser
def test_after_a_session_ended_one_is_back_on_the_file_with_the_note(
    page: Page, address: str, house: Centre, wang: Actor
) -> None:
    alert = signed_file(page, address, house)
    house.web.execute("DELETE FROM sessions")
    page.get_by_role("button", name="添加备注").click()
    page.wait_for_url("**/login?next=*")
    page.fill("input[name=login]", "wang")
    page.fill("input[name=password]", PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/alerts/{alert}")
    assert page.input_value("#note") == "写了一半的备注"


def test_a_form_leads_back_to_a_page_of_ours_only(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    who = officer("wang")
    who.client.cookies.clear()
    for page, back in (("http://testserver/alerts/7?span=day", "%2Falerts%2F7%3Fspan%3Dday"), ("http://else/x", "%2F")):
        answer = who.client.post("/alerts/7/notes", data={"csrf": who.csrf}, headers={"referer": page})
        assert answer.headers["location"].startswith(f"/login?next={back}"), page


@pytest.mark.browser
def test_what_a_name_turns_stays_in_the_name(page: Page, address: str, house: Centre, wang: Actor) -> None:
    house.alert("\u202eabc", level="urgent")
    log_in(page, address, "wang")
    shown = page.locator("#rows .who").first
    name, rest = shown.locator("a").bounding_box(), shown.locator("span.v").first.bounding_box()
    assert name and rest and name["x"] < rest["x"]


def test_clocks_of_days_are_told_in_days() -> None:
    assert [words.countdown(s, "zh") for s in (41, -3661, 4 * 86400 + 7200)] == ["00:41", "1:01:01", "4天2小时"]
    assert words.countdown(90000, "en") == "1d 1h"


def test_of_many_warnings_the_one_whose_clock_governs_is_in_sight(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    from datetime import timedelta

    from wuzha.events import clock

    alert = house.alert()
    for i in range(40):
        house.warning(alert, source_no=f"N-{i:02d}", sign_by=clock.now() + timedelta(minutes=90 - i))
    html = officer("wang").get(f"/alerts/{alert}").text
    assert html.index("N-39") < html.index("N-38") < html.index("另有 36 条") < html.index("N-35")


def test_a_note_is_kept_whole_or_refused_and_lines_count_once(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    alert, who = house.alert(), officer("wang")
    whole = "一行\n" * 660 + "完"
    assert who.post(f"/alerts/{alert}/notes", {"words": whole.replace("\n", "\r\n")}).status_code == 303
    for long in (whole * 2, "长" * 100_000):
        answer = who.post(f"/alerts/{alert}/notes", {"words": long})
        assert answer.status_code == 409 and f"写了 {len(long)} 个字" in answer.text
    found = house.engine.execute("SELECT words FROM contacts WHERE alert_id = %s", (alert,)).fetchall()
    assert found == [(whole,)]


def test_where_nobody_is_left_the_desk_says_so_and_stays(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    house.alert(level="high")
    who = officer("wang")
    answer = who.post("/desk/sign-next", {"level": "low"})
    assert answer.headers["location"] == "/desk?level=low&told=empty"
    assert "没有待签收的预警了" in who.get("/desk?level=low&told=empty").text


def test_the_list_of_visits_names_the_person_masked(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    from wuzha.respond import dispatch, sign

    alert = house.alert("张小兰", level="urgent", line="+8613812341234")
    house.officer("sun", "孙", "station", unit="east")
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key="visit-sign")
        dispatch.send(
            conn, wang, alert, unit_id=house.units["east"], words="张小兰在家，13812341234", version=2, key="visit-send"
        )
    html = officer("sun").get("/duty/visits").text
    assert "张*兰" in html and "138****1234" in html and "紧急" in html
    assert "张小兰" not in html and "13812341234" not in html


@pytest.mark.browser
def test_a_refused_form_comes_back_as_it_was_filled_in(page: Page, address: str, house: Centre, wang: Actor) -> None:
    signed_file(page, address, house)
    page.locator("#measure-new > summary").click()
    form = page.locator("#measure-new form")
    form.locator("select[name=kind]").select_option("line_suspension")
    form.locator("select[name=basis]").select_option("police")
    form.locator("textarea[name=reason]").fill("对方正要转走十八万元，电话里劝不住")
    form.locator("input[name=living]").fill("300")
    form.locator("input[name=why_not_self]").fill("本人不肯")
    form.get_by_role("button").click()
    page.locator(".note.bad").get_by_text("至少 8 个字").wait_for()
    assert form.locator("textarea[name=reason]").input_value() == "对方正要转走十八万元，电话里劝不住"
    assert form.locator("input[name=why_not_self]").input_value() == "本人不肯"
    assert form.locator("select[name=basis]").input_value() == "police"
    page.wait_for_function("() => document.querySelector('.note.bad').getBoundingClientRect().top > 0")
