"""Files as grids of text: CSV and TSV, Excel sheets, and tables of other names as if they were text.

Kept true here: a cell's text is what the file shows; a row's number is the one that the file's own program shows
(from 1); a line that cannot be taken apart is told with its number, and its neighbours still read.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta

import polars as pl
import python_calamine

from .encodings import Decoded, is_text, to_utf8
from .sources import Item
from .validation import EXACT

#: The header stands within this many rows.
HEAD = 60
#: Cells longer than this are no field of a statement.
MAX_CELL = 32_767 * 4
#: The stream of a compound file in which an encrypted xlsx stands.
_LOCKED = "EncryptedPackage".encode("utf-16-le")
#: Whole numbers of more than fifteen digits.
_FIFTEEN = 1e15
#: A quoted cell may run over so many lines.
MAX_CELL_LINES = 50
#: Below so many columns a text with commas in it looks like a row of its own.
_NARROW = 4
_DELIMITERS = (",", "\t", ";", "|")
#: A file of nothing else holds nothing.
_FILLING = b'\r\n\t ,;|"' + "\u3000".encode()


class Unreadable(ValueError):
    """The file as a whole cannot be read: ``code`` is the reason, the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, kw_only=True)
class Line:
    """One line that could not be taken apart: its number from 1, what it held, reason code and words."""

    row: int
    column: str = ""
    value: str
    reason: str
    message: str


@dataclass(frozen=True, kw_only=True)
class Cells:
    """Rows below a header: ``frame`` (text columns "0", "1" …), ``row`` (numbers from 1), lines that were refused."""

    frame: pl.DataFrame
    row: pl.Series
    refused: list[Line] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Grid:
    """One sheet: its first rows, and what gives the rows below row ``i`` (from 0) as ``width`` columns."""

    file: str
    sheet: str
    changed: datetime | None
    head: list[list[str]]
    below: Callable[[int, int], Cells]

    @property
    def blank(self) -> bool:
        """Whether its first rows hold nothing."""
        return not any(cell and cell.strip() for row in self.head for cell in row)


def _frame(rows: list[list[str | None]], width: int) -> pl.DataFrame:
    return pl.DataFrame({str(i): pl.Series([row[i] for row in rows], dtype=pl.String) for i in range(width)})


# ---- text files


def text_grid(item: Item) -> Grid:
    """The grid of a CSV or TSV file. Unreadable where it is empty or no text."""
    if not item.data.strip(b"\x00\r\n\t \xef\xbb\xbf\xff\xfe"):
        raise Unreadable("empty_file", "文件是空的")
    decoded = to_utf8(item.data)
    text = decoded.text
    if not is_text(item.data, decoded.encoding) or (decoded.broken and not text.strip(_FILLING)):
        raise Unreadable("unknown_format", "不是文字，也不是表格文件")
    if not text.strip(_FILLING):
        raise Unreadable("empty_file", "文件里没有内容")
    if b"\n" not in text and b"\r" in text:
        text = text.replace(b"\r", b"\n")
    start = text[: 1 << 20].decode("utf-8", "ignore")
    printable = sum(ch.isprintable() or ch in "\r\n\t" for ch in start[:4000])
    if printable < 0.8 * len(start[:4000]):
        raise Unreadable("unknown_format", "不是表格文件")
    delimiter = _sniff(start, item.suffix)
    head, ends = _head(start, delimiter)

    def below(i: int, width: int) -> Cells:
        return _csv_below(text, decoded, delimiter, ends[i] if i >= 0 else 0, i + 1, width)

    return Grid(file=item.name, sheet="", changed=item.changed, head=head, below=below)


def _sniff(start: str, suffix: str) -> str:
    """The delimiter that gives the widest rows most evenly over the first lines."""
    lines = [line for line in start.splitlines()[:HEAD] if line.strip()]
    best, best_score = ("\t" if suffix == ".tsv" else ","), 0.0
    for delimiter in _DELIMITERS:
        try:
            widths = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        except csv.Error:
            continue
        usual = max(set(widths), key=lambda w: (widths.count(w) if w > 1 else 0, w), default=1)
        score = usual * widths.count(usual) / max(len(widths), 1) if usual > 1 else 0.0
        if score > best_score:
            best, best_score = delimiter, score
    return best


def _head(start: str, delimiter: str) -> tuple[list[list[str]], list[int]]:
    """The first records, and how many physical lines end each of them."""
    head: list[list[str]] = []
    ends: list[int] = []
    lines = start.split("\n")
    if len(start.encode()) >= 1 << 20:
        lines = lines[:-1] or lines
    i = 0
    while i < len(lines) and len(head) < HEAD:
        j, record = i + 1, lines[i]
        # A quoted cell may hold line breaks; an odd number of quotes is still open.
        while record.count('"') % 2 and j < len(lines) and j - i < 20:
            record += "\n" + lines[j]
            j += 1
        if record.count('"') % 2:
            j, record = i + 1, lines[i]
        try:
            row = next(csv.reader(io.StringIO(record, newline=""), delimiter=delimiter), [])
        except csv.Error:
            row = record.split(delimiter)
        head.append(row)
        ends.append(j)
        i = j
    return head, ends


