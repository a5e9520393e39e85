"""Things as numbers (accounts, rows, references): their hash finds their number in an open-addressing table.

Kept true here: a thing keeps its number while the table grows; numbers are dense (0 … n − 1), and the same for the same
hashes in the same calls, on one core or on two.

Many hashes at once are taken in by two threads, each in its own half of the table. What runs over the end of a half is
left to the end, when one thread is alone. New things of the first half are numbered first.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt

from .layout import NOBODY, kernel

SLOT = np.dtype([("key", "u8"), ("id", "i8")])
_AHEAD = 64
_MIX = np.uint64(0x9E3779B97F4A7C15)
_29 = np.uint64(29)
_1 = np.uint64(1)
#: Rows at a time, so that the table grows with the things and not with the rows; and from how many on by two threads.
_STEP = 1 << 18
_MANY, _MANY_STEP = 1 << 19, 1 << 20


@kernel
def _intern(keys, slots, begin, end, n, out, fresh, fresh_at, over):  # type: ignore[no-untyped-def]
    """Numbers of the hashes whose slot is in ``begin`` … ``end``; new ones are n, n+1 …, ``fresh`` their places and
    ``fresh_at`` their slots. What would go beyond ``end`` has its place in ``over``, unless the whole table is ours.
    Rows are looked at in groups, so that the waits for memory of one group overlap. Returns how many are new, and over.
    """
    mask = np.uint64(slots.shape[0] - 1)
    alone = begin == 0 and end == slots.shape[0]
    row, at = np.empty(_AHEAD, np.int64), np.empty(_AHEAD, np.int64)
    news = left = r = 0
    met = np.int64(0)
    while r < keys.shape[0]:
        m = 0
        while r < keys.shape[0] and m < _AHEAD:
            key = keys[r]
            i = np.int64((key * _MIX >> _29) & mask)
            row[m], at[m] = r, i
            if key != np.uint64(0):
                m += begin <= i < end
            elif begin == 0:
                out[r] = NOBODY
            r += 1
        for j in range(m):
            met ^= slots[at[j]].id
        for j in range(m):
            key, i = keys[row[j]], at[j]
            while slots[i].key != np.uint64(0) and slots[i].key != key:
                i += 1
                if i == end:
                    if not alone:
                        break
                    i = np.int64(0)
            if i == end:
                over[left] = row[j]
                left += 1
                continue
            one = slots[i]
            if one.key == np.uint64(0):
                one.key = key
                one.id = n + news
                fresh[news], fresh_at[news] = row[j], i
                news += 1
            out[row[j]] = one.id
    return news, left, met


@kernel
def _renumbered(slots, fresh_at, out, since, shift):  # type: ignore[no-untyped-def]
    """Numbers from ``since`` on, less by ``shift``: of the things in these slots, and of all that were given out."""
    for j in range(fresh_at.shape[0]):
        slots[fresh_at[j]].id -= shift
    for r in range(out.shape[0]):
        if out[r] >= since and out[r] != NOBODY:
            out[r] -= np.uint32(shift)


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
def _has(slots, keys, before, out):  # type: ignore[no-untyped-def]
    for r in range(keys.shape[0]):
        out[r] = keys[r] != np.uint64(0) and 0 <= _found(slots, keys[r]) < before


class Numbers:
    """The table. Not safe for two writers at once."""

    def __init__(self, slots: npt.NDArray[Any] | None = None, n: int = 0) -> None:
        self.slots = np.zeros(1 << 12, SLOT) if slots is None else slots
        self.n = n

    def __len__(self) -> int:
        return self.n

    def intern(self, keys: npt.NDArray[np.uint64]) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
        """Numbers of hashes (`layout.NOBODY` for 0), and the places at which new ones were met first, by number."""
        out = np.empty(keys.shape[0], np.uint32)
        met = []
        many = keys.shape[0] >= _MANY
        step = _MANY_STEP if many else _STEP
        with ThreadPoolExecutor(2) as both:
            for begin in range(0, keys.shape[0], step):
                part, told = keys[begin : begin + step], out[begin : begin + step]
                self._grow(part.shape[0])
                places = self._by_two(part, told, both) if many else self._by_one(part, told)
                met.append(places + begin)
        return out, np.concatenate(met) if met else np.empty(0, np.int64)

    def _half(
        self, keys: npt.NDArray[np.uint64], out: npt.NDArray[np.uint32], begin: int, end: int, n: int
    ) -> list[npt.NDArray[np.int64]]:
        """The hashes of a part of the table: places of new ones, their slots, places of what did not fit in it."""
        fresh, slots, over = (np.empty(keys.shape[0], np.int64) for _ in range(3))
        new, left, _ = _intern(keys, self.slots, begin, end, n, out, fresh, slots, over)
        return [fresh[:new], slots[:new], over[:left]]

    def _by_one(self, keys: npt.NDArray[np.uint64], out: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        fresh, _, _ = self._half(keys, out, 0, self.slots.shape[0], self.n)
        self.n += fresh.shape[0]
        return fresh

    def _by_two(
        self, keys: npt.NDArray[np.uint64], out: npt.NDArray[np.uint32], both: ThreadPoolExecutor
    ) -> npt.NDArray[np.int64]:
        half, size = self.slots.shape[0] // 2, self.slots.shape[0]
        beyond = self.n + keys.shape[0]  # numbers that the first half cannot reach
        first, second = both.map(
            lambda part: self._half(keys, out, *part), ((0, half, self.n), (half, size, beyond))
        )  # fmt: skip
        self.n += first[0].shape[0]
        _renumbered(self.slots, second[1], out, beyond, beyond - self.n)
        self.n += second[0].shape[0]
        over = np.concatenate([first[2], second[2]])
        told = np.empty(over.shape[0], np.uint32)
        last = over[self._by_one(keys[over], told)]
        out[over] = told
        return np.concatenate([first[0], second[0], last])

    def find(self, key: int) -> int:
        """Number of a hash, −1 where it is not there."""
        return int(_found(self.slots, np.uint64(key)))

    def has(self, keys: npt.NDArray[np.uint64], before: int | None = None) -> npt.NDArray[np.bool_]:
        """Which of the hashes are in the table, under a number less than ``before`` where that is given."""
        out = np.empty(keys.shape[0], np.bool_)
        _has(self.slots, keys, self.n if before is None else before, out)
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
