"""What an index is built of: entries, as arrays of one length, and the two arrays by account that are the base.

Kept true here: a base gives back the very entries that it was built of.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from .layout import DELAYED, NOBODY, SIDE, UNKNOWN, WITH_FEE, kernel, small
from .order import Order
from .rows import Arrays

#: An entry is a transfer, or one end of it where it arrives later: ``payer`` and ``payee`` are whose balance it
#: changes, ``to`` and ``by`` whom it names.
ENTRY = ("ts", "payer", "payee", "to", "by", "amount", "fee", "payer_balance", "payee_balance", "number", "row")
NUMBER_TYPES = {"payer": np.uint32, "payee": np.uint32, "to": np.uint32, "by": np.uint32}
_DAY_US = 86_400_000_000
#: So few entries are changed before a second thread has begun.
_ALONE = 200_000
#: Rows of a group; records of a page of memory.
_AHEAD, _PAGE = 64, 256


def nothing() -> Arrays:
    """No entries."""
    return {name: np.empty(0, NUMBER_TYPES.get(name, np.int64)) for name in ENTRY}


def picked(entries: Arrays, at: npt.NDArray[np.int64]) -> Arrays:
    """The entries of those places; a column that is one value throughout stays so."""
    return _each(entries, lambda _, column: column.take(at), lambda column: np.broadcast_to(column[0], at.shape))


def arranged(entries: Arrays, order: Order) -> Arrays:
    """The entries in that order; arrays that own their memory are changed where they stand."""
    if order.whole is not None:
        return picked(entries, order.whole)
    if not order.to.size:
        return entries

    def moved(name: str, column: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if name == "ts":
            return column  # they bear one time
        out = column if column.flags.owndata and column.flags.writeable else column.copy()
        out[order.to] = column[order.of]
        return out

    return _each(entries, moved, lambda column: column)


def _each(
    entries: Arrays,
    change: Callable[[str, npt.NDArray[Any]], npt.NDArray[Any]],
    steady: Callable[[npt.NDArray[Any]], npt.NDArray[Any]],
) -> Arrays:
    """Entries of which each array is changed once, under however many names it goes; ``steady``: those of one value."""
    arrays = {id(entries[name]): name for name in reversed(ENTRY)}

    def one(name: str) -> npt.NDArray[Any]:
        column = entries[name]
        return steady(column) if _one_value(column) else change(name, column)

    if entries["ts"].shape[0] < _ALONE:
        done = {at: one(name) for at, name in arrays.items()}
    else:
        with ThreadPoolExecutor(2) as both:  # NumPy lets go of the interpreter
            done = dict(zip(arrays, both.map(one, arrays.values()), strict=True))
    return {name: done[id(entries[name])] for name in ENTRY}


def joined(a: Arrays, b: Arrays) -> Arrays:
    """Both, one after the other."""
    if not a["ts"].shape[0] or not b["ts"].shape[0]:
        return b if not a["ts"].shape[0] else a
    return {name: np.concatenate([a[name], b[name]]) for name in ENTRY}


def _one_value(column: npt.NDArray[Any]) -> bool:
    return column.shape[0] > 0 and column.strides[0] == 0


@kernel
def _with_mark(amount, mark, out):  # type: ignore[no-untyped-def]
    n = 0
    for r in range(amount.shape[0]):
        if amount[r] & mark:
            if n < out.shape[0]:
                out[n] = r
            n += 1
    return n


def marked(amount: npt.NDArray[np.int64], mark: np.int64) -> npt.NDArray[np.int64]:
    """Places of the amounts that bear a mark."""
    few = np.empty(1 << 10, np.int64)
    n = _with_mark(amount, mark, few)
    if n <= few.shape[0]:
        return few[:n]
    out = np.empty(n, np.int64)
    _with_mark(amount, mark, out)
    return out


def split(entries: Arrays) -> Arrays:
    """Transfers that arrive a day later become two entries: what leaves, and what arrives."""
    late = marked(entries["amount"], DELAYED)
    if not late.size:
        return entries
    arrivals = picked(entries, late)
    arrivals["ts"] = arrivals["ts"] + _DAY_US
    arrivals["payer"] = np.full(late.size, NOBODY, np.uint32)
    arrivals["fee"] = np.zeros(late.size, np.int64)
    arrivals["amount"] = arrivals["amount"] & ~WITH_FEE
    arrivals["payer_balance"] = np.full(late.size, UNKNOWN, np.int64)
    entries = {name: np.array(entries[name]) for name in ENTRY}
    entries["payee"][late] = NOBODY
    entries["payee_balance"][late] = UNKNOWN
    return joined(entries, arrivals)


@kernel
def _sides(who, other, amount, fresh, at, out, given, beside):  # type: ignore[no-untyped-def]
    """Every transfer to its place by account; ``at`` is each account's next place. Rows are placed in groups, so that
    the waits for memory of one group overlap."""
    for i in range(0, out.shape[0], _PAGE):  # each page is ours before it is read
        out[i].rank = 0
    row, place = np.empty(_AHEAD, np.int64), np.empty(_AHEAD, np.int64)
    met = np.int64(0)
    for begin in range(0, who.shape[0], _AHEAD):
        end = min(begin + _AHEAD, who.shape[0])
        m = 0
        for r in range(begin, end):
            row[m] = r
            m += who[r] != NOBODY
        for j in range(m):
            met ^= at[who[row[j]]]
        for j in range(m):
            a = who[row[j]]
            place[j] = at[a]
            at[a] += 1
        for j in range(m):
            met ^= np.int64(out[place[j]].rank)
        for j in range(m):
            r, i = row[j], place[j]
            one = out[i]
            one.amount = amount[r]
            one.other = other[r]
            one.rank = fresh + r
            if beside.shape[0]:
                beside[i] = given[r]
    return met


@kernel
def _counted(who, counts):  # type: ignore[no-untyped-def]
    for r in range(who.shape[0]):
        if who[r] != NOBODY:
            counts[np.int64(who[r]) + 1] += 1


#: Names in a base, and whose they are: the account's own, and the other's.
_SIDES = (
    ("outs", "out_at", "out_balance", "payer", "to"),
    ("ins", "in_at", "in_balance", "payee", "by"),
)


def _by_account(entries: Arrays, accounts: int, side: str, at: str, given: str, who: str, other: str) -> Arrays:
    begins = np.zeros(accounts + 1, np.int64)
    _counted(entries[who], begins)
    np.cumsum(begins, out=begins)
    balances = entries[f"{who}_balance"]
    known = bool((balances != UNKNOWN).any()) if balances.strides[0] else False
    m = int(begins[-1])
    records, beside = np.empty(m, SIDE), np.empty(m if known else 0, np.int64)
    balances = np.ascontiguousarray(balances) if known else np.empty(0, np.int64)
    _sides(entries[who], entries[other], entries["amount"], 0, begins[:-1].copy(), records, balances, beside)
    return {at: begins, side: records, given: beside}


def built(entries: Arrays, how: npt.NDArray[np.uint8], accounts: int) -> Arrays:
    """The base of entries in order."""
    out: Arrays = {"ts": np.ascontiguousarray(entries["ts"]), "row": np.ascontiguousarray(entries["row"]), "how": how}
    with ThreadPoolExecutor(2) as both:  # the kernels let go of the interpreter
        for side in both.map(lambda one: _by_account(entries, accounts, *one), _SIDES):
            out |= side
    return out | _beside(entries)


@small
def _copied(one, to):  # type: ignore[no-untyped-def]
    to.amount = one.amount
    to.other = one.other
    to.rank = one.rank


@kernel
def _after(begins, records, beside, who, side, given, fresh_begins, out, out_beside):  # type: ignore[no-untyped-def]
    """Each account's records with those of the tail behind them."""
    at = np.empty(fresh_begins.shape[0] - 1, np.int64)
    for a in range(at.shape[0]):
        at[a] = fresh_begins[a]
        if a + 1 < begins.shape[0]:
            for k in range(begins[a], begins[a + 1]):
                _copied(records[k], out[at[a]])
                if out_beside.shape[0]:
                    out_beside[at[a]] = beside[k] if beside.shape[0] else UNKNOWN
                at[a] += 1
    for r in range(who.shape[0]):
        a = who[r]
        if a == NOBODY:
            continue
        i = at[a]
        at[a] = i + 1
        _copied(side[r], out[i])
        if out_beside.shape[0]:
            out_beside[i] = given[r]


