"""Cells as people and spreadsheets leave them, brought to values. The usual shape is read for a whole column at once,
the rest one by one over its distinct texts.

Kept true here: a text reads the same alone or among a million; what cannot be read is null and told, never guessed.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Any

import polars as pl

from wuzha.events.money import LIMIT_FEN, parse_yuan

from .validation import DIGITS_LOST

#: What stands round numbers so that a spreadsheet leaves them alone, and blanks of every width.
WRAPPERS = " \t\r\n'’‘`\"\u3000\ufeff\u200b\u00a0"
#: Texts that say "nothing here".
BLANKS = ["", "-", "--", "—", "——", "/", "\\", "\\N", "null", "NULL", "Null", "None", "none", "NaN", "nan", "N/A",
          "n/a", "#N/A", "#VALUE!", "#REF!", "无", "(空)", "空值"]  # fmt: skip

_FAST_YUAN = r"^[+-]?\d{1,13}(\.\d{1,2})?$"


@dataclass(frozen=True, kw_only=True)
class Read:
    """``values`` (null where blank or unreadable) and ``bad`` (true where a text was there that is none)."""

    values: pl.Series
    bad: pl.Series


@lru_cache(maxsize=1)
def words() -> dict[str, Any]:
    """The words of ``words.toml``, by value."""
    return tomllib.loads((files(__package__) / "words.toml").read_text("utf-8"))


def bare_word(text: str) -> str:
    """A word in half width, lower case, without blanks and wrappers: how words are compared."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text).strip(WRAPPERS)).lower()


def _nothing(texts: pl.Series, dtype: Any) -> Read:
    return Read(values=pl.repeat(None, len(texts), dtype=dtype, eager=True), bad=texts.is_not_null())


def lost_digits(texts: pl.Series) -> pl.Series:
    """Which numbers a spreadsheet has cut to ``6.22E+18``."""
    if not texts.str.contains_any(["E", "e"]).any():
        return pl.repeat(False, len(texts), dtype=pl.Boolean, eager=True)
    return texts.str.contains(DIGITS_LOST).fill_null(False)


def _fits(value: Any) -> bool:
    """Whether whole numbers are ones of 64 bits: polars would make nulls of others without a word."""
    if isinstance(value, list):
        return all(map(_fits, value))
    return not isinstance(value, int) or -(2**63) <= value < 2**63


def by_word(texts: pl.Series, read: Callable[[str], Any], dtype: Any) -> Read:
    """Each distinct text read once; a ValueError, or a number too big for ``dtype``, makes all its cells bad."""
    if texts.null_count() == len(texts):
        return _nothing(texts, dtype)
    values: list[Any] = []
    fine: list[bool] = []
    distinct = texts.drop_nulls().unique()
    for text in distinct.to_list():
        try:
            value = read(text)
            if not _fits(value):
                raise ValueError(f"{text[:60]!r} is too big")
            values.append(value)
            fine.append(True)
        except (ValueError, ArithmeticError):
            values.append(None)
            fine.append(False)
    table = pl.DataFrame(
        {"t": distinct, "v": pl.Series(values, dtype=dtype, strict=False), "f": pl.Series(fine, dtype=pl.Boolean)}
    )
    joined = texts.rename("t").to_frame().join(table, on="t", how="left", maintain_order="left")
    return Read(values=joined.get_column("v"), bad=joined.select(~pl.col("f").fill_null(True)).to_series())


def mapped(texts: pl.Series, pairs: dict[str, str]) -> Read:
    """Words by a table of words (`bare_word` forms); a word that the table lacks is bad."""
    table = {bare_word(word): value for word, value in pairs.items()}

    def read(text: str) -> str | None:
        try:
            return table[bare_word(text)] or None
        except KeyError as error:
            raise ValueError(text) from error

    return by_word(texts, read, pl.String)


def matched(texts: pl.Series, patterns: dict[str, str]) -> pl.Series:
    """The value of the first pattern found in each text; null where none is."""
    compiled = [(re.compile(pattern, re.IGNORECASE), value) for pattern, value in patterns.items()]

    def read(text: str) -> str | None:
        return next((value for pattern, value in compiled if pattern.search(text)), None)

    return by_word(texts, read, pl.String).values


def fen(texts: pl.Series, unit: str = "") -> Read:
    """Fen of amounts in yuan, or in ``unit`` (元 万元 亿元 分) where the text names none. Sign kept."""
    if texts.null_count() == len(texts):
        return _nothing(texts, pl.Int64)
    plain = texts.str.replace_all(",", "", literal=True) if texts.str.contains(",", literal=True).any() else texts
    frame = pl.DataFrame({"t": texts, "p": plain})
    if unit in ("", "元"):
        fast = pl.when(pl.col("p").str.contains(_FAST_YUAN)).then(pl.col("p"))
        point = fast.str.find(".", literal=True)
        places = pl.when(point.is_null()).then(0).otherwise(fast.str.len_bytes() - point - 1)
        digits = fast.str.replace(".", "", literal=True).str.replace("+", "", literal=True).cast(pl.Int64, strict=False)
        scale = pl.when(places == 0).then(100).when(places == 1).then(10).otherwise(1)
        frame = frame.with_columns((digits * scale).alias("v"))
    else:
        frame = frame.with_columns(pl.lit(None, pl.Int64).alias("v"))
    left = frame.get_column("v").is_null() & frame.get_column("t").is_not_null()
    if not left.any():
        return Read(values=frame.get_column("v"), bad=left)
    odd = by_word(frame.select(pl.when(left).then(pl.col("t"))).to_series(), lambda t: _fen(t, unit), pl.Int64)
    return Read(values=frame.get_column("v").fill_null(odd.values), bad=odd.bad)


