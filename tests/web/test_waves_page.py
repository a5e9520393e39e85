"""Waves on the pages: a shared site becomes one item, its people are worked in order, its table is a workbook."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import openpyxl
from tests.desks import Centre

from wuzha.command.public import Actor
from wuzha.events import clock


def test_from_a_shared_site_to_the_feedback_table(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    now = clock.now()
    for unit, level in (("centre", "high"), ("east", "urgent"), ("south", "low")):
        alert = house.alert("张小兰", unit=unit, level=level, line=None)
        house.evidence(alert, "suspect_site", {}, at=now, events=[("visits", now, {"host": "gov-ga.top"})])
    house.alert("李强", ago=timedelta(minutes=1))
    me = officer("wang")
    page = me.get("/waves").text
    assert "gov-ga.top" in page
    form = {"mark": "site:gov-ga.top", "title": "假公安网站"}
    made = me.post("/waves", **form)
    assert made.status_code == 303
    address = made.headers["location"]
    shown = me.get(address).text
    assert "假公安网站" in shown and "南岸派出所" in shown
    assert me.post(f"{address}/hand-out").status_code == 303
    assert "已分发" in me.get(address).text
    desk = me.get(f"/desk?wave={address.rsplit('/', 1)[1]}").text
    assert len(re.findall(r'href="/alerts/\d+"', desk)) >= 3 and "李" not in desk
    book = openpyxl.load_workbook(io.BytesIO(me.get(f"{address}/table.xlsx").content))
    rows = list(book.active.iter_rows(values_only=True))
    assert len(rows) == 4 and rows[1][1] == "张*兰" and rows[1][4] == "紧急"
    assert me.post("/waves", mark="site:", title="x").status_code == 409
    assert me.post(f"{address}/close").status_code == 303
    assert me.post(f"{address}/close").status_code == 409
    assert me.get("/waves/999").status_code == 404


def test_a_seized_list_is_dropped_with_its_case_number(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    me = officer("wang")
    sent = {"file": ("名单.csv", "姓名,手机号\n张三,13800001111\n王五,\n".encode("gbk"))}

    def drop(**form: str) -> Any:
        return me.client.post(
            "/waves/list", data={"csrf": me.csrf, "click": "click-list", "title": "话术名单", **form}, files=sent
        )

    refused = drop(case_no="")
    assert refused.status_code == 409 and "案件编号" in refused.text
    made = drop(case_no="A3502-2026-001")
    assert made.status_code == 303
    assert "另有 1 人正在落地" in me.get(made.headers["location"]).text
    assert me.client.post("/waves/list", data={"case_no": "A3502-2026-001"}, files=sent).status_code == 403
