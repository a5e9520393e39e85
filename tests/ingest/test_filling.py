"""Cells written into workbooks of others: exactly these, whatever their program wrote around them."""

from __future__ import annotations

import csv
import io
import zipfile

import openpyxl
import pytest
import xlsxwriter
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.ingest.filling import CannotFill, column_name, fill
from wuzha.ingest.mapping import MappingError, parse

CONTENT = (
    '<?xml version="1.0"?><Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default'
    ' Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml"'
    ' ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="application/'
    'vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml"'
    ' ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.worksheet+xml"/><Override'
    ' PartName="/xl/calcChain.xml" ContentType="application/vnd.openxmlformats-officedocument.spreadsheetml.calcChain'
    '+xml"/></Types>'
)
RELS = (
    '<?xml version="1.0"?><Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
    '<Relationship Id="rId1" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/{0}"'
    ' Target="{1}"/>{2}</Relationships>'
)
CHAIN = (
    '<Relationship Id="rId9" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/calcChain"'
    ' Target="calcChain.xml"/>'
)


def by_hand(sheet: str) -> bytes:
    """An xlsx around the XML of one sheet."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("[Content_Types].xml", CONTENT)
        made.writestr("_rels/.rels", RELS.format("officeDocument", "xl/workbook.xml", ""))
        made.writestr(
            "xl/workbook.xml",
            '<?xml version="1.0"?><x:workbook xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
            ' xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><x:sheets>'
            '<x:sheet name="甲&amp;乙" sheetId="1" r:id="rId1"/></x:sheets></x:workbook>',
        )
        made.writestr("xl/_rels/workbook.xml.rels", RELS.format("worksheet", "worksheets/sheet1.xml", CHAIN))
        made.writestr("xl/worksheets/sheet1.xml", sheet)
        made.writestr(
            "xl/calcChain.xml",
            '<calcChain xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"><c r="B2" i="1"/>'
            "</calcChain>",
        )
    return out.getvalue()


def values(data: bytes) -> list[list[object]]:
    page = openpyxl.load_workbook(io.BytesIO(data)).active
    assert page is not None
    return [[cell.value for cell in row] for row in page.iter_rows()]


ODD = (
    '<?xml version="1.0"?><x:worksheet xmlns:x="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    ' xmlns:z="u&gt;rn"><x:dimension ref="A1:C4"/><x:sheetData><x:row>'
    '<x:c t="inlineStr"><x:is><x:t>头</x:t></x:is></x:c>'
    '<x:c t="inlineStr"><x:is><x:t>果</x:t></x:is></x:c></x:row><x:row r="2" spans="1:3" z:odd=">"><x:c r="A2"><x:v>1'
    '</x:v></x:c><x:c r="B2" s="0"><x:f>A2*2</x:f><x:v>2</x:v></x:c><x:c r="C2"><x:v>3</x:v></x:c></x:row>'
    '<x:row r="3"/>'
    '<x:row r="4"><x:c r="C4"><x:v>9</x:v></x:c></x:row></x:sheetData></x:worksheet>'
)


def test_rows_and_cells_without_numbers_prefixes_and_empty_rows() -> None:
    cells = {(1, 3): "新", (2, 1): "已劝阻", (3, 0): "<&\"'>", (4, 1): "中", (4, 4): "右"}
    done = fill("a.xlsx", by_hand(ODD), {"甲&乙": cells})
    assert values(done.data) == [
        ["头", "果", None, "新", None], [1, "已劝阻", 3, None, None], ["<&\"'>", None, None, None, None],
        [None, "中", 9, None, "右"],
    ]  # fmt: skip
    with zipfile.ZipFile(io.BytesIO(done.data)) as made:
        assert "xl/calcChain.xml" not in made.namelist()
        assert b"calcChain" not in made.read("[Content_Types].xml") + made.read("xl/_rels/workbook.xml.rels")
        assert b'ref="A1:E4"' in made.read("xl/worksheets/sheet1.xml")


def test_a_row_or_sheet_that_is_not_there_and_a_damaged_file_are_said() -> None:
    with pytest.raises(CannotFill, match="第 9 行"):
        fill("a.xlsx", by_hand(ODD), {"甲&乙": {(9, 0): "x"}})
    with pytest.raises(CannotFill, match="没有工作表"):
        fill("a.xlsx", by_hand(ODD), {"丙": {(1, 0): "x"}})
    with pytest.raises(CannotFill):
        fill("a.xlsx", by_hand(ODD[:-200]), {"甲&乙": {(1, 0): "x"}})
    with pytest.raises(CannotFill, match="第 3 行"):
        fill("a.csv", b"a,b\n1,2\n", {"": {(3, 0): "x"}})


def test_names_of_columns() -> None:
    assert [column_name(n) for n in (0, 25, 26, 701, 702, 16383)] == ["A", "Z", "AA", "ZZ", "AAA", "XFD"]


TEXT = st.text(st.characters(blacklist_categories=("Cs", "Cc"), blacklist_characters="\ufffe\uffff"), max_size=12)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(TEXT, min_size=3, max_size=3), min_size=2, max_size=6),
    st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 5)), TEXT.filter(bool), max_size=6),
)
def test_any_text_goes_into_any_cell_and_all_others_stay(
    rows: list[list[str]], more: dict[tuple[int, int], str]
) -> None:
    out = io.BytesIO()
    with xlsxwriter.Workbook(out, {"in_memory": True}) as made:
        sheet = made.add_worksheet("s")
        for n, row in enumerate(rows):
            sheet.set_row(n, 15)  # a row that is there though it is empty
            for i, text in enumerate(row):
                if text:
                    sheet.write_string(n, i, text)
    cells = {(n + 1, i): text for (n, i), text in more.items() if n < len(rows)}
    page = openpyxl.load_workbook(io.BytesIO(fill("a.xlsx", out.getvalue(), {"s": cells}).data)).active
    assert page is not None
    for n, row in enumerate(rows):
        for i in range(6):
            wanted = cells.get((n + 1, i)) or (row[i] if i < 3 else "") or None
            assert page.cell(n + 1, i + 1).value == wanted


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(TEXT.filter(lambda t: t.strip() == t), min_size=3, max_size=3), min_size=2, max_size=6),
    st.dictionaries(st.tuples(st.integers(0, 5), st.integers(0, 4)), TEXT.filter(bool), max_size=4),
    st.sampled_from(["utf-8", "utf-8-sig", "gb18030", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
)
def test_a_text_file_keeps_its_other_fields(
    rows: list[list[str]], more: dict[tuple[int, int], str], encoding: str, ends: str
) -> None:
    rows = [["编号", "电话", "备注"], *rows]
    sink = io.StringIO()
    csv.writer(sink, lineterminator=ends).writerows(rows)
    data = sink.getvalue().encode(encoding)
    cells = {(n + 1, i): text for (n, i), text in more.items() if n < len(rows)}
    done = fill("a.csv", data, {"": cells}).data
    got = list(csv.reader(io.StringIO(done.decode(encoding), newline="")))
    for n, row in enumerate(rows):
        for i in range(5):
            wanted = cells.get((n + 1, i), row[i] if i < 3 else "")
            if (n + 1, i) in cells and wanted.startswith(("=", "+", "-", "@")):
                wanted = "'" + wanted
            assert (got[n] + [""] * 5)[i] == wanted
    if not cells:
        assert done == data


@pytest.mark.parametrize(
    ("table", "more", "why"),
    [
        ("warnings", "[feedback]\nspeed = ['x']", r"m:6: unknown part 'speed'"),
        ("warnings", "[feedback]\nresult = 3", r"m:6: result: want names"),
        ("warnings", "[feedback]\nresult = ['x']\n[feedback.results]\ndissuaded = ''", r"m:8: dissuaded wants a text"),
        ("warnings", "feedback = 3", r"unknown target 'feedback'"),
        ("calls", "[feedback]\nresult = ['x']", r"owed to warnings only"),
    ],
)
def test_a_mapping_says_in_which_line_its_answers_are_wrong(table: str, more: str, why: str) -> None:
    target = {"warnings": "victim_line", "calls": "caller"}[table]
    text = f"name = 'm'\ntable = '{table}'\n[columns]\n{target} = ['x']\n{more}\n"
    with pytest.raises(MappingError, match=why):
        parse(text, "m")
