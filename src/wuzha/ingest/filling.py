"""Cells written into a workbook that came from elsewhere, and nothing else of it touched.

Kept true here: of an xlsx only the sheets that get cells are changed, and of those only these cells' own bytes (and,
where a formula was written over, the list of formulas, which the spreadsheet program makes anew); of a text file only
the records that get cells, in the file's own encoding, delimiter and line ends. A binary or OpenDocument workbook
cannot be written to: its values go into a new xlsx, and ``note`` says so. What is written is text, never a formula.
"""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePath
from xml.parsers import expat
from xml.sax.saxutils import escape, quoteattr, unescape

import python_calamine

from .encodings import to_utf8
from .grids import _sniff, cell_text

#: (row from 1, column from 0) -> text
Cells = Mapping[tuple[int, int], str]
_XLSX = (".xlsx", ".xlsm")
_RISKY = ("=", "+", "-", "@", "\t")
_UNPACKED = 512 * 1024 * 1024


class CannotFill(ValueError):
    """The file is damaged in a way that does not let cells be written to it; the text is for people."""


@dataclass(frozen=True, kw_only=True)
class Filled:
    """The file with its new cells. ``note``: a code of what could not be kept (``as_xlsx``), or ""."""

    name: str
    data: bytes
    note: str = ""


def fill(name: str, data: bytes, sheets: Mapping[str, Cells]) -> Filled:
    """``data`` with ``sheets`` (sheet -> cells; the sheet of a text file is "") written into it."""
    if data[:4] == b"PK\x03\x04" and _is_xlsx(data):
        return Filled(name=name, data=_xlsx(data, sheets))
    if data[:4] in (b"PK\x03\x04", b"\xd0\xcf\x11\xe0"):
        return Filled(name=str(PurePath(name).with_suffix(".xlsx")), data=_anew(data, sheets), note="as_xlsx")
    return Filled(name=name, data=_text(data, PurePath(name).suffix.lower(), sheets.get("", {})))


def column_name(column: int) -> str:
    """``0`` → ``A``, ``27`` → ``AB``."""
    out = ""
    column += 1
    while column:
        column, rest = divmod(column - 1, 26)
        out = chr(65 + rest) + out
    return out


def _column(ref: str) -> int:
    n = 0
    for ch in ref:
        if not ch.isalpha():
            break
        n = n * 26 + ord(ch.upper()) - 64
    return n - 1


# ---- xlsx


def _is_xlsx(data: bytes) -> bool:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            return "xl/workbook.xml" in archive.namelist()
    except (zipfile.BadZipFile, OSError):
        return False


def _xlsx(data: bytes, sheets: Mapping[str, Cells]) -> bytes:
    out = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            if sum(i.file_size for i in old.infolist()) > _UNPACKED:
                raise CannotFill("工作簿解压后过大")
            paths = _paths(old)
            changed: dict[str, bytes] = {}
            over_formula = False
            for sheet, cells in sheets.items():
                path = paths.get(sheet)
                if path is None:
                    raise CannotFill(f"工作簿里没有工作表“{sheet}”")
                if cells:
                    changed[path], formula = _sheet(old.read(path), cells)
                    over_formula = over_formula or formula
            dropped: set[str] = set()
            if over_formula:
                dropped = {n for n in old.namelist() if n.lower() == "xl/calcchain.xml"}
                for part, pattern in (
                    ("[Content_Types].xml", rb"<Override[^>]*calcChain[^>]*/>"),
                    ("xl/_rels/workbook.xml.rels", rb"<Relationship [^>]*calcChain[^>]*/>"),
                ):
                    changed[part] = re.sub(pattern, b"", old.read(part))
            for info in old.infolist():
                if info.filename not in dropped:
                    # Its own name, time and flags, so that what is not changed stays as it was.
                    new.writestr(
                        info, changed.get(info.filename) or old.read(info.filename), compress_type=info.compress_type
                    )
    except (zipfile.BadZipFile, KeyError, expat.ExpatError, OSError, RuntimeError, NotImplementedError) as error:
        raise CannotFill("工作簿已损坏，写不进去") from error
    return out.getvalue()


def _paths(archive: zipfile.ZipFile) -> dict[str, str]:
    """Sheet name -> its part in the archive."""
    targets: dict[str, str] = {}
    for tag in re.findall(r"<(?:\w+:)?Relationship\s[^>]*>", archive.read("xl/_rels/workbook.xml.rels").decode()):
        there = dict(re.findall(r'([\w:]+)\s*=\s*["\']([^"\']*)["\']', tag))
        target = unescape(there.get("Target", ""))
        targets[there.get("Id", "")] = target.lstrip("/") if target.startswith("/") else f"xl/{target}"
    names: dict[str, str] = {}

    def start(tag: str, attributes: dict[str, str]) -> None:
        if tag.rpartition(":")[2] == "sheet":
            number = next((v for k, v in attributes.items() if k.rpartition(":")[2] == "id"), "")
            names[attributes.get("name", "")] = targets.get(number, "")

    parser = expat.ParserCreate()
    parser.StartElementHandler = start
    parser.Parse(archive.read("xl/workbook.xml"), True)
    return names


