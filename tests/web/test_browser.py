"""In a real Chromium: from the desk to a closed file by keyboard only; what two officers see of each other; phones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.desks import Centre
from tests.furnished import furnish
from tests.serving import hearing, log_in

from wuzha.command.public import Actor

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_from_the_desk_to_a_closed_file_by_keyboard_only(page: Page, address: str, house: Centre, wang: Actor) -> None:
    alert = house.alert("张小兰", level="urgent", amount_fen=18_200_000)
    house.alert("李强", level="low")
    log_in(page, address, "wang")
    assert page.locator("#rows tr").count() == 2
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    page.wait_for_url(f"{address}/alerts/{alert}")
    page.keyboard.press("Enter")  # the next best step: sign
    page.get_by_text("拨打本人").wait_for()
    assert page.url.endswith(f"/alerts/{alert}")
    page.keyboard.press("Enter")  # the next best step: call; its results have the focus
    assert page.evaluate("document.activeElement.value") == "self"
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "busy"
    page.keyboard.press("Enter")
    page.locator(".trail").get_by_text("持续通话").wait_for()
    page.keyboard.press("4")  # the ladder: a visit
    page.keyboard.press("ArrowRight")
    assert page.evaluate("document.activeElement.value") == "met"
    page.keyboard.press("Enter")
    page.locator(".file-best").get_by_text("填写结果").wait_for()
    page.keyboard.press("o")
    assert page.evaluate("document.activeElement.value") == "dissuaded"
    page.keyboard.press("Enter")
    page.locator(".file-best").get_by_text("结案").wait_for()
    page.keyboard.press("Enter")
    page.locator(".file-best").get_by_text("已结案").wait_for()
    row = house.engine.execute(
        "SELECT state, outcome, avoided_fen FROM alerts WHERE alert_id = %s", (alert,)
    ).fetchone()
    assert row == ("closed", "dissuaded", 18_200_000)
    found = house.engine.execute("SELECT table_name, n FROM log").fetchall()
    assert found == [("findings", 1)]


def test_six_keys_from_the_desk_to_a_closed_file(page: Page, address: str, house: Centre, wang: Actor) -> None:
    alert = house.alert("张小兰", level="urgent", amount_fen=18_200_000)
    log_in(page, address, "wang")
    page.keyboard.press("a")  # 1: sign for the next one, and open it
    page.wait_for_url(f"{address}/alerts/{alert}")
    for best, focused in (
        ("拨打本人", None),
        (None, "self"),  # 2: call; 3: the person answers
        ("填写结果", None),
        (None, "dissuaded"),  # 4: the outcome; 5: dissuaded
        ("结案", None),  # 6: close
    ):
        if best:
            page.locator(".file-best").get_by_text(best).wait_for()
        else:
            page.wait_for_function("value => document.activeElement.value === value", arg=focused)
        page.keyboard.press("Enter")
    page.locator(".file-best").get_by_text("已结案").wait_for()
    assert house.engine.execute("SELECT state, outcome FROM alerts").fetchone() == ("closed", "dissuaded")


def test_a_step_is_undone_by_its_key(page: Page, address: str, house: Centre, wang: Actor) -> None:
    alert = house.alert()
    log_in(page, address, "wang")
    page.keyboard.press("a")
    page.wait_for_url(f"{address}/alerts/{alert}")
    page.locator(".undo").wait_for()
    page.keyboard.press("z")
    page.get_by_text("签收本预警").wait_for()
    assert house.engine.execute("SELECT state FROM alerts").fetchone() == ("new",)


def test_new_alerts_gather_in_the_bar_and_rows_keep_their_place(
    page: Page, address: str, house: Centre, wang: Actor
) -> None:
    first = house.alert("李强", level="medium")
    log_in(page, address, "wang")
    hearing(page)
    house.alert("张小兰", level="urgent")
    page.locator("#new-bar").wait_for(state="visible")
    assert page.locator("#new-bar").inner_text() == "1 条新预警 · 按 N 显示"
    assert page.locator("#rows tr").count() == 1
    assert page.locator("#urgent-said").inner_text() == "新到紧急预警 1 条"
    page.keyboard.press("n")
    assert page.locator("#rows tr").count() == 2
    assert page.locator("#rows tr").nth(1).get_attribute("id") == f"a{first}"


def test_the_other_officers_step_is_told_on_an_open_file(
    page: Page, address: str, house: Centre, wang: Actor, zhao: Actor
) -> None:
    alert = house.alert()
    log_in(page, address, "wang")
    page.goto(f"{address}/alerts/{alert}")
    hearing(page)
    house.web.execute("SELECT 1")
    with house.scope(zhao) as conn:
        from wuzha.respond import sign

        sign.sign(conn, zhao, alert, version=1, key="zhao-signs")
    page.get_by_text("本预警有更新").wait_for()
    page.keyboard.press("Enter")  # an officer who does not look signs all the same
    page.get_by_text("没有执行").wait_for()
    assert "赵磊" in page.locator(".note.bad").inner_text()


def test_a_reveal_asks_its_purpose_once(page: Page, address: str, house: Centre, wang: Actor) -> None:
    alert = house.alert("张小兰", line="+8613812341234")
    log_in(page, address, "wang")
    page.goto(f"{address}/alerts/{alert}")
    assert "13812341234" not in page.content()
    page.keyboard.press("l")
    page.keyboard.press("Enter")
    page.get_by_text("可查看至").wait_for()
    assert "13812341234" in page.content()


def test_nothing_runs_over_the_edge_of_a_phone_or_of_an_old_screen(
    page: Page, address: str, house: Centre, wang: Actor, zhao: Actor
) -> None:
    rich = furnish(house, wang, zhao)["rich"]
    house.officer("all", "全", "admin", "commander", "auditor")
    log_in(page, address, "all")
    for width, height in ((390, 844), (1366, 768)):
        page.set_viewport_size({"width": width, "height": height})
        for path in ("/desk", f"/alerts/{rich}", "/wall", "/admin/users", "/admin/sources", "/audit"):
            page.goto(address + path)
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, (path, width, over)


def test_words_stand_out_from_their_ground(page: Page, address: str, house: Centre, wang: Actor, zhao: Actor) -> None:
    made = furnish(house, wang, zhao)
    house.officer("all", "全", "admin", "commander", "auditor")
    log_in(page, address, "all")
    weak: list[str] = []
    for path in ("/desk", f"/alerts/{made['rich']}", f"/alerts/{made['closed']}", "/feedback", "/wall", "/admin/users"):
        page.goto(address + path)
        weak += [f"{path} {text}" for text in page.evaluate(CONTRAST)]
    assert weak == []


#: Texts whose contrast against the nearest painted ground is below 4.5 (WCAG 2.1), disabled buttons left out.
CONTRAST = """() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const lum = c => { const [r, g, b] = c.slice(0, 3).map(v => { v /= 255; return v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const out = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const el = walk.currentNode.parentElement, text = walk.currentNode.textContent.trim();
    if (!text || !el.getClientRects().length || el.closest('[disabled], svg, script, option, .undone, .sr, .skip')) continue;
    let back = el, ground = [255, 255, 255];
    while (back) { const c = parse(getComputedStyle(back).backgroundColor); if (c.length && (c.length < 4 || c[3] > 0.9)) { ground = c; break; } back = back.parentElement; }
    const a = lum(parse(getComputedStyle(el).color)), b = lum(ground), ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) out.push(`${ratio.toFixed(2)} ${text.slice(0, 30)} <${el.tagName} ${el.className}>`);
  }
  return out;
}"""  # noqa: E501
