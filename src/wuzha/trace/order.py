"""Order of transfers that bear the same time.

Kept true here: the order depends on the transfers alone, not on how they came; it is by time, and within one time so
that each account's transfers follow one another as its balances say; where balances are not given for all of them, as
their numbers in the statement say; else what an account receives comes before what it pays. Where that goes in a
circle, the transfer with the smallest hash of its identity goes first. Transfers that share no account need no order.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from .layout import AMOUNT, NOBODY, UNKNOWN, kernel

Ints = npt.NDArray[np.int64]
#: How the order within one time was found; the greatest of all that applies to a transfer.
FREE, BY_BALANCE, BY_NUMBER, BY_RULE, IN_A_CIRCLE = range(5)
TIES = ("", "balance", "seq", "rule", "circle")
_NEAR = 24
#: Places of the table that tells at a glance that a few transfers share nothing.
_STAMPS = 2048
_MIX, _SHIFT = np.uint64(0x9E3779B97F4A7C15), np.uint64(40)
#: So few rows are looked at before a second thread has begun.
_ALONE = 200_000


@kernel
def _met(seen, times, mask, account):
    """Place of an account in the table of a run; it is entered where it was not there."""
    i = (account * 0x9E3779B1) & mask
    while seen[i] != account and seen[i] >= 0:
        i = (i + 1) & mask
    if seen[i] < 0:
        seen[i] = account
        times[i] = 0
    return i


@kernel
def _perhaps(payer, payee, begin, end, stamps):
    """Whether transfers of one time may share an account: false only where none do."""
    shared = False
    for i in range(begin, end):
        for a in (payer[i], payee[i]):
            if a != NOBODY:
                place = np.int64((np.uint32(a) * _MIX) >> _SHIFT) & (_STAMPS - 1)
                shared |= stamps[place] == begin
                stamps[place] = begin
    return shared


@kernel
def clashing(ts, payer, payee, flag):
    """Flag the transfers that bear the time of another one with an account in common; how many there are."""
    n = ts.shape[0]
    stamps = np.full(_STAMPS, -1, np.int64)
    seen, times = np.full(0, -1, np.int64), np.zeros(0, np.int32)
    found = 0
    begin = 0
    while begin < n:
        end = begin + 1
        while end < n and ts[end] == ts[begin]:
            end += 1
        if end - begin > _NEAR:
            size = 64
            while size < 4 * (end - begin):
                size *= 2
            if seen.shape[0] < size:
                seen, times = np.full(size, -1, np.int64), np.zeros(size, np.int32)
            else:
                seen[:size] = -1
            for i in range(begin, end):
                if payer[i] != NOBODY:
                    times[_met(seen, times, size - 1, np.int64(payer[i]))] += 1
                if payee[i] != NOBODY and payee[i] != payer[i]:
                    times[_met(seen, times, size - 1, np.int64(payee[i]))] += 1
            for i in range(begin, end):
                if (payer[i] != NOBODY and times[_met(seen, times, size - 1, np.int64(payer[i]))] > 1) or (
                    payee[i] != NOBODY and times[_met(seen, times, size - 1, np.int64(payee[i]))] > 1
                ):
                    flag[i] = 1
                    found += 1
        elif end - begin > 1 and _perhaps(payer, payee, begin, end, stamps):
            for i in range(begin, end):
                a, b = payer[i], payee[i]
                for j in range(i + 1, end):
                    c, d = payer[j], payee[j]
                    if (a != NOBODY and a in (c, d)) or (b != NOBODY and b in (c, d)):
                        found += 2 - flag[i] - flag[j]
                        flag[i] = flag[j] = 1
        begin = end
    return found


@kernel
def _chained(at, k, row, change, given, follows):
    """``follows[j]``: which of the entries at … at+k−1 comes after entry j by its balance; the first one, or −1."""
    first = np.int64(-1)
    for i in range(at, at + k):
        follows[i] = -1
    led = np.zeros(k, np.uint8)
    for i in range(at, at + k):
        for j in range(at, at + k):
            if j != i and led[j - at] == 0 and given[j] - change[j] == given[i]:
                follows[i] = j
                led[j - at] = 1
                break
    for i in range(at, at + k):
        if led[i - at] == 0:
            if first >= 0:
                return np.int64(-1)
            first = i
    if first < 0:
        return np.int64(-1)
    n, j = 1, first
    while follows[j] >= 0:
        j = follows[j]
        n += 1
    return first if n == k else np.int64(-1)


@kernel
def arrange(payer, payee, change_out, change_in, given_out, given_in, number, out, how):
    """Order of k transfers of one time, given by their hashes ascending: places into ``out``, and how it was found.

    ``change_*`` and ``given_*``: what the transfer does to the balance of payer and payee, and the balance after it.
    """
    k = payer.shape[0]
    who = np.empty(2 * k, np.int64)
    row = np.empty(2 * k, np.int64)
    n = 0
    for i in range(k):
        if payer[i] != NOBODY:
            who[n], row[n] = np.int64(payer[i]), 2 * i
            n += 1
        if payee[i] != NOBODY:
            who[n], row[n] = np.int64(payee[i]), 2 * i + 1
            n += 1
    sort = np.argsort(who[:n], kind="mergesort")
    who, row = who[:n][sort], row[:n][sort]
    change, given = np.empty(n, np.int64), np.empty(n, np.int64)
    for j in range(n):
        i = row[j] >> 1
        change[j] = change_in[i] if row[j] & 1 else change_out[i]
        given[j] = given_in[i] if row[j] & 1 else given_out[i]
    follows = np.full(n, -1, np.int64)
    # edges of the order; node k + a stands between what an account receives and what it pays
    tail, head = np.empty(2 * n + k + 1, np.int64), np.empty(2 * n + k + 1, np.int64)
    edges = 0
    nodes = k
    at = 0
    while at < n:
        end = at + 1
        while end < n and who[end] == who[at]:
            end += 1
        m = end - at
        if m > 1:
            known, numbered = True, True
            for j in range(at, end):
                known &= given[j] != UNKNOWN
                numbered &= number[row[j] >> 1] != UNKNOWN
            first = _chained(at, m, row, change, given, follows) if known and m <= 256 else np.int64(-1)
            if first >= 0:
                j = first
                while follows[j] >= 0:
                    tail[edges], head[edges] = row[j] >> 1, row[follows[j]] >> 1
                    edges += 1
                    j = follows[j]
                for j in range(at, end):
                    how[row[j] >> 1] = max(how[row[j] >> 1], BY_BALANCE)
            elif numbered:
                places = np.empty(m, np.int64)
                for j in range(m):
                    places[j] = number[row[at + j] >> 1]
                by = np.argsort(places, kind="mergesort")
                for j in range(m - 1):
                    tail[edges], head[edges] = row[at + by[j]] >> 1, row[at + by[j + 1]] >> 1
                    edges += 1
                for j in range(at, end):
                    how[row[j] >> 1] = max(how[row[j] >> 1], BY_NUMBER)
            else:
                comes = goes = 0
                for j in range(at, end):
                    if row[j] & 1:
                        comes += 1
                    else:
                        goes += 1
                if comes > 0 and goes > 0:
                    for j in range(at, end):
                        if row[j] & 1:
                            tail[edges], head[edges] = row[j] >> 1, nodes
                        else:
                            tail[edges], head[edges] = nodes, row[j] >> 1
                        edges += 1
                    nodes += 1
                for j in range(at, end):
                    how[row[j] >> 1] = max(how[row[j] >> 1], BY_RULE)
        at = end
    _sorted_out(k, nodes, edges, tail, head, out, how)


@kernel
def _sorted_out(k, nodes, edges, tail, head, out, how):
    """Topological order with the smallest number first; a circle is opened at its smallest number."""
    waits = np.zeros(nodes, np.int64)
    begin = np.zeros(nodes + 1, np.int64)
    for e in range(edges):
        waits[head[e]] += 1
        begin[tail[e] + 1] += 1
    for v in range(nodes):
        begin[v + 1] += begin[v]
    place = begin[:-1].copy()
    to = np.empty(edges, np.int64)
    for e in range(edges):
        to[place[tail[e]]] = head[e]
        place[tail[e]] += 1
    done = np.zeros(nodes, np.uint8)
    heap = np.empty(nodes + edges + 1, np.int64)
    size = 0
    for v in range(nodes):
        if waits[v] == 0:
            size = _add(heap, size, v - k if v >= k else v + nodes)  # what stands between goes as soon as it can
    n = 0
    smallest = 0
    while n < k:
        if size == 0:  # a circle
            while done[smallest]:
                smallest += 1
            v = smallest
            how[v] = IN_A_CIRCLE
        else:
            v = heap[0] - nodes if heap[0] >= nodes else heap[0] + k
            size = _removed(heap, size)
            if done[v]:
                continue
        done[v] = 1
        if v < k:
            out[n] = v
            n += 1
        for e in range(begin[v], begin[v + 1]):
            w = to[e]
            waits[w] -= 1
            if waits[w] == 0 and not done[w]:
                size = _add(heap, size, w - k if w >= k else w + nodes)


@kernel
def _add(heap, size, v):
    i = size
    heap[i] = v
    while i > 0 and heap[(i - 1) >> 1] > heap[i]:
        up = (i - 1) >> 1
        heap[i], heap[up] = heap[up], heap[i]
        i = up
    return size + 1


@kernel
def _removed(heap, size):
    size -= 1
    heap[0] = heap[size]
    i = 0
    while True:
        down = 2 * i + 1
        if down >= size:
            break
        if down + 1 < size and heap[down + 1] < heap[down]:
            down += 1
        if heap[i] <= heap[down]:
            break
        heap[i], heap[down] = heap[down], heap[i]
        i = down
    return size


class Order(NamedTuple):
    """Where each transfer stands: ``whole`` tells all their places (None: as they came), and then those at ``to`` are
    replaced by what stood at ``of``, within one time."""

    whole: Ints | None
    to: Ints
    of: Ints


def put_in_order(
    rows: dict[str, npt.NDArray[Any]], identity: Callable[[Ints], npt.NDArray[np.uint64]]
) -> tuple[Order, npt.NDArray[np.uint8]]:
    """Order of all transfers, and how each one's place was found.

    ``rows``: ts, payer, payee, amount (marks are left aside), fee, payer_balance, payee_balance, number.
    ``identity``: hashes of the transfers of those places, asked only where an order is needed.
    """
    ts = rows["ts"]
    how = np.zeros(ts.shape[0], np.uint8)
    whole = None if rising(ts) else np.argsort(ts, kind="stable")
    if whole is not None:
        ts = ts[whole]
    payer = rows["payer"] if whole is None else rows["payer"][whole]
    payee = rows["payee"] if whole is None else rows["payee"][whole]
    places = np.flatnonzero(_flagged(ts, payer, payee))
    if not places.size:
        return Order(whole, places, places), how
    was = places if whole is None else whole[places]
    of = np.empty(places.size, np.int64)
    _arranged(
        ts[places], places, was, identity(was), rows["payer"][was], rows["payee"][was], rows["amount"][was] & AMOUNT,
        rows["fee"][was], rows["payer_balance"][was], rows["payee_balance"][was], rows["number"][was], of, how,
    )  # fmt: skip
    if whole is not None:
        whole[places] = of
        return Order(whole, places[:0], of[:0]), how
    changed = np.flatnonzero(of != places)
    return Order(None, places[changed], of[changed]), how


def _flagged(ts: Ints, payer: npt.NDArray[np.uint32], payee: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
    """1 for each transfer that bears the time of another one with an account in common."""
    flag = np.zeros(ts.shape[0], np.uint8)
    if ts.shape[0] < _ALONE:
        clashing(ts, payer, payee, flag)
        return flag
    middle = int(np.searchsorted(ts, ts[ts.shape[0] // 2]))
    with ThreadPoolExecutor(2) as both:  # the kernel lets go of the interpreter
        halves = (slice(0, middle), slice(middle, None))
        list(both.map(lambda part: clashing(ts[part], payer[part], payee[part], flag[part]), halves))
    return flag


@kernel
def rising(ts):
    """Whether times never go back."""
    never = True
    for i in range(1, ts.shape[0]):
        never &= ts[i] >= ts[i - 1]
    return never


@kernel
def _arranged(ts, places, was, identity, payer, payee, amount, fee, given_out, given_in, number, of, how):
    """The transfers at ``places`` that bear one time, among themselves: ``of`` tells which of ``was`` stands there."""
    n = ts.shape[0]
    at = 0
    while at < n:
        end = at + 1
        while end < n and ts[end] == ts[at]:
            end += 1
        k = end - at
        by = np.argsort(identity[at:end], kind="mergesort") + at
        out, kinds = np.empty(k, np.int64), np.zeros(k, np.uint8)
        arrange(
            payer[by], payee[by], -(amount[by] + fee[by]), amount[by], given_out[by], given_in[by], number[by], out,
            kinds,
        )  # fmt: skip
        for i in range(k):
            of[at + i] = was[by[out[i]]]
            how[places[at + i]] = kinds[out[i]]
        at = end
