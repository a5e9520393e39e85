"""Things as numbers (accounts, rows, references): their hash finds their number in an open-addressing table.

Kept true here: a thing keeps its number while the table grows; numbers are 0, 1, 2 … in the order in which they were
met.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from .layout import NOBODY, kernel

SLOT = np.dtype([("key", "u8"), ("id", "i8")])
_AHEAD = 16
_MIX = np.uint64(0x9E3779B97F4A7C15)
_29 = np.uint64(29)
_1 = np.uint64(1)


@kernel
def _intern(keys, slots, n, out, first):  # type: ignore[no-untyped-def]
    """Numbers of hashes; new ones are n, n+1 …, ``first`` their place. Rows are looked at in groups, so that the waits
    for memory of one group overlap. Returns how many there are now."""
    mask = np.uint64(slots.shape[0] - 1)
    met = np.int64(0)
    for begin in range(0, keys.shape[0], _AHEAD):
        end = min(begin + _AHEAD, keys.shape[0])
        for r in range(begin, end):
            met ^= np.int64(slots[np.int64((keys[r] * _MIX >> _29) & mask)].id)
        for r in range(begin, end):
            key = keys[r]
            if key == np.uint64(0):
                out[r] = NOBODY
                continue
            i = (key * _MIX >> _29) & mask
            while slots[np.int64(i)].key != np.uint64(0) and slots[np.int64(i)].key != key:
                i = (i + _1) & mask
            one = slots[np.int64(i)]
            if one.key == np.uint64(0):
                one.key = key
                one.id = n
                first[n] = r
                n += 1
            out[r] = one.id
    return n, met


@kernel
def _refilled(old, new):  # type: ignore[no-untyped-def]
    mask = np.uint64(new.shape[0] - 1)
    for j in range(old.shape[0]):
        if old[j].key == np.uint64(0):
            continue
        i = (old[j].key * _MIX >> _29) & mask
        while new[np.int64(i)].key != np.uint64(0):
            i = (i + _1) & mask
        new[np.int64(i)].key = old[j].key
        new[np.int64(i)].id = old[j].id


@kernel
def _found(slots, key):  # type: ignore[no-untyped-def]
    mask = np.uint64(slots.shape[0] - 1)
    i = (key * _MIX >> _29) & mask
    while slots[np.int64(i)].key != np.uint64(0) and slots[np.int64(i)].key != key:
        i = (i + _1) & mask
    return slots[np.int64(i)].id if slots[np.int64(i)].key == key else np.int64(-1)


@kernel
def _has(slots, keys, out):  # type: ignore[no-untyped-def]
    for r in range(keys.shape[0]):
        out[r] = keys[r] != np.uint64(0) and _found(slots, keys[r]) >= 0


class Numbers:
    """The table. Not safe for two writers at once."""

    def __init__(self, slots: npt.NDArray[Any] | None = None, n: int = 0) -> None:
        self.slots = np.zeros(1 << 12, SLOT) if slots is None else slots
        self.n = n

    def __len__(self) -> int:
        return self.n

    def intern(self, keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Numbers of hashes (`layout.NOBODY` for 0), and the places at which new ones were met first."""
        out = np.empty(keys.shape[0], np.uint32)
        met = []
        before = self.n
        # rows at a time, so that the table grows with the things and not with the rows
        step = 1 << 18
        for begin in range(0, keys.shape[0], step):
            part = keys[begin : begin + step]
            self._grow(part.shape[0])
            first = np.empty(self.n + part.shape[0], np.int64)
            was = self.n
            self.n, _ = _intern(part, self.slots, was, out[begin : begin + step], first)
            met.append(first[was : self.n] + begin)
        places = np.concatenate(met) if met else np.empty(0, np.int64)
        assert places.shape[0] == self.n - before
        return out, places

    def find(self, key: int) -> int:
        """Number of a hash, −1 where it is not there."""
        return int(_found(self.slots, np.uint64(key)))

    def has(self, keys: npt.NDArray[np.uint64]) -> npt.NDArray[np.bool_]:
        """Which of the hashes are in the table."""
        out = np.empty(keys.shape[0], np.bool_)
        _has(self.slots, keys, out)
        return out

    def _grow(self, room: int) -> None:
        want = (self.n + room) * 3 // 2
        size = self.slots.shape[0]
        if want <= size:
            return
        while size < want:
            size *= 2
        bigger = np.zeros(size, SLOT)
        _refilled(self.slots, bigger)
        self.slots = bigger
