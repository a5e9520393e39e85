"""Registers: whose rows tell no time of their own."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.importing import csv_file, run

DAY = datetime(2026, 3, 1, 16, tzinfo=UTC)
PERSONS = [["客户名称", "证照号码"], ["王芳", "350203199001011234"], ["李强", "350203199001011242"]]
ACCOUNTS = [
    ["账户开户名称", "开户网点", "交易卡号", "开户人证件号码"],
    ["王芳", "厦门", "6222020200001111111", "350203199001011234"],
]


def _two(folder: Path, rows: list[list[str]]) -> tuple[Path, Path]:
    first, copy = csv_file(folder / "p.csv", rows), csv_file(folder / "pcopy.csv", rows)
    os.utime(first, (1_700_000_000, 1_700_000_000))
    os.utime(copy, (1_710_000_000, 1_710_000_000))
    return first, copy


def test_the_day_given_wins_over_the_time_of_the_file(tmp_path: Path) -> None:
    done = run("persons", *_two(tmp_path, PERSONS), as_of=DAY)
    assert (done.summary.accepted, done.summary.duplicates) == (2, 2)
    assert {r["ts"] for r in done.rows("persons")} == {DAY}


def test_a_copy_saved_later_counts_once_as_of_the_later_time(tmp_path: Path) -> None:
    first, copy = _two(tmp_path, PERSONS)
    one = run("persons", first, copy, as_of=None)
    assert (one.summary.accepted, one.summary.duplicates, one.summary.rejected) == (2, 2, 0)
    assert {r["ts"] for r in one.rows("persons")} == {datetime.fromtimestamp(1_710_000_000, UTC)}
    other = run("persons", copy, first, as_of=None, out=tmp_path / "other")
    assert other.rows("persons") == one.rows("persons")
    alone = run("persons", first, as_of=None, out=tmp_path / "alone")
    assert {r["ts"] for r in alone.rows("persons")} == {datetime.fromtimestamp(1_700_000_000, UTC)}


@pytest.mark.parametrize("as_of", [DAY, None])
def test_rows_given_beside_copies_are_one_too(tmp_path: Path, as_of: datetime | None) -> None:
    done = run("statements", *_two(tmp_path, ACCOUNTS), as_of=as_of)
    assert len(done.rows("accounts")) == len(done.rows("relations")) == 1