def _offset(text: bytes, lines: int) -> int:
    at = 0
    for _ in range(lines):
        at = text.find(b"\n", at) + 1
        if at == 0:
            return len(text)
    return at


def _csv_below(text: bytes, decoded: Decoded, delimiter: str, skip: int, record: int, width: int) -> Cells:
    body = text[_offset(text, skip) :]
    broken = {n - skip + record: shown for n, shown in decoded.broken if n > skip}
    header = delimiter.join([str(i) for i in range(width)] + ["more"]).encode() + b"\n"
    quoted = b'"' in body
    frame: pl.DataFrame | None
    refused: list[Line] = []
    try:
        frame = pl.read_csv(
            io.BytesIO(header + body) if len(body) < 1000 else header + body,
            separator=delimiter,
            quote_char='"' if quoted else None,
            infer_schema=False,
            truncate_ragged_lines=True,
        )
        if quoted and _swallowed(frame, delimiter):
            frame = None
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        frame = None
    if frame is not None:
        row = pl.int_range(record + 1, record + 1 + frame.height, dtype=pl.Int64, eager=True)
    else:
        frame, row, refused = _line_by_line(body, delimiter, record, width)
    more = frame.get_column("more")
    frame = frame.drop("more")
    if more.null_count() < len(more):
        for i in (more.str.strip_chars().fill_null("") != "").arg_true().to_list():
            message = f"单元格多于表头的{width}列，可能有未加引号的分隔符"
            refused.append(Line(row=row[i], value=more[i][:200], reason="too_many_cells", message=message))
    for n, shown in broken.items():
        refused.append(Line(row=n, value=shown, reason="encoding", message=f"此行不是 {decoded.encoding} 编码"))
    if refused:
        keep = ~row.is_in([line.row for line in refused])
        frame, row = frame.filter(keep), row.filter(keep)
    return Cells(frame=frame, row=row, refused=refused)


def _swallowed(frame: pl.DataFrame, delimiter: str) -> bool:
    """Whether an open quote has eaten whole rows: a cell that holds several lines with delimiters."""
    lines = [pl.col(c).str.count_matches("\n", literal=True).max().alias(c) for c in frame.columns]
    for name, most in frame.select(lines).row(0, named=True).items():
        if most and most > MAX_CELL_LINES:
            return True
        if most and frame.width > _NARROW:
            eaten = frame.get_column(name).str.count_matches(delimiter, literal=True).max()
            if isinstance(eaten, int) and eaten >= (frame.width - 1) // 2:
                return True
    return False


def _line_by_line(body: bytes, delimiter: str, record: int, width: int) -> tuple[pl.DataFrame, pl.Series, list[Line]]:
    """Record by record; a line whose quotes do not close, or close only after whole rows, is refused alone."""
    rows: list[list[str | None]] = []
    numbers: list[int] = []
    refused: list[Line] = []
    lines = [line.rstrip("\r") for line in body.decode().split("\n")]
    if lines and not lines[-1]:
        lines.pop()
    i, number = 0, record
    while i < len(lines):
        number += 1
        parser = csv.reader((line + "\n" for line in lines[i : i + MAX_CELL_LINES]), delimiter=delimiter, strict=True)
        try:
            cells: list[str | None] = [*next(parser, [])]
            taken = parser.line_num
            if (
                taken > 1
                and width >= _NARROW
                and any(_whole(line, delimiter, width) for line in lines[i + 1 : i + taken])
            ):
                raise csv.Error("the quote closes only after whole rows")
        except csv.Error as error:
            shown = lines[i][:200]
            refused.append(Line(row=number, value=shown, reason="broken_quotes", message=f"引号不成对：{error}"))
            i += 1
            continue
        more = delimiter.join(str(c) for c in cells[width:]) or None
        rows.append([c if c else None for c in (cells + [None] * width)[:width]] + [more])
        numbers.append(number)
        i += taken
    frame = _frame(rows, width + 1).rename({str(width): "more"})
    return frame, pl.Series(numbers, dtype=pl.Int64), refused


def _whole(line: str, delimiter: str, width: int) -> bool:
    return line.count(delimiter) == width - 1


# ---- workbooks


