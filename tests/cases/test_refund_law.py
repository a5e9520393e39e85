"""The dated table of refunds: its bounds, its sources, and mistakes told with their line."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from wuzha.cases.refund import law, words
from wuzha.events.datafile import DataFileError

SHIPPED = (files("wuzha.cases.refund") / "law.toml").read_text("utf-8")


def test_the_shipped_table_says_who_decides_and_where_that_stands() -> None:
    table = law.law(datetime(2026, 3, 2, tzinfo=UTC))
    assert (table.notice_days, table.bank_working_days, table.rule) == (30, 3, "fifo")
    assert table.procedure["special"].level == "city" and "第六条" in table.procedure["special"].source
    assert table.procedure["clear"].level == "county" and "pro_rata" not in table.procedure["clear"].ways
    assert law.law_of(table.since) is table
    assert law.law(datetime(2001, 1, 1, tzinfo=UTC)) is table
    with pytest.raises(LookupError):
        law.law_of(datetime(2001, 1, 1, tzinfo=UTC).date())


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("notice_days = 30", "notice_days = 29", "at least 30"), ('rule = "fifo"', 'rule = "haircut"', "fifo, lifo"),
        ('notice_ways = ["pro_rata"]', "notice_ways = []", "pro_rata in it"),
        ('level = "city"', 'level = "station"', "county, city"),
        ("bank_working_days = 3", "", "lacks bank_working_days"),
        ("[law.procedure.clear]", "[law.procedure.quick]", "unknown procedure"),
        ('level = "city"', 'level = "city"\ndays = 3', "unknown entry"),
        ("from = 2016-09-18", "from = 1", "want the day"),
    ],
)  # fmt: skip
def test_what_no_table_may_say_is_refused_with_its_line(old: str, new: str, what: str) -> None:
    assert old in SHIPPED
    with pytest.raises(DataFileError, match=r"law\.toml:\d+:\d+: .*" + what):
        law.read(SHIPPED.replace(old, new, 1))


def test_whoever_is_told_anything_is_told_that_it_costs_nothing() -> None:
    assert words.free() == "返还不收取任何费用，可拨96110核实。"
    assert "96110" in words.free("en")


@pytest.mark.parametrize(
    ("part", "whole", "said"), [(1, 3, "33.33"), (2, 3, "66.67"), (0, 0, "0.00"), (5, 5, "100.00")]
)
def test_a_percentage_is_exact_to_its_second_place(part: int, whole: int, said: str) -> None:
    assert words.percent(part, whole) == said