@dataclass
class _Cell:
    column: int
    begin: int
    end: int
    style: str
    formula: bool = False


@dataclass
class _Row:
    number: int
    begin: int
    inner: int  # where its cells begin; -1 for <row …/>
    close: int = -1  # where </row> begins
    end: int = -1
    cells: list[_Cell] | None = None


class _Places:
    """Where rows and cells stand in a sheet's XML, by byte."""

    def __init__(self, xml: bytes, wanted: set[int]) -> None:
        self.xml, self.wanted = xml, wanted
        self.rows: list[_Row] = []
        self.row_n = self.column = 0
        self.sheet_data: tuple[int, int] = (-1, -1)  # begin of <sheetData>, begin of </sheetData>
        self.tag = "row"
        self.dimension: tuple[int, int, str] | None = None
        self._row: _Row | None = None
        self._cell: _Cell | None = None
        self.parser = expat.ParserCreate()
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.Parse(xml, True)

    def _tag_end(self) -> int:
        """The place after the tag that begins here; ``>`` may stand in a quoted attribute."""
        at, quote = self.parser.CurrentByteIndex, 0
        while True:
            ch = self.xml[at]
            if quote:
                quote = 0 if ch == quote else quote
            elif ch in b"\"'":
                quote = ch
            elif ch == 62:
                return at + 1
            at += 1

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition(":")[2]
        at = self.parser.CurrentByteIndex
        if name == "row":
            self.tag = tag
            self.row_n = int(attributes.get("r") or self.row_n + 1)
            self.column = -1
            self._row = None
            if self.row_n in self.wanted:
                end = self._tag_end()
                bare = self.xml[end - 2 : end] == b"/>"
                self._row = _Row(number=self.row_n, begin=at, inner=-1 if bare else end, end=end, cells=[])
                self.rows.append(self._row)
        elif name == "c" and self._row is not None:
            self.column = _column(attributes["r"]) if "r" in attributes else self.column + 1
            self._cell = _Cell(column=self.column, begin=at, end=self._tag_end(), style=attributes.get("s", ""))
            assert self._row.cells is not None
            self._row.cells.append(self._cell)
        elif name == "f" and self._cell is not None:
            self._cell.formula = True
        elif name == "sheetData":
            self.sheet_data = (at, -1)
        elif name == "dimension":
            self.dimension = (at, self._tag_end(), attributes.get("ref", ""))

    def _end(self, tag: str) -> None:
        name = tag.rpartition(":")[2]
        at = self.parser.CurrentByteIndex
        if name == "c" and self._cell is not None:
            if self.xml[at : at + 2] == b"</":
                self._cell.end = self._tag_end()
            self._cell = None
        elif name == "row" and self._row is not None:
            if self._row.inner >= 0:
                self._row.close, self._row.end = at, self._tag_end()
            self._row = None
        elif name == "sheetData":
            self.sheet_data = (self.sheet_data[0], at)


def _sheet(xml: bytes, cells: Cells) -> tuple[bytes, bool]:
    """The sheet's XML with ``cells``, and whether a formula was written over."""
    by_row: dict[int, dict[int, str]] = {}
    for (number, column), text in cells.items():
        by_row.setdefault(number, {})[column] = text
    places = _Places(xml, set(by_row))
    prefix = places.tag.rpartition(":")[0]
    prefix = f"{prefix}:" if prefix else ""
    cuts: list[tuple[int, int, bytes]] = []
    over_formula = False
    for row in places.rows:
        wanted = by_row.pop(row.number, {})
        assert row.cells is not None
        if row.inner < 0:
            tag = xml[row.begin : row.end - 2].rstrip() + b">"
            body = b"".join(_cell(prefix, row.number, c, wanted[c], "") for c in sorted(wanted))
            cuts.append((row.begin, row.end, tag + body + f"</{places.tag}>".encode()))
            continue
        for cell in row.cells:
            if cell.column in wanted:
                over_formula = over_formula or cell.formula
                text = wanted.pop(cell.column)
                cuts.append((cell.begin, cell.end, _cell(prefix, row.number, cell.column, text, cell.style)))
        for column in sorted(wanted):
            # In order of the columns: before the first cell to its right.
            at = next((c.begin for c in row.cells if c.column > column), row.close)
            cuts.append((at, at, _cell(prefix, row.number, column, wanted[column], "")))
    if by_row:
        raise CannotFill(f"工作表里没有第 {min(by_row)} 行")
    if places.dimension is not None and cells:
        begin, end, ref = places.dimension
        cuts.append((begin, end, _widened(xml[begin:end], ref, max(c for _, c in cells))))
    out, at = [], 0
    for begin, end, new in sorted(cuts, key=lambda cut: (cut[0], cut[1])):
        out += [xml[at:begin], new]
        at = end
    return b"".join([*out, xml[at:]]), over_formula