def _fen(text: str, unit: str) -> int:
    plain = unicodedata.normalize("NFKC", text).strip(WRAPPERS)
    if match := re.fullmatch(r"\((.+)\)", plain):
        plain = "-" + match[1]
    if unit == "分":
        if not re.fullmatch(r"[+-]?[\d,]+", plain):
            raise ValueError(text)
        fen = int(plain.replace(",", ""))
        if abs(fen) > LIMIT_FEN:
            raise ValueError(f"{text[:60]!r} is beyond any account")
        return fen
    if unit in ("万元", "亿元") and re.fullmatch(r"[+-]?[¥￥]?[\d,.]+", plain):
        plain += unit
    return parse_yuan(plain)


def seconds(texts: pl.Series, unit: str = "") -> Read:
    """Durations: ``95``, ``95秒``, ``01:35``, ``0:01:35``, ``1分35秒``; whole seconds."""
    return by_word(texts, lambda t: _seconds(t, unit), pl.Int64)


def _seconds(text: str, unit: str) -> int:
    plain = re.sub(r"\s+", "", unicodedata.normalize("NFKC", text).strip(WRAPPERS))
    if re.fullmatch(r"-?\d{1,9}(\.0+)?", plain):
        return int(plain.split(".")[0]) * (60 if unit == "分钟" else 1)
    if match := re.fullmatch(r"(?:(\d{1,4}):)?(\d{1,5}):(\d{1,2})", plain):
        return int(match[1] or 0) * 3600 + int(match[2]) * 60 + int(match[3])
    match = re.fullmatch(r"(?:(\d+)(?:小时|时|h))?(?:(\d+)(?:分钟|分|m|min))?(?:(\d+)(?:秒|s|sec)?)?", plain, re.I)
    if match and any(match.groups()):
        return int(match[1] or 0) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0)
    raise ValueError(text)


def integers(texts: pl.Series) -> Read:
    """Whole numbers; ``12.0`` is one, ``12.5`` is not."""

    def read(text: str) -> int:
        plain = unicodedata.normalize("NFKC", text).replace(",", "")
        if not re.fullmatch(r"[+-]?\d{1,19}(\.0+)?", plain):
            raise ValueError(text)
        return int(plain.split(".")[0])

    fast = texts.cast(pl.Int64, strict=False)
    left = fast.is_null() & texts.is_not_null()
    if not left.any():
        return Read(values=fast, bad=left)
    odd = by_word(texts.to_frame("t").select(pl.when(left).then(pl.col("t"))).to_series(), read, pl.Int64)
    return Read(values=fast.fill_null(odd.values), bad=odd.bad)


def floats(texts: pl.Series) -> Read:
    """Numbers; percent signs are hundredths."""

    def read(text: str) -> float:
        plain = unicodedata.normalize("NFKC", text).replace(",", "")
        value = float(plain.removesuffix("%")) / (100 if plain.endswith("%") else 1)
        if value != value or value in (float("inf"), float("-inf")):
            raise ValueError(text)
        return value

    return by_word(texts, read, pl.Float64)


def flags(texts: pl.Series, pairs: dict[str, str]) -> Read:
    """Yes or no by a table of words."""
    read = mapped(texts, pairs)
    return Read(
        values=read.values.replace_strict({"true": True, "false": False}, default=None, return_dtype=pl.Boolean),
        bad=read.bad,
    )


def raw_json(frame: pl.DataFrame, names: dict[str, str]) -> pl.Series:
    """Each row's filled cells as a JSON object, ``names``: frame column → name; null where all are blank."""
    import json

    parts = []
    for column, name in names.items():
        text = pl.col(column)
        values = frame.get_column(column)
        if values.null_count() == len(values):
            continue
        if values.str.contains(r'["\\\x00-\x1f]').any():
            quoted = text.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
            for code in (*range(32),):
                if values.str.contains(chr(code), literal=True).any():
                    quoted = quoted.str.replace_all(chr(code), f"\\u{code:04x}", literal=True)
            text = quoted
        key = json.dumps(name, ensure_ascii=False)
        # Null where the cell is blank, and left out below.
        parts.append(pl.concat_str([pl.lit(f'{key}:"'), text, pl.lit('"')]))
    if not parts:
        return pl.repeat(None, frame.height, dtype=pl.String, eager=True)
    filled = pl.any_horizontal(pl.col(column).is_not_null() for column in names)
    body = pl.concat_str([pl.lit("{"), pl.concat_str(parts, separator=",", ignore_nulls=True), pl.lit("}")])
    return frame.select(pl.when(filled).then(body).alias("raw")).to_series()
