"""The workbench page: files dropped together, masked until a purpose is told, ended by its day, nobody else's."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import docx
import openpyxl
import pytest
from tests.desks import Centre
from tests.importing import A, B, C, csv_file, statement, xlsx_file

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.store import benches

COMPANION = [["账户开户名称", "交易卡号", "账号开户时间", "开户网点", "账号开户银行", "账户类型", "账户状态"],
             ["李强", B, "2023-01-10", "南岸支行", "中国农业银行", "个人", "正常"]]  # fmt: skip


def statements(folder: Path) -> list[Path]:
    """Two banks' files of one flow: into A, on to B within minutes, out of B in cash; one row nobody can read."""
    first = statement(
        {"收付标志": "进", "交易时间": "2023-01-15 09:30:11", "交易金额": "80,000.00", "交易余额": "80100.00",
         "交易对手账卡号": C, "对手户名": "陈静", "IP地址": ""},
        {"收付标志": "出", "交易时间": "2023-01-15 09:41:00", "交易金额": "79,900.00", "交易余额": "200.00",
         "交易对手账卡号": B, "对手户名": "李强", "IP地址": "10.1.2.3"},
        {"交易金额": "=HYPERLINK(\"http://x\")", "交易流水号": "7"},
    )  # fmt: skip
    second = statement(
        {"交易卡号": B, "账户开户名称": "李强", "收付标志": "贷", "交易时间": "2023-01-15 09:41:20",
         "交易金额": "79900", "交易余额": "79905", "交易对手账卡号": A, "对手户名": "王芳"},
        {"交易卡号": B, "账户开户名称": "李强", "收付标志": "借", "交易时间": "2023-01-15 09:50:00",
         "交易金额": "79000", "交易余额": "905", "交易对手账卡号": "", "对手户名": "", "现金标志": "现金",
         "IP地址": "10.1.2.3"},
    )  # fmt: skip
    return [csv_file(folder / "甲行.csv", first), xlsx_file(folder / "乙行.xlsx", {"流水": second, "账户": COMPANION})]


@pytest.fixture
def lin(house: Centre) -> Actor:
    return house.officer("lin", "林静", "analyst")


def drop(officer: Any, path: str, files: list[Path], **fields: str) -> Any:
    sent = [("file", (f.name, f.read_bytes(), "application/octet-stream")) for f in files]
    return officer.client.post(path, data={"csrf": officer.csrf, **fields}, files=sent)


