"""Sheets whose rows are already rows of a table: each target column read by the type that the table gives it.

Kept true here: what is written in a mapping file is all that decides; a money target without ``_fen`` takes yuan.
"""

from __future__ import annotations

import re
from datetime import date

import polars as pl

from wuzha.events.scam_types import by_feed_code, scam_types
from wuzha.events.table import BOOL, DATE, FLOAT, INT, INTS, TEXTS, TIME, Column

from . import cells
from .cells import bare_word
from .reading import Reading
from .statements import _raw
from .times import parse_date

_LIST = re.compile(r"[;；、|\n]+")
_BY_COLUMN = {"ok": "ok", "cash": "cash"}
#: Columns whose unknown words are kept out of the row instead of refusing it: none of them decides anything.
_LENIENT = {"roaming"}


def records(reading: Reading) -> pl.DataFrame:
    """The sheet's rows as the table's columns, with ``_row``, the mapping's ``x_`` texts, and ``_undated``: whose time
    is the register's or the file's."""
    table = reading.mapping.declared
    columns: dict[str, pl.Series] = {}
    for c in table.all_columns:
        if c.name == "source":
            if reading.has("source"):
                columns["source"] = reading.text("source")
            continue
        column = _column(reading, c)
        if column is not None:
            columns[c.name] = column
    if "ts" not in columns:
        columns["ts"] = reading.register_time()
        columns["_undated"] = pl.repeat(True, reading.height, dtype=pl.Boolean, eager=True)
    elif table.late_allowance_s > 365 * 86400:
        # Registers: a row without its own time counts as of the file's.
        columns["_undated"] = columns["ts"].is_null()
        columns["ts"] = columns["ts"].fill_null(reading.register_time())
    if table.name == "calls":
        for side in ("caller", "callee"):
            if f"{side}_raw" not in columns and side in columns:
                columns[f"{side}_raw"] = columns[side]
    if table.name == "transfers" and not reading.mapping.name.startswith("own_"):
        columns["raw"] = _raw(reading)
    for target in reading.mapping.columns:
        if target.startswith("x_"):
            texts = reading.text(target)
            if target in reading.mapping.values:
                read = cells.mapped(texts, reading.mapping.values[target])
                texts = reading.take(read, target, texts, "unknown_value", f"未登记的值，请写入 [values.{target}]")
            columns[target] = texts
    columns["_row"] = reading.row
    return pl.DataFrame(columns)


def _column(reading: Reading, c: Column) -> pl.Series | None:
    name = c.name
    money = name.removesuffix("_fen") if name.endswith("_fen") else None
    if c.type == TIME:
        if not (reading.has(name) or reading.has(f"{name}_date")):
            return None
        return reading.times(name)[0]
    if name == "ts_precision_s" and not reading.has(name):
        return reading.precision
    if money is not None and reading.has(money):
        texts = reading.text(money)
        return reading.money(money, cells.fen(texts, reading.unit(money)), texts)
    if not reading.has(name):
        if name == "scam_type" and reading.has("type_code") and name in reading.mapping.values:
            return _words(reading, c, reading.text("type_code"), "type_code")
        return None
    texts = reading.text(name)
    if c.type == INT:
        if name == "duration_s":
            read = cells.seconds(texts, reading.unit(name))
            return reading.take(read, name, texts, "bad_duration", "时长无法识别")
        return reading.take(cells.integers(texts), name, texts, "not_a_number", "不是整数")
    if c.type == FLOAT:
        return reading.take(cells.floats(texts), name, texts, "not_a_number", "不是数字")
    if c.type == BOOL:
        read = cells.flags(texts, reading.word_table(name, _BY_COLUMN.get(name, "bool")))
        if name in _LENIENT:
            return read.values
        return reading.take(read, name, texts, "unknown_value", f"未登记的值，请写入 [values.{name}]")
    if c.type == DATE:
        read = cells.by_word(texts, _as_date, pl.Date)
        return reading.take(read, name, texts, "bad_time", "日期无法识别")
    if c.type == TEXTS:
        return cells.by_word(
            texts, lambda t: [p.strip() for p in _LIST.split(t) if p.strip()], pl.List(pl.String)
        ).values
    if c.type == INTS:
        read = cells.by_word(texts, lambda t: [int(p) for p in re.split(r"[^\d]+", t) if p], pl.List(pl.Int64))
        return reading.take(read, name, texts, "not_a_number", "不是整数")
    if c.subject in ("account", "line", "sim", "device", "person") or name.endswith("_id") or name == "id":
        reading.refuse(
            cells.lost_digits(texts), reading.header(name), texts, "digits_lost", "被表格软件改成科学计数，位数已丢失"
        )
        return texts
    return _words(reading, c, texts, name)


def _as_date(text: str) -> date:
    return parse_date(text)


def _words(reading: Reading, c: Column, texts: pl.Series, target: str) -> pl.Series:
    """Text columns: their words mapped where there is a table of words, else as they stand."""
    name = c.name
    if name == "channel" and reading.mapping.table == "transfers" and not reading.mapping.name.startswith("own_"):
        from .statements import channels

        return channels(reading)
    table = reading.word_table(name)
    if name == "scam_type":
        table = _scam_words() | table
    if name in reading.mapping.patterns:
        found = cells.matched(texts, reading.mapping.patterns[name])
        texts_left = texts.set(found.is_not_null(), None)
    else:
        found, texts_left = pl.repeat(None, reading.height, dtype=pl.String, eager=True), texts
    if not c.values and name != "scam_type" and name not in reading.mapping.values:
        return found.fill_null(texts_left)
    identity = {bare_word(v): v for v in c.values}
    read = (
        cells.mapped(texts_left, table | identity)
        if table or identity
        else cells.Read(values=texts_left, bad=texts_left.is_null())
    )
    must = bool(c.values) or name == "scam_type"
    if must:
        message = f"未登记的值，请在映射文件 {reading.mapping.name} 的 [values.{name}] 中写明"
        return found.fill_null(reading.take(read, target, texts, "unknown_value", message))
    return found.fill_null(read.values).fill_null(texts_left)


def _scam_words() -> dict[str, str]:
    words = {bare_word(code): t.code for code, t in scam_types().items()}
    words |= {bare_word(t.zh): t.code for t in scam_types().values()}
    for feed, code in by_feed_code().items():
        words.setdefault(bare_word(feed), code)
    return words


def also(reading: Reading, rows: pl.DataFrame) -> dict[str, list[pl.DataFrame]]:
    """Rows of other tables that the mapping's ``[[also]]`` takes from accepted rows; a blank gives none.

    Beside their columns: ``_unit`` and ``_row`` of the line, ``_header_…``: the file's column behind a column."""
    out: dict[str, list[pl.DataFrame]] = {}
    for more in reading.mapping.also:
        columns = []
        headers = []
        for name, template in more.columns.items():
            used = re.findall(r"\{([^{}]*)\}", template)
            if used:
                headers.append(pl.lit(reading.header(used[0])).alias(f"_header_{name}"))
            if template == "{" + "".join(used) + "}" and len(used) == 1:
                columns.append(pl.col(used[0]).alias(name))
            else:
                pattern = re.sub(r"\{[^{}]*\}", "{}", template)
                columns.append(
                    pl.format(pattern, *[pl.col(u) for u in used]).alias(name) if used else pl.lit(template).alias(name)
                )
        frame = rows.select(*columns, *headers, "_row", "_unit", *(c for c in ("_undated",) if c in rows.columns))
        needed = [n for n, t in more.columns.items() if "{" in t]
        out.setdefault(more.table, []).append(frame.drop_nulls(needed))
    return out
