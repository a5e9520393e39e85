"""Times as people and machines write them, as UTC with the precision that they were written in.

Kept true here: a text reads the same whether it comes alone or among a million; a time without an offset is local
time of the deployment's zone; what cannot be read is null, never a guess.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import polars as pl
import pyarrow as pa

from wuzha.events.clock import zone as deployment_zone

DAY = 86400
#: Excel's day numbers that stand for 1954–2119: other numbers are no dates.
SERIAL_MIN, SERIAL_MAX = 20_000, 80_000
_EXCEL_EPOCH = datetime(1899, 12, 30)

_SECONDS = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"
_COMPACT = r"^\d{14}$"
_OFFSET = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}:\d{2}(\.\d{1,6})?(Z|[+-]\d{2}:?\d{2})$"
_DATE = re.compile(r"(\d{4})[-/.年](\d{1,2})[-/.月](\d{1,2})日?")
_CLOCK = re.compile(
    r"(上午|下午|AM|PM|am|pm)?\s*(\d{1,2})[:时点](\d{1,2})(?:[:分](\d{1,2})(?:[.,](\d{1,9}))?秒?|分)?\s*(AM|PM|am|pm)?"
)


@dataclass(frozen=True, kw_only=True)
class Times:
    """``ts`` (Datetime us UTC, null where blank or unreadable), ``precision`` (seconds: 1, 60, 86400), ``bad``."""

    ts: pl.Series
    precision: pl.Series
    bad: pl.Series


def parse_time(text: str, zone: ZoneInfo | None = None) -> tuple[datetime, int]:
    """UTC time and precision in seconds of one text. ValueError where it is no time.

    >>> parse_time("2023年1月15日 9:30")
    (datetime.datetime(2023, 1, 15, 1, 30, tzinfo=datetime.timezone.utc), 60)
    """
    zone = zone or deployment_zone()
    plain = unicodedata.normalize("NFKC", text).strip().strip("'’`\"\t ").strip()
    try:
        local, precision = _plain(plain)
        if local.tzinfo is None:
            local = local.replace(tzinfo=zone)
            # An hour that the clocks skipped never was.
            if local.astimezone(UTC).astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
                raise ValueError(f"{text!r} is no time in {zone.key}")
        return local.astimezone(UTC), precision
    except (ValueError, OverflowError) as error:
        # The first and the last day of all calendars leave them when they change zone.
        raise ValueError(f"{text!r} is no time") from error


def _plain(text: str) -> tuple[datetime, int]:
    if text.isascii() and text.isdigit():
        if len(text) == 14:
            return datetime.strptime(text, "%Y%m%d%H%M%S"), 1
        if len(text) == 12:
            return datetime.strptime(text, "%Y%m%d%H%M"), 60
        if len(text) == 17:
            return datetime.strptime(text, "%Y%m%d%H%M%S%f"), 1
        if len(text) == 8:
            return datetime.strptime(text, "%Y%m%d"), DAY
    if re.fullmatch(r"\d{5}(\.\d+)?", text):
        return _serial(text)
    if re.fullmatch(r"\d{8}[ T]\d{6}", text):
        return datetime.strptime(text[:8] + text[9:], "%Y%m%d%H%M%S"), 1
    if re.fullmatch(r"\d{8}[ T]\d{1,2}:.*", text):
        text = f"{text[:4]}-{text[4:6]}-{text[6:]}"
    if re.search(r"(Z|[+-]\d{2}:?\d{2})$", text) and ("T" in text or ":" in text):
        return datetime.fromisoformat(text), 1
    day = _DATE.match(text)
    if not day:
        raise ValueError(text)
    when = datetime(int(day[1]), int(day[2]), int(day[3]))
    rest = text[day.end() :].lstrip("T ,").strip()
    if rest and day.end() < len(text) and text[day.end()].isdigit():
        raise ValueError(text)
    return (when, DAY) if not rest else _with_clock(when, rest)


def _with_clock(day: datetime, text: str) -> tuple[datetime, int]:
    if re.fullmatch(r"\d{6}", text):
        return datetime.strptime(day.strftime("%Y%m%d") + text, "%Y%m%d%H%M%S"), 1
    match = _CLOCK.fullmatch(text)
    # ``09.30.11`` and ``09-30-11`` stand in some exports.
    if not match and (dotted := re.fullmatch(r"(\d{1,2})[.-](\d{1,2})[.-](\d{1,2})(?:\.(\d{1,9}))?", text)):
        match = _CLOCK.fullmatch(f"{dotted[1]}:{dotted[2]}:{dotted[3]}" + (f".{dotted[4]}" if dotted[4] else ""))
    if not match:
        raise ValueError(text)
    hour, half = int(match[2]), (match[1] or match[6] or "").lower()
    if half in ("下午", "pm") and hour < 12:
        hour += 12
    elif half in ("上午", "am") and hour == 12:
        hour = 0
    micro = int((match[5] or "0").ljust(6, "0")[:6])
    when = datetime(day.year, day.month, day.day, hour, int(match[3]), int(match[4] or 0), micro)
    return when, 60 if match[4] is None else 1


def _serial(text: str) -> tuple[datetime, int]:
    days = float(text)
    if not SERIAL_MIN <= days < SERIAL_MAX:
        raise ValueError(text)
    whole = "." not in text or days == int(days)
    seconds = round((days - int(days)) * DAY)
    return _EXCEL_EPOCH + timedelta(days=int(days), seconds=seconds), DAY if whole else 1


def parse_times(texts: pl.Series, zone: ZoneInfo | None = None) -> Times:
    """Times of a whole text column; the usual shapes vectorised, the rest one by one over its distinct values."""
    zone = zone or deployment_zone()
    texts = texts.cast(pl.String)
    if len(texts) and texts.str.contains(_OFFSET).all():
        stamped = _stamped(texts)
        if stamped is not None and not stamped.has_nulls():
            return Times(
                ts=stamped, precision=pl.repeat(1, len(texts), dtype=pl.Int64, eager=True), bad=stamped.is_null()
            )
    frame = texts.to_frame("t").with_row_index("i")
    t = pl.col("t").str.replace("T", " ", literal=True).str.replace_all("/", "-", literal=True)
    frame = frame.with_columns(t.alias("p"))
    local = (
        pl.when(pl.col("p").str.contains(_SECONDS))
        .then(pl.col("p").str.to_datetime("%Y-%m-%d %H:%M:%S", time_unit="us", strict=False))
        .when(pl.col("p").str.contains(_COMPACT))
        .then(pl.col("p").str.to_datetime("%Y%m%d%H%M%S", time_unit="us", strict=False))
    )
    ts = local.dt.replace_time_zone(zone.key, ambiguous="earliest", non_existent="null").dt.convert_time_zone("UTC")
    frame = frame.with_columns(ts.alias("ts"), pl.lit(1, pl.Int64).alias("precision"))
    left = frame.filter(pl.col("ts").is_null() & pl.col("t").is_not_null())
    if left.height:
        read = _distinct(left.get_column("t"), zone)
        frame = frame.join(read, on="t", how="left", maintain_order="left").with_columns(
            pl.coalesce("ts", "ts_odd").alias("ts"),
            pl.coalesce("precision_odd", "precision").alias("precision"),
        )
    return Times(
        ts=frame.get_column("ts"),
        precision=frame.select(pl.when(pl.col("ts").is_not_null()).then(pl.col("precision"))).to_series(),
        bad=frame.select(pl.col("ts").is_null() & pl.col("t").is_not_null()).to_series(),
    )


def _distinct(texts: pl.Series, zone: ZoneInfo) -> pl.DataFrame:
    """``t``, ``ts_odd``, ``precision_odd`` of the distinct odd texts."""
    distinct = texts.unique()
    stamped = distinct.filter(distinct.str.contains(_OFFSET))
    parts = []
    if len(stamped) and (ts := _stamped(stamped)) is not None:
        ones = pl.repeat(1, len(ts), dtype=pl.Int64, eager=True)
        parts.append(pl.DataFrame({"t": stamped, "ts_odd": ts, "precision_odd": ones}))
        distinct = distinct.filter(~distinct.str.contains(_OFFSET))
    read: list[tuple[str, datetime | None, int | None]] = []
    for text in distinct.to_list():
        try:
            read.append((text, *parse_time(text, zone)))
        except ValueError:
            read.append((text, None, None))
    schema: dict[str, pl.DataType | type[pl.DataType]] = {
        "t": pl.String,
        "ts_odd": pl.Datetime("us", "UTC"),
        "precision_odd": pl.Int64,
    }
    parts.append(pl.DataFrame(read, schema=schema, orient="row"))
    return pl.concat([p.cast(schema) for p in parts])  # type: ignore[arg-type]


def _stamped(texts: pl.Series) -> pl.Series | None:
    """Times of texts that all carry their offset; None where one of them names a day that is none."""
    try:
        return pl.Series(pl.from_arrow(texts.to_arrow().cast(pa.string()).cast(pa.timestamp("us", "UTC"))))
    except pa.ArrowInvalid:
        return None


def parse_date(text: str) -> date:
    """The day that a text names. ValueError where it names none."""
    plain = unicodedata.normalize("NFKC", text).strip().strip("'’`\"\t ")
    try:
        return _plain(plain)[0].date()
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{text!r} is no date") from error
