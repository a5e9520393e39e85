"""Workbooks dropped on the desk: taken once, asked about where nobody knows them, filled back as they came."""

from __future__ import annotations

import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import openpyxl
import pytest
import xlwt
from tests.desks import Centre
from tests.lists import HEADER, book, cells, join, line, register

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import books, contact, layouts, outcome, returns, sign
from wuzha.store import log


@pytest.fixture(autouse=True)
def province(house: Centre) -> None:
    register(house, "province", "省反诈中心")


def drop(
    house: Centre, actor: Actor, data: bytes, name: str = "下发.xlsx", source: str = "province", **said: Any
) -> int:
    with house.scope(actor) as conn:
        return books.drop(conn, actor, name, data, source=source, **said)


def look(house: Centre, actor: Actor, number: int) -> dict[str, Any]:
    with house.scope(actor) as conn:
        return books.one(conn, actor, number)


def dissuade(house: Centre, actor: Actor, alert: int, code: str = "dissuaded") -> None:
    """Sign, reach, outcome, close."""
    for n, step in enumerate(("sign", "contact", "outcome", "close"), 1):
        with house.scope(actor) as conn:
            key = f"{step}-{alert}-{code}-{n}"
            if step == "sign":
                sign.sign(conn, actor, alert, version=n, key=key)
            elif step == "contact":
                contact.contact(conn, actor, alert, channel="call", result="self", version=n, key=key)
            elif step == "outcome":
                outcome.outcome(conn, actor, alert, code=code, version=n, key=key, words="已说明")
            else:
                outcome.close(conn, actor, alert, version=n, key=key)


def filled(house: Centre, actor: Actor, number: int, *, mark: bool = True) -> Any:
    with house.scope(actor) as conn:
        return returns.filled(conn, actor, number, mark=mark, purpose="feedback")


def test_each_taking_of_a_file_with_numbers_in_it_is_in_the_audit(house: Centre, wang: Actor) -> None:
    number = drop(house, wang, book([line(i) for i in range(2)]))
    for _ in range(2):  # nothing to fill in: the numbers leave all the same
        filled(house, wang, number)
    with house.scope(wang) as conn:
        books.rejects_book(conn, wang, number, purpose="feedback")
        acts = conn.execute("SELECT action, detail FROM audit WHERE object = %s", (f"workbook:{number}",)).fetchall()
    told = [a[0] for a in acts]
    assert told.count("workbook.filled") == 2 and told.count("workbook.rejects_taken") == 1
    said = dict(acts)
    assert said["workbook.filled"]["purpose"] == said["workbook.rejects_taken"]["purpose"] == "feedback"
    assert said["workbook.dropped"].keys() == {"sha256", "bytes", "rows"}, "a file's name may be a person's"
    with house.scope(wang) as conn:
        for take in (
            lambda: returns.filled(conn, wang, number, mark=True),
            lambda: books.rejects_book(conn, wang, number, purpose="curiosity"),
        ):
            with pytest.raises(Refused, match="no_purpose"):
                take()


def test_rows_stand_in_the_log_under_their_source_and_the_same_file_counts_nothing(house: Centre, wang: Actor) -> None:
    data = book([line(i) for i in range(5)])
    first = drop(house, wang, data)
    assert look(house, wang, first) | {"rejects": []} == look(house, wang, first)
    assert (look(house, wang, first)["accepted"], look(house, wang, first)["state"]) == (5, "taken")
    batch = next(log.read(house.engine, 0))
    assert (batch.table, batch.source, batch.basis, batch.basis_ref) == (
        "warnings", "province", "warning", "预警〔2026〕1号",
    )  # fmt: skip
    assert batch.rows["victim_line"].to_pylist() == ["+8613800138000"] * 5
    assert batch.rows["level_upstream"].to_pylist() == ["urgent"] * 5
    assert drop(house, wang, data, "另一个名字.xlsx") == first
    # The same rows in another file: five duplicates, and one that is new.
    second = drop(house, wang, book([line(i, at=clock.now()) for i in range(1)] + [line(9)]))
    assert second != first
    assert log.head(house.engine) == 2


def test_a_changed_copy_counts_only_what_is_new(house: Centre, wang: Actor) -> None:
    at = clock.now() - timedelta(minutes=9)
    drop(house, wang, book([line(i, at=at) for i in range(5)]))
    again = look(house, wang, drop(house, wang, book([line(i, at=at) for i in range(7)])))
    assert (again["rows_n"], again["accepted"], again["duplicates"], again["rejected"]) == (7, 2, 5, 0)


