"""In a real Chromium: one woman in four feeds, answered once and fed back four times, each in its own code and way."""

from __future__ import annotations

import base64
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from tests.answering import answering
from tests.desks import Centre
from tests.lists import book, cells, line, register
from tests.live.test_worker import follow, settings
from tests.serving import log_in

from wuzha.command.public import Actor
from wuzha.events import TABLES, batch, clock
from wuzha.respond import sender, ways
from wuzha.store import log

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = pytest.mark.browser
PHONE = "13800138000"


def send(house: Centre, source: str, number: str) -> None:
    """A warning that came by the API, as the door appends it."""
    now = clock.now()
    row = {
        "source": source, "event_id": number, "source_no": number, "ts": now - timedelta(minutes=3),
        "victim_line": f"+86{PHONE}", "level_upstream": "urgent", "scam_type": "authority",
        "feedback_by": now + timedelta(hours=2),
    }  # fmt: skip
    schema = pa.schema([pa.field(f.name, f.type) for f in TABLES["warnings"].schema])
    rows = batch.conform(TABLES["warnings"], pa.Table.from_pylist([row], schema=schema))
    log.append(house.web, log.Batch(table="warnings", rows=rows, source=source, basis="warning"))


def drop(page: Page, name: str, data: bytes) -> None:
    """A file let go over the desk."""
    page.evaluate(
        """([name, data]) => {
            const bytes = Uint8Array.from(atob(data), c => c.charCodeAt(0)), carried = new DataTransfer();
            carried.items.add(new File([bytes], name));
            document.dispatchEvent(new DragEvent('drop', { dataTransfer: carried, bubbles: true, cancelable: true }));
        }""",
        [name, base64.b64encode(data).decode()],
    )
    page.wait_for_url("**/workbooks/*")


def results(page: Page) -> tuple[str, list[list[Any]]]:
    """Press for the filled workbook; its name and cells."""
    with page.expect_download() as waiting:
        page.locator("#filled").click()
    name = waiting.value.suggested_filename
    path = waiting.value.path()
    return name, cells(Path(path).read_bytes())


def test_a_person_in_four_feeds_is_answered_once_and_fed_back_four_times(
    page: Page, address: str, house: Centre, wang: Actor, tmp_path: Path
) -> None:
    register(house, "province", "省反诈中心")
    register(house, "n12381", "12381")
    register(house, "platform", "某平台", role="platform")
    register(house, "ministry", "部级平台")
    boss = house.officer("boss", "管", "admin")
    log_in(page, address, "wang")

    # Two workbooks: one let go over the desk, one chosen; each layout is confirmed once.
    drop(page, "省下发.xlsx", book([line(1, number="S1", phone="13900139000"), line(2, number="S2", phone=PHONE)]))
    page.select_option("select[name=source]", "province")
    page.get_by_role("button", name="确认并导入").click()
    page.locator("#filled").wait_for()
    page.goto(address + "/desk")
    header = ("预警编号", "潜在受害人号码", "预警时间", "风险等级", "劝阻结果", "劝阻时间", "劝阻人员")
    at = f"{clock.now().astimezone(clock.zone()) - timedelta(minutes=4):%Y-%m-%d %H:%M:%S}"
    listed = book([{"预警编号": "T9", "潜在受害人号码": PHONE, "预警时间": at, "风险等级": "红色"}], header)
    (tmp_path / "12381.xlsx").write_bytes(listed)
    page.set_input_files("#drop-file", str(tmp_path / "12381.xlsx"))
    page.get_by_role("button", name="导入", exact=True).click()
    page.wait_for_url("**/workbooks/*")
    page.select_option("select[name=source]", "n12381")
    page.get_by_role("button", name="确认并导入").click()
    page.locator("#filled").wait_for()
    # Two more by the API; the engine joins all four on her one alert.
    send(house, "platform", "PT-7")
    send(house, "ministry", "BJ-3")
    follow(house.db, settings(tmp_path / "home", role="centre"), log.head(house.engine))
    found = house.engine.execute(
        "SELECT w.alert_id, array_agg(w.source ORDER BY w.source) FROM alert_warnings w JOIN alerts a USING (alert_id)"
        " JOIN subjects s ON s.subject_id = a.line_id WHERE s.value = %s GROUP BY 1",
        (f"+86{PHONE}",),
    ).fetchall()
    assert [sources for _, sources in found] == [["ministry", "n12381", "platform", "province"]]
    alert = found[0][0]

    # She is reached and dissuaded, once.
    page.goto(f"{address}/alerts/{alert}")
    page.keyboard.press("Enter")
    page.locator("#rung-call button[value=self]").wait_for()
    page.locator("#rung-call").evaluate("rung => rung.open = true")
    page.locator("#rung-call button[value=self]").click()
    page.locator(".outcome button[value=dissuaded]:not([disabled])").click()
    page.locator(".outcome .close button").click()
    page.locator(".file-best").get_by_text("已结案").wait_for()
    assert page.locator(".fb-owed").all_inner_texts() == ["可反馈"] * 4

    # Fed back four times: an API …
    with answering() as source:
        with house.scope(boss) as conn:
            ways.save(conn, boss, "platform", f'way = "api"\nurl = "{source.url}"\n[results]\ndissuaded = "01"\n')
        with house.db.connect("web") as conn, sender.client() as asked:
            assert sender.deliver(conn, asked) == 1
    assert [(body["number"], body["result"]) for _, body in source.heard] == [("PT-7", "01")]
    # … two workbooks, each as it came and in its own words …
    page.goto(address + "/feedback")
    assert page.locator(".register tbody tr").count() == 4  # hers but the API's, and the other woman's
    page.get_by_role("link", name="省下发.xlsx").click()
    name, sheet = results(page)
    assert name == "省下发.xlsx" and [row[8] for row in sheet] == [None, "反馈结果", None, "劝阻成功"]
    page.goto(address + "/feedback")
    page.get_by_role("link", name="12381.xlsx").click()
    name, sheet = results(page)
    assert name == "12381.xlsx" and sheet[2][4] == "劝阻成功" and sheet[2][6] == "王敏"
    # … and one that an officer types into the system of those above.
    page.goto(address + "/feedback?state=ready")
    row = page.locator(".register tbody tr")
    assert row.count() == 1 and "BJ-3" in row.inner_text()
    row.locator("input[name=words]").fill("部-20261")
    row.get_by_role("button", name="标为已反馈").click()
    page.goto(address + "/feedback?state=sent")
    page.locator(".register tbody tr", has_text="BJ-3").get_by_role("button", name="已接收").click()
    page.goto(address + "/feedback?state=accepted")
    assert page.locator(".register tbody tr").count() == 2
    # Long after, the ministry sends it back.
    row = page.locator(".register tbody tr", has_text="BJ-3")
    row.locator("summary").click()
    row.locator("input[name=words]").fill("缺回访记录")
    row.get_by_role("button", name="登记退回").click()
    page.goto(address + "/feedback?state=returned")
    assert "缺回访记录" in page.locator(".register tbody tr").inner_text()
    told = house.engine.execute(
        "SELECT source, feedback, sent_result, sent_n FROM alert_warnings WHERE alert_id = %s ORDER BY source", (alert,)
    ).fetchall()
    assert told == [
        ("ministry", "returned", "劝阻成功", 1), ("n12381", "sent", "劝阻成功", 1), ("platform", "accepted", "01", 1),
        ("province", "sent", "劝阻成功", 1),
    ]  # fmt: skip
