"""The loops of `wuzha.events.hashing`, compiled. Apart from it, since Numba takes most of a second to import and many a
process hashes no column."""

from __future__ import annotations

import numba as nb
import numpy as np

OFFSET = np.uint64(14695981039346656037)
PRIME = np.uint64(1099511628211)
MIX1 = np.uint64(0xFF51AFD7ED558CCD)
MIX2 = np.uint64(0xC4CEB9FE1A85EC53)
_33 = np.uint64(33)


@nb.njit(cache=True, inline="always")
def _mix(h):  # type: ignore[no-untyped-def]
    h ^= h >> _33
    h *= MIX1
    h ^= h >> _33
    h *= MIX2
    h ^= h >> _33
    return h if h != np.uint64(0) else np.uint64(1)


@nb.njit(cache=True, nogil=True)
def hash_bytes(data, offsets, valid, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        if not (valid[i >> 3] >> (i & 7)) & 1:
            out[i] = np.uint64(0)
            continue
        h = OFFSET
        for j in range(offsets[i], offsets[i + 1]):
            h = (h ^ np.uint64(data[j])) * PRIME
        out[i] = _mix(h)


@nb.njit(cache=True, nogil=True)
def combine(a, b, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        out[i] = _mix((a[i] * PRIME) ^ b[i])
