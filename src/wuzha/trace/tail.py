"""The end of an index: what was appended since the base was built, chained by account.

Kept true here: each account's chain is in the order of the ranks, and the ends of the chains are known, so that what
came last can be taken back in the time that it took to append it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .entries import ENTRY, NUMBER_TYPES
from .layout import DELAYED, NOBODY, SIDE, kernel
from .rows import Arrays

Ints = npt.NDArray[np.int64]
_COLUMNS: dict[str, Any] = {
    **{name: NUMBER_TYPES.get(name, np.int64) for name in ENTRY}, "how": np.uint8, "outs": SIDE, "ins": SIDE,
    "next_out": np.int32, "next_in": np.int32, "before_out": np.int32, "before_in": np.int32,
}  # fmt: skip
_BY_ACCOUNT = ("head_out", "head_in", "last_out", "last_in")


@kernel
def _chained(who, begin, head, last, following, before):  # type: ignore[no-untyped-def]
    """Each account's entries, from place ``begin`` on, one after another."""
    for r in range(begin, who.shape[0]):
        a = who[r]
        following[r] = -1
        before[r] = -1
        if a == NOBODY:
            continue
        if last[a] < 0:
            head[a] = r
        else:
            following[last[a]] = r
            before[r] = last[a]
        last[a] = r


@kernel
def _unchained(who, begin, head, last, following, before):  # type: ignore[no-untyped-def]
    """The chains without the entries from place ``begin`` on."""
    for r in range(who.shape[0] - 1, begin - 1, -1):
        a = who[r]
        if a == NOBODY:
            continue
        last[a] = before[r]
        if before[r] < 0:
            head[a] = -1
        else:
            following[before[r]] = -1


class Tail:
    """Entries in order after a base of ``begin`` ranks. Arrays have room; the first ``n`` entries count."""

    def __init__(self, begin: int, accounts: int) -> None:
        self.begin = begin
        self.n = 0
        self._a: Arrays = {name: np.empty(0, kind) for name, kind in _COLUMNS.items()}
        self._a |= {name: np.full(accounts, -1, np.int32) for name in _BY_ACCOUNT}
        self.with_fee = np.empty(0, np.int64)
        self.late = np.empty(0, np.int64)

    def __getitem__(self, name: str) -> npt.NDArray[Any]:
        column = self._a[name]
        return column if name in _BY_ACCOUNT else column[: self.n]

    def entries(self, since: int = 0) -> Arrays:
        """The entries from place ``since`` on; they change with the next append."""
        return {name: self._a[name][since : self.n] for name in ENTRY}

    def records(self, until: int) -> Arrays:
        """The entries before place ``until`` with their records and ``how``; they change with the next append."""
        return {name: self._a[name][:until] for name in (*ENTRY, "outs", "ins", "how")}

    def cut(self, n: int) -> Arrays:
        """Takes back what stands from place ``n`` on."""
        gone = {name: np.array(column) for name, column in self.entries(n).items()}
        for who, side in (("payer", "out"), ("payee", "in")):
            _unchained(self[who], n, *(self._a[f"{name}_{side}"] for name in ("head", "last", "next", "before")))
        self.n = n
        self.with_fee, self.late = self.with_fee[self.with_fee < n], self.late[self.late < n]
        return gone

    def extend(self, entries: Arrays, how: npt.NDArray[np.uint8], accounts: int) -> None:
        """More entries, in order."""
        before, n = self.n, self.n + entries["ts"].shape[0]
        self._make_room(n, accounts)
        a = self._a
        here = slice(before, n)
        for name in ENTRY:
            a[name][here] = entries[name]
        a["how"][here] = how
        rank = np.arange(before + self.begin, n + self.begin)
        for side, who in (("outs", "to"), ("ins", "by")):
            a[side]["amount"][here] = entries["amount"]
            a[side]["other"][here] = entries[who]
            a[side]["rank"][here] = rank
        self.n = n
        for who, side in (("payer", "out"), ("payee", "in")):
            _chained(self[who], before, *(a[f"{name}_{side}"] for name in ("head", "last", "next", "before")))
        self.with_fee = np.concatenate([self.with_fee, np.flatnonzero(entries["fee"] > 0) + before])
        self.late = np.concatenate([self.late, np.flatnonzero(entries["amount"] & DELAYED) + before])

    def _make_room(self, n: int, accounts: int) -> None:
        size = self._a["ts"].shape[0]
        if n > size:
            for name, kind in _COLUMNS.items():
                longer = np.empty(max(n, 2 * size, 4096), kind)
                longer[: self.n] = self._a[name][: self.n]
                self._a[name] = longer
        for name in _BY_ACCOUNT:
            had = self._a[name]
            if had.shape[0] < accounts:
                longer = np.full(max(accounts, had.shape[0] * 5 // 4), -1, np.int32)
                longer[: had.shape[0]] = had
                self._a[name] = longer