def workbook_grids(item: Item) -> list[Grid]:
    """The grids of every sheet of an xls, xlsx, xlsb or ods file. Unreadable where it is damaged or locked."""
    try:
        book = python_calamine.load_workbook(io.BytesIO(item.data))
        names = [m.name for m in book.sheets_metadata if m.typ == python_calamine.SheetTypeEnum.WorkSheet]
        return [_sheet_grid(item, name, book.get_sheet_by_name(name)) for name in names]
    except python_calamine.PasswordError as error:
        raise Unreadable("encrypted", "工作簿有密码，请解密后导入") from error
    except (python_calamine.CalamineError, OSError, ValueError, KeyError) as error:
        if _LOCKED in item.data:
            raise Unreadable("encrypted", "工作簿有密码，请解密后导入") from error
        raise Unreadable("corrupt_file", "工作簿已损坏，打不开：请在表格软件中打开，另存后再试") from error
    except BaseException as error:
        # The reader is native code: what it cannot read may end in a panic, which is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        raise Unreadable("corrupt_file", "工作簿已损坏，打不开：请在表格软件中打开，另存后再试") from error


def _sheet_grid(item: Item, name: str, sheet: python_calamine.CalamineSheet) -> Grid:
    rows = sheet.to_python(skip_empty_area=False)
    width = max((len(r) for r in rows), default=0)
    whole = [False] * width
    for r in rows:
        for i, value in enumerate(r):
            if isinstance(value, float) and _FIFTEEN <= abs(value) <= EXACT and value % 10:
                whole[i] = True
    texts = [[cell_text(value, whole[i]) for i, value in enumerate(row)] for row in rows]

    def below(i: int, wanted: int) -> Cells:
        body: list[list[str | None]] = [
            [t if t else None for t in (row + [""] * wanted)[:wanted]] for row in texts[i + 1 :]
        ]
        refused = []
        for n, row in enumerate(texts[i + 1 :], i + 2):
            if any(row[wanted:]):
                message = f"单元格多于表头的{wanted}列"
                refused.append(
                    Line(row=n, value="|".join(row[wanted:])[:200], reason="too_many_cells", message=message)
                )
        numbers = pl.int_range(i + 2, len(texts) + 1, dtype=pl.Int64, eager=True)
        frame = _frame(body, wanted)
        if refused:
            keep = ~numbers.is_in([line.row for line in refused])
            frame, numbers = frame.filter(keep), numbers.filter(keep)
        return Cells(frame=frame, row=numbers, refused=refused)

    return Grid(file=item.name, sheet=name, changed=item.changed, head=[list(r) for r in texts[:HEAD]], below=below)


def cell_text(value: object, whole: bool = True) -> str:
    """A cell's value as text; a day without a time stays one, whatever its neighbours have.

    Whole numbers to 2**53 show every digit; those beyond, whose last digits may be others, show as ``6.22202E+18``.
    So do numbers of sixteen digits that end in 0 where not ``whole``: a spreadsheet keeps fifteen digits of what is
    typed into it and writes 0 for the next.
    """
    if value is None or value == "":
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int | float):
        if abs(value) > EXACT or (abs(value) >= _FIFTEEN and (value % 1 or not (whole or value % 10))):
            mantissa, _, exponent = f"{float(value):.14E}".partition("E")
            return f"{mantissa.rstrip('0').rstrip('.')}E+{int(exponent)}"
        if float(value).is_integer():
            return str(int(value))
        # Fifteen digits are what a spreadsheet holds; more would be the noise of binary fractions.
        return f"{value:.15g}" if "e" not in f"{value:.15g}" else f"{value:.15f}".rstrip("0")
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S") if value.time() != time(0) else value.strftime("%Y-%m-%d")
    if isinstance(value, date):
        return value.strftime("%Y-%m-%d")
    if isinstance(value, time):
        return value.strftime("%H:%M:%S")
    if isinstance(value, timedelta):
        seconds = round(value.total_seconds())
        return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"
    return str(value)


# ---- tables that came typed


def typed_grid(item: Item, frame: pl.DataFrame) -> Grid:
    """A typed table as a grid: its column names are the header, its first row is row 1."""
    texts = [frame.get_column(name).map_elements(cell_text, return_dtype=pl.String) if not _plain(t) else
             frame.get_column(name).cast(pl.String) for name, t in frame.schema.items()]  # fmt: skip
    body = pl.DataFrame({str(i): t.replace("", None) for i, t in enumerate(texts)})

    def below(_: int, width: int) -> Cells:
        row = pl.int_range(1, body.height + 1, dtype=pl.Int64, eager=True)
        return Cells(frame=body.select([str(i) for i in range(width)]), row=row)

    head = [list(frame.columns), *[[c or "" for c in r] for r in body.head(5).rows()]]
    return Grid(file=item.name, sheet="", changed=item.changed, head=head, below=below)


def _plain(dtype: pl.DataType) -> bool:
    return dtype == pl.String or dtype.is_integer()
