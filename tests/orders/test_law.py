"""The dated table of law: what it may say, and where a mistake in it stands."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.resources import files

import pytest

from wuzha.events.datafile import DataFileError
from wuzha.orders import law, platform

SHIPPED = (files(law.__package__) / "law.toml").read_text("utf-8")


def test_an_order_stands_on_the_table_of_its_day() -> None:
    assert not law.law(datetime(2025, 11, 30, 15, 59, tzinfo=UTC)).amount_first  # still November in Beijing
    newer = law.law(datetime(2025, 11, 30, 16, 0, tzinfo=UTC))
    assert newer.amount_first and newer.stop_hours == 48 and newer.kind["stop"].needs[0] == "verified"


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [
        ("stop_hours = 48", "stop_hours = 72", "the law allows 48 at most"),
        ("stop_times = 2", "stop_times = 3", "the law allows 2 at most"),
        ("entry_minutes = 30", 'entry_minutes = "30"', "whole number"),
        ('needs = ["verified"]', 'needs = ["verifed"]', "want a list"),
        ('approver = "orders.approve"', 'approver = ""', "a freeze wants an approver"),
        ("as = 2016-03-18", "as = 2015-01-01", "no table above"),
        ("match_minutes = 1440", "match_minuets = 1440", "unknown entry"),
    ],
)
def test_a_mistake_is_told_with_its_line(was: str, now: str, says: str) -> None:
    text = SHIPPED.replace(was, now, 1)
    line = next(i for i, row in enumerate(SHIPPED.splitlines(), 1) if row.startswith(was))
    with pytest.raises(DataFileError, match=says) as error:
        law.read(text)
    assert str(error.value).startswith(f"law.toml:{line}:")


def test_a_mistake_in_the_platforms_file_is_told_with_its_line() -> None:
    text = (files(platform.__package__) / "platform.toml").read_text("utf-8")
    with pytest.raises(DataFileError, match=r"platform.toml:\d+:\d+: unknown entry 'acount'"):
        platform.read(text.replace('account = ["账号"', 'acount = ["账号"'))
