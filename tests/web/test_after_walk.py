"""In a real Chromium: consent, notice, request, release; follow-up; a loss after it opens the file again."""

from __future__ import annotations

import io
from datetime import timedelta
from typing import TYPE_CHECKING

import pytest
from tests.desks import Centre
from tests.serving import log_in

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import rounds

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def _person(house: Centre, alert: int) -> int:
    row = house.engine.execute("SELECT person_id FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row is not None
    return int(row[0])


def test_from_consent_to_release_and_from_the_close_to_the_looking_back(
    page: Page, address: str, house: Centre, wang: Actor
) -> None:
    from docx import Document

    alert = house.alert("张小兰", level="urgent", amount_fen=18_200_000)
    person = _person(house, alert)
    house.relate(person, house.subject("account", "6222021234567890128"), "holder")
    log_in(page, address, "wang")
    page.goto(f"{address}/alerts/{alert}")
    page.keyboard.press("Enter")
    page.get_by_text("拨打本人").wait_for()

    # a measure on the person's written consent: refused without a living amount, then asked for
    page.locator("#measure-new summary").click()
    form = page.locator("#measure-new form")
    form.locator("select[name=kind]").select_option("transfer_limit")
    form.locator("select[name=basis]").select_option("consent")
    form.locator("select[name=target]").select_option(label="账户 6222****0128")
    form.locator("textarea[name=reason]").fill("本人担心再被诱导，愿意限额三天")
    form.locator("input[name=consent_ref]").fill("同意书2026-118")
    form.get_by_role("button", name="提出申请").click()
    page.locator(".note.bad").get_by_text("必须保留生活费").wait_for()
    assert form.locator("input[name=consent_ref]").input_value() == "同意书2026-118"  # as it was filled in
    form.locator("input[name=living]").fill("500")
    form.get_by_role("button", name="提出申请").click()
    measure = page.locator(".measure").first
    measure.get_by_text("已批准，未发送").wait_for()
    assert measure.get_by_text("告知书未送达").count() == 1

    # the notice comes as a Word file with the form in it
    with page.expect_download() as waiting:
        measure.get_by_text("下载告知书").click()
    file = Document(io.BytesIO(waiting.value.path().read_bytes()))
    words = "\n".join([*(p.text for p in file.paragraphs), *(c.text for t in file.tables for c in t._cells)])
    assert "每日 500.00 元" in words and "解除保护性措施申请" in words and "可随时撤回" in words

    # sent under their number, in force with their receipt, served, and released because the person asks
    measure.locator("input[name=number]").fill("XE-7781")
    measure.get_by_role("button", name="已发送").click()
    measure.get_by_text("已发送，待回执").wait_for()
    measure.locator("input[name=number]").fill("回执8812")
    measure.get_by_role("button", name="登记生效").click()
    measure.get_by_text("生效中", exact=True).wait_for()
    measure.get_by_text("送达与解除").click()
    measure.get_by_role("button", name="告知书已送达").click()
    measure.get_by_text("告知书未送达").wait_for(state="detached")
    measure.get_by_text("送达与解除").click()
    measure.get_by_placeholder("对方怎么说").fill("要付房租")
    measure.get_by_role("button", name="登记解除申请").click()
    measure.get_by_text("已解除", exact=True).wait_for()
    assert page.locator(".trail li").first.get_by_text("本人撤回，措施解除").count() == 1

    # reached, dissuaded, closed; a day later the follow-up is due and answered by one press
    page.keyboard.press("2")
    page.locator("#rung-call button[value=self]").click()
    page.locator(".file-best").get_by_text("填写结果").wait_for()
    page.locator("#outcome button[value=dissuaded]").click()
    page.locator(".file-best").get_by_text("结案").wait_for()
    page.keyboard.press("Enter")
    page.locator(".file-best").get_by_text("已结案").wait_for()
    assert page.locator("#followups .warning").count() == 4
    house.db.connect("super").execute(
        "UPDATE wuzha.followups SET due_at = %s WHERE step = 'h24'", (clock.now() - timedelta(minutes=1),)
    )
    page.goto(address + "/followups")
    page.get_by_role("button", name="未再受骗").click()
    page.get_by_text("现在没有要回访的人").wait_for()

    # and then she reports a loss all the same
    now = clock.now()
    house.engine.execute(
        "INSERT INTO reports (source, event_id, report, ts, reported_at, person_id, unit_id, scam_type, loss_fen,"
        " changed_at) VALUES ('110', 'e1', 'J350200000001', %s, %s, %s, %s, 'authority', 5000000, %s)",
        (now, now, person, house.units["centre"], now),
    )
    rounds.go_round(house.web)
    page.goto(address + "/lookback")
    row = page.locator("table").nth(1).locator("tbody tr")
    assert row.count() == 1
    assert row.get_by_text("触达未见面").count() == 1
    assert row.get_by_text("5.00万元").count() == 1
    row.locator("a").first.click()
    page.get_by_role("heading", name="触达未见面").wait_for()
    page.locator(f"a[href='/alerts/{alert}']").first.click()
    page.locator(".file-best").get_by_text("签收本预警").wait_for()
    assert page.locator(".trail").get_by_text("重新打开").count() >= 1
    assert page.locator("#followups").get_by_text("已重新打开，不再回访").count() == 3
