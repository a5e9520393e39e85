"""The workbench's analysis: matched to the fen, shared addresses, thresholds, and rows that are really there."""

from __future__ import annotations

import io
import random
from datetime import datetime
from pathlib import Path
from typing import Any

import docx
import polars as pl
import pytest
from tests.importing import A, B, C, csv_file, statement, xlsx_file

from wuzha.cases.workbench_reading import Got, books_of
from wuzha.events.datafile import DataFileError
from wuzha.trace.workbench import card, passings, report, shared, shipped
from wuzha.trace.workbench.passing import matched
from wuzha.trace.workbench.thresholds import read


def got(tmp_path: Path, *rows: dict[str, Any], **sheets: list[list[Any]]) -> Got:
    files = [csv_file(tmp_path / "in" / "流水.csv", statement(*rows))]
    if sheets:
        files.append(xlsx_file(tmp_path / "in" / "附表.xlsx", sheets))
    return books_of(files, tmp_path / "read")


def row(at: str, yuan: str, way: str, other: str = B, **more: str) -> dict[str, str]:
    return {"交易时间": f"2023-01-{at}", "交易金额": yuan, "收付标志": way, "交易对手账卡号": other} | more


# ---------------------------------------------------------------- fast in, fast out


def test_what_passed_is_counted_once_and_within_the_minutes_only(tmp_path: Path) -> None:
    made = got(
        tmp_path,
        row("15 09:00:00", "30000", "进", C), row("15 09:05:00", "30000", "进", C), row("15 09:20:00", "55000", "出"),
        row("15 09:36:00", "5000", "出"),  # of what came at 9:05, 31 minutes later
        row("16 10:00:00", "49999.99", "进", C), row("16 10:01:00", "49999.99", "出"),  # below the threshold
        row("17 10:00:00", "50000", "进", C), row("17 10:30:00", "50000", "出"),  # at both thresholds
    )  # fmt: skip
    found = passings(made.books, shipped())
    assert [(p.begin.day, p.passed_fen, len(p.ins), len(p.outs)) for p in found] == [
        (15, 55_000_00, 2, 1),
        (17, 5_000_000, 1, 1),
    ]
    cites = made.books.cites.of([*found[0].ins, *found[0].outs])
    assert [(c.file, c.runs) for c in cites] == [("流水.csv", ((2, 4),))]


def test_matches_never_use_a_fen_twice() -> None:
    r = random.Random(3)
    for _ in range(200):
        n = r.randint(1, 30)
        entries = pl.DataFrame(
            {
                "local": sorted(datetime(2023, 1, 1, r.randint(0, 3), r.randint(0, 59)) for _ in range(n)),
                "out": [r.random() < 0.5 for _ in range(n)], "fen": [r.randint(0, 50) for _ in range(n)],
                "timed": [r.random() < 0.9 for _ in range(n)],
            }
        )  # fmt: skip
        found = matched(entries, 30)
        used: dict[int, int] = {}
        at, out, fen, timed = (entries.get_column(c).to_list() for c in ("local", "out", "fen", "timed"))
        for i, o, part in found.pairs:
            assert not out[i] and out[o] and timed[i] and timed[o] and part > 0
            assert 0 <= (at[o] - at[i]).total_seconds() <= 1800
            for k in (i, o):
                used[k] = used.get(k, 0) + part
        assert all(used[k] <= fen[k] for k in used)
        # nothing that could still be matched was left: what has room, and stands in time order, has no partner
        spare = [(k, fen[k] - used.get(k, 0)) for k in range(n) if timed[k]]
        for i, left in spare:
            assert not any(
                left > 0 and room > 0 and not out[i] and out[o] and o > i and (at[o] - at[i]).total_seconds() <= 1800
                for o, room in spare
            )


# ---------------------------------------------------------------- the card


def test_the_card_tells_what_the_statement_holds(tmp_path: Path) -> None:
    companion = [["账户开户名称", "交易卡号", "账号开户时间", "开户网点", "账号开户银行", "账户类型", "账户状态"],
                 ["王芳", A, "2023-01-10", "南岸支行", "中国农业银行", "个人", "正常"]]  # fmt: skip
    id_no = {"对手身份证号": "350203199001011234", "对手开户银行": "中国农业银行"}
    made = got(
        tmp_path,
        row("15 09:00:00", "60000", "进", C, 交易余额="60000"),
        row("15 09:10:00", "40000", "出", 交易余额="20000", **id_no),
        row("16 23:30:00", "20000", "出", "", 交易余额="0", 现金标志="现金", 对手户名=""),
        row("17", "10000", "进", C, 交易余额="10000"), row("18 01:00:00", "1234.5", "出", 交易余额="8765.5", **id_no),
        row("18 02:00:00", "77", "出", 交易是否成功="失败"),
        账户=companion,
    )  # fmt: skip
    c = card(made.books, A, shipped())
    assert (c.n_in, c.in_fen, c.n_out, c.out_fen, c.cash_fen) == (2, 7_000_000, 3, 6_123_450, 2_000_000)
    assert (c.opened_days, c.days, c.balance_last, c.untimed) == (5, 4, 876_550, 1)
    assert {h["at"]: (h["in"], h["out"]) for h in c.hours if h["in"] + h["out"]} == {9: (1, 1), 23: (0, 1), 1: (0, 1)}
    assert sum(d["in"] + d["out"] for d in c.weekdays) == 5
    assert [(o["other"], o["in_fen"], o["out_fen"]) for o in c.others] == [(C, 7_000_000, 0), (B, 0, 4_123_450)]
    by = {m.code: m for m in c.measures}
    assert by["balance"].value == pytest.approx(100 * 876_550 / 13_123_450)
    assert by["cash"].value == pytest.approx(100 * 2_000_000 / 13_123_450)
    assert by["round"].value == pytest.approx(80) and by["round"].grade == "high"
    assert by["fast_days"].value == pytest.approx(25) and len(by["fast_days"].rows) == 2
    assert by["region"].value == 100 and by["region"].told["name"] == "350203"
    assert by["turnover"].value == pytest.approx(6_123_450 / ((6_000_000 + 2_000_000 + 0 + 1_000_000 + 876_550) / 5))
    assert made.books.left_out == {"failed": 1}
    assert c.register["where"] == "附表.xlsx「账户」 第 2 行"


