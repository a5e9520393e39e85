"""In a real Chromium: an engaged line becomes a visit; who calls back is on the screen; call-backs; automatic calls."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.desks import Centre
from tests.respond.pbx import exchange
from tests.respond.test_incoming import told
from tests.respond.test_robot import answers, listed
from tests.respond.test_telephony import running
from tests.serving import hearing, log_in

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import contact, sign

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def signed(house: Centre, wang: Actor, **columns: Any) -> int:
    alert = house.alert(**columns)
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key=f"signs-for-{alert}")
    return alert


def test_an_engaged_line_becomes_a_visit_by_keyboard_only(
    page: Page, address: str, house: Centre, wang: Actor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUZHA_SIP_SERVER", "pbx.test")
    house.web.execute("UPDATE users SET extension = '801' WHERE user_id = %s", (wang.user_id,))
    ago = clock.now() - timedelta(minutes=6)
    alert = house.alert("张小兰", level="medium", line="+8613800000486", ago=timedelta(minutes=8))
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key="signs-for-it")
    best = page.locator(".file-best")
    log_in(page, address, "wang")
    page.goto(f"{address}/alerts/{alert}")
    best.get_by_text("拨打本人").wait_for()
    hearing(page)
    with exchange(lift_after_s=0.2, step_s=0.4) as pbx, running(house, pbx, tmp_path):
        page.keyboard.press("Enter")  # the proposed step: the telephone rings
        best.get_by_text("登记为 持续通话").wait_for()
        assert pbx.dialled == [("801", "13800000486")]
        page.keyboard.press("Enter")  # what the exchange said is what is recorded
        page.locator(".trail").get_by_text("持续通话").wait_for()
        assert page.locator("#phone").get_by_text("拨打本人").is_visible()
        # The same some minutes earlier: the line has been engaged all the while.
        with house.db.connect("super") as conn:
            conn.execute("UPDATE wuzha.contacts SET at = %s WHERE code = 'busy'", (ago,))
        page.keyboard.press("p")
        page.locator("#phone").get_by_text("登记为").wait_for()
        page.keyboard.press("y")
    page.get_by_text("有人占着这条线").wait_for()
    best.get_by_text("派人上门").wait_for()
    page.keyboard.press("Enter")  # the visit's results have the focus
    page.wait_for_function("document.activeElement.value === 'dispatched'")
    page.keyboard.press("Enter")
    page.locator(".trail").get_by_text("已派出").wait_for()
    found = house.engine.execute("SELECT kind, code FROM contacts ORDER BY contact_id").fetchall()
    assert found == [("sign", None), ("call", "busy"), ("call", "busy"), ("visit", "dispatched")]
    with house.scope(wang) as conn:
        kept = conn.execute("SELECT state, sip, contact_id IS NOT NULL FROM phone_calls ORDER BY call_id").fetchall()
    assert kept == [("ended", 486, True), ("ended", 486, True)]


def test_by_hand_one_key_records_the_result(page: Page, address: str, house: Centre, wang: Actor) -> None:
    alert = signed(house, wang, line="+8613812341234")
    log_in(page, address, "wang")
    page.goto(f"{address}/alerts/{alert}")
    assert "13812341234" not in page.content()
    page.locator("#phone").get_by_text("先查看完整信息（L）").wait_for()
    page.keyboard.press("f")
    page.locator(".trail").get_by_text("持续通话").wait_for()
    row = house.engine.execute("SELECT kind, code FROM contacts ORDER BY contact_id DESC LIMIT 1").fetchone()
    assert row == ("call", "busy")


def test_who_calls_back_is_on_the_open_page(page: Page, address: str, house: Centre, wang: Actor) -> None:
    house.web.execute("UPDATE users SET extension = '801' WHERE user_id = %s", (wang.user_id,))
    alert = signed(house, wang, name="张小兰", line="+8613812341234")
    log_in(page, address, "wang")
    hearing(page)
    told(house, "c1", "ringing", number="+8613812341234", extension="801")
    page.locator("#call-bar").get_by_text("打开档案").wait_for()
    assert "138****1234" in page.locator("#call-bar").inner_text()
    page.locator("#call-bar a").click()
    page.wait_for_url(f"{address}/alerts/{alert}")
    told(house, "c1", "answered", number="+8613812341234", extension="801")
    page.locator("#call-bar").get_by_text("通话中").wait_for()
    page.keyboard.press("r")
    page.locator(".trail").get_by_text("已接听").wait_for()
    told(house, "c1", "ended", number="+8613812341234")
    page.locator("#call-bar").wait_for(state="hidden")


def test_missed_calls_are_called_back_in_their_order(page: Page, address: str, house: Centre, wang: Actor) -> None:
    house.alert("李芳", level="urgent", line="+8613812340001")
    told(house, "c1", "missed", number="+8613812340002")
    told(house, "c2", "missed", number="+8613812340001")
    log_in(page, address, "wang")
    page.goto(f"{address}/callbacks")
    rows = page.locator("#callbacks tbody tr")
    assert ["138****0001" in rows.nth(0).inner_text(), "138****0002" in rows.nth(1).inner_text()] == [True, True]
    page.keyboard.press("Enter")
    page.get_by_role("button", name="本人", exact=True).click()
    page.locator("#callbacks").get_by_text("138****0002").wait_for()
    assert rows.count() == 1
    found = house.engine.execute("SELECT kind, code FROM contacts ORDER BY contact_id").fetchall()
    assert found == [("sign", None), ("call", "self")]
    told(house, "c3", "missed", number="+8613812340003")  # the open list learns of it
    page.locator("#callbacks").get_by_text("138****0003").wait_for()


def test_a_list_goes_out_and_its_results_come_in(
    page: Page, address: str, house: Centre, wang: Actor, tmp_path: Path
) -> None:
    listed(house, house.alert("张小兰", level="low", line="+8613812341234"))
    log_in(page, address, "wang")
    page.goto(f"{address}/robot")
    page.get_by_role("button", name="生成名单").click()
    with page.expect_download() as download:
        page.get_by_role("button", name="csv").click()
    text = Path(download.value.path()).read_text("utf-8-sig")
    ref = text.splitlines()[1].partition(",")[0]
    assert "13812341234" in text and "张*兰" in text
    file = tmp_path / "结果.csv"
    file.write_bytes(answers((ref, "转人工", "", ""), ("RNOBODYKNOWS", "忙", "", "")))
    page.set_input_files("input[type=file]", file)
    page.get_by_role("button", name="导入").click()
    page.get_by_text("共 2 行：登记 1，重复 0，退回 1。").wait_for()
    assert page.get_by_text("没有这个编号").first.is_visible()
    page.goto(f"{address}/callbacks")
    page.get_by_text("自动外呼中要求转人工").wait_for()


def test_the_telephones_pages_fit_a_phone(page: Page, address: str, house: Centre, wang: Actor) -> None:
    alert = signed(house, wang, line="+8613812341234")
    told(house, "c1", "missed", number="+8613812340001")
    listed(house, house.alert(level="low"))
    with house.scope(wang) as conn:
        contact.contact(conn, wang, alert, channel="call", result="busy", version=2, key="busy-click")
    log_in(page, address, "wang")
    told(house, "c2", "ringing", number="+8613812341234")
    for width, height in ((390, 844), (1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        for path in ("/callbacks", "/robot", f"/alerts/{alert}"):
            page.goto(address + path)
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, (path, width, over)
