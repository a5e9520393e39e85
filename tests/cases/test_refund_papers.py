"""The papers of a refund: what each says, when it may be written, and the sentence that each of them ends with."""

from __future__ import annotations

import io
from typing import Any

import docx
import openpyxl
import pytest
from tests.desks import Centre
from tests.money import FIRST, VICTIM
from tests.refunds import ONWARD, SECOND_VICTIM, Refunding, frozen

from wuzha.cases.refund import flow_table, papers, words
from wuzha.command.public import Refused


def text(made: bytes) -> str:
    """Every word of a Word file."""
    file = docx.Document(io.BytesIO(made))
    cells = [c.text for table in file.tables for row in table.rows for c in row.cells]
    return "\n".join([p.text for p in file.paragraphs] + cells)


def every(going: Refunding) -> dict[str, bytes]:
    r = going.read()
    with going.scope(going.wang) as conn:
        rows = flow_table.rows(conn, r)
    made = {name: write(r, going.now) for name, write in papers.PAPERS.items()}
    return made | {"flow": flow_table.docx(r, rows), "application": papers.application(r, r["victims"][0])}


def test_every_paper_says_that_it_costs_nothing_and_where_to_ask(going: Refunding) -> None:
    going.start()
    going.decided()
    going.send()
    for name, made in every(going).items():
        assert words.free() in text(made), name
    r = going.read()
    with going.scope(going.wang) as conn:
        sheet = openpyxl.load_workbook(io.BytesIO(flow_table.xlsx(r, flow_table.rows(conn, r)))).active
    assert words.free() in {cell.value for row in sheet.iter_rows() for cell in row}


def test_papers_name_the_rule_the_way_the_approver_and_each_share(going: Refunding) -> None:
    going.start()
    going.decided()
    going.send()
    made = {name: text(paper) for name, paper in every(going).items()}
    for name in ("report", "decision", "notice", "flow"):
        assert "先进先出" in made[name] and "按比例返还" in made[name], name
    decision = made["decision"]
    assert "18,000.00" in decision and "12,000.00" in decision and "张小兰" in decision and VICTIM in decision
    assert "示例市公安局 市长官" in decision and "孙正" in decision and "city刑返字〔" in decision
    assert "占全部 50,000.00 元的 60.00%" in made["report"] and "设区的市一级以上" in made["report"]
    assert "原转出账户" in made["bank"] and "3个工作日" in made["bank"] and made["bank"].count("回执编号") == 2
    assert "返申" in made["application"] and "350203196205041234" in made["application"]


def test_the_public_notice_shows_nobody_in_full(going: Refunding) -> None:
    going.start()
    going.notice()
    told = text(papers.notice(going.read(), going.now))
    for secret in ("张小兰", "李强", VICTIM, SECOND_VICTIM, FIRST, "350203196205041234"):
        assert secret not in told
    assert "公告期30日" in told and "异议" in told and "18,000.00" in told and "30,000.00" in told


def test_no_paper_is_written_of_what_has_not_happened(going: Refunding) -> None:
    going.start()
    r = going.read()
    for write in (papers.report, papers.decision, papers.bank):
        with pytest.raises(Refused, match="refund_not_now"):
            write(r)
    assert [name for name, ready in papers.READY.items() if ready(r)] == ["flow", "notice"]


def test_the_flow_is_the_traces_own_up_to_the_freeze(house: Centre) -> None:
    wang = house.officer("wang", "王敏", "dissuader")
    going = frozen(house, wang, rows=[
        (VICTIM, FIRST, 3_000_000, 0, {}), (SECOND_VICTIM, FIRST, 2_000_000, 1, {}), (FIRST, ONWARD, 2_000_000, 3, {}),
        (None, FIRST, 7, 4, {}),
    ])  # fmt: skip
    going.start()
    r = going.read()
    with going.scope(wang) as conn:
        rows = flow_table.rows(conn, r)
    assert [(x.payer, x.payee, x.amount_fen, x.stolen_fen, x.level) for x in rows] == [
        (VICTIM, FIRST, 3_000_000, 3_000_000, 1), (SECOND_VICTIM, FIRST, 2_000_000, 2_000_000, 1),
    ]  # fmt: skip
    assert (rows[0].payer_name, rows[0].payee_name) == ("张小兰", "陈某")


def test_a_victim_reads_why_in_their_own_figures(going: Refunding) -> None:
    going.start()
    r = going.read()
    said = [words.why_share(r["plan"], v, r["whole_fen"]) for v in r["victims"]]
    assert "30,000.00 元，占全部 50,000.00 元的 60.00%" in said[0] and "返还您 18,000.00 元" in said[0]
    plan: dict[str, Any] = r["plan"]
    assert any("期初余额不明" in line for line in words.why_plan(plan))
    assert all(words.why_share(plan, v, r["whole_fen"], "en") for v in r["victims"])
