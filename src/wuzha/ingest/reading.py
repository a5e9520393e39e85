"""One sheet being read: its columns by target, its rows that are rows, and the rows refused so far.

Kept true here: every row of the sheet that is a row ends as read or refused, at most once refused; title, blank,
total and repeated header rows are no rows.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from wuzha.events.batch import EARLIEST, LATEST
from wuzha.events.money import LIMIT_FEN

from .cells import BLANKS, WRAPPERS, Read, bare_word, words
from .grids import Cells
from .layouts import Found, is_line, is_total, sources_of, title_values, total_pattern
from .mapping import plain_header
from .times import parse_time, parse_times

REJECT_SCHEMA = {"row": pl.Int64, "column": pl.String, "value": pl.String, "reason": pl.String, "message": pl.String}
_FREE = {"text", "narrative", "memo"}
_SHORTEST = max(len(b.encode()) for b in BLANKS)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """What an import is told beside its files."""

    source: str
    #: ``ts`` of register rows whose sheet tells no time, where the user gave it.
    as_of: datetime | None
    #: ``ts`` of such rows where neither the user nor the file tells a time.
    begun: datetime
    own_account: str | None = None


class Reading:
    """The sheet's cells by target. ``frame``: cleaned text columns "0", "1" …; ``row``: their numbers in the file."""

    def __init__(self, found: Found, cells: Cells, changed: datetime | None, settings: Settings) -> None:
        self.mapping, self.names, self.changed, self.settings = found.mapping, found.names, changed, settings
        self.sources = sources_of(found.mapping, found.names)
        self.titles = title_values(found.mapping, found.above)
        self.rejects: list[pl.DataFrame] = []
        #: How coarse each row's ``ts`` is, seconds; null until `times` has read it.
        self.precision: pl.Series | None = None
        self._texts: dict[tuple[str, bool], pl.Series] = {}
        names = cells.frame.columns
        #: Columns that hold nothing at all: of 34 columns often half. They share one column of nulls.
        filled = [c for c in names if cells.frame.get_column(c).null_count() < cells.frame.height]
        self.shown = cells.frame.select(pl.col(c).str.strip_chars(WRAPPERS) for c in filled)
        free = {str(i) for target in _FREE for i in self._columns(target)}
        self.frame = self.shown.select(_nothing_here(c, [""] if c in free else BLANKS) for c in filled)
        self.row = cells.row
        if filled:
            self._drop_what_is_no_row()
        elif names:
            self.row = self.row.clear()
        self.nothing = pl.repeat(None, len(self.row), dtype=pl.String, eager=True)
        blank = [self.nothing.alias(c) for c in names if c not in filled]
        if names:
            self.frame = (self.frame.with_columns(blank) if filled else pl.DataFrame(blank)).select(names)
            self.shown = (self.shown.with_columns(blank) if filled else pl.DataFrame(blank)).select(names)
        self.taken = pl.repeat(False, self.height, dtype=pl.Boolean, eager=True)

    @property
    def height(self) -> int:
        """Rows that are rows."""
        return self.frame.height

    def _columns(self, target: str) -> list[int]:
        return [
            i for source in self.sources.get(target, ()) for i in (source[0] if isinstance(source, tuple) else [source])
        ]

    def has(self, target: str) -> bool:
        """Whether anything fills ``target``."""
        return target in self.sources or target in self.titles or target in self.mapping.constants

    def header(self, target: str) -> str:
        """The file's name of the column that fills ``target``, or ``target`` itself."""
        columns = self._columns(target)
        return self.names[columns[0]] if columns else target

    def unit(self, target: str) -> str:
        """The unit that the mapping or else the header names."""
        columns = self._columns(target)
        return self.mapping.units.get(target) or (plain_header(self.names[columns[0]])[1] if columns else "")

    def text(self, target: str, *, shown: bool = False) -> pl.Series:
        """Text of ``target``: its first filled column, else the constant or title; ``shown``: ``-`` stays."""
        if (target, shown) not in self._texts:
            self._texts[target, shown] = self._text(target, self.shown if shown else self.frame)
        return self._texts[target, shown]

    def _text(self, target: str, frame: pl.DataFrame) -> pl.Series:
        parts: list[pl.Expr] = []
        columns: list[int] = []
        for source in self.sources.get(target, ()):
            if isinstance(source, tuple):
                joined, by = source
                filled = pl.all_horizontal(pl.col(str(c)).is_not_null() for c in joined)
                parts.append(pl.when(filled).then(pl.concat_str([pl.col(str(c)) for c in joined], separator=by)))
            elif frame.get_column(str(source)).null_count() < frame.height:
                parts.append(pl.col(str(source)))
                columns.append(source)
        fallback = self.mapping.constants.get(target) or self.titles.get(target)
        if fallback is not None:
            parts.append(self._constant(fallback))
        if not parts:
            return self.nothing
        if len(parts) == len(columns) == 1:
            return frame.get_column(str(columns[0]))
        # The numbers beside the cells keep a constant alone as long as the sheet.
        frame = frame.with_columns(_row=self.row)
        return frame.select(pl.coalesce(parts).alias("t"), "_row").get_column("t")

    @staticmethod
    def _constant(text: str) -> pl.Expr:
        """A constant; ``{row}`` and ``{row:06}`` in it stand for the row's number."""
        pieces = re.split(r"(\{row(?::0\d+)?\})", text)
        exprs: list[pl.Expr] = []
        for piece in pieces:
            if match := re.fullmatch(r"\{row(?::0(\d+))?\}", piece):
                exprs.append(pl.col("_row").cast(pl.String).str.zfill(int(match[1] or 1)))
            elif piece:
                exprs.append(pl.lit(piece))
        return pl.concat_str(exprs) if exprs else pl.lit("")

    def refuse(self, failing: pl.Series, column: str, values: pl.Series, reason: str, message: str) -> None:
        """Refuse the rows where ``failing``; a row already refused keeps its first reason."""
        fresh = failing.fill_null(False) & ~self.taken
        if not fresh.any():
            return
        told = pl.DataFrame(
            {"row": self.row.filter(fresh), "value": values.cast(pl.String).filter(fresh).str.slice(0, 200)}
        )
        told = told.with_columns(column=pl.lit(column), reason=pl.lit(reason), message=pl.lit(message))
        self.rejects.append(told.select(list(REJECT_SCHEMA)).cast(REJECT_SCHEMA))  # type: ignore[arg-type]
        self.taken = self.taken | fresh

    def take(self, read: Read, target: str, texts: pl.Series, reason: str, message: str) -> pl.Series:
        """The values read; the rows whose text is none are refused."""
        self.refuse(read.bad, self.header(target), texts, reason, message)
        return read.values

    def refused(self) -> pl.DataFrame:
        """Rows refused so far, as ``REJECT_SCHEMA``."""
        return pl.concat(self.rejects) if self.rejects else pl.DataFrame(schema=REJECT_SCHEMA)

    def not_taken(self) -> list[str]:
        """Names of the columns that hold something and fill no target."""
        used = {i for target in self.sources for i in self._columns(target)} | {
            i for i, name in enumerate(self.names) if name in self.mapping.drop
        }
        return [
            name.strip() or f"第{i + 1}列"
            for i, name in enumerate(self.names)
            if i not in used and self.frame.get_column(str(i)).null_count() < self.height
        ]

    # ---- rows that are none

    def _drop_what_is_no_row(self) -> None:
        if not self.frame.height:
            return
        first = self.frame.select(pl.coalesce(pl.all()).alias("t")).to_series()
        keep = first.is_not_null()
        sums = first.str.to_lowercase().str.contains(total_pattern()).fill_null(False)
        if sums.any():
            for i in sums.arg_true().to_list():
                keep[i] = not self._sums_up(i, bare_word(first[i]))
        named = [(i, name) for i, name in enumerate(self.names) if name.strip()]
        if len(named) >= 2 and all(str(i) in self.frame.columns for i, _ in named[:3]):
            again = self.frame.select(
                pl.all_horizontal(pl.col(str(i)) == name.strip(WRAPPERS) for i, name in named[:3])
            ).to_series()
            keep = keep & ~again.fill_null(False)
        if not keep.all():
            self.frame, self.shown, self.row = self.frame.filter(keep), self.shown.filter(keep), self.row.filter(keep)

    def _sums_up(self, i: int, first: str) -> bool:
        """Whether row ``i``, which begins with a word of sums, has no time of its own."""
        if is_line(first):
            return all(is_line(cell) for cell in self.frame.row(i) if cell)
        times = [*self._columns("ts"), *self._columns("ts_date")]
        if not times:
            return is_total(first)
        for column in times:
            text = self.frame.get_column(str(column))[i] if str(column) in self.frame.columns else None
            if text is not None:
                try:
                    parse_time(text)
                    return False
                except ValueError:
                    continue
        return True

    # ---- times

    def times(self, target: str) -> tuple[pl.Series, pl.Series]:
        """Times of ``target`` (or of ``target_date`` with ``target_time``) and their precision; bad ones refused."""
        whole, day, clock = (self.text(t) for t in (target, f"{target}_date", f"{target}_time"))
        if self.mapping.step is not None and target == "ts":
            return self._steps(whole)
        if self.has(f"{target}_date"):
            if not self.has(f"{target}_time"):
                clock = pl.repeat(None, self.height, dtype=pl.String, eager=True)
            frame = pl.DataFrame({"w": whole, "d": day, "c": clock})
            short = pl.col("c").str.contains(r"^\d{1,5}$")
            padded = pl.when(short).then(pl.col("c").str.zfill(6)).otherwise(pl.col("c"))
            timed = pl.col("w").str.contains(r"^(\d{1,6}|\d{1,2}[:.时].*)$")
            # A time column may hold the whole moment; then the day beside it says nothing more.
            complete = pl.col("c").str.contains(r"\d{4}.?\d{2}.?\d{2}")
            joined = pl.when(pl.col("c").is_null()).then(pl.col("d")).when(complete).then(pl.col("c")).otherwise(
                pl.concat_str([pl.col("d"), padded], separator=" "))  # fmt: skip
            whole = frame.select(
                pl.when(pl.col("w").is_null() | timed.fill_null(False))
                .then(pl.coalesce(joined, pl.col("w")))
                .otherwise(pl.col("w"))
            ).to_series()
        read = parse_times(whole)
        column = self.header(target) if target in self.sources else self.header(f"{target}_date")
        self.refuse(read.bad, column, whole, "bad_time", "时间无法识别")
        if target in ("ts", "reported_at", "known_at"):
            # Told here with the text as the file has it; the table's own check would show the time made of it.
            first, last = (pl.lit(day).str.to_datetime("%Y-%m-%d", time_unit="us", time_zone="UTC")
                           for day in (EARLIEST, LATEST))  # fmt: skip
            outside = read.ts.to_frame("t").select((pl.col("t") < first) | (pl.col("t") >= last)).to_series()
            self.refuse(outside, column, whole, "time_out_of_range", f"时间应在{EARLIEST}至{LATEST}之间")
        if target == "ts":
            self.precision = read.precision
        return read.ts, read.precision

    def _steps(self, texts: pl.Series) -> tuple[pl.Series, pl.Series]:
        """Times counted in steps from a start, as simulated data has them."""
        assert self.mapping.step is not None
        start, unit = self.mapping.step
        length = {"second": 1, "minute": 60, "hour": 3600, "day": 86400}[unit]
        steps = texts.cast(pl.Float64, strict=False)
        bad = (steps.is_null() & texts.is_not_null()) | (steps.abs() > 1e9)
        self.refuse(bad, self.header("ts"), texts, "bad_time", "不是步数")
        origin = pl.lit(parse_time(start)[0]).dt.convert_time_zone("UTC").dt.cast_time_unit("us")
        micro = (pl.lit(steps.set(bad.fill_null(True), None)) * length * 1_000_000).round().cast(pl.Int64)
        ts = pl.select(origin + pl.duration(microseconds=micro)).to_series()
        self.precision = pl.repeat(length, self.height, dtype=pl.Int64, eager=True)
        return ts, self.precision

    def register_time(self) -> pl.Series:
        """``ts`` of rows that tell none: as the user said, else when the file was last changed."""
        told = self.settings.as_of or self.changed or self.settings.begun
        return pl.repeat(told, self.height, eager=True).cast(pl.Datetime("us", "UTC"))

    # ---- money

    def money(self, target: str, read: Read, texts: pl.Series) -> pl.Series:
        """Fen; unreadable amounts and those beyond any account refused."""
        if texts.null_count() == len(texts):
            return read.values
        values = self.take(read, target, texts, "bad_amount", "金额无法识别")
        self.refuse(values.abs() > LIMIT_FEN, self.header(target), texts, "bad_amount", "金额超出任何账户")
        return values

    def word_table(self, target: str, column: str | None = None) -> dict[str, str]:
        """Words for ``target``: the mapping's own before those that all layouts share."""
        shared = words().get(column or target, {})
        return {bare_word(k): v for k, v in shared.items()} | {
            bare_word(k): v for k, v in self.mapping.values.get(target, {}).items()
        }


def _nothing_here(column: str, blanks: list[str]) -> pl.Expr:
    text = pl.col(column)
    said = (text.str.len_bytes() <= _SHORTEST) & text.is_in(blanks)
    return pl.when(said).then(None).otherwise(text).alias(column)
