"""A refund in a browser: from the freeze to the decision, each officer by the one button at the top."""

from __future__ import annotations

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.desks import Centre
from tests.money import FIRST, bank_key
from tests.refunds import frozen
from tests.serving import log_in, serving

from wuzha.api.app import compose
from wuzha.api.doors import Doors
from wuzha.city.bank import Bank, Ledger, Manner, Moved
from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.live.settings import Settings
from wuzha.store import Database

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


@pytest.fixture
def address(page: Page, db: Database, tmp_path: Path) -> Iterator[str]:
    """Pages and API together on a port, as a deployment serves them."""
    doors = Doors(db=db, settings=Settings(home=tmp_path, role="centre", free_space=0)).open()
    with serving(compose(doors)) as at:
        yield at
        page.goto("about:blank")
    doors.close()


def shot(page: Page, name: str) -> None:
    """A picture to look at, where a folder for them is named."""
    if folder := os.environ.get("REFUND_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def narrow(page: Page, name: str) -> None:
    """The page fits a phone."""
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
    shot(page, f"{name}-phone")
    page.set_viewport_size({"width": 1440, "height": 900})


def test_a_refund_goes_by_the_button_at_the_top(house: Centre, wang: Actor, address: str, page: Page) -> None:
    going = frozen(house, wang)
    key = bank_key(house)
    house.officer("all", "全能", "dissuader", "sealer")
    at = f"{address}/cases/{going.chase.case_id}/refund"
    page.set_viewport_size({"width": 1440, "height": 900})
    log_in(page, address, "all")
    page.goto(at)
    shot(page, "refund-0")
    page.locator("#start button.strong").click()
    page.locator(".refund-shares").wait_for()
    assert page.locator(".refund-shares b").all_inner_texts()[:2] == ["¥18,000.00", "¥12,000.00"]
    shot(page, "refund-1")
    page.keyboard.press("n")  # the next best action: post the notice
    assert page.url.endswith("#notice")
    page.fill("form[action$='/notice'] input[name=words]", "市局网站")
    page.locator("form[action$='/notice'] button").click()
    page.locator("form[action$='/apply'] input[name=ref]").first.fill("返申1")
    page.locator("form[action$='/apply'] button").first.click()
    assert len(page.locator(".secret").inner_text()) == 19
    shot(page, "refund-code")
    page.goto(at)
    shot(page, "refund-2")
    narrow(page, "refund-2")
    page.goto(address + "/refunds")
    shot(page, "refund-desk")
    narrow(page, "refund-desk")
    going.notice_over()
    page.goto(at)
    page.keyboard.press("n")
    page.locator(".label-tag.strong", has_text="已呈请").wait_for()
    going.refund_id, going.now = 1, clock.now()
    going.answer()
    page.goto(at)
    page.keyboard.press("n")  # the seal: the decision
    page.locator("#pay").wait_for()
    page.keyboard.press("n")  # and to the bank, which answers by itself, twice
    page.locator("form[action$='/answer']").wait_for()
    shot(page, "refund-3")
    ledger = Ledger({FIRST: "陈某"}, [Moved(number="1", payer=None, payee=FIRST, fen=3_000_000, at=going.chase.at)])
    ledger.stops[FIRST] = going.chase.at + timedelta(minutes=9)
    bank = Bank(ledger, centre=address, key=key, manner=Manner(repeats=True)).start()
    try:
        for _ in range(100):
            page.goto(at)
            if page.locator(".label-tag.strong", has_text="已返还").count():
                break
            page.wait_for_timeout(100)
    finally:
        bank.stop()
    assert ledger.balance(FIRST, clock.now()) == 1_200_000
    assert "待被害人申请" in page.locator(".file-head").inner_text()
    shot(page, "refund-4")
    narrow(page, "refund-4")
