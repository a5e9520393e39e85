"""The account card: in and out, balance, rhythm, counterparties, what passes through, round sums, opening to first use.

Kept true here: every figure names the transfers that it rests on; a share that cannot be told (no balances, no identity
numbers) is None and says so, never 0; grades come from the thresholds alone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import polars as pl

from .books import Books
from .passing import Matched, Passing, episodes, matched
from .thresholds import Thresholds

#: Counterparties listed on a card.
MOST_OTHERS = 20


@dataclass(frozen=True, kw_only=True)
class Measure:
    """A graded share: ``value`` in percent (``turnover``: times), ``rows``: the transfers it rests on."""

    code: str
    value: float | None
    grade: str
    rows: tuple[int, ...]
    told: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Card:
    """What one account's statement tells."""

    account: str
    register: dict[str, Any]
    entries: int
    n_in: int
    n_out: int
    in_fen: int
    out_fen: int
    cash_fen: int
    first: datetime
    last: datetime
    days: int
    balance_first: int | None
    balance_last: int | None
    balance_most: int | None
    hours: list[dict[str, int]]
    weekdays: list[dict[str, int]]
    untimed: int
    others: list[dict[str, Any]]
    measures: list[Measure]
    passings: list[Passing]
    passed_fen: int
    median_s: float | None
    opened_days: int | None
    largest_in: dict[str, Any] | None
    rows: tuple[int, ...]


def _rows(entries: pl.DataFrame) -> tuple[int, ...]:
    return tuple(entries.get_column("i").to_list())


def _percent(part: float, whole: float) -> float | None:
    return 100 * part / whole if whole else None


def card(books: Books, account: str, thresholds: Thresholds) -> Card:
    """The card of an account whose statement is there; KeyError where it is not."""
    e = books.of(account)
    ins, outs = e.filter(~pl.col("out")), e.filter("out")
    in_fen, out_fen = int(ins.get_column("fen").sum()), int(outs.get_column("fen").sum())
    told = books.register(account)
    first, last = e.get_column("local").min(), e.get_column("local").max()
    assert isinstance(first, datetime) and isinstance(last, datetime)
    balances = e.get_column("balance_fen").drop_nulls()
    found = matched(e, thresholds["fast"]["minutes"])
    fast = episodes(account, e, found, thresholds)
    cash = e.filter("cash")
    opened = told["opened"]
    largest = ins.sort("fen", descending=True).head(1).to_dicts()
    return Card(
        account=account, register=told, entries=e.height, n_in=ins.height, n_out=outs.height, in_fen=in_fen,
        out_fen=out_fen, cash_fen=int(cash.get_column("fen").sum()), first=first, last=last,
        days=e.get_column("local").dt.date().n_unique(),
        balance_first=balances[0] if len(balances) else None, balance_last=balances[-1] if len(balances) else None,
        balance_most=int(balances.max()) if len(balances) else None,  # type: ignore[arg-type]
        hours=_rhythm(e.filter("timed"), pl.col("local").dt.hour(), range(24)),
        weekdays=_rhythm(e, pl.col("local").dt.weekday(), range(1, 8)),
        untimed=e.height - int(e.get_column("timed").sum()), others=_others(e),
        measures=_measures(e, in_fen, out_fen, found, thresholds), passings=fast, passed_fen=found.passed_fen,
        median_s=found.median_s, opened_days=(first.date() - opened).days if opened is not None else None,
        largest_in=largest[0] if largest else None, rows=_rows(e),
    )  # fmt: skip


def _rhythm(e: pl.DataFrame, by: pl.Expr, places: range) -> list[dict[str, int]]:
    counted = e.group_by(by.alias("at"), "out").agg(n=pl.len(), fen=pl.col("fen").sum())
    got = {(at, out): (n, fen) for at, out, n, fen in counted.iter_rows()}
    rhythm = []
    for at in places:
        (n_in, in_fen), (n_out, out_fen) = got.get((at, False), (0, 0)), got.get((at, True), (0, 0))
        rhythm.append({"at": at, "in": n_in, "out": n_out, "in_fen": in_fen, "out_fen": out_fen})
    return rhythm