def test_a_row_without_time_and_number_is_one_warning_whenever_it_is_dropped(house: Centre, wang: Actor) -> None:
    header = ("号码", "预警等级", "事由")
    rows = [{"号码": "13800138000", "预警等级": "甲级", "事由": "与高风险号码通话"}]
    number = drop(house, wang, book(rows, header))
    assert look(house, wang, number)["state"] == "asking"
    columns = {"清单": {"号码": "victim_line", "预警等级": "level_upstream", "事由": "reasons"}}
    with house.scope(wang) as conn:
        books.explain(conn, wang, number, source="province", columns=columns)
    assert look(house, wang, number)["rejects"][0]["reason"] == "unknown_value"
    with house.scope(wang) as conn:
        asked = books.unknown_words(conn, wang, number)
        books.explain_words(conn, wang, number, {next(iter(asked)): {"level_upstream": {"甲级": "high"}}})
    assert look(house, wang, number)["accepted"] == 1
    later = clock.now() + timedelta(days=1)
    with house.scope(wang, now=later) as conn:
        other = books.drop(conn, wang, "b.xlsx", book([*rows, rows[0] | {"号码": "13800138001"}], header), now=later)
    seen = look(house, wang, other)
    assert (seen["state"], seen["accepted"], seen["duplicates"], seen["rejected"]) == ("taken", 1, 1, 0)


def test_a_shipped_list_is_its_sources_once_an_officer_has_said_so(house: Centre, wang: Actor) -> None:
    number = drop(house, wang, book([line(1)]), source="")
    assert look(house, wang, number)["state"] == "asking"
    with house.scope(wang) as conn:
        books.explain(conn, wang, number, source="province", columns={})
    assert look(house, wang, number)["accepted"] == 1
    assert look(house, wang, drop(house, wang, book([line(2)]), source=""))["source"] == "province"


def test_words_that_nobody_knows_are_asked_about_and_their_rows_taken_after(house: Centre, wang: Actor) -> None:
    number = drop(house, wang, book([line(1), line(2, 预警等级="天字第一号"), line(3, 诈骗类型="新型骗局")]))
    seen = look(house, wang, number)
    assert (seen["accepted"], seen["rejected"]) == (1, 2)
    told = seen["rejects"][0]
    assert (told["sheet"], told["row"], told["column"], told["value"], told["reason"]) == (
        "清单", 4, "预警等级", "天字第一号", "unknown_value",
    )  # fmt: skip
    with house.scope(wang) as conn:
        words = books.unknown_words(conn, wang, number)
        (name,) = words
        assert words[name] == {"level_upstream": ["天字第一号"], "scam_type": ["新型骗局"]}
        meant = {name: {"level_upstream": {"天字第一号": "urgent"}, "scam_type": {"新型骗局": "other"}}}
        books.explain_words(conn, wang, number, meant)
    seen = look(house, wang, number)
    assert (seen["accepted"], seen["duplicates"], seen["rejected"]) == (3, 0, 0)
    assert look(house, wang, drop(house, wang, book([line(8, 预警等级="天字第一号")]), source=""))["accepted"] == 1


def test_results_go_back_into_the_very_workbook(house: Centre, wang: Actor) -> None:
    data = book([line(i, number=f"A{i}") for i in range(4)])
    number = drop(house, wang, data)
    alert = house.alert("张小兰")
    join(house, alert, "province", "A1", "A3")
    assert cells(filled(house, wang, number).data) == cells(data)  # nobody is answered yet
    dissuade(house, wang, alert)
    done = filled(house, wang, number)
    before, after = cells(data), cells(done.data)
    assert [row[8] for row in after] == [None, "反馈结果", None, "劝阻成功", None, "劝阻成功"]
    assert after[3][10] == "王敏" and after[3][9].startswith("20")
    assert [row[:8] for row in after] == [row[:8] for row in before]
    assert done.name == "下发.xlsx" and done.note == ""
    states = house.engine.execute("SELECT feedback, sent_result, sent_n FROM alert_warnings").fetchall()
    assert states == [("sent", "劝阻成功", 1)] * 2
    filled(house, wang, number)  # a second click
    assert house.engine.execute("SELECT sent_n FROM alert_warnings").fetchall() == [(1,), (1,)]