def test_files_of_two_banks_are_read_together_and_shown_masked(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    one = officer("lin")
    answer = drop(one, "/workbench", statements(tmp_path), why="A3301", days="30")
    assert answer.status_code == 303
    at = answer.headers["location"]
    page = one.get(at).text
    # both sides of one transfer are one; the row that is a formula is told, not taken
    assert "金额无法识别" in page and "甲行.csv" in page and "乙行.xlsx" in page
    assert "快进快出" in page and "乙行.xlsx「流水」 2；甲行.csv 2–3" in page
    for number in (A, B, C):
        assert number not in page
    for name in ("王芳", "李强", "陈静"):
        assert name not in page
    card = one.get(f"{at}?a=1").text
    assert "开户后 5 天首次使用" in card and B not in card and "李强" not in card
    flow = one.get(f"{at}?t=1").text
    assert "第 1 层" in flow and "取现" in flow and "78,995.00" in flow  # 5 yuan in B were its own
    assert one.get(f"{at}?t=99").status_code == 200


def test_a_reveal_and_what_leaves_take_a_purpose_and_are_recorded(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    one = officer("lin")
    at = drop(one, "/workbench", statements(tmp_path), why="A3301", days="30").headers["location"]
    for what in ("reveal", "report", "rejects"):
        assert one.post(f"{at}/{what}", {"purpose": "curious"}).status_code == 409
    assert A not in one.get(at).text
    assert one.post(f"{at}/reveal", {"purpose": "case"}).status_code == 303
    assert A in one.get(at).text and "王芳" in one.get(at).text
    report = one.post(f"{at}/report", {"purpose": "case", "t": "1", "policy": "fifo", "amount": ""})
    text = "\n".join(p.text for p in docx.Document(io.BytesIO(report.content)).paragraphs)
    assert "A3301" in text and "甲行.csv 第 2–3 行" in text and "资金去向" in text
    rejects = one.post(f"{at}/rejects", {"purpose": "case"})
    sheet = openpyxl.load_workbook(io.BytesIO(rejects.content)).active
    cells = [cell for row in sheet.iter_rows() for cell in row]
    assert any("HYPERLINK" in str(c.value) for c in cells) and all(c.data_type != "f" for c in cells)
    with house.scope(lin) as conn:
        told = conn.execute("SELECT action FROM wuzha.audit WHERE action LIKE 'workbench.%'").fetchall()
    actions = [t[0] for t in told]
    assert actions.count("workbench.dropped") == 2
    assert {"workbench.opened", "workbench.revealed", "workbench.report_taken", "workbench.rejects_taken"} <= {*actions}


def test_without_a_case_or_purpose_nothing_is_kept(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    one = officer("lin")
    files = statements(tmp_path)
    assert "案件编号或用途" in drop(one, "/workbench", files, why=" ", days="30").text
    assert drop(one, "/workbench", files, why="A3301", days="999").status_code == 409
    bad = tmp_path / "x.csv"
    bad.write_bytes(b"")
    assert drop(one, "/workbench", [bad], why="A3301", days="30").status_code == 409
    bad.write_bytes(b"\x00\x01\x02 nothing")
    assert drop(one, "/workbench", [bad], why="A3301", days="30").status_code == 409
    with house.scope(lin) as conn:
        assert conn.execute("SELECT count(*) FROM wuzha.workbenches").fetchone() == (0,)


def test_a_bench_is_its_units_and_goes_on_its_day(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    house.officer("east", "东", "analyst", unit="east")
    house.officer("desk", "席", "dissuader")
    one = officer("lin")
    at = drop(one, "/workbench", statements(tmp_path), why="A3301", days="7").headers["location"]
    assert officer("east").get(at).status_code == 404
    assert officer("desk").get(at).status_code == 403
    assert officer("desk").get("/workbench").status_code == 403
    with house.scope(lin) as conn:
        conn.execute("UPDATE wuzha.workbenches SET until = now() + interval '1 second'")
    assert benches.ended(house.engine, clock.now() - timedelta(days=1)) == 0
    with house.scope(lin) as conn:
        conn.execute("SELECT pg_sleep(1.1)")
    assert one.get(at).status_code == 404
    assert benches.ended(house.engine, clock.now()) == 1
    with house.scope(lin) as conn:
        assert conn.execute("SELECT count(*) FROM wuzha.workbench_files").fetchone() == (0,)


def test_a_file_taken_off_is_read_no_more(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    one = officer("lin")
    first, second = statements(tmp_path)
    at = drop(one, "/workbench", [first], why="A3301", days="7").headers["location"]
    assert "乙行" not in one.get(at).text
    assert drop(one, f"{at}/files", [second]).status_code == 303
    assert drop(one, f"{at}/files", [second]).status_code == 303  # the same again changes nothing
    page = one.get(at).text
    assert "乙行.xlsx「流水」" in page
    file = page.rsplit('name="file" value="', 1)[1].split('"')[0]
    assert one.post(f"{at}/off", {"file": file}).status_code == 303
    assert "乙行" not in one.get(at).text
    assert one.post(f"{at}/clear").headers["location"] == "/workbench"
    assert one.get(at).status_code == 404


def test_a_direction_that_nobody_knows_is_asked_once_and_read_then(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    one = officer("lin")
    rows = statement({"收付标志": "O", "交易流水号": "1"}, {"收付标志": "进", "交易流水号": "2"})
    at = drop(one, "/workbench", [csv_file(tmp_path / "a.csv", rows)], why="A3301", days="7").headers["location"]
    page = one.get(at).text
    assert "没见过的收付方向" in page and 'name="w-0" value="O"' in page
    assert one.post(f"{at}/words", {"w-0": "O", "v-0": ""}).status_code == 409
    assert one.post(f"{at}/words", {"w-0": "O", "v-0": "out"}).status_code == 303
    page = one.get(at).text
    assert "没见过的收付方向" not in page and "没有读入的行" not in page


def test_a_counterparty_without_an_account_is_masked_by_its_name(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    one = officer("lin")
    rows = statement(
        {"收付标志": "进", "交易金额": "90000", "交易对手账卡号": C, "交易时间": "2023-01-15 09:00:00"},
        {"收付标志": "出", "交易金额": "90000", "交易对手账卡号": "", "对手户名": "诸葛小明",
         "交易时间": "2023-01-15 09:05:00"},
    )  # fmt: skip
    at = drop(one, "/workbench", [csv_file(tmp_path / "a.csv", rows)], why="A3301", days="7").headers["location"]
    for page in (one.get(at).text, one.get(f"{at}?a=0").text):
        assert "诸葛小明" not in page and "诸" in page


def test_a_sheet_that_nobody_knows_is_told_without_a_path_of_the_server(
    house: Centre, lin: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    one = officer("lin")
    odd = csv_file(tmp_path / "odd.csv", [["甲", "乙", "丙"], ["1", "2", "3"]])
    at = drop(one, "/workbench", [*statements(tmp_path), odd], why="A3301", days="7").headers["location"]
    page = one.get(at).text
    assert "表头未登记：甲、乙、丙" in page and "/tmp" not in page and "映射草稿" not in page
