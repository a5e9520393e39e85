"""The table of law, and the sum of days in force."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from wuzha.events.datafile import DataFileError
from wuzha.respond import measure_law, measure_list

H = timedelta(hours=1)

ROW = st.fixed_dictionaries(
    {"begun": st.integers(0, 200), "hours": st.integers(1, 48), "released": st.none() | st.integers(0, 300)}
)


@settings(max_examples=60, suppress_health_check=list(HealthCheck))
@given(st.lists(ROW, max_size=6), st.integers(0, 400))
def test_the_sum_of_days_counts_each_hour_once(rows: list[dict[str, Any]], at: int) -> None:
    start = datetime(2026, 1, 1, tzinfo=ZoneInfo("UTC"))
    made = [
        {
            "declined_at": None, "approved_at": start + r["begun"] * H, "began_at": start + r["begun"] * H,
            "ends_at": start + (r["begun"] + r["hours"]) * H,
            "released_at": None if r["released"] is None else start + r["released"] * H,
        }
        for r in rows
    ]  # fmt: skip
    now = start + at * H
    plain = {
        h
        for r in rows
        for h in range(r["begun"], r["begun"] + r["hours"])
        if h < at and (r["released"] is None or h < r["released"])
    }
    assert measure_list.days(made, now) * 24 == pytest.approx(len(plain))


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('longest_h = 48\n\n[law.kind.transfer_limit]', 'longest_h = 72\n\n[law.kind.transfer_limit]', "1 to 48 hours"),
        ('approver = "measure.approve"', 'approver = ""', "wants an approver"),
        ('approver = "measure.approve"', 'approver = "anything"', "unknown right"),
        ('reaches = ["110", "119", "120", "96110"]', 'reaches = ["110"]', "must still reach"),
        ('target = ["account", "wallet"]\nto = "bank"\nbases = ["own_act"', 'target = ["purse"]\nto = "bank"\nbases = ["own_act"', "unknown subject kind"),  # noqa: E501
        ("money = true", "money = false", "living amount"),
        ('bases = ["consent", "police"]', 'bases = ["wish"]', "unknown basis"),
        ("chain_days = 30", "", "chain_days"),
        ("rank = 3", "rang = 3", "rang"),
    ],
)  # fmt: skip
def test_a_wrong_table_of_law_is_named_with_its_line(old: str, new: str, words: str) -> None:
    from importlib.resources import files

    text = (files("wuzha.respond") / "measures.toml").read_text("utf-8")
    assert old in text
    with pytest.raises(DataFileError, match=words) as caught:
        measure_law.read(text.replace(old, new, 1))
    assert caught.value.line >= 1


def test_the_law_in_force_is_that_of_the_day() -> None:
    zone = ZoneInfo("Asia/Shanghai")
    assert measure_law.law(datetime(2022, 11, 30, 23, 59, tzinfo=zone)) is None
    found = measure_law.law(datetime(2022, 12, 1, tzinfo=zone))
    assert found is not None and found.longest_h("outgoing_stop", "police") == 48
