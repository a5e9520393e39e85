# ruff: noqa: E501
"""Mapping files: data that experts edit, refused with the line where they are wrong."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from tests.importing import csv_file, run, xlsx_file

from wuzha.ingest.mapping import MappingError, load, parse, plain_header, shipped

WARNINGS = """
name = "city_feed"
zh = "市局预警下发表"
table = "warnings"
header = ["指令编号", "预警等级"]

[columns]
event_id = ["指令编号"]
source_no = ["指令编号"]
ts = ["下发时间"]
level_upstream = ["预警等级"]
type_code = ["类别码"]
scam_type = ["类别码"]
victim_line = ["联系电话"]
victim_name = ["姓名"]
victim_id = ["证件号"]
reasons = ["研判理由"]
amount = ["涉险金额"]
sign_by = ["签收时限"]
x_result = ["反馈结果"]

[values.level_upstream]
"一级" = "urgent"
"二级" = "high"

[values.scam_type]
"A7" = "authority"

[values.x_result]
"本人" = "reached"
"空号" = "empty_number"

[[also]]
table = "findings"
columns = { subject = "line:{victim_line}", kind = "warning_answered", code = "{x_result}", known_at = "{ts}", ts = "{ts}" }
"""
SHEET = [
    ["某市预警指令下发表（2026年3月）"],
    [
        "指令编号",
        "下发时间",
        "预警等级",
        "类别码",
        "联系电话",
        "姓名",
        "证件号",
        "研判理由",
        "涉险金额",
        "签收时限",
        "反馈结果",
    ],
    [
        "YJ001",
        "2026-03-02 08:00",
        "一级",
        "A7",
        "138 0013 8000",
        "王芳",
        "350203199001011234",
        "境外来电；屏幕共享",
        "3万元",
        "2026-03-02 08:05",
        "本人",
    ],
    ["YJ002", "2026-03-02 08:01", "高危", "SZP", "13900139000", "", "", "", "", "", ""],
    ["YJ003", "2026-03-02 08:02", "九级", "SZP", "13900139000", "", "", "", "", "", ""],
    ["YJ004", "2026-03-02 08:03", "低", "裸聊敲诈", "13900139001", "", "", "", "", "", "不知道"],
    ["YJ005", "2026-03-02 08:03", "低", "QQQ", "13900139001", "", "", "", "", "", ""],
    ["合计", "", "", "", "", "", "", "", "5", "", ""],
]


def test_a_warning_workbook_of_any_layout_with_levels_types_and_results(tmp_path: Path) -> None:
    mapping = tmp_path / "m.toml"
    mapping.write_text(WARNINGS, "utf-8")
    done = run("warnings", xlsx_file(tmp_path / "a.xlsx", {"预警": SHEET}), mapping=mapping, source="city")
    assert done.reasons == [(5, "unknown_value"), (6, "unknown_value"), (7, "unknown_value")]
    assert [r["column"] for r in done.rejects] == ["预警等级", "反馈结果", "类别码"]
    first, second = done.rows("warnings")
    assert first["ts"] == datetime(2026, 3, 2, 0, 0, tzinfo=UTC) and first["sign_by"] == datetime(
        2026, 3, 2, 0, 5, tzinfo=UTC
    )
    assert (first["event_id"], first["source"], first["level_upstream"], first["scam_type"], first["type_code"]) == (
        "YJ001",
        "city",
        "urgent",
        "authority",
        "A7",
    )
    assert (first["victim_line"], first["amount_fen"], first["reasons"]) == (
        "+8613800138000",
        3_000_000,
        ["境外来电", "屏幕共享"],
    )
    assert (second["level_upstream"], second["scam_type"]) == ("high", "investment.pig_butchering")
    finding = done.row("findings")
    assert (finding["subject"], finding["code"], finding["kind"]) == (
        "line:+8613800138000",
        "reached",
        "warning_answered",
    )


BROKEN = {
    "name = [": (1, "TOML"),
    'name = "x"\nsize = 1': (2, "unknown key 'size'"),
    'name = "x"\ntable = "tables"\n[columns]\nx = ["y"]': (2, "unknown table"),
    'name = "x"\ntable = "labels"\n[columns]\nx = ["y"]': (2, "unknown table"),
    'name = "x"\ntable = "calls"\n[columns]\ncaller = ["a"]\ncallee = ["b"]\ncolour = ["c"]': (
        6,
        "unknown target 'colour'",
    ),
    'name = "x"\ntable = "calls"\n[columns]\ncaller = ["a"]': (3, "callee"),
    'name = "x"\ntable = "calls"\nshape = "one_sided"\n[columns]\nts = ["a"]': (3, "gives transfers"),
    'name = "x"\ntable = "calls"\n[columns]\ncaller = ["a"]\ncallee = 5': (5, "callee"),
    'name = "x"\ntable = "warnings"\n[columns]\nlevel_upstream = ["a"]\n[values.level_upstream]\n"一级" = "huge"': (
        6,
        "'huge' is no level_upstream",
    ),
    'name = "x"\ntable = "warnings"\n[columns]\nts = ["a"]\n[patterns.ts]\n"(" = "x"': (6, "no pattern"),
    'name = "x"\ntable = "transfers"\n[columns]\namount = ["a"]\n[step]\nfrom = "never"\nunit = "day"': (6, "no time"),
    'name = "x"\ntable = "transfers"\n[columns]\namount = ["a"]\n[units]\namount = "斤"': (6, "unknown unit"),
    'extends = "nothing"': (1, "unknown mapping"),
    'name = "x"\ntable = "transfers"\nheader = 5\n[columns]\namount = ["a"]': (3, "header wants"),
    'name = "x"\ntable = "persons"\n[columns]\nperson = ["a"]\n[[also]]\ntable = "relations"\n[also.columns]\nsubject = "line:{nobody}"': (
        8,
        "nobody",
    ),
}


@pytest.mark.parametrize(("text", "told"), BROKEN.items())
def test_a_mapping_that_cannot_be_used_says_line_and_reason(text: str, told: tuple[int, str]) -> None:
    with pytest.raises(MappingError) as error:
        parse(text, "m.toml", shipped())
    assert str(error.value).startswith(f"m.toml:{told[0]}: ") and told[1] in str(error.value)


def test_a_mapping_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    (tmp_path / "m.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(MappingError, match="cannot be read"):
        load(tmp_path / "m.toml")


def test_headers_are_compared_in_one_form() -> None:
    assert plain_header(" 交易金额（万元） ") == ("交易金额", "万元")
    assert plain_header("\ufeff'交易时间'") == plain_header("交易 时间") == ("交易时间", "")
    assert plain_header("呼叫类型(主叫/被叫)") == ("呼叫类型(主叫/被叫)", "")
    assert plain_header("时长(秒)") == ("时长", "秒")


def test_shipped_mappings_load_and_are_named_as_their_files() -> None:
    for name, mapping in shipped().items():
        assert mapping.path == f"mappings/{name}.toml"


def test_a_users_mapping_goes_before_a_shipped_one_only_where_it_fits(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "own.toml").write_text(WARNINGS, "utf-8")
    done = run("warnings", xlsx_file(tmp_path / "a.xlsx", {"预警": SHEET, "空": []}), mapping_dir=tmp_path / "m")
    assert done.summary.accepted == 2
    rows = [["交易时间", "收付标志", "交易卡号", "交易金额"], ["2023-01-15 09:30:11", "出", "6222020200001111111", "5"]]
    assert (
        run(
            "statements", csv_file(tmp_path / "b.csv", rows), mapping_dir=tmp_path / "m", out=tmp_path / "o2"
        ).summary.accepted
        == 1
    )
