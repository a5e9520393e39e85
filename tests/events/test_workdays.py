"""Working days are the State Council's; a year without a table is counted Monday to Friday and says so."""

from __future__ import annotations

from datetime import date, datetime

import pytest

from wuzha.events import clock, workdays
from wuzha.events.datafile import DataFileError


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=clock.zone())


@pytest.mark.parametrize(
    ("day", "worked"),
    [
        ("2026-02-14", True), ("2026-02-16", False), ("2026-02-23", False), ("2026-02-24", True), ("2026-02-28", True),
        ("2026-05-09", True), ("2026-10-08", True), ("2026-10-10", True), ("2026-10-11", False), ("2026-01-04", True),
        ("2025-10-08", False), ("2025-01-26", True), ("2024-09-14", True), ("2024-06-10", False),
    ],
)  # fmt: skip
def test_days_off_and_worked_weekends(day: str, worked: bool) -> None:
    assert workdays.is_workday(date.fromisoformat(day)) is worked


@pytest.mark.parametrize(
    ("since", "until"),
    [
        ("2026-03-02T09:00", "2026-03-06T00:00"),  # Monday: Tuesday, Wednesday, Thursday
        ("2026-03-06T23:59", "2026-03-12T00:00"),  # Friday night
        ("2026-02-13T10:00", "2026-02-26T00:00"),  # Saturday is worked, then nine days of feast
        ("2026-09-30T10:00", "2026-10-11T00:00"),  # 8, 9 and the worked Saturday 10
    ],
)
def test_three_working_days_end_with_the_last(since: str, until: str) -> None:
    due = workdays.due(at(since), 3)
    assert (due.at, due.assumed) == (at(until), ())


def test_a_year_without_a_table_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    due = workdays.due(at("2031-01-01T10:00"), 3)
    assert (due.at, due.assumed) == (at("2031-01-07T00:00"), (2031,))  # Thursday, Friday, Monday
    over = workdays.due(at("2026-12-30T10:00"), 3)
    assert over.assumed == (2027,) and 2027 not in workdays.tables()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "no [[year]]"), ("[[year]]\nyear = 2026\nsource='x'\noff=[2025-01-01]\non=[]", "workdays.toml:4"),
        ("[[year]]\nyear = 2026\nsource='x'\noff=[]\non=[2026-01-05]", "no Saturday or Sunday"),
        ("[[year]]\nyear = 2026\noff=[]\non=[]", "want the notice"),
        ("[[year]]\nyear = 2026\nsource='x'\noff=[]\non=[]\nx=1", "unknown entry"),
        ("[[year]]\nyear = 2026\nsource='x'\noff=[[2026-01-03, 2026-01-01]]\non=[]", "want days of 2026"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_its_line(text: str, words: str) -> None:
    with pytest.raises(DataFileError, match=words.replace("[", r"\[")):
        workdays.read(text)
