# ruff: noqa: E501
"""Carriers' records: whose record it is no longer matters, only who called whom."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.importing import csv_file, run, xlsx_file

HEADER = [
    "运营商",
    "业务类型",
    "起始时间",
    "服务号码",
    "卡号",
    "设备号码",
    "对方号码",
    "对方号码归属地",
    "通话时长",
    "呼叫类型",
    "LAC",
    "CID",
    "服务号码基站",
    "MSC",
    "城市",
    "第三方号码",
    "第三方号码归属地",
]


def record(**more: str) -> list[str]:
    usual = {
        "起始时间": "2023-01-15 09:30:11",
        "服务号码": "13800138000",
        "对方号码": "13900139000",
        "通话时长": "95",
        "呼叫类型": "主叫",
        "LAC": "1001",
        "CID": "77",
        "设备号码": "867530901234567",
        "卡号": "460001234567890",
    }
    return [(usual | more).get(name, "") for name in HEADER]


def test_directions_become_caller_and_callee(tmp_path: Path) -> None:
    rows = [
        HEADER,
        record(),
        record(呼叫类型="被叫", 起始时间="2023-01-15 10:00:00"),
        record(呼叫类型="呼转", 起始时间="2023-01-15 11:00:00", 第三方号码="13700137000"),
        record(呼叫类型="？"),
        record(呼叫类型=""),
    ]
    done = run("calls", csv_file(tmp_path / "a.csv", rows))
    assert done.reasons == [(5, "unknown_direction"), (6, "blank_direction")]
    out, into, forwarded = done.rows("calls")
    assert (out["caller"], out["callee"], out["caller_raw"]) == ("+8613800138000", "+8613900139000", "13800138000")
    assert (into["caller"], into["callee"]) == ("+8613900139000", "+8613800138000")
    assert (forwarded["callee"], forwarded["forwarded_to"]) == ("+8613800138000", "+8613700137000")
    assert (out["cell"], out["imei"], out["imsi"], out["duration_s"]) == (
        "1001-77",
        "867530901234567",
        "460001234567890",
        95,
    )


@pytest.mark.parametrize(
    ("text", "seconds"),
    {"95": 95, "00:01:35": 95, "1:35": 95, "1分35秒": 95, "95秒": 95, "1小时0分1秒": 3601, "": None, "0": 0}.items(),
)
def test_durations_as_they_are_written(tmp_path: Path, text: str, seconds: int | None) -> None:
    assert (
        run("calls", csv_file(tmp_path / "a.csv", [HEADER, record(通话时长=text)])).row("calls")["duration_s"]
        == seconds
    )


@pytest.mark.parametrize("text", ["一会儿", "-5", "1:2:3:4", "1.5"])
def test_what_is_no_duration_is_a_reject(tmp_path: Path, text: str) -> None:
    done = run("calls", csv_file(tmp_path / "a.csv", [HEADER, record(通话时长=text)]))
    assert done.reasons[0][1] in ("bad_duration", "below_minimum") and done.rejects[0]["column"] == "通话时长"


def test_both_lines_records_of_one_call_are_one(tmp_path: Path) -> None:
    mine = [HEADER, record(LAC="", CID=""), record(起始时间="2023-01-15 09:29:00", 通话时长="0")]
    theirs = [
        HEADER,
        record(
            服务号码="13900139000",
            对方号码="13800138000",
            呼叫类型="被叫",
            起始时间="2023-01-15 09:30:12",
            LAC="9",
            CID="9",
        ),
    ]
    done = run("calls", csv_file(tmp_path / "a.csv", mine), csv_file(tmp_path / "b.csv", theirs))
    assert (done.summary.accepted, done.summary.merged) == (2, 1)
    assert [(r["duration_s"], r["cell"]) for r in done.rows("calls")] == [(0, "1001-77"), (95, "9-9")]


@pytest.mark.parametrize("names", [
    ("本机号码", "对端号码", "通话开始时间", "时长", "呼叫类型"), ("本方号码", "对方号码", "通话起始时间", "通话时长(秒)", "呼叫类型"),
    ("用户号码", "对方号码", "开始时间", "时长(秒)", "主被叫"),
])  # fmt: skip
def test_synonyms_of_the_record(tmp_path: Path, names: tuple[str, ...]) -> None:
    rows = [["某运营商话单"], list(names), ["13800138000", "95588", "20230115093011", "60", "主叫"]]
    got = run("calls", xlsx_file(tmp_path / "a.xlsx", {"话单": rows})).row("calls")
    assert (got["caller"], got["callee"], got["duration_s"]) == ("+8613800138000", "cn-short:95588", 60)
    assert got["ts"] == datetime(2023, 1, 15, 1, 30, 11, tzinfo=UTC)


def test_a_record_that_names_both_lines(tmp_path: Path) -> None:
    rows = [
        ["主叫号码", "被叫号码", "通话开始时间", "通话时长", "小区号"],
        ["+85221234567", "13800138000", "2023-01-15 09:30:11", "0:01:00", "77"],
        ["☎", "1", "2023-01-15 09:30:11", "", ""],
    ]
    done = run("calls", csv_file(tmp_path / "a.csv", rows))
    assert done.reasons == [(3, "not_a_line")] and done.rejects[0]["column"] == "主叫号码"
    got = done.row("calls")
    assert (got["caller"], got["cell"], got["duration_s"]) == ("+85221234567", "77", 60)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("9" * 20, "bad_duration"),
        ("9" * 20 + "秒", "bad_duration"),
        ("9223372036854775807", "above_maximum"),
        ("99999999999秒", "above_maximum"),
        ("9999:59:59", "above_maximum"),
        ("604801", "above_maximum"),
    ],
)
def test_a_duration_that_no_call_has_is_a_reject_and_never_null(tmp_path: Path, text: str, reason: str) -> None:
    both = [
        ["主叫号码", "被叫号码", "通话开始时间", "通话时长"],
        ["13800138000", "13900139000", "2023-01-15 09:30:11", text],
    ]
    usual = ["13800138000", "13900139000", "2023-01-16 09:30:11", "604800"]
    for n, rows in enumerate(([*both, usual], [HEADER, record(通话时长=text), record(通话时长="604800")])):
        done = run("calls", csv_file(tmp_path / f"{n}.csv", rows), out=tmp_path / f"o{n}")
        assert done.reasons == [(2, reason)] and done.rejects[0]["column"] == "通话时长"
        assert done.row("calls")["duration_s"] == 604800
