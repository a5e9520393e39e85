"""Cases, orders, the radar and the platform in a real Chromium, at a desk's width and a phone's, in every state."""

from __future__ import annotations

import os
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.desks import Centre
from tests.money import FIRST, Chase, chased
from tests.serving import log_in

from wuzha import store
from wuzha.cases import granting
from wuzha.command.public import Actor, machine
from wuzha.orders import daily, releasing
from wuzha.orders.answering import Answer

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser

LONG = "某某省某某市某某区农村商业银行股份有限公司某某路支行营业部（原某某信用合作联社）"
WIDTHS = ((1440, 900), (390, 844))


def furnish(house: Centre, wang: Actor) -> Chase:
    """A case with a freeze that waits, a stop found unrelated in part, a grant, what is told, names that are long."""
    chase = chased(house, wang)
    keeper = house.officer("keeper2", "欧阳孙正", "sealer")
    chase.filed()
    chase.answer(chase.frozen(keeper, FIRST, 700_000), said=Answer(
        queued=True, behind=LONG, behind_until=chase.now + timedelta(days=30), done_fen=600_000,
    ))  # fmt: skip
    stop = next(o for o in chase.orders(kind="stop") if o["in_force"])
    with house.scope(keeper, now=chase.now) as conn:
        releasing.unrelated(conn, keeper, stop["order_id"], why="其中一笔是货款，已与收款人核实", amount_fen=100_000,
                            key=chase.key(), now=chase.now)  # fmt: skip
        conn.execute("UPDATE case_accounts SET bank = %s WHERE role = 'met'", (LONG,))
    far = house.unit("far", "某某省某某市公安局某某分局刑侦大队电诈专案组")
    with house.scope(wang, now=chase.now) as conn:
        granting.grant(conn, wang, chase.case_id, unit_id=far,
                       reason="串并侦查：同一收款账户", until=chase.now + timedelta(days=30), key=chase.key(),
                       now=chase.now)  # fmt: skip
    chase.round()
    later = chase.now + timedelta(days=4)  # what is told by then
    with store.transaction(house.web, unit=house.units["centre"], user=None, now=later):
        daily.due(house.web, machine(house.units["centre"], "due"), later)
    return chase


def shot(page: Page, name: str) -> None:
    """A picture to look at, where a folder for them is named."""
    if folder := os.environ.get("MONEY_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png", full_page=True)


def test_every_page_fits_the_desk_and_the_phone(house: Centre, wang: Actor, address: str, page: Page) -> None:
    house.officer("sun", "孙正", "sealer", "dissuader")
    log_in(page, address, "sun")
    page.goto(address + "/orders?state=queued")
    assert (
        page.locator("table tbody tr").count() == 1 and page.get_by_text("没有指令").count() == 1
    )  # empty, and says so
    shot(page, "empty")
    chase = furnish(house, wang)
    queued, stop = chase.order("freeze", FIRST)["order_id"], chase.order("stop", FIRST)["order_id"]
    release = chase.order("release", FIRST)["order_id"]
    pages = {
        "cases": "/cases", "case": f"/cases/{chase.case_id}", "money": f"/cases/{chase.case_id}/money",
        "new": "/cases/new", "radar": "/orders", "expiring": "/orders?state=expiring",
        "queued": "/orders?state=queued", "release-list": "/orders?state=release", "all": "/orders?state=all",
        "order-queued": f"/orders/{queued}", "order-stop": f"/orders/{stop}", "order-release": f"/orders/{release}",
        "platform": "/orders/platform",
    }  # fmt: skip
    for width, height in WIDTHS:
        page.set_viewport_size({"width": width, "height": height})
        for name, path in pages.items():
            page.goto(address + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width, (name, width)
            shot(page, f"{name}-{width}")
    assert FIRST not in page.content()
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto(address + "/orders?state=queued")
    assert page.get_by_text("轮候冻结").first.is_visible()
    page.goto(address + "/orders")
    seen = page.locator(".tells button").count()
    page.locator(".tells button").first.focus()
    page.keyboard.press("Enter")  # by keyboard alone
    page.locator(".tells button").nth(seen - 1).wait_for(state="detached")
    assert page.locator(".tells button").count() == seen - 1
    page.goto(address + "/cases/new")
    page.fill("input[name=payee]", FIRST)
    page.get_by_role("button", name="再加一笔转账").click()
    page.locator("fieldset.loss").nth(1).wait_for()
    assert page.locator("input[name=payee]").first.input_value() == FIRST
    shot(page, "new-two")
