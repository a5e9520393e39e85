"""The loops of `wuzha.store.fingerprints`, compiled: tables of (key, ts) and sorted runs of them. Apart from it, since
Numba takes most of a second to import and many a process judges no rows."""

from __future__ import annotations

import numba as nb
import numpy as np

from .fingerprints import DIFFERS, DUPLICATE, NEW


@nb.njit(cache=True, nogil=True)
def find(tkeys, tts, keys, ts, out):  # type: ignore[no-untyped-def]
    mask = np.uint64(tkeys.shape[0] - 1)
    for i in range(keys.shape[0]):
        if out[i] == DUPLICATE:
            continue
        at = keys[i] & mask
        while tkeys[at] != 0:
            if tkeys[at] == keys[i]:
                if tts[at] == ts[i]:
                    out[i] = DUPLICATE
                    break
                out[i] = DIFFERS
            at = (at + np.uint64(1)) & mask


@nb.njit(cache=True, nogil=True)
def insert(tkeys, tts, keys, ts):  # type: ignore[no-untyped-def]
    mask = np.uint64(tkeys.shape[0] - 1)
    added = 0
    for i in range(keys.shape[0]):
        at = keys[i] & mask
        while tkeys[at] != 0 and not (tkeys[at] == keys[i] and tts[at] == ts[i]):
            at = (at + np.uint64(1)) & mask
        if tkeys[at] == 0:
            tkeys[at] = keys[i]
            tts[at] = ts[i]
            added += 1
    return added


@nb.njit(cache=True, nogil=True)
def take(tkeys, tts, keys, ts, out):  # type: ignore[no-untyped-def]
    """Rows still new are sought in the table and, where new there too, put into it: the first of a batch counts."""
    mask = np.uint64(tkeys.shape[0] - 1)
    for i in range(keys.shape[0]):
        if out[i] != NEW:
            continue
        at = keys[i] & mask
        while tkeys[at] != 0:
            if tkeys[at] == keys[i]:
                out[i] = DUPLICATE if tts[at] == ts[i] else DIFFERS
                if out[i] == DUPLICATE:
                    break
            at = (at + np.uint64(1)) & mask
        if out[i] == NEW:
            tkeys[at] = keys[i]
            tts[at] = ts[i]


@nb.njit(cache=True, nogil=True)
def find_sorted(rkeys, rts, keys, ts, out):  # type: ignore[no-untyped-def]
    n = rkeys.shape[0]
    for i in range(keys.shape[0]):
        if out[i] == DUPLICATE:
            continue
        key = keys[i]
        # Keys are hashes, so where one stands follows from how large it is, give or take a few hundred.
        low = np.int64(((key >> np.uint64(32)) * np.uint64(n)) >> np.uint64(32))
        high, step = low, np.int64(32)
        while low > 0 and rkeys[low - 1] >= key:
            high = low
            low = max(low - step, np.int64(0))
            step *= 2
        step = np.int64(32)
        while high < n and rkeys[high] < key:
            low = high + 1
            high = min(high + step, n)
            step *= 2
        while low < high:
            middle = (low + high) >> 1
            if rkeys[middle] < key:
                low = middle + 1
            else:
                high = middle
        while low < n and rkeys[low] == key:
            if rts[low] == ts[i]:
                out[i] = DUPLICATE
                break
            out[i] = DIFFERS
            low += 1
