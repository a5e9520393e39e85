"""In a real Chromium: files dropped on the bench, a card, a flow, the report; nothing wider than the screen."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import docx
import pytest
from tests.desks import Centre
from tests.importing import A
from tests.serving import log_in
from tests.web.test_workbench_page import statements

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser


def test_from_two_banks_files_to_the_report(page: Page, address: str, house: Centre, tmp_path: Path) -> None:
    house.officer("lin", "林静", "analyst")
    log_in(page, address, "lin")
    page.goto(f"{address}/workbench")
    page.locator("#why").fill("A3301XX2026030012")
    page.locator("#drop-file").set_input_files([str(f) for f in statements(tmp_path)])
    page.get_by_role("button", name="放上并读取").click()
    page.get_by_role("heading", name="快进快出").wait_for()
    assert page.get_by_text("金额无法识别").count() >= 1
    assert A not in page.content()
    page.locator(".bench-left select[name=purpose]").first.select_option("case")
    page.get_by_role("button", name="按此用途查看").click()
    page.get_by_role("link", name=A).first.click()
    page.get_by_role("heading", name=A).wait_for()
    page.get_by_text("收入与支出相差").wait_for()
    page.get_by_title("追踪去向").nth(1).click()
    page.locator(".bench-flow svg").wait_for()
    assert page.locator(".bench-flow .box").count() == 3  # the payer, the payee, cash
    page.locator("select[name=policy]").select_option("haircut")
    page.get_by_role("button", name="追踪", exact=True).click()
    page.locator(".bench-flow svg").wait_for()
    assert "policy=haircut" in page.url
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 844})
        assert page.evaluate("document.documentElement.scrollWidth") <= width
    with page.expect_download() as got:
        page.get_by_role("button", name="下载 Word 报告").click()
    saved = tmp_path / "r.docx"
    got.value.save_as(saved)
    assert any("资金去向" in p.text for p in docx.Document(str(saved)).paragraphs)