def test_only_the_sheet_that_gets_results_changes(house: Centre, wang: Actor) -> None:
    data = book([line(1, number="A1")])
    number = drop(house, wang, data)
    alert = house.alert()
    join(house, alert, "province", "A1")
    dissuade(house, wang, alert)
    with zipfile.ZipFile(io.BytesIO(data)) as a, zipfile.ZipFile(io.BytesIO(filled(house, wang, number).data)) as b:
        assert a.namelist() == b.namelist()
        assert [n for n in a.namelist() if a.read(n) != b.read(n)] == ["xl/worksheets/sheet1.xml"]


def test_a_sheet_without_a_result_column_gets_them_at_its_right(house: Centre, wang: Actor) -> None:
    number = drop(house, wang, book([line(1, number="A1"), line(2, number="A2")], HEADER[:8]))
    alert = house.alert()
    join(house, alert, "province", "A2")
    dissuade(house, wang, alert, "deceived")
    after = cells(filled(house, wang, number).data)
    assert after[1][8:] == ["反馈结果", "反馈时间", "反馈人"]
    assert after[2][8:] == [None, None, None]
    assert after[3][8] == "已被骗" and after[3][10] == "王敏"


def test_a_csv_comes_back_in_its_encoding_with_its_other_records_as_they_were(house: Centre, wang: Actor) -> None:
    head = "指令编号,下发时间,手机号码,备注\r\n"
    rows = 'A1,2026-03-02 08:00,\t13800138000,"一,\n二"\r\nA2,2026-03-02 08:01,13800138001,=1\r\n'
    number = drop(house, wang, (head + rows).encode("gbk"), "下发.csv")
    assert look(house, wang, number)["accepted"] == 2
    alert = house.alert()
    join(house, alert, "province", "A1")
    dissuade(house, wang, alert)
    text = filled(house, wang, number).data.decode("gbk")
    first, _, rest = text.partition("\r\n")
    assert first == "指令编号,下发时间,手机号码,备注,反馈结果,反馈时间,反馈人"
    assert rest.startswith('A1,2026-03-02 08:00,\t13800138000,"一,\n二",劝阻成功,20')
    assert rest.endswith("A2,2026-03-02 08:01,13800138001,=1\r\n")


def test_an_xls_comes_back_as_xlsx_and_says_so(house: Centre, wang: Actor) -> None:
    made = xlwt.Workbook()
    page = made.add_sheet("清单")
    row = line(1, number="A1")
    for i, name in enumerate(HEADER):
        page.write(0, i, name)
        page.write(1, i, row.get(name, ""))
    out = io.BytesIO()
    made.save(out)
    number = drop(house, wang, out.getvalue(), "下发.xls")
    alert = house.alert()
    join(house, alert, "province", "A1")
    dissuade(house, wang, alert)
    done = filled(house, wang, number)
    assert (done.name, done.note) == ("下发.xlsx", "as_xlsx")
    assert cells(done.data)[1][1] == "A1" and cells(done.data)[1][8] == "劝阻成功"


def test_the_sources_own_words_go_back(house: Centre, wang: Actor) -> None:
    register(house, "n12381", "12381")
    header = ("预警编号", "潜在受害人号码", "预警时间", "风险等级", "劝阻结果", "劝阻人员")
    rows = [{"预警编号": "P1", "潜在受害人号码": "13800138000", "预警时间": "2026-03-02 08:00:00", "风险等级": "橙色"}]
    number = drop(house, wang, book(rows, header), source="n12381")
    assert (look(house, wang, number)["accepted"], look(house, wang, number)["sheets"][0]["layout"]) == (1, "n12381")
    batch = next(log.read(house.engine, 0))
    assert batch.rows["level_upstream"].to_pylist() == ["high"] and batch.rows["issued_by"].to_pylist() == ["12381"]
    alert = house.alert()
    join(house, alert, "n12381", "P1")
    dissuade(house, wang, alert, "deceived")
    assert cells(filled(house, wang, number).data)[2][4:] == ["已受骗", "王敏"]
    assert house.engine.execute("SELECT sent_result FROM alert_warnings").fetchone() == ("已受骗",)


def test_a_formula_that_is_written_over_leaves_no_list_of_formulas(house: Centre, wang: Actor) -> None:
    made = openpyxl.load_workbook(io.BytesIO(book([line(1, number="A1"), line(2, number="A2")])))
    page = made.active
    assert page is not None
    page["I3"], page["I4"] = '=IF(1,"待反馈","")', '=IF(1,"待反馈","")'
    out = io.BytesIO()
    made.save(out)
    number = drop(house, wang, out.getvalue())
    alert = house.alert()
    join(house, alert, "province", "A1")
    dissuade(house, wang, alert)
    after = cells(filled(house, wang, number).data)
    assert (after[2][8], after[3][8]) == ("劝阻成功", '=IF(1,"待反馈","")')


