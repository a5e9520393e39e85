"""The last gate of every row, from a file or over HTTP: subjects in their one form, then the table's own rules.

Kept true here: rows in = rows out + rejects; what passes has exactly the table's schema, and every line, account,
domain and subject key in it is in the form that `wuzha.events.subjects` gives.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events import Table
from wuzha.events import batch as checks
from wuzha.events.batch import Reject
from wuzha.events.scam_types import scam_types
from wuzha.events.subjects import line_value, person_of_id, split_key
from wuzha.events.table import TEXT, Column

#: A number that a spreadsheet cut to fifteen digits: ``6.22E+18``, ``6.2220200010001E+18``.
DIGITS_LOST = r"^\s*[+-]?\d(\.\d+)?[eE]\+?\d+\s*$"
#: A number that a program took for a decimal: ``622848040256.0``. Beyond 2**53 its last digits may be others.
_POINT_ZERO = r"^\s*['’`\"]?(\d+)\.0+\s*$"
#: Whole numbers to here pass through a binary fraction unchanged.
EXACT = 2**53
_ACCOUNT_JUNK = re.compile(r"[\s\-'’`\"\u200b\ufeff]+")
#: Texts longer than this are no field of an event.
MAX_TEXT = 1_000_000

#: Eighteen-digit identity numbers of residents.
IDENTITY_NUMBER = r"^[1-9]\d{5}(19|20)\d{2}(0[1-9]|1[0-2])([0-2]\d|3[01])\d{3}[\dXx]$"

_LINE_OK = r"^(\+[0-9]{6,18}|cn-short:[0-9]+|alpha:.+)$"
_ACCOUNT_OK = r"^[^\s\-'’`\"０-９Ａ-Ｚａ-ｚ]+$"
_DOMAIN_OK = r"^[a-z0-9._\-:]+$"


class Refused(ValueError):
    """A value that is none of its kind: ``code`` is the reason, the text is for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


def _no_point(text: str) -> str:
    """``text`` without the ``.0`` that a program put behind a whole number; Refused where digits may be lost."""
    whole = re.match(_POINT_ZERO, text)
    if whole is None:
        return text
    if int(whole[1]) > EXACT:
        raise Refused("digits_lost", "号码曾被当作小数，末几位可能已变")
    return whole[1]


def line(text: str) -> str:
    """Bare line value; Refused where it is no line."""
    if re.match(DIGITS_LOST, text):
        raise Refused("digits_lost", "号码被表格软件改成科学计数，位数已丢失")
    value = line_value(_no_point(text))
    if value is None:
        raise Refused("not_a_line", "不是电话号码")
    return value


def account(text: str) -> str:
    """Bare account value: no blanks, quotes or hyphens; Refused where digits were lost."""
    if re.match(DIGITS_LOST, text):
        raise Refused("digits_lost", "账卡号被表格软件改成科学计数，位数已丢失")
    value = re.sub(r"[\s'’`\"\u200b\ufeff]+", "", unicodedata.normalize("NFKC", _no_point(text)))
    # Hyphens part groups of digits; in a name or an address they belong to it.
    if re.fullmatch(r"[\d-]+", value):
        value = value.replace("-", "")
    if not value:
        raise Refused("not_an_account", "不是账户")
    return value


def domain(text: str) -> str:
    """Lower-case IDNA host; Refused where it is none."""
    host = re.sub(r"^[a-z]+://", "", text.strip().lower()).split("/")[0].rstrip(".")
    try:
        value = host if host.isascii() else host.encode("idna").decode("ascii")
    except UnicodeError as error:
        raise Refused("not_a_domain", "不是域名") from error
    if not re.match(_DOMAIN_OK, value):
        raise Refused("not_a_domain", "不是域名")
    return value


def person(text: str) -> str:
    """Bare person value; an identity number becomes its fingerprint, since numbers stand only in ``id`` columns."""
    return person_of_id(text) if re.match(IDENTITY_NUMBER, text) else text


def subject_key(text: str) -> str:
    """``kind:value`` with a line's and an account's value in their one form."""
    try:
        kind, value = split_key(text.strip())
    except ValueError as error:
        raise Refused("not_a_key", "不是对象标识（种类:值）") from error
    if kind == "line":
        return "line:" + line(value)
    if kind == "person":
        return "person:" + person(value)
    return "account:" + account(value) if kind == "account" else f"{kind}:{value}"


def _digits(text: str) -> str:
    if re.match(DIGITS_LOST, text):
        raise Refused("digits_lost", "号码被表格软件改成科学计数，位数已丢失")
    return _ACCOUNT_JUNK.sub("", _no_point(text))


#: How the bare value of a subject column is brought to its one form, and what is already in it.
_FORMS: dict[str, tuple[str, Callable[[str], str]]] = {
    "line": (_LINE_OK, line),
    "account": (_ACCOUNT_OK, account),
    "domain": (_DOMAIN_OK, domain),
    "person": (r"^.+$", person),
    "key": (r"^(person|device|sim|app|cert|im|wallet|ip|address):.+$", subject_key),
    "sim": (r"^[0-9A-Za-z]+$", _digits),
    "device": (r"^[0-9A-Za-z]+$", _digits),
}


