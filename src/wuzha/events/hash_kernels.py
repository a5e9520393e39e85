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


@nb.njit(cache=True, inline="always")
def _go_on(h, data, begin, end):  # type: ignore[no-untyped-def]
    for j in range(begin, end):
        h = (h ^ np.uint64(data[j])) * PRIME
    return h


@nb.njit(cache=True, inline="always")
def _put(out, valid, i, h):  # type: ignore[no-untyped-def]
    out[i] = _mix(h) if (valid[i >> 3] >> (i & 7)) & 1 else np.uint64(0)


@nb.njit(cache=True, nogil=True)
def hash_bytes(data, offsets, valid, out):  # type: ignore[no-untyped-def]
    """Four texts side by side: one byte of a text waits for the byte before it, texts do not wait for one another."""
    n = out.shape[0]
    i = 0
    while i + 4 <= n:
        a, b, c, d, end = offsets[i], offsets[i + 1], offsets[i + 2], offsets[i + 3], offsets[i + 4]
        h0 = h1 = h2 = h3 = OFFSET
        alike = min(min(b - a, c - b), min(d - c, end - d))
        for j in range(alike):
            h0 = (h0 ^ np.uint64(data[a + j])) * PRIME
            h1 = (h1 ^ np.uint64(data[b + j])) * PRIME
            h2 = (h2 ^ np.uint64(data[c + j])) * PRIME
            h3 = (h3 ^ np.uint64(data[d + j])) * PRIME
        _put(out, valid, i, _go_on(h0, data, a + alike, b))
        _put(out, valid, i + 1, _go_on(h1, data, b + alike, c))
        _put(out, valid, i + 2, _go_on(h2, data, c + alike, d))
        _put(out, valid, i + 3, _go_on(h3, data, d + alike, end))
        i += 4
    while i < n:
        _put(out, valid, i, _go_on(OFFSET, data, offsets[i], offsets[i + 1]))
        i += 1


@nb.njit(cache=True, nogil=True)
def combine(a, b, out):  # type: ignore[no-untyped-def]
    for i in range(out.shape[0]):
        out[i] = _mix((a[i] * PRIME) ^ b[i])
