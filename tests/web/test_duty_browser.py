"""In a real Chromium: transfer and return, twice the load with nobody late unseen, a shift change with hand-over."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.desks import Centre
from tests.respond.duty import city, make_round
from tests.serving import hearing, log_in, telling

from wuzha.command import shifts
from wuzha.command.public import on_duty
from wuzha.events import clock
from wuzha.respond import escalate, overflow
from wuzha.store import Connection, Database, transaction

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

pytestmark = pytest.mark.browser


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    """A city with two counties instead of the one centre."""
    return city(db, engine, web)


@pytest.fixture
def desks(browser: Browser, page: Page) -> Iterator[Any]:
    """Other officers' browsers: makes a page of its own, closed at the end."""
    made = []

    def enter() -> Page:
        context = telling(browser.new_context(locale="zh-CN", timezone_id="Asia/Shanghai"))
        context.set_default_timeout(45_000)
        made.append(context)
        return context.new_page()

    yield enter
    for context in made:
        context.close()


def state(house: Centre, alert: int) -> tuple[Any, ...]:
    row = house.engine.execute(
        "SELECT u.code, s.login, a.offered_at IS NOT NULL FROM alerts a JOIN units u USING (unit_id)"
        " LEFT JOIN users s ON s.user_id = a.signed_by WHERE alert_id = %s",
        (alert,),
    ).fetchone()
    assert row is not None
    return row


def give(page: Page, to: str, reason: str) -> None:
    panel = page.locator("#transfer")
    panel.locator("summary").click()
    panel.locator("select[name=to_unit]").select_option(label=to)
    panel.locator("details input[name=reason]").fill(reason)
    panel.get_by_role("button", name="转出").click()
    panel.get_by_text("对方尚未签收").wait_for()


def test_a_transfer_is_returned_once_and_then_decided_above(
    page: Page, address: str, house: Centre, desks: Any, engine: Connection
) -> None:
    for login, name, role, unit in (
        ("north", "北甲", "dissuader", "north"), ("south", "南乙", "dissuader", "south"),
        ("chief", "市长官", "commander", "city"),
    ):  # fmt: skip
        house.officer(login, name, role, unit=unit)
    alert = house.alert("张小兰", unit="north", level="high")
    log_in(page, address, "north")
    page.keyboard.press("a")
    page.wait_for_url(f"{address}/alerts/{alert}")
    give(page, "南区反诈中心", "人现住南区")
    south = desks()
    log_in(south, address, "south")
    south.get_by_text("转来待签收").first.click()
    south.locator("#rows tr a").first.click()
    assert "人现住南区" in south.locator(".given").inner_text()
    south.locator("form[action$='/transfer/return'] input[name=reason]").fill("查无此人")
    south.get_by_role("button", name="退回", exact=True).click()
    south.get_by_text("已退回原单位").wait_for()
    assert state(house, alert) == ("north", "north", False)
    page.goto(f"{address}/alerts/{alert}")
    assert "查无此人" in page.locator("#transfer").inner_text()
    give(page, "南区反诈中心", "户籍在南区")
    south.goto(address + "/desk")
    south.keyboard.press("a")  # the next one is the one that was given
    south.wait_for_url(f"{address}/alerts/{alert}")
    assert state(house, alert) == ("south", "south", False)
    assert page.goto(f"{address}/alerts/{alert}").status == 404  # type: ignore[union-attr]
    south.locator("form[action$='/transfer/return'] input[name=reason]").fill("仍查无此人")
    south.get_by_role("button", name="报共同上级").click()
    south.get_by_text("已报共同上级裁定").wait_for()
    chief = desks()
    log_in(chief, address, "chief")
    chief.goto(f"{address}/alerts/{alert}")
    chief.keyboard.press("Enter")
    chief.get_by_text("拨打本人").first.wait_for()
    assert state(house, alert) == ("city", "chief", False)


def test_at_twice_the_load_overflow_leaves_by_itself_and_nobody_late_is_unseen(
    page: Page, address: str, house: Centre
) -> None:
    chief = house.officer("chief", "北长官", "commander", unit="north")
    now = clock.now()
    with house.scope(chief) as conn:
        overflow.set_route(conn, chief, house.units["north"], [], automatic=True)
    log_in(page, address, "chief")  # the one officer on duty: twelve conversations an hour, 24 in two hours
    medium = [house.alert(unit="north", level="medium", ago=timedelta(0), now=now) for _ in range(48)]
    house.alert("李急", unit="north", level="urgent", ago=timedelta(minutes=2), now=now)
    told = house.alert("周上", unit="north", level="medium", ago=timedelta(0), now=now)
    house.warning(told, sign_by=now + timedelta(minutes=1), ts=now)
    assert make_round(house, overflow.round, now + timedelta(seconds=1)) in (26, 27)
    make_round(house, escalate.round, now + timedelta(seconds=2))
    page.goto(address + "/desk")
    line = re.sub(r"\s+", " ", page.locator(".overflow-line").inner_text())
    assert re.search(r"溢出: 2[67] 中危 → 自动外呼 2[67] · 平均等待", line), line
    assert page.get_by_text("超时，请您接").count() == 1
    page.get_by_text("超时，请您接").click()
    assert page.locator("#rows tr").count() == 1 and "李*" in page.locator("#rows").inner_text()
    assert "超时" in page.locator("#rows .state").inner_text()
    later = now + timedelta(minutes=45)  # what stayed is past its time to be signed for
    make_round(house, overflow.round, later)
    make_round(house, escalate.round, later)
    with transaction(house.web, unit=house.units["city"], now=later) as conn:
        late = conn.execute(
            "SELECT count(*) FROM alerts a WHERE a.level_at + interval '30 min' < %s AND a.level <> 'low'"
            " AND NOT EXISTS (SELECT 1 FROM escalations e WHERE e.alert_id = a.alert_id)",
            (later,),
        ).fetchone()
    assert late == (0,)
    assert [house.engine.execute("SELECT robot_at FROM alerts WHERE alert_id = %s", (told,)).fetchone()] == [(None,)]
    page.goto(address + "/duty/overflow")
    page.get_by_role("button", name="收回").first.click()
    page.get_by_text("已收回").first.wait_for()
    kept = house.engine.execute("SELECT count(*) FROM alerts WHERE kept_at IS NOT NULL AND robot_at IS NULL").fetchone()
    assert kept == (1,) and medium