def _joined_side(base: Arrays, tail: Arrays, accounts: int, side: str, at: str, given: str, who: str) -> Arrays:
    begins = np.zeros(accounts + 1, np.int64)
    _counted(tail[who], begins)
    had = np.diff(base[at])
    begins[1 : had.shape[0] + 1] += had
    np.cumsum(begins, out=begins)
    known = bool(base[given].shape[0]) or bool((tail[f"{who}_balance"] != UNKNOWN).any())
    m = int(begins[-1])
    records, beside = np.empty(m, SIDE), np.empty(m if known else 0, np.int64)
    _after(np.asarray(base[at]), np.asarray(base[side]), np.asarray(base[given]), tail[who], tail[side],
           tail[f"{who}_balance"], begins, records, beside)  # fmt: skip
    return {at: begins, side: records, given: beside}


def extended(base: Arrays, tail: Arrays, accounts: int) -> Arrays:
    """The base with entries behind all that it has: as if built of both, in the time that copying takes. ``tail``: the
    entries with their records (``outs``, ``ins``) and ``how``."""
    n = base["ts"].shape[0]
    out: Arrays = {name: np.concatenate([base[name], tail[name]]) for name in ("ts", "row", "how")}
    with ThreadPoolExecutor(2) as both:
        for side in both.map(lambda one: _joined_side(base, tail, accounts, *one[:4]), _SIDES):
            out |= side
    more = _beside(tail)
    for name in ("fee_rank", "late_rank", "number_rank"):
        more[name] = (more[name].astype(np.int64) + n).astype(base[name].dtype)
    return out | {name: np.concatenate([base[name], more[name]]) for name in more}