@pytest.mark.parametrize(
    ("name", "data", "why"),
    [
        ("空.xlsx", b"", "空"),
        ("空.csv", b"\xef\xbb\xbf\r\n", "空"),
        ("坏.xlsx", b"PK\x03\x04" + b"\x00" * 200, "损坏"),
        ("网页.xls", b"<html><table><tr><td>1</td></tr></table></html>", "网页"),
        ("图.png", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 4, "不是"),
        ("字.csv", "只有一句话".encode(), "表头"),
    ],
)
def test_a_file_that_is_no_list_is_refused_with_its_reason(
    house: Centre, wang: Actor, name: str, data: bytes, why: str
) -> None:
    with pytest.raises(Refused) as refused:
        drop(house, wang, data, name)
    assert refused.value.reason == "book_unreadable"
    assert why in str(refused.value.values["why"])
    told = str(refused.value.values["why"]).lower()
    assert not any(word in told for word in ("zip", "file", "error", "invalid")), "a library's English"
    assert house.web.execute("SELECT count(*) FROM workbooks").fetchone() == (0,)


def test_a_locked_workbook_and_one_that_is_too_large_are_refused(house: Centre, wang: Actor) -> None:
    with pytest.raises(Refused, match="book_too_large"):
        drop(house, wang, b"PK\x03\x04" + b"0" * books.LIMIT)
    # An encrypted xlsx is a compound file with these streams.
    from tests.locked import locked_xlsx

    with pytest.raises(Refused) as refused:
        drop(house, wang, locked_xlsx(), "密.xlsx")
    assert "密码" in str(refused.value.values["why"])


def test_an_empty_list_and_merged_and_titled_sheets(house: Centre, wang: Actor) -> None:
    seen = look(house, wang, drop(house, wang, book([])))
    assert (seen["state"], seen["rows_n"], seen["accepted"]) == ("taken", 0, 0)
    made = openpyxl.load_workbook(io.BytesIO(book([line(1, number="A1"), line(2, number="A2")])))
    page = made.active
    assert page is not None
    page.merge_cells("G3:G4")  # one name over two rows
    made.create_sheet("填表说明").append(["请在三日内反馈"])
    out = io.BytesIO()
    made.save(out)
    seen = look(house, wang, drop(house, wang, out.getvalue()))
    assert (seen["state"], seen["accepted"], seen["rejected"]) == ("taken", 2, 0)


def test_a_sheet_left_out_is_not_read_and_one_without_a_number_to_call_is_refused(house: Centre, wang: Actor) -> None:
    data = book([{"甲": "1", "乙": "x", "丙": "y"}], ("甲", "乙", "丙"), title=None)
    number = drop(house, wang, data)
    with house.scope(wang) as conn, pytest.raises(Refused, match="no_line"):
        books.explain(conn, wang, number, source="province", columns={"清单": {"甲": "source_no"}})
    assert look(house, wang, number)["state"] == "asking"
    assert house.web.execute("SELECT count(*) FROM layouts").fetchone() == (0,)
    with house.scope(wang) as conn:
        books.explain(conn, wang, number, source="province", columns={"清单": None})
    assert look(house, wang, number)["accepted"] == 0


def test_another_units_workbook_is_not_there(house: Centre, wang: Actor) -> None:
    number = drop(house, wang, book([line(1)]))
    east = house.officer("east", "东", "dissuader", unit="east")
    with house.scope(east) as conn, pytest.raises(Refused, match="not_found"):
        books.one(conn, east, number)


def test_a_workbook_goes_at_its_end_and_its_answers_stay(house: Centre, wang: Actor) -> None:
    drop(house, wang, book([line(1, number="A1")]))
    alert = house.alert()
    join(house, alert, "province", "A1")
    later = clock.now() + timedelta(days=181)
    with house.scope(wang, now=later) as conn:
        assert books.round(conn, wang, later) == 1
        assert books.round(conn, wang, later) == 0
    assert house.web.execute("SELECT count(*) FROM workbook_rows").fetchone() == (0,)
    assert house.engine.execute("SELECT feedback FROM alert_warnings").fetchall() == [("owed",)]


