"""Rows of all files brought together: identities, rows sent twice, reversals, both sides of one event.

Kept true here: rows in = rows out + duplicates + merged + refused; the result does not depend on the order of the
files; two equal transfers that one statement tells apart, or cannot tell apart, stay two.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
import pyarrow as pa

from wuzha.events import Table
from wuzha.events.hashing import combine, hash_text

from .pairing import U64, pair

#: Tables in which two rows alike in every column are one event also within one file.
_NEVER_TWICE = ("calls", "lines", "accounts", "persons", "relations", "reports", "identifiers", "findings", "lodging")
#: A reversal undoes a row at most this long before it, microseconds.
_REVERSAL_US = 90 * 86400 * 1_000_000
#: Beyond so many senders, rows without a side are not paired.
_MANY_SOURCES = 20


@dataclass(frozen=True, kw_only=True)
class Settled:
    """``rows`` (the table's columns, by ts, source, event_id), counts, and refused rows (``_unit``, ``_row`` …)."""

    rows: pl.DataFrame
    duplicates: int
    merged: int
    refused: pl.DataFrame
    #: ``source``, ``event_id``, ``_unit``, ``_row``: every row that was read as that event, where it was asked for.
    places: pl.DataFrame | None = None


def settle(table: Table, rows: pl.DataFrame, *, placed: bool = False) -> Settled:
    """``rows``: the table's columns and ``_unit`` (sheet), ``_row``; of statements also ``_own``, ``_balance``,
    ``_reversal``; of call records ``_side``; of registers ``_undated`` (``ts`` is the file's). ``placed``: tell the
    places, of rows sent twice and of both sides too."""
    if rows.height == 0:
        return Settled(rows=_ordered(table, rows), duplicates=0, merged=0, refused=_nothing())
    rows = _with_ids(table, _as_of_latest(table, rows))
    places = rows.select("source", "event_id", "_unit", "_row") if placed else None
    rows, duplicates, refused = _once(rows)
    if "_own" in rows.columns:
        rows = _undone(_in_sequence(rows))
    rows, merged, gone = _both_sides(table, rows)
    if places is not None:
        if refused.height:
            places = places.join(refused, on=["_unit", "_row", "event_id"], how="anti")
        for pairs in gone:
            places = _renamed(places, pairs)
    return Settled(rows=_ordered(table, rows), duplicates=duplicates, merged=merged, refused=refused, places=places)


def _renamed(places: pl.DataFrame, pairs: pl.DataFrame) -> pl.DataFrame:
    """The places of merged rows are those of the row that stays."""
    found = places.join(pairs, on=["source", "event_id"], how="left", maintain_order="left")
    return found.select(
        pl.coalesce("_now_source", "source").alias("source"), pl.coalesce("_now", "event_id").alias("event_id"),
        "_unit", "_row",
    )  # fmt: skip


def _nothing() -> pl.DataFrame:
    return pl.DataFrame(schema={"_unit": pl.Int64, "_row": pl.Int64, "event_id": pl.String})


def _ordered(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    rows = rows.select([c.name for c in table.all_columns])
    ts = rows.get_column("ts")
    if ts.is_sorted() and ts.n_unique() == rows.height:
        return rows
    return rows.sort("ts", "source", "event_id")


def _text(frame: pl.DataFrame, columns: list[str]) -> pl.Series:
    """Columns written as one text; blanks are told from empty texts."""
    parts = []
    for c in columns:
        kind = frame.schema[c]
        expr = pl.col(c)
        if isinstance(kind, pl.List):
            expr = expr.list.eval(pl.element().cast(pl.String)).list.join("\x1e")
        elif isinstance(kind, pl.Datetime):
            expr = expr.dt.epoch("us").cast(pl.String)
        else:
            expr = expr.cast(pl.String)
        parts.append(expr.fill_null("\x1d"))
    return frame.select(pl.concat_str(parts, separator="\x1f")).to_series()


def _hash(texts: pl.Series) -> U64:
    column = texts.to_arrow()
    return hash_text(column.cast(pa.string()))


def _as_of_latest(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Undated rows alike in all else are of the latest of their files' times: a copy saved later says nothing new."""
    if "_undated" not in rows.columns:
        return rows
    undated = rows.get_column("_undated").fill_null(False)
    if rows.get_column("ts").filter(undated).n_unique() < 2:
        return rows
    alike = _hash(_text(rows, [c.name for c in table.all_columns if c.name != "ts"]))
    latest = pl.when("_u").then(pl.col("ts").max().over("_alike", "_u")).otherwise("ts")
    ts = rows.select("ts", _u=undated, _alike=pl.Series(alike, dtype=pl.UInt64)).select(ts=latest)
    return rows.with_columns(ts.get_column("ts"))


def _with_ids(table: Table, rows: pl.DataFrame) -> pl.DataFrame:
    """Rows without an id get one of their content, and of how many alike stood before them in their sheet."""
    missing = rows.get_column("event_id").is_null()
    if not missing.any():
        return rows
    statement = rows.get_column("_own").is_not_null() if "_own" in rows.columns else missing & False
    for chosen, number in ((missing & statement, _statement_ids), (missing & ~statement, _content_ids)):
        if chosen.all():
            rows = rows.with_columns(event_id=number(table, rows))
        elif chosen.any():
            ids = number(table, rows.filter(chosen))
            rows = rows.with_columns(event_id=rows.get_column("event_id").scatter(chosen.arg_true(), ids))
    return rows


def _statement_ids(_: Table, rows: pl.DataFrame) -> pl.Series:
    paid = pl.col("side") == "payer"
    other = pl.when(paid).then(pl.coalesce("payee", "payee_name")).otherwise(pl.coalesce("payer", "payer_name"))
    referred = pl.col("bank_ref").is_not_null()
    told = [
        pl.when(~referred).then(e).alias(f"_{i}")
        for i, e in enumerate((other, pl.col("_balance"), pl.col("memo"), pl.col("ok")))
    ]
    key = rows.select("_own", "side", "ts", "amount_fen", "bank_ref", *told)
    # The bank's own number, or the same balance after a booked amount, says that it is the same row again.
    booked = pl.col("_balance").is_not_null() & (pl.col("amount_fen") > 0) & (pl.col("ts_precision_s") == 1)
    again = rows.select(referred | (booked & pl.col("ok").fill_null(True))).to_series()
    return _numbered(rows.get_column("_unit"), _hash(_text(key, key.columns)), again)


def _content_ids(table: Table, rows: pl.DataFrame) -> pl.Series:
    columns = [c.name for c in table.all_columns if c.name not in ("source", "event_id")]
    once = pl.repeat(table.name in _NEVER_TWICE, rows.height, dtype=pl.Boolean, eager=True)
    return _numbered(rows.get_column("_unit"), _hash(_text(rows, columns)), once)


def _numbered(unit: pl.Series, hashed: U64, again: pl.Series) -> pl.Series:
    """Ids of hashes; rows alike in one sheet that nothing says to be the same row are numbered within it."""
    h = pl.Series("h", hashed, dtype=pl.UInt64)
    code = _hex(h)
    if h.n_unique() == len(h):
        return code
    nth = pl.DataFrame({"u": unit, "h": h}).select(pl.int_range(pl.len()).over("u", "h")).to_series()
    frame = pl.DataFrame({"c": code, "n": nth.set(again, 0)})
    numbered = pl.concat_str([pl.col("c"), pl.lit("-"), pl.col("n").cast(pl.String)])
    return frame.select(pl.when(pl.col("n") == 0).then(pl.col("c")).otherwise(numbered)).to_series()


def _hex(hashed: pl.Series) -> pl.Series:
    """Sixteen hexadecimal digits of each hash."""
    data = hashed.to_numpy().astype(">u8").tobytes().hex()
    n = len(hashed)
    offsets = pa.py_buffer(np.arange(0, 16 * (n + 1), 16, dtype=np.int64).tobytes())
    return pl.Series(pl.from_arrow(pa.LargeStringArray.from_buffers(n, offsets, pa.py_buffer(data.encode()))))


def _once(rows: pl.DataFrame) -> tuple[pl.DataFrame, int, pl.DataFrame]:
    """One row of each identity, chosen by content; an id at another time is refused."""
    known = rows.select(pl.col("source").hash() ^ pl.col("event_id").hash()).to_series()
    if known.n_unique() == rows.height:
        return rows, 0, _nothing()
    again = rows.select(pl.struct("source", "event_id").is_duplicated()).to_series()
    if not again.any():
        return rows, 0, _nothing()
    columns = [c for c in rows.columns if c not in ("_unit", "_row")]
    some = rows.filter(again)
    filled = pl.sum_horizontal(pl.col(c).is_not_null().cast(pl.Int32) for c in columns)
    some = some.with_columns(_filled=filled, _text=_text(some, columns)).sort(
        "source", "event_id", "ts", pl.col("_filled") * -1, "_text", "_unit", "_row"
    )
    first = some.unique(["source", "event_id"], keep="first", maintain_order=True)
    when = first.select("source", "event_id", _first_ts=pl.col("ts"))
    some = some.join(when, on=["source", "event_id"], how="left", nulls_equal=True)
    refused = some.filter(pl.col("ts") != pl.col("_first_ts")).select("_unit", "_row", "event_id")
    duplicates = some.height - first.height - refused.height
    kept = pl.concat([rows.filter(~again), first.drop("_filled", "_text")])
    return kept, duplicates, refused.cast({"_unit": pl.Int64, "_row": pl.Int64})


def _in_sequence(rows: pl.DataFrame) -> pl.DataFrame:
    """``seq`` of statement rows without one: their order in their account, by time, then as their sheet has them."""
    if rows.get_column("seq").null_count() == 0:
        return rows
    slim = rows.select("_unit", "_own", "_row", "ts", "event_id").with_row_index("_i")
    # A sheet that runs from late to early has its equal times the wrong way round.
    ends = slim.group_by("_unit", "_own").agg(
        _down=pl.col("ts").get(pl.col("_row").arg_min()) > pl.col("ts").get(pl.col("_row").arg_max())
    )
    slim = slim.join(ends, on=["_unit", "_own"], how="left", nulls_equal=True, maintain_order="left")
    slim = slim.with_columns(_at=pl.when(pl.col("_down")).then(-pl.col("_row")).otherwise(pl.col("_row")))
    slim = slim.sort("_own", "ts", "_at", "event_id").with_columns(_nth=pl.int_range(1, pl.len() + 1).over("_own"))
    nth = slim.sort("_i").get_column("_nth")
    missing = pl.col("seq").is_null() & pl.col("_own").is_not_null()
    return rows.with_columns(seq=pl.when(missing).then(nth).otherwise(pl.col("seq")).cast(pl.Int64))


def _undone(rows: pl.DataFrame) -> pl.DataFrame:
    """``reverses`` of reversals: the last row before of the same account and amount that flowed the other way."""
    back = rows.filter(pl.col("_reversal").fill_null(False) & pl.col("reverses").is_null())
    if not back.height:
        return rows
    keys = back.select("_own", "amount_fen").unique()
    candidates = rows.filter(~pl.col("_reversal").fill_null(False) & pl.col("ok").fill_null(True)).join(
        keys, on=["_own", "amount_fen"], how="semi"
    )
    names = ["event_id", "_own", "amount_fen", "side", "payer", "payee", "ts", "seq", "bank_ref"]
    by_key: dict[tuple[object, ...], list[tuple[int, int, str, str | None, str | None]]] = {}
    for event_id, own, amount, side, payer, payee, ts, seq, ref in (
        candidates.select(names).with_columns(pl.col("ts").dt.epoch("us")).iter_rows()
    ):
        other = payee if side == "payer" else payer
        by_key.setdefault((own, amount, side), []).append((ts, seq or 0, event_id, other, ref))
    for listed in by_key.values():
        listed.sort(key=lambda c: (c[0], c[1], c[2]))
    found: dict[str, str] = {}
    taken: set[str] = set()
    ordered = back.select(names).with_columns(pl.col("ts").dt.epoch("us")).sort("ts", "seq", "event_id")
    for event_id, own, amount, side, payer, payee, ts, _seq, ref in ordered.iter_rows():
        other = payee if side == "payer" else payer
        opposite = by_key.get((own, amount, "payee" if side == "payer" else "payer"), [])
        best: tuple[tuple[bool, int], str] | None = None
        for c_ts, c_seq, c_id, c_other, c_ref in reversed(opposite):
            if c_ts > ts or c_id in taken:
                continue
            if ts - c_ts > _REVERSAL_US:
                break
            if other is not None and c_other is not None and other != c_other:
                continue
            same_ref = ref is not None and ref == c_ref
            rank = (same_ref, c_ts * 2 + min(c_seq, 1))
            if best is None or rank > best[0]:
                best = rank, c_id
            if same_ref or ref is None:
                break
        if best is not None:
            found[event_id] = best[1]
            taken.add(best[1])
    if not found:
        return rows
    links = pl.DataFrame({"event_id": list(found), "_undoes": list(found.values())})
    joined = rows.join(links, on="event_id", how="left", maintain_order="left")
    return joined.with_columns(reverses=pl.coalesce("reverses", "_undoes")).drop("_undoes")


def _both_sides(table: Table, rows: pl.DataFrame) -> tuple[pl.DataFrame, int, list[pl.DataFrame]]:
    """Rows of two sides that tell of one event, merged: the first side's row stays, the second fills its blanks. Also
    whose identity became whose (``source``, ``event_id``, ``_now_source``, ``_now``), a table a way of pairing."""
    gone: list[pl.DataFrame] = []
    if not table.natural_key:
        return rows, 0, gone
    merged = 0
    for choose in _sides(table, rows):
        side = rows.select(choose.fill_null(-1).cast(pl.Int8)).to_series().to_numpy()
        partner = _partners(table, rows, side)
        if partner is not None:
            merged += int(((partner >= 0) & (side == 1)).sum())
            first = np.flatnonzero((partner >= 0) & (side == 0))
            stays = rows.select(_now_source="source", _now="event_id")[first]
            gone.append(rows.select("source", "event_id")[partner[first]].hstack(stays))
            rows = _filled(table, rows, partner, side)
    return rows, merged, gone


def _sides(table: Table, rows: pl.DataFrame) -> list[pl.Expr]:
    """Ways to see rows as two sides, one after the other: 0, 1, and -1 for rows that take no part."""
    if "side" in rows.columns and rows.get_column("side").is_in(["payer", "payee"]).any():
        return [pl.col("side").replace_strict({"payer": 0, "payee": 1}, default=-1, return_dtype=pl.Int8)]
    if "_side" in rows.columns and rows.get_column("_side").is_not_null().any():
        return [pl.col("_side")]
    # Nothing says whose row it is: then another sender's row is the other side.
    sources = sorted(s for s in rows.get_column("source").unique().to_list() if s is not None)
    if len(sources) > _MANY_SOURCES:
        return []
    source = pl.col("source")
    return [pl.when(source == first).then(0).when(source > first).then(1).otherwise(-1) for first in sources[:-1]]


def _partners(table: Table, rows: pl.DataFrame, side: np.ndarray) -> np.ndarray | None:
    if not (side == 0).any() or not (side == 1).any():
        return None
    key = list(table.natural_key)
    complete = rows.select(pl.all_horizontal(pl.col(k).is_not_null() for k in key)).to_series().to_numpy()
    used = [*key, *(["_reversal"] if "_reversal" in rows.columns else []), *(["ok"] if "ok" in rows.columns else [])]
    frame = rows.select(used)
    if "_reversal" in frame.columns:
        frame = frame.with_columns(pl.col("_reversal").fill_null(False))
    if "ok" in frame.columns:
        frame = frame.with_columns(pl.col("ok").fill_null(True))
    group = frame.select(pl.struct(used).hash()).to_series().to_numpy()
    side = np.where(complete, side, -1).astype(np.int8)
    # Only keys that stand on both sides can pair.
    first, second = (pl.Series(group[side == s]).unique() for s in (0, 1))
    shared = first.filter(first.is_in(second.implode()))
    if not len(shared):
        return None
    side = np.where(pl.Series(group).is_in(shared.implode()).to_numpy(), side, -1).astype(np.int8)
    ref = None
    if "bank_ref" in rows.columns:
        ref = (
            rows.select(pl.when(pl.col("bank_ref").is_not_null()).then(pl.col("bank_ref").hash()).fill_null(0))
            .to_series()
            .to_numpy()
        )
    precision = None
    if "ts_precision_s" in rows.columns:
        precision = rows.get_column("ts_precision_s").fill_null(1).cast(pl.Int64).to_numpy()
    ts = rows.get_column("ts").dt.epoch("us").to_numpy()
    tie = combine(_hash(rows.get_column("source")), _hash(rows.get_column("event_id")))
    return pair(group, ts, side, ref=ref, precision_s=precision, tie=tie)


def _filled(table: Table, rows: pl.DataFrame, partner: np.ndarray, side: np.ndarray) -> pl.DataFrame:
    first = np.flatnonzero((partner >= 0) & (side == 0))
    if not len(first):
        return rows
    second = partner[first]
    keep, fill = rows[first], rows[second]
    columns = []
    for c in rows.columns:
        a, b = keep.get_column(c), fill.get_column(c)
        if c == "raw":
            both = pl.concat_str([pl.lit('{"payer":'), "a", pl.lit(',"payee":'), "b", pl.lit("}")])
            columns.append(pl.DataFrame({"a": a, "b": b}).select(pl.coalesce(both, "a", "b").alias(c)).to_series())
        elif c == "side":
            columns.append(pl.repeat("both", len(a), dtype=pl.String, eager=True).alias(c))
        elif c == "ts" and "ts_precision_s" in rows.columns:
            finer = fill.get_column("ts_precision_s").fill_null(1) < keep.get_column("ts_precision_s").fill_null(1)
            columns.append(b.zip_with(finer, a).alias(c))
        elif c == "ts_precision_s":
            columns.append(pl.DataFrame({"a": a, "b": b}).select(pl.min_horizontal("a", "b")).to_series().alias(c))
        elif c.startswith("_"):
            columns.append(a)
        else:
            columns.append(pl.DataFrame({"a": a, "b": b}).select(pl.coalesce("a", "b")).to_series().alias(c))
    gone = set(fill.get_column("event_id").to_list())
    together = pl.DataFrame(columns).select(rows.columns)
    alone = np.ones(rows.height, bool)
    alone[first] = False
    alone[second] = False
    out = pl.concat([rows.filter(pl.Series(alone)), together])
    if "reverses" in out.columns and out.get_column("reverses").is_in(list(gone)).any():
        renamed = pl.DataFrame({"reverses": fill.get_column("event_id"), "_now": keep.get_column("event_id")}).unique(
            "reverses"
        )
        out = out.join(renamed, on="reverses", how="left", maintain_order="left")
        out = out.with_columns(reverses=pl.coalesce("_now", "reverses")).drop("_now")
    return out
