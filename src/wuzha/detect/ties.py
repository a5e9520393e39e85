"""Kernels that order rows of one time and table by (source, event id), by the first 16 bytes of the id.

Kept true here: what these bytes leave undecided is marked, never guessed.
"""

from __future__ import annotations

import numpy as np

from .compiling import entered

_8 = np.uint64(8)
#: Larger groups are left undecided: here each row is moved past those before it, one by one.
LARGE = 32


@entered
def first_bytes(data, offsets, rows, places, high, low):
    """Bytes 0–7 and 8–15 of the texts of ``rows`` as big-endian numbers, zero where there are none, at ``places``."""
    for k in range(rows.shape[0]):
        begin, end = np.int64(offsets[rows[k]]), np.int64(offsets[rows[k] + 1])
        for half in range(2):
            word = np.uint64(0)
            for j in range(begin + 8 * half, begin + 8 * half + 8):
                word <<= _8
                if j < end:
                    word |= np.uint64(data[j])
            if half == 0:
                high[places[k]] = word
            else:
                low[places[k]] = word


@entered
def by_identity(rows, joined, rank, high, low, doubtful):
    """Order each group (a row and those after it that are ``joined``) in place; mark groups that stay undecided."""
    n = rows.shape[0]
    begin = 0
    while begin < n:
        end = begin + 1
        while end < n and joined[end]:
            end += 1
        unsure = end - begin > LARGE
        for i in range(begin + 1, begin if unsure else end):
            j = i
            r, k, h, w = rows[i], rank[i], high[i], low[i]
            while j > begin:
                if rank[j - 1] != k:
                    after = rank[j - 1] > k
                elif high[j - 1] != h:
                    after = high[j - 1] > h
                elif low[j - 1] != w:
                    after = low[j - 1] > w
                else:
                    after = False
                    unsure = True
                if not after:
                    break
                rows[j], rank[j], high[j], low[j] = rows[j - 1], rank[j - 1], high[j - 1], low[j - 1]
                j -= 1
            rows[j], rank[j], high[j], low[j] = r, k, h, w
        if unsure:
            for i in range(begin, end):
                doubtful[i] = True
        begin = end
