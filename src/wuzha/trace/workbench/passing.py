"""Fast in, fast out: money that went on within minutes of coming in.

Kept true here: every fen that came in is matched with at most one that went out after it, first in first out, within
the minutes; what the file dates by the day only takes no part.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from datetime import datetime

import polars as pl

from .books import Books
from .thresholds import Thresholds

#: Where money went that went to nobody.
CASH = "现金"


@dataclass(frozen=True, kw_only=True)
class Passing:
    """One episode: entries that came in, entries that went out of them, ``passed_fen`` of it in ``seconds``."""

    account: str
    begin: datetime
    end: datetime
    in_fen: int
    out_fen: int
    passed_fen: int
    seconds: int
    ins: tuple[int, ...]
    outs: tuple[int, ...]
    to: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What of an account's money went on within the minutes: ``pairs`` (in, out, fen), by place in its entries."""

    pairs: list[tuple[int, int, int]]
    passed_fen: int
    median_s: float | None


def matched(entries: pl.DataFrame, minutes: float) -> Matched:
    """Match what came in with what went out within ``minutes``; ``entries`` as `Books.of` gives them."""
    limit = round(minutes * 60_000_000)
    at = entries.get_column("local").dt.epoch("us").to_list()
    out, fen, timed = (entries.get_column(c).to_list() for c in ("out", "fen", "timed"))
    waiting: deque[list[int]] = deque()
    pairs: list[tuple[int, int, int]] = []
    waits: list[int] = []
    for k in range(len(at)):
        if not timed[k] or not fen[k]:
            continue
        if not out[k]:
            waiting.append([k, fen[k]])
            continue
        left = fen[k]
        while waiting and at[waiting[0][0]] < at[k] - limit:
            waiting.popleft()
        while left and waiting:
            first = waiting[0]
            part = min(left, first[1])
            pairs.append((first[0], k, part))
            waits.append(at[k] - at[first[0]])
            left -= part
            first[1] -= part
            if not first[1]:
                waiting.popleft()
    waits.sort()
    median = waits[len(waits) // 2] / 1e6 if waits else None
    return Matched(pairs=pairs, passed_fen=sum(p[2] for p in pairs), median_s=median)


def episodes(account: str, entries: pl.DataFrame, found: Matched, thresholds: Thresholds) -> list[Passing]:
    """The matches that hang together (a payment takes from several receipts, a receipt goes on in several payments), as
    far as they reach the threshold, most money first."""
    groups: list[list[tuple[int, int, int]]] = []
    for pair in found.pairs:
        last = groups[-1][-1] if groups else None
        # matches are first in first out: those that share an entry stand side by side
        if last is not None and (last[0] == pair[0] or last[1] == pair[1]):
            groups[-1].append(pair)
        else:
            groups.append([pair])
    local, fen, i, other, other_name = (
        entries.get_column(c).to_list() for c in ("local", "fen", "i", "other", "other_name")
    )
    least = thresholds.fen("fast")
    told = []
    for group in groups:
        passed = sum(p[2] for p in group)
        if passed < least:
            continue
        ins, outs = sorted({p[0] for p in group}), sorted({p[1] for p in group})
        begin, end = local[ins[0]], local[outs[-1]]
        told.append(
            Passing(
                account=account, begin=begin, end=end, in_fen=sum(fen[k] for k in ins),
                out_fen=sum(fen[k] for k in outs), passed_fen=passed, seconds=round((end - begin).total_seconds()),
                ins=tuple(i[k] for k in ins), outs=tuple(i[k] for k in outs),
                to=tuple(dict.fromkeys(str(other[k] or other_name[k] or CASH) for k in outs)),
            )
        )  # fmt: skip
    return sorted(told, key=lambda p: (-p.passed_fen, p.begin, p.account))


def passings(books: Books, thresholds: Thresholds) -> list[Passing]:
    """The fast-in-fast-out table of all accounts, most money first."""
    out: list[Passing] = []
    for account in books.accounts.get_column("account"):
        entries = books.of(account)
        out += episodes(account, entries, matched(entries, thresholds["fast"]["minutes"]), thresholds)
    return sorted(out, key=lambda p: (-p.passed_fen, p.begin, p.account))
