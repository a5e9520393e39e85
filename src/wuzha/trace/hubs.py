"""Kernels that find the accounts which have dealt with a great many others."""

from __future__ import annotations

import numpy as np

from .layout import NOBODY, kernel


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
def hubs(T, accounts, least):
    hub = np.zeros(accounts, np.uint8)
    tail = np.zeros(accounts, np.int64)
    for j in range(T.tail_out.shape[0]):
        if T.tail_out[j].other != NOBODY:
            tail[T.tail_out[j].other] += 1
        if T.tail_in[j].other != NOBODY:
            tail[T.tail_in[j].other] += 1
    seen = np.zeros(0, np.int64)
    for a in range(accounts):
        degree = tail[a]
        if a + 1 < T.out_at.shape[0]:
            degree += T.out_at[a + 1] - T.out_at[a] + T.in_at[a + 1] - T.in_at[a]
        if degree >= least:
            if seen.shape[0] == 0:
                seen = np.zeros(accounts, np.int64)
            hub[a] = _dealt_with(T, a, least, seen)
    return hub
