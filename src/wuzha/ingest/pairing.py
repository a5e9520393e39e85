"""Both sides of one transfer or call, brought together: same natural key, within five minutes.

Kept true here: a row has at most one partner, partners are of different sides, and the result does not depend on
the order of the rows.
"""

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

#: Two sides' clocks may differ by this much, seconds.
WINDOW_S = 300
#: Rows this close are paired before any others, so that a repeat a minute later does not take the place.
NEAR_S = 2

I64 = npt.NDArray[np.int64]
U64 = npt.NDArray[np.uint64]


@nb.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator,unused-ignore]
def _pass(first, second, group, ts, slack, window, partner):  # type: ignore[no-untyped-def]
    """Walk two sides in (group, ts) order together; the earlier of two that are too far apart stays alone."""
    i = 0
    j = 0
    while i < first.shape[0] and j < second.shape[0]:
        a = first[i]
        b = second[j]
        if partner[a] >= 0:
            i += 1
        elif partner[b] >= 0:
            j += 1
        elif group[a] < group[b]:
            i += 1
        elif group[a] > group[b]:
            j += 1
        elif ts[b] - (ts[a] + slack[a]) > window:
            i += 1
        elif ts[a] - (ts[b] + slack[b]) > window:
            j += 1
        else:
            partner[a] = b
            partner[b] = a
            i += 1
            j += 1


def pair(
    group: U64,
    ts: I64,
    side: npt.NDArray[np.int8],
    *,
    ref: U64 | None = None,
    precision_s: I64 | None = None,
    tie: U64 | None = None,
) -> I64:
    """Partner of each row, -1 where it has none.

    ``group``: hash of the natural key; ``ts``: microseconds; ``side``: 0, 1, or -1 for a row that has none to seek;
    ``ref``: hash of the bank's reference, 0 where unknown (equal ones are paired first); ``precision_s``: how coarse
    ``ts`` is; ``tie``: orders rows of equal time, so that the order they come in does not matter.
    Pairs are sought by reference, then within two seconds, then within five minutes.
    """
    n = group.shape[0]
    partner = np.full(n, -1, np.int64)
    coarse = precision_s if precision_s is not None else np.ones(n, np.int64)
    slack = np.maximum(coarse - 1, 0) * 1_000_000
    last = tie if tie is not None else np.zeros(n, np.uint64)
    sides = [np.flatnonzero(side == s) for s in (0, 1)]
    if not len(sides[0]) or not len(sides[1]):
        return partner
    if ref is not None and ref.any():
        # One number for key and reference: the mix of both, as `events.hashing.combine` makes it.
        from wuzha.events.hashing import combine

        both = combine(group, ref)
        with_ref = [_sorted(s[ref[s] != 0], both, ts, last) for s in sides]
        _pass(with_ref[0], with_ref[1], both, ts, slack, WINDOW_S * 1_000_000, partner)
    first, second = (_sorted(s, group, ts, last) for s in sides)
    for window in (NEAR_S, WINDOW_S):
        _pass(first, second, group, ts, slack, window * 1_000_000, partner)
    return partner


def _sorted(rows: I64, group: U64, ts: I64, tie: U64) -> I64:
    return rows[np.lexsort((tie[rows], ts[rows], group[rows]))]
