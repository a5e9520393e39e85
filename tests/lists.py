"""Lists of warnings as sources send them, and the registered sources that do."""

from __future__ import annotations

import io
from datetime import datetime, timedelta
from typing import Any

import openpyxl
from tests.desks import Centre

from wuzha.events import clock
from wuzha.store import sources

HEADER = (
    "序号",
    "指令编号",
    "下发时间",
    "预警等级",
    "诈骗类型",
    "手机号码",
    "姓名",
    "反馈时限",
    "反馈结果",
    "反馈时间",
    "反馈人",
)


def register(house: Centre, name: str, title: str, **changes: Any) -> None:
    """A source that may send warnings."""
    entries = {
        "role": "upstream", "basis": "warning", "basis_ref": "预警〔2026〕1号", "purpose": "预警劝阻",
        "retention_days": 180, "tables": ["warnings"], "basis_until": clock.now() + timedelta(days=365),
    }  # fmt: skip
    sources.register(house.web, name=name, title=title, **(entries | changes))


def book(
    rows: list[dict[str, Any]],
    header: tuple[str, ...] = HEADER,
    *,
    sheet: str = "清单",
    title: str | None = "预警指令下发表",
) -> bytes:
    """An xlsx with a title row above its header; ``rows``: column → value."""
    made = openpyxl.Workbook()
    page = made.active
    assert page is not None
    page.title = sheet
    if title:
        page.append([title])
        page.merge_cells(start_row=1, start_column=1, end_row=1, end_column=min(4, len(header)))
    page.append(list(header))
    for n, row in enumerate(rows, 1):
        page.append([row.get(name, n if name == "序号" else None) for name in header])
    out = io.BytesIO()
    made.save(out)
    return out.getvalue()


def line(n: int, *, number: str | None = None, phone: str = "13800138000", **columns: Any) -> dict[str, Any]:
    """A row of such a list."""
    at: datetime = columns.pop("at", clock.now() - timedelta(minutes=5))
    local = at.astimezone(clock.zone())
    return {
        "指令编号": number or f"YJ{n:06d}", "下发时间": f"{local:%Y-%m-%d %H:%M:%S}", "预警等级": "一级",
        "诈骗类型": "冒充公检法及政府机关", "手机号码": phone, "姓名": "张小兰",
        "反馈时限": f"{local + timedelta(hours=4):%Y-%m-%d %H:%M:%S}", **columns,
    }  # fmt: skip


def join(house: Centre, alert: int, source: str, *numbers: str, hours: float = 4.0) -> list[int]:
    """What the engine does with warnings that it has read from the log: they stand on the person's alert."""
    now = clock.now()
    found = []
    for number in numbers:
        row = house.engine.execute(
            "INSERT INTO alert_warnings (alert_id, source, event_id, ts, source_no, level_upstream, feedback_by)"
            " VALUES (%s, %s, %s, %s, %s, 'urgent', %s) RETURNING warning_id",
            (alert, source, number, now - timedelta(minutes=5), number, now + timedelta(hours=hours)),
        ).fetchone()
        assert row is not None
        found.append(int(row[0]))
    return found


def cells(data: bytes, sheet: str | None = None) -> list[list[Any]]:
    """The values of an xlsx, row by row."""
    made = openpyxl.load_workbook(io.BytesIO(data))
    page = made[sheet] if sheet else made.active
    assert page is not None
    return [[cell.value for cell in row] for row in page.iter_rows()]
