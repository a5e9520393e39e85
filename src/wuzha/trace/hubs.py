"""Which accounts have dealt with a great many others."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .layout import NOBODY, Transfers, kernel
from .rows import Arrays


@kernel
def _dealt_with(T, a, least, seen):
    """Whether account ``a`` has dealt with ``least`` others; ``seen`` is by account, stamped with ``a`` + 1."""
    n = 0
    if a + 1 < T.out_at.shape[0]:
        for i in range(T.out_at[a], T.out_at[a + 1]):
            o = T.outs[i].other
            if o != NOBODY and seen[o] != a + 1:
                seen[o] = a + 1
                n += 1
        for i in range(T.in_at[a], T.in_at[a + 1]):
            o = T.ins[i].other
            if o != NOBODY and seen[o] != a + 1:
                seen[o] = a + 1
                n += 1
    j = np.int64(T.head_out[a]) if a < T.head_out.shape[0] else np.int64(-1)
    while j >= 0:
        o = T.tail_out[j].other
        if o != NOBODY and seen[o] != a + 1:
            seen[o] = a + 1
            n += 1
        j = np.int64(T.next_out[j])
    j = np.int64(T.head_in[a]) if a < T.head_in.shape[0] else np.int64(-1)
    while j >= 0:
        o = T.tail_in[j].other
        if o != NOBODY and seen[o] != a + 1:
            seen[o] = a + 1
            n += 1
        j = np.int64(T.next_in[j])
    return n >= least


@kernel
def _marked(T, accounts, least, seen, hub):
    """Mark those of ``accounts`` with so many neighbours."""
    for j in range(accounts.shape[0]):
        hub[accounts[j]] = _dealt_with(T, accounts[j], least, seen)


class Hubs:
    """Which accounts have dealt with ``least`` others or more; kept while transfers are appended."""

    def __init__(self, least: int) -> None:
        self._least = least
        self._hub = np.zeros(0, np.uint8)
        self._more = np.zeros(0, np.int64)  # transfers by account since the base was built, or more than that
        self._since: list[npt.NDArray[Any]] = []

    def came(self, entries: Arrays) -> None:
        """These came since: their accounts may have become hubs."""
        self._since += [entries["payer"], entries["payee"]]

    def now(self, transfers: Transfers, accounts: int) -> npt.NDArray[np.uint8]:
        """1 for each hub, by account. What has become one stays one."""
        known = self._hub.shape[0]
        if not self._since and known == accounts:
            return self._hub
        self._hub = np.concatenate([self._hub, np.zeros(accounts - known, np.uint8)])
        self._more = np.concatenate([self._more, np.zeros(accounts - known, np.int64)])
        if known:
            asked, times = np.unique(np.concatenate(self._since), return_counts=True)
            asked, times = asked[asked < accounts].astype(np.int64), times[asked < accounts]  # without cash
            self._more[asked] += times
        else:
            asked = np.arange(accounts)
            for side in (transfers.tail_out, transfers.tail_in):
                other = side["other"]
                self._more += np.bincount(other[other != NOBODY], minlength=accounts)[:accounts]
        self._since = []
        degree = self._more[asked]
        built = transfers.out_at.shape[0] - 1
        early = asked[asked < built]
        for at in (transfers.out_at, transfers.in_at):
            degree[asked < built] += at[early + 1] - at[early]
        crowded = asked[(degree >= self._least) & (self._hub[asked] == 0)]
        if crowded.size:
            _marked(transfers, crowded, self._least, np.zeros(accounts, np.int64), self._hub)
        return self._hub
