"""The clocks at their page: two persons by plain forms, a mistake with what was typed, words in both languages."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor
from wuzha.respond import tier_book


def test_two_persons_change_the_clocks_by_plain_forms(
    house: Centre, wang: Actor, officer: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WUZHA_HOME", str(tmp_path))
    house.officer("admin", "管理员", "admin")
    house.officer("chief", "陈立", "commander", language="en")
    admin, chief = officer("admin"), officer("chief")
    assert officer("wang").get("/admin/clocks").status_code == 403
    text = tier_book.text_now()
    bad = admin.post("/admin/clocks", {"text": text.replace("sign_s = 60", "sign_s = soon"), "why": "试"})
    assert bad.status_code == 409 and "tiers.toml:" in bad.text and "sign_s = soon" in bad.text
    good = text.replace("sign_s = 60", "sign_s = 45", 1)
    assert admin.post("/admin/clocks", {"text": good, "why": "夜间人手足"}).status_code == 303
    page = admin.get("/admin/clocks").text
    assert "+sign_s = 45" in page and 'value="1"' not in page.split("/decide", 1)[1].split("</form>", 1)[0]
    page = chief.get("/admin/clocks").text
    assert "Put in force" in page
    number = page.split("/admin/clocks/", 1)[1].split("/", 1)[0]
    assert chief.post(f"/admin/clocks/{number}/decide", {"accept": "1"}).status_code == 303
    page = admin.get("/admin/clocks").text
    assert "45秒" in page and "已生效" in page and "夜间人手足" in page
