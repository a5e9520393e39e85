"""In a real Chromium: words change by one key; a proposal is decided by a second; a citizen checks an officer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from tests.desks import Centre
from tests.public.conftest import Zones, zones  # noqa: F401
from tests.serving import log_in, serving

from wuzha.command.public import Actor
from wuzha.respond.phrases import shipped

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_one_key_changes_the_words(page: Page, address: str, house: Centre, wang: Actor) -> None:
    alert = house.alert("张小兰", scam_type="authority", stage="pay", level="urgent")
    texts = shipped().texts
    log_in(page, address, "wang")
    page.goto(f"{address}/alerts/{alert}")
    page.keyboard.press("Enter")  # sign
    page.locator(".minds").wait_for()
    page.get_by_text(texts["authority:turn.unaware"].zh).wait_for()
    page.keyboard.press("c")
    page.get_by_text(texts["authority:turn.convinced"].zh).wait_for()
    page.get_by_text(texts["common:mind.convinced.closing"].zh).wait_for()
    assert page.locator('.minds button[aria-pressed="true"]').inner_text().startswith("深信")
    page.keyboard.press("h")
    page.get_by_text(texts["authority:turn.ashamed"].zh).wait_for()
    page.keyboard.press("z")  # taken back
    page.get_by_text(texts["authority:turn.convinced"].zh).wait_for()


def test_words_are_proposed_by_one_and_accepted_by_another(
    page: Page, address: str, house: Centre, wang: Actor, zhao: Actor
) -> None:
    log_in(page, address, "wang")
    page.goto(f"{address}/phrases?group=loan")
    row = page.locator('tr[id="loan:next.pay"]')
    row.get_by_text("提议修改").click()
    row.locator('textarea[name="zh"]').fill("再转一笔验资就放款。")
    row.locator('input[name="why"]').fill("更像原话")
    row.get_by_text("提交审核").click()
    page.locator(".wish").get_by_text("再转一笔验资就放款。").wait_for()
    assert page.locator(".wish").get_by_text("采用", exact=True).count() == 0
    log_in(page, address, "zhao")
    page.goto(f"{address}/phrases?group=loan")
    page.locator(".wish").get_by_text("采用", exact=True).click()
    page.locator('tr[id="loan:next.pay"]').get_by_text("v1").first.wait_for()
    assert page.locator(".wish").count() == 0


def test_a_citizen_checks_an_officer_on_a_phone_without_scripts(browser: Any, zones: Zones) -> None:  # noqa: F811
    _, number, code = zones.signed()
    zones.pass_on(2)
    context = browser.new_context(java_script_enabled=False, viewport={"width": 390, "height": 844}, locale="zh-CN")
    phone = context.new_page()
    with serving(zones.page.app) as at:
        phone.goto(at + "/verify")
        assert phone.locator("input").count() == 1 and phone.locator("button").count() == 1
        assert phone.evaluate("document.documentElement.scrollWidth") <= 390
        phone.locator("input").fill(f"{number} {code}")
        phone.keyboard.press("Enter")
        phone.get_by_text("核验码有效").wait_for()
        assert phone.get_by_text("欧阳警官").count() == 1
        phone.locator("input").fill(f"{number} 000000")
        phone.locator("button").click()
        phone.get_by_text("无法核实", exact=True).wait_for()
        assert phone.locator('a[href="tel:96110"]').count() == 1
        phone.goto("about:blank")
    context.close()