def test_words_are_added_where_an_expert_has_written(house: Centre) -> None:
    text = 'name = "a"\ntable = "warnings"\n\n[columns]\nvictim_line = ["x"]\n\n[values.stage]  # 阶段\n"甲" = "pay"\n'
    more = layouts.with_words(text, "stage", {'乙"': "act"})
    assert more.count("[values.stage]") == 1 and "# 阶段" in more
    assert '"乙\\"" = "act"' in layouts.with_words(text, "level_upstream", {'乙"': "act"})


@pytest.mark.parametrize("n", [5000])
def test_a_workbook_of_five_thousand_is_taken_whole(house: Centre, wang: Actor, n: int) -> None:
    data = book([line(i, phone=f"138{i:08d}") for i in range(n)])
    seen = look(house, wang, drop(house, wang, data))
    assert (seen["accepted"], seen["rejected"]) == (n, 0)
    assert house.web.execute("SELECT count(*) FROM wuzha.workbook_rows").fetchone() == (0,)  # no scope, no rows
    with house.scope(wang) as conn:
        assert conn.execute("SELECT count(*) FROM workbook_rows").fetchone() == (n,)


def test_two_officers_who_drop_one_file_at_once_drop_it_once(house: Centre, wang: Actor) -> None:
    zhao = house.officer("zhao", "赵磊", "dissuader")
    data = book([line(i) for i in range(50)])
    with ThreadPoolExecutor(2) as threads:

        def let_go(actor: Actor) -> int:
            with house.db.connect("web") as conn, house.scope(actor, conn) as tx:
                return books.drop(tx, actor, f"{actor.login}.xlsx", data, source="province")

        first, second = threads.map(let_go, (wang, zhao))
    assert first == second
    assert house.engine.execute("SELECT sum(n) FROM log").fetchone() == (50,)


def test_what_fails_leaves_nothing_half_done(house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise OSError("disk")

    monkeypatch.setattr(log, "append", broken)
    with pytest.raises(OSError, match="disk"):
        drop(house, wang, book([line(1)]))
    monkeypatch.undo()
    for table in ("workbooks", "workbook_rows", "layouts"):
        with house.scope(wang) as conn:
            assert conn.execute(f"SELECT count(*) FROM {table}").fetchone() == (0,), table
    assert look(house, wang, drop(house, wang, book([line(1)])))["accepted"] == 1


def test_a_source_whose_basis_is_over_takes_nothing(house: Centre, wang: Actor) -> None:
    house.web.execute("UPDATE sources SET basis_until = %s", (clock.now() - timedelta(days=1),))
    with pytest.raises(Refused, match="no_source"):
        drop(house, wang, book([line(1)]), source="")


def test_a_row_of_tomorrow_and_one_known_at_another_time_are_refused_in_their_place(house: Centre, wang: Actor) -> None:
    drop(house, wang, book([line(1, number="A1", at=clock.now() - timedelta(hours=3))]))
    rows = [
        line(1, number="A1"),
        line(2, at=clock.now() + timedelta(days=3)),
        line(3),
        line(3),
        line(3, at=clock.now()),
    ]
    seen = look(house, wang, drop(house, wang, book(rows)))
    assert seen["rows_n"] == seen["accepted"] + seen["duplicates"] + seen["rejected"] == 5
    told = {(r["row"], r["reason"]) for r in seen["rejects"]}
    assert (3, "ts_differs") in told and (4, "in_the_future") in told
    assert any(reason == "id_conflict" for _, reason in told)


def test_both_rows_that_say_one_warning_get_its_result(house: Centre, wang: Actor) -> None:
    at = clock.now() - timedelta(minutes=5)
    number = drop(house, wang, book([line(1, number="A1", at=at), line(2, number="A1", at=at)]))
    seen = look(house, wang, number)
    assert (seen["accepted"], seen["duplicates"]) == (1, 1)
    alert = house.alert()
    join(house, alert, "province", "A1")
    dissuade(house, wang, alert)
    assert [row[8] for row in cells(filled(house, wang, number).data)[2:]] == ["劝阻成功"] * 2
    assert house.engine.execute("SELECT sent_n FROM alert_warnings").fetchone() == (1,)


def test_a_workbook_that_unpacks_to_a_gigabyte_is_refused(house: Centre, wang: Actor) -> None:
    out = io.BytesIO()
    with (
        zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made,
        made.open("xl/worksheets/sheet1.xml", "w", force_zip64=True) as sheet,
    ):
        for _ in range(600):
            sheet.write(b"0" * (1 << 20))
    with pytest.raises(Refused) as refused:
        drop(house, wang, out.getvalue())
    assert "过大" in str(refused.value.values["why"])