#: Of which bytes a value of these kinds may be made that is surely in its form, and how long it may be. What is not
#: surely so is looked at more closely.
_SURE: dict[str, tuple[bytes, int, int]] = {
    "line": (b"0123456789", 7, 19),  # after a plus sign
    "account": (b"0123456789", 1, MAX_TEXT),
    "sim": (b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 1, MAX_TEXT),
    "device": (b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz", 1, MAX_TEXT),
    "domain": (b"0123456789abcdefghijklmnopqrstuvwxyz._-:", 1, MAX_TEXT),
}


def _surely(column: pa.ChunkedArray, kind: str) -> bool:
    """Whether every value is plainly in its form, by its bytes, all looked at at once."""
    if kind not in _SURE:
        return False
    allowed, least, most = _SURE[kind]
    table = np.zeros(256, bool)
    table[list(allowed)] = True
    for chunk in column.chunks:
        sizes, data = checks.lengths(chunk), chunk.buffers()[2]
        filled = sizes[sizes > 0]
        if len(filled) != len(chunk) - chunk.null_count or data is None:
            return False
        if not len(filled):
            continue
        if filled.min() < least or filled.max() > most:
            return False
        begin = int.from_bytes(chunk.buffers()[1][4 * chunk.offset : 4 * chunk.offset + 4].to_pybytes(), "little")
        texts = np.frombuffer(data, np.uint8, int(sizes.sum()), begin)
        fine = table[texts]
        if kind == "line":
            firsts = np.cumsum(filled) - filled
            if (texts[firsts] != ord("+")).any():
                return False
            fine[firsts] = True
        if not fine.all():
            return False
    return True


def in_form(column: pa.ChunkedArray, c: Column) -> tuple[pa.ChunkedArray, list[Reject]]:
    """``column`` with its subjects in their one form; values that are none are null and told as rejects."""
    if c.subject not in _FORMS or _surely(column, c.subject):
        return column, []
    pattern, read = _FORMS[c.subject]
    valid = pc.is_valid(column)
    fine = pc.fill_null(pc.match_substring_regex(column, pattern), True)
    if c.subject == "account":
        for odd_shape in (DIGITS_LOST, _POINT_ZERO):
            fine = pc.and_(fine, pc.invert(pc.fill_null(pc.match_substring_regex(column, odd_shape), False)))
    if c.subject in ("person", "key"):
        known = IDENTITY_NUMBER.replace("^", "^person:") if c.subject == "key" else IDENTITY_NUMBER
        fine = pc.and_(fine, pc.invert(pc.fill_null(pc.match_substring_regex(column, known), False)))
    if pc.all(fine).as_py() in (True, None):
        return column, []
    odd = pc.unique(column.filter(pc.and_(valid, pc.invert(fine)))).to_pylist()
    forms: dict[str, str] = {}
    refused: dict[str, Refused] = {}
    for text in odd:
        try:
            forms[text] = read(text)
        except Refused as error:
            refused[text] = error
    where = pc.index_in(column, value_set=pa.array(odd, pa.string()))
    replaced = pa.array([forms.get(text) for text in odd], pa.string()).take(_flat(where))
    out = pc.if_else(pc.is_valid(where), replaced, column)
    rejects = []
    if refused:
        hit = pc.is_in(column, value_set=pa.array(list(refused), pa.string()))
        for row in pc.indices_nonzero(_flat(hit)).to_pylist():
            text = column[row].as_py()
            why = refused[text]
            rejects.append(Reject(row=row, column=c.name, value=text, reason=why.code, message=str(why)))
    return out, rejects


def _ordinary(column: pa.ChunkedArray) -> bool:
    """Whether no text of the column can hold a null character or be too long: looked at all at once."""
    for chunk in column.chunks:
        sizes, data = checks.lengths(chunk), chunk.buffers()[2]
        if len(sizes) and sizes.max() > MAX_TEXT:
            return False
        if data is not None and bytes(data).find(0) >= 0:
            return False
    return True


def _flat(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def validate(table: Table, rows: pa.Table) -> tuple[pa.Table, list[Reject], pa.Array]:
    """Accepted rows, rejects (at most one a row, ``row`` from 0 within ``rows``), and the mask of accepted rows.

    ``rows`` may lack columns. ValueError for an unknown column or one of a type that is not the table's.
    """
    rows = checks.conform(table, rows)
    rejects: dict[int, Reject] = {}
    for i, c in enumerate(table.all_columns):
        column = rows.column(i)
        if column.null_count == rows.num_rows:
            continue
        if c.type == TEXT and not _ordinary(column):
            for failing, reason, message in (
                (pc.match_substring(column, "\x00"), "nul_byte", "含有空字符"),
                (pc.greater(pc.binary_length(column), MAX_TEXT), "cell_too_long", "内容过长"),
            ):
                if pc.any(failing).as_py():
                    for row in pc.indices_nonzero(_flat(pc.fill_null(failing, False))).to_pylist():
                        text = column[row].as_py()[:200].replace("\x00", "␀")
                        rejects.setdefault(
                            row, Reject(row=row, column=c.name, value=text, reason=reason, message=message)
                        )
        if c.subject is not None and c.type == TEXT:
            column, refused = in_form(column, c)
            rows = rows.set_column(i, rows.schema.field(i), column)
            for reject in refused:
                rejects.setdefault(reject.row, reject)
        if c.name == "scam_type":
            known = pc.is_in(column, value_set=pa.array(list(scam_types()), pa.string()))
            for row in pc.indices_nonzero(_flat(pc.and_(pc.is_valid(column), pc.invert(known)))).to_pylist():
                reject = Reject(
                    row=row,
                    column=c.name,
                    value=column[row].as_py(),
                    reason="unknown_value",
                    message="没有这个诈骗类型",
                )
                rejects.setdefault(row, reject)
    # A row already refused must not be refused twice, nor pass because its value is now null.
    _, ruled = checks.check(table, rows)
    for reject in ruled:
        rejects.setdefault(reject.row, reject)
    if not rejects:
        return rows, [], pa.array([True] * rows.num_rows, pa.bool_())
    keep = [True] * rows.num_rows
    for row in rejects:
        keep[row] = False
    mask = pa.array(keep, pa.bool_())
    return rows.filter(mask), [rejects[row] for row in sorted(rejects)], mask