def _widened(tag: bytes, ref: str, column: int) -> bytes:
    match = re.fullmatch(r"([A-Z]+)(\d+):([A-Z]+)(\d+)", ref)
    if match is None or _column(match[3]) >= column:
        return tag
    return tag.replace(ref.encode(), f"{match[1]}{match[2]}:{column_name(column)}{match[4]}".encode())


def _cell(prefix: str, row: int, column: int, text: str, style: str) -> bytes:
    shown = "".join(ch if ch >= " " or ch in "\t\n" else " " for ch in text)[:32_000]
    style = f" s={quoteattr(style)}" if style else ""
    ref = f"{column_name(column)}{row}"
    return (
        f'<{prefix}c r="{ref}"{style} t="inlineStr"><{prefix}is><{prefix}t xml:space="preserve">{escape(shown)}'
        f"</{prefix}t></{prefix}is></{prefix}c>"
    ).encode()


# ---- other workbooks


def _anew(data: bytes, sheets: Mapping[str, Cells]) -> bytes:
    """The values of a workbook that cannot be written to, with the cells, as a new xlsx."""
    import xlsxwriter

    try:
        book = python_calamine.load_workbook(io.BytesIO(data))
        found = [
            (m.name, book.get_sheet_by_name(m.name).to_python(skip_empty_area=False))
            for m in book.sheets_metadata
            if m.typ == python_calamine.SheetTypeEnum.WorkSheet
        ]
    except (python_calamine.CalamineError, python_calamine.PasswordError, OSError, ValueError) as error:
        raise CannotFill("工作簿已损坏，读不出来") from error
    out = io.BytesIO()
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with xlsxwriter.Workbook(out, options) as new:
        as_text = new.add_format({"num_format": "@"})
        for name, rows in found:
            sheet = new.add_worksheet(name[:31])
            for n, row in enumerate(rows):
                for i, value in enumerate(row):
                    text = cell_text(value)
                    if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e11:
                        sheet.write_number(n, i, value)
                    elif text:
                        sheet.write_string(n, i, text, as_text)
            for (n, i), text in sheets.get(name, {}).items():
                sheet.write_string(n - 1, i, text, as_text)
    return out.getvalue()


# ---- text files


def _text(data: bytes, suffix: str, cells: Cells) -> bytes:
    decoded = to_utf8(data)
    encoding = "utf-8" if decoded.encoding == "utf-8-sig" else decoded.encoding
    delimiter = _sniff(decoded.text[: 1 << 20].decode("utf-8", "ignore"), suffix)
    wide = encoding.startswith("utf-16")
    newline = "\n".encode(encoding)
    by_row: dict[int, dict[int, str]] = {}
    for (row, column), text in cells.items():
        by_row.setdefault(row, {})[column] = text
    out: list[bytes] = []
    for number, record in enumerate(_records(data, newline, '"'.encode(encoding), wide), 1):
        wanted = by_row.pop(number, None)
        out.append(record if wanted is None else _record(record, encoding, delimiter, wanted))
    if by_row:
        raise CannotFill(f"文件里没有第 {min(by_row)} 行")
    return b"".join(out)


def _records(data: bytes, newline: bytes, quote: bytes, wide: bool) -> Iterator[bytes]:
    """The records of a text file with their line ends; a record whose quote is open goes on in the next line."""
    at, begin, step = 0, 0, len(newline)
    if newline not in data and not wide and b"\r" in data:
        newline = b"\r"
    while at < len(data):
        end = data.find(newline, at)
        while wide and end >= 0 and end % 2:  # half of another character
            end = data.find(newline, end + 1)
        stop = len(data) if end < 0 else end + step
        at = stop
        if data[begin:stop].count(quote) % 2 == 0 or stop == len(data):
            yield data[begin:stop]
            begin = stop


def _record(record: bytes, encoding: str, delimiter: str, wanted: dict[int, str]) -> bytes:
    mark = b""
    if record.startswith(b"\xef\xbb\xbf"):
        mark, record = record[:3], record[3:]
    text = record.decode(encoding)
    body = text.rstrip("\r\n")
    ends = text[len(body) :]
    fields = list(_fields(body, delimiter))
    for column, value in wanted.items():
        fields += [""] * (column + 1 - len(fields))
        fields[column] = _field(value, delimiter)
    return mark + (delimiter.join(fields) + ends).encode(encoding)


def _fields(body: str, delimiter: str) -> Iterator[str]:
    """The fields of a record as they stand, quotes and all."""
    begin, inside = 0, False
    for i, ch in enumerate(body):
        if ch == '"':
            inside = not inside
        elif ch == delimiter and not inside:
            yield body[begin:i]
            begin = i + 1
    yield body[begin:]


def _field(value: str, delimiter: str) -> str:
    shown = re.sub(r"[\r\n]+", " ", value)
    if shown.startswith(_RISKY):
        shown = "'" + shown
    sink = io.StringIO()
    csv.writer(sink, delimiter=delimiter, lineterminator="").writerow([shown])
    return sink.getvalue() if shown else ""