def test_a_shift_change_with_its_hand_over(page: Page, address: str, house: Centre, desks: Any) -> None:
    house.officer("chief", "北长官", "commander", unit="north")
    day = house.officer("day", "白班甲", "dissuader", unit="north")
    night = house.officer("night", "夜班乙", "dissuader", unit="north")
    files = [house.alert(unit="north", level=level) for level in ("urgent", "high", "low")]
    local = clock.now().astimezone(clock.zone())
    chief = desks()
    log_in(chief, address, "chief")
    chief.goto(address + "/duty")
    for name, begin, end in (
        ("白班甲", local - timedelta(hours=8), local),
        ("夜班乙", local, local + timedelta(hours=8)),
    ):
        form = chief.locator("form[action='/duty/shifts']")
        form.locator("select[name=user]").select_option(label=f"{name} · 北区反诈中心")
        form.locator("input[name=day]").fill(begin.date().isoformat())
        form.locator("input[name=from]").fill(begin.strftime("%H:%M"))
        form.locator("input[name=to]").fill(end.strftime("%H:%M"))
        form.locator("input[name=post]").fill("1号席")
        form.get_by_role("button").click()
        chief.get_by_text(f"{begin:%H:%M}–{end:%H:%M} 1号席").first.wait_for()
    log_in(page, address, "day")
    for _ in files:
        page.goto(address + "/desk")
        page.keyboard.press("a")
        page.wait_for_url(f"{address}/alerts/*")
    taker = desks()
    log_in(taker, address, "night")
    assert "下班未交 3" in re.sub(r"\s+", " ", taker.locator("#duty-line").inner_text())
    page.goto(address + "/duty/handover")
    assert page.locator("tbody tr").count() == 3
    assert "先打本人电话" in page.locator("tbody").inner_text()
    page.locator("select[name=to]").select_option(label=page.locator("option", has_text="夜班乙").first.inner_text())
    page.locator("input[name=note]").fill("紧急那条一直占线")
    page.get_by_role("button", name="交出 3 件").click()
    page.get_by_text("已交出 3 件").wait_for()
    taker.goto(address + "/desk?scope=mine")
    said = taker.locator("#duty-line").inner_text()
    assert "白班甲" in said and "紧急那条一直占线" in said and "下班未交" not in said
    assert taker.locator("#rows tr").count() == 3
    taker.locator("#rows tr a").first.click()
    taker.wait_for_url(f"{address}/alerts/*")
    hearing(taker)
    chief.goto(taker.url)
    taker.locator("#people .note").get_by_text("北长官").wait_for()
    held = house.engine.execute("SELECT DISTINCT signed_by FROM alerts").fetchall()
    assert held == [(night.user_id,)]
    with house.scope(day) as conn:
        assert [o.name for o in on_duty(conn, day)] != [] and "白班甲" not in [o.name for o in on_duty(conn, day)]


def test_the_pages_fit_a_phone_and_a_desk(page: Page, address: str, house: Centre) -> None:
    chief = house.officer("chief", "北长官", "commander", unit="north")
    with house.scope(chief) as conn:
        now = clock.now()
        for day in range(7):
            start = now.replace(minute=0) + timedelta(days=day)
            shifts.add(
                conn, chief, user_id=chief.user_id, starts_at=start, ends_at=start + timedelta(hours=8), post="值班长"
            )
    alert = house.alert(unit="north")
    log_in(page, address, "chief")
    page.goto(address + "/desk")
    page.keyboard.press("a")
    page.wait_for_url(f"{address}/alerts/{alert}")
    for width, height in ((390, 844), (1440, 900)):
        page.set_viewport_size({"width": width, "height": height})
        for path in ("/desk", "/duty", "/duty/handover", "/duty/overflow", "/duty/visits", f"/alerts/{alert}"):
            answer = page.goto(address + path)
            assert answer is not None and answer.status == 200, path
            over = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
            assert over <= 0, (path, width, over)