def _named() -> pl.Expr:
    return pl.coalesce("other", "other_name")


def _others(e: pl.DataFrame) -> list[dict[str, Any]]:
    """Counterparties, most money first."""
    fen = pl.col("fen")
    return (
        e.filter(_named().is_not_null())
        .group_by(named=_named())
        .agg(
            other=pl.col("other").first(), name=pl.col("other_name").drop_nulls().first(),
            bank=pl.col("other_bank").drop_nulls().first(), n=pl.len(), in_fen=fen.filter(~pl.col("out")).sum(),
            out_fen=fen.filter("out").sum(), first=pl.col("local").min(), last=pl.col("local").max(), rows="i",
        )
        .sort(pl.col("in_fen") + pl.col("out_fen"), "named", descending=[True, False])
        .head(MOST_OTHERS)
        .to_dicts()
    )  # fmt: skip


def _largest(e: pl.DataFrame, by: pl.Expr) -> tuple[str | None, float | None, pl.DataFrame]:
    """The largest of the groups by turnover: its name, its share in percent of all that have one, its entries."""
    known = e.with_columns(_by=by).filter(pl.col("_by").is_not_null())
    sums = known.group_by("_by").agg(fen=pl.col("fen").sum()).sort("fen", "_by", descending=[True, False])
    if not sums.height:
        return None, None, known
    name = sums.item(0, "_by")
    return name, _percent(sums.item(0, "fen"), int(sums.get_column("fen").sum())), known.filter(pl.col("_by") == name)


def _measures(e: pl.DataFrame, in_fen: int, out_fen: int, found: Matched, th: Thresholds) -> list[Measure]:
    n, whole = e.height, in_fen + out_fen

    def measure(code: str, value: float | None, rows: pl.DataFrame, **told: Any) -> Measure:
        return Measure(code=code, value=value, grade=th.grade(code, value, n), rows=_rows(rows), told=told)

    cash = e.filter("cash")
    top = [o["named"] for o in _others(e)[:3]]
    by_top = e.filter(_named().is_in(top))
    with_other = int(e.filter(_named().is_not_null()).get_column("fen").sum())
    unit = th.fen("round")
    whole_units = e.filter((pl.col("fen") % unit == 0) & (pl.col("fen") > 0))
    paired = sorted({k for pair in found.pairs for k in pair[:2]})
    fast = e[paired] if paired else e.head(0)
    days = e.get_column("local").dt.date().n_unique()
    fast_days = fast.get_column("local").dt.date().n_unique()
    # a balance holds until the next entry: the mean is over what stands after each
    told = e.filter(pl.col("balance_fen").is_not_null())
    mean = told.get_column("balance_fen").mean() if told.height else None
    turnover = out_fen / mean if isinstance(mean, float) and mean > 0 else None
    area, area_share, in_area = _largest(e, pl.col("other_id").str.extract(r"^(\d{6})\d{8,11}[0-9Xx]$", 1))
    bank, bank_share, at_bank = _largest(e, pl.col("other_bank"))
    return [
        measure("balance", _percent(abs(in_fen - out_fen), whole), e),
        measure("cash", _percent(int(cash.get_column("fen").sum()), whole), cash, n=cash.height),
        measure("top3", _percent(int(by_top.get_column("fen").sum()), with_other), by_top, names=top),
        measure("round", _percent(whole_units.height, n), whole_units, n=whole_units.height, unit_fen=unit),
        measure("fast_days", _percent(fast_days, days), fast, n=fast_days, days=days),
        measure("turnover", turnover, told),
        measure("region", area_share, in_area, name=area),
        measure("bank", bank_share, at_bank, name=bank),
    ]