def _beside(entries: Arrays) -> Arrays:
    """Side columns of entries in order, by rank: fees, late arrivals, numbers."""
    out: Arrays = {}
    fees = np.flatnonzero(entries["fee"] > 0) if entries["fee"].strides[0] else np.empty(0, np.int64)
    out["fee_rank"], out["fee"] = fees.astype(np.uint32), entries["fee"][fees]
    late = marked(entries["amount"], DELAYED)
    out["late_rank"], out["late_row"] = late, entries["row"][late]
    out["late_leaves"] = entries["payer"][late] != NOBODY
    numbered = np.flatnonzero(entries["number"] != UNKNOWN) if entries["number"].strides[0] else np.empty(0, np.int64)
    out["number_rank"], out["number"] = numbered, entries["number"][numbered]
    return out


def unbuilt(base: Arrays) -> Arrays:
    """The entries of a base, in order."""
    n = base["ts"].shape[0]
    entries = {name: np.full(n, NOBODY if name in NUMBER_TYPES else UNKNOWN, NUMBER_TYPES.get(name, np.int64))
               for name in ENTRY}  # fmt: skip
    entries["ts"], entries["row"] = np.asarray(base["ts"]), np.asarray(base["row"])
    for side, at, given, who, other in _SIDES:
        rank = base[side]["rank"]
        accounts = base[at].shape[0] - 1
        entries[who][rank] = np.repeat(np.arange(accounts, dtype=np.uint32), np.diff(base[at]))
        entries[other][rank] = base[side]["other"]
        entries["amount"][rank] = base[side]["amount"]
        if base[given].shape[0]:
            entries[f"{who}_balance"][rank] = base[given]
    # whom cash names, and who a payee's side names where the payer's is none
    entries["to"][entries["payer"] == NOBODY] = entries["payee"][entries["payer"] == NOBODY]
    entries["by"][entries["payee"] == NOBODY] = entries["payer"][entries["payee"] == NOBODY]
    entries["fee"][:] = 0
    entries["fee"][base["fee_rank"]] = base["fee"]
    entries["number"][base["number_rank"]] = base["number"]
    return entries