def test_what_cannot_be_told_is_none_and_few_rows_are_not_graded(tmp_path: Path) -> None:
    c = card(got(tmp_path, row("15", "100", "进", C)).books, A, shipped())
    by = {m.code: m for m in c.measures}
    assert [code for code, m in by.items() if m.value is None] == ["turnover", "region", "bank"]
    assert all(not m.grade for m in c.measures)
    assert c.passings == [] and c.median_s is None and c.opened_days is None


# ---------------------------------------------------------------- shared addresses


def test_cards_that_share_addresses_in_a_chain_are_one_group(tmp_path: Path) -> None:
    own = {"a": "6222020200000001", "b": "6222020200000002", "c": "6222020200000003", "d": "6222020200000004"}

    def paid(who: str, **more: str) -> dict[str, str]:
        return row("15 09:00:00", "5", "出", B, 交易卡号=own[who], 账户开户名称=who, **more)

    made = got(
        tmp_path, paid("a", IP地址="10.0.0.1"), paid("b", IP地址="10.0.0.1", MAC地址="aa-bb-cc-dd-ee-01"),
        paid("c", MAC地址="AA:BB:CC:DD:EE:01"), paid("d", IP地址="0.0.0.0", MAC地址="00-00-00-00-00-00"),
        {**paid("a", IP地址="10.0.0.9"), "收付标志": "进"}, {**paid("d", IP地址="10.0.0.9"), "收付标志": "进"},
    )  # fmt: skip
    (group,) = shared(made.books, shipped())
    assert group.accounts == tuple(sorted(own[x] for x in "abc"))
    assert [(link.kind, len(link.accounts), len(link.rows)) for link in group.links] == [("ip", 2, 2), ("mac", 2, 2)]
    assert shared(made.books, read("[shared]\ncards = 3\n")) == []


# ---------------------------------------------------------------- thresholds


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("[fast]\nminutes = 0\n", "t.toml:2:11: "), ("[fast]\nminutes = '30'\n", "t.toml:2:"),
        ("\n[fats]\n", "t.toml:2:1: "), ("[cash]\nabnormal = 80\nhigh = 70\n", "t.toml:3:"),
        ("[balance]\nhigh = 9\n", "t.toml:2:"), ("[fast]\nhours = 1\n", "t.toml:2:"), ("[fast\n", "t.toml:1:"),
        ("[cash]\nhigh = true\n", "t.toml:2:"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_thresholds_is_told_with_its_line(text: str, where: str) -> None:
    with pytest.raises(DataFileError) as caught:
        read(text, "t.toml")
    assert str(caught.value).startswith(where)


def test_what_a_file_does_not_name_keeps_the_shipped_value() -> None:
    mine = read("[fast]\nminutes = 5\n")
    assert mine["fast"] == {"minutes": 5, "yuan": 50_000} and mine["cash"] == shipped()["cash"]
    assert [shipped().grade("balance", value, 9) for value in (0.5, 4.9, 5, None)] == ["high", "abnormal", "", ""]


# ---------------------------------------------------------------- the report


def test_every_statement_of_the_report_cites_rows_that_are_there(tmp_path: Path) -> None:
    made = got(
        tmp_path, *[row(f"{15 + i % 3} {9 + i:02d}:00:00", "60000", "进", C, IP地址="1.2.3.4") for i in range(4)],
        *[row(f"{15 + i % 3} {9 + i:02d}:08:00", "59000", "出", IP地址="1.2.3.4") for i in range(4)],
        {"交易金额": "=HYPERLINK(\"http://x\",\"y\")"},
    )  # fmt: skip
    paper = docx.Document(io.BytesIO(report(made.books, shipped(), read=made.read, why="A1")))
    texts = [p.text for p in paper.paragraphs]
    tables = [[c.text for c in r.cells] for t in paper.tables for r in t.rows]
    basis = texts[texts.index("依据") + 1 :]
    numbers = {t.split("〕")[0] + "〕" for t in basis}
    said = [*texts[: texts.index("依据")], *(cell for line in tables for cell in line)]
    cited = {w for t in said for w in _numbers(t)}
    assert cited == numbers and len(numbers) >= 15
    assert all("流水.csv 第" in t for t in basis)
    assert ["流水.csv", "9", "8", "1", "金额无法识别"] in tables


def _numbers(text: str) -> list[str]:
    return ["〔" + part.split("〕")[0] + "〕" for part in text.split("〔")[1:] if part.split("〕")[0].isdigit()]
