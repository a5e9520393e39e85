"""Pursuit in a browser against a bank that is slow, makes mistakes and refuses: the page grows by itself."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.desks import Centre
from tests.money import BANK, FIRST, VICTIM, Chase, bank_key
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

SECOND, THIRD, DEEP = "6217001234560002", "6216600000000003", "6230580000000004"
OTHER = "乙银行"


@pytest.fixture
def address(page: Page, db: Database, tmp_path: Path) -> Iterator[str]:
    """Pages and API together on a port, as a deployment serves them."""
    doors = Doors(db=db, settings=Settings(home=tmp_path, role="centre", free_space=0)).open()
    with serving(compose(doors)) as at:
        yield at
        page.goto("about:blank")
    doors.close()


@contextmanager
def banks(house: Centre, address: str, chase: Chase) -> Iterator[tuple[Bank, Bank]]:
    """Two banks over what truly moved: the first is slow, sends twice and speaks ISO 20022 of stops; the second
    stumbles and garbles."""
    m = timedelta(minutes=1)
    moves = [
        Moved(number="t1", payer=VICTIM, payee=FIRST, fen=5_000_000, at=chase.at),
        Moved(number="t2", payer=FIRST, payee=SECOND, fen=3_000_000, at=chase.at + 3 * m, more={"payee_bank": OTHER}),
        Moved(number="t3", payer=FIRST, payee=THIRD, fen=1_200_000, at=chase.at + 4 * m, more={"payee_bank": OTHER}),
    ]
    onward = [
        Moved(number="u2", payer=FIRST, payee=SECOND, fen=3_000_000, at=chase.at + 3 * m),
        Moved(number="u3", payer=FIRST, payee=THIRD, fen=1_200_000, at=chase.at + 4 * m),
        Moved(number="u4", payer=SECOND, payee=DEEP, fen=900_000, at=chase.at + 6 * m),
        Moved(number="u5", payer=THIRD, payee=None, fen=400_000, at=chase.at + 7 * m,
              more={"cash": True, "channel": "atm", "place": "广西南宁"}),
    ]  # fmt: skip
    first = Bank(
        Ledger({FIRST: "陈某"}, moves),
        centre=address,
        key=bank_key(house),
        manner=Manner(latency_s=0.4, repeats=True, iso=True),
    )
    second = Bank(
        Ledger({SECOND: "李某", THIRD: "赵某", DEEP: "周某"}, onward), centre=address,
        key=bank_key(house, "bank-b", OTHER),
        manner=Manner(stumbles=1, garbles=1, refuses={THIRD: "name"}),
    )  # fmt: skip
    first.start(), second.start()
    try:
        yield first, second
    finally:
        first.stop(), second.stop()


def shot(page: Page, name: str) -> None:
    """A picture to look at, where a folder for them is named."""
    if folder := os.environ.get("MONEY_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_pursuit_grows_on_the_page_while_banks_answer(house: Centre, wang: Actor, address: str, page: Page) -> None:
    house.officer("sun", "孙正", "sealer", "dissuader")
    chase = Chase(house, wang)
    page.set_viewport_size({"width": 1440, "height": 900})
    with banks(house, address, chase) as (first, _):
        log_in(page, address, "sun")
        local = chase.at.astimezone(clock.zone())
        page.goto(address + "/cases/new")
        for name, value in {
            "payee": FIRST, "amount": "50000", "payee_name": "陈某", "payee_bank": BANK, "account": VICTIM,
            "name": "张小兰", "line": "13812341234", "verified_how": "当面核验", "application": "申请1号",
        }.items():  # fmt: skip
            page.fill(f"input[name={name}]", value)
        page.fill("input[name=at]", f"{local:%Y-%m-%dT%H:%M:%S}")
        page.check("input[name=undisputed]")
        page.locator("form.grid-form button.best").click()
        page.wait_for_url("**/money")
        assert page.locator(".wanted > li.is-ready").count() == 2
        shot(page, "money-1")
        page.keyboard.press("s")
        page.wait_for_url("**/money?sent=2")
        # The slow bank answers; nobody reloads: the second layer and its drafts come by themselves.
        page.locator(".flow-svg .col-head", has_text="第 2 层").wait_for(timeout=20_000)
        page.locator(".wanted > li.is-ready").nth(3).wait_for(timeout=20_000)
        assert page.locator(".wanted > li").count() == 4
        page.locator("button.best[data-key=s]:not([disabled])").wait_for()
        page.keyboard.press("s")
        page.wait_for_url("**/money?sent=4")
        # The second bank stumbles, garbles a row, refuses one account; the rest is followed to the third layer.
        page.locator(".flow-svg .col-head", has_text="第 3 层").wait_for(timeout=30_000)
        page.locator(".given .label-tag.bad").first.wait_for(timeout=20_000)
        assert "户名不符" in page.locator(".given").last.inner_text()
        shot(page, "money-2")
        held = httpx.get(first.address + "/accounts").json()[FIRST]
        assert held == {"balance_fen": 800_000, "stopped": True}
        parts = [int(p.replace("¥", "").replace(",", "").replace(".", "")) for p in page.locator(
            ".bar-parts dd").evaluate_all("els => els.map(e => e.title)")]  # fmt: skip
        assert sum(parts) == 5_000_000
        # The slider goes back to before the second layer, and forth again.
        page.locator("#slider").evaluate("e => { e.value = 60; e.dispatchEvent(new Event('input', {bubbles: true})); }")
        page.locator("#to-now").wait_for()
        assert page.locator(".flow-svg .col-head", has_text="第 2 层").count() == 0
        page.locator("#to-now").click()
        page.locator(".flow-svg .col-head", has_text="第 3 层").wait_for()
        page.locator("#play").click()  # it replays by itself, and ends with what is now
        page.locator("#to-now").wait_for()
        page.locator("#play", has_text="停").wait_for()
        page.locator("#play", has_text="回放").wait_for(timeout=40_000)
        assert page.locator("#to-now").count() == 0
        for path in ("/cases", "/cases/1", "/cases/new", "/orders", "/orders/2", "/orders/platform"):
            page.goto(address + path)
            shot(page, path.strip("/").replace("/", "-"))
        page.goto(address + "/cases/1/money")
        page.set_viewport_size({"width": 390, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth")
        shot(page, "money-phone")
