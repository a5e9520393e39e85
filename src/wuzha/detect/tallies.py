"""Kernels that count a subject's events in spans of time: never too few, so that they say which rules cannot hold.

Kept true here: the events of a signal in this span and the one before are at least those in any window as wide as the
span that ends in this one. Counts stop at 255, which is more than any rule asks.
"""

from __future__ import annotations

import numpy as np

from .codes import BUCKET_US, K_PERSON
from .compiling import entered, inlined, inner
from .figures import newest
from .layout import EPOCH, N_SPANS, SPANS

_SPAN_0, _SPAN_1, _SPAN_2 = SPANS


@inlined
def _epoch(span, bucket):
    """Number of the span that a bucket lies in, never 0 or below; the last span has no end."""
    if span == 0:
        return bucket // _SPAN_0 + EPOCH
    if span == 1:
        return bucket // _SPAN_1 + EPOCH
    if span == 2:
        return bucket // _SPAN_2 + EPOCH
    return np.int64(EPOCH)


@inner
def tally(tallies, signal_at, signal_n, signal_list, span_at, s, code, bucket, events):
    """So many events of ``code`` into the counts of ``s``."""
    n = signal_n[code]
    if n == 0:
        return
    t = tallies[s]
    begin = signal_at[code]
    span = np.int64(-1)
    end = np.int64(0)
    age = np.int64(0)
    for j in range(begin, begin + n):
        g = signal_list[j]
        while g >= end:
            span += 1
            end = np.int64(span_at[span + 1])
            if g < end:
                e = _epoch(span, bucket)
                age = t.epoch[span] - e
                if age < 0:
                    low = span_at[span]
                    for k in range(low, end):
                        t.before[k] = t.now[k] if age == -1 else np.uint8(0)
                        t.now[k] = 0
                    t.epoch[span] = e
                    age = 0
        if age == 0:
            t.now[g] = min(np.int64(t.now[g]) + events, 255)
        elif age == 1:
            t.before[g] = min(np.int64(t.before[g]) + events, 255)


@inlined
def _gather(S, B, s, bucket, most):
    """Add to ``most`` how many events of each signal ``s`` may have in windows that end in ``bucket``."""
    t = S.tallies[s]
    for span in range(N_SPANS):
        low, end = B.span_at[span], B.span_at[span + 1]
        age = np.int64(t.epoch[span]) - _epoch(span, bucket)
        if age == 0:
            for k in range(low, end):
                most[k] += np.int32(t.now[k]) + np.int32(t.before[k])
        elif age == -1:
            for k in range(low, end):
                most[k] += np.int32(t.now[k])
        elif age > 0:
            for k in range(low, end):
                most[k] += np.int32(255)


@inlined
def reckon(S, B, s, most):
    """``most``: how many events of each signal may lie in the windows of ``s`` (a person: of all that it has)."""
    most[:] = 0
    if S.subjects[s].kind != K_PERSON:
        _gather(S, B, s, S.subjects[s].last_ts // BUCKET_US, most)
        return
    bucket = newest(S, s) // BUCKET_US
    p = np.int64(s)
    while True:
        m = S.subjects[p].member
        while m >= 0:
            _gather(S, B, S.members[m].subject, bucket, most)
            m = S.members[m].next_of_person
        if S.subjects[p].marks & 1:
            _gather(S, B, S.subjects[p].provisional, bucket, most)
        _gather(S, B, p, bucket, most)
        p = np.int64(S.subjects[p].twin)
        if p == s:
            return


@inlined
def ruled_out(B, r, most):
    """Whether rule ``r`` cannot hold."""
    for c in range(B.clause_at[r], B.clause_at[r] + B.clause_n[r]):
        met = False
        for a in range(B.atom_at[c], B.atom_at[c] + B.atom_n[c]):
            if most[B.atom_signal[a]] >= B.atom_least[a]:
                met = True
        if not met:
            return True
    return False


@entered
def recount(S, B):
    """The counts of all subjects from the windows that are kept: after a start from a snapshot, or under new rules."""
    for s in range(S.tallies.shape[0]):
        t = S.tallies[s]
        t.epoch[:] = 0
        t.now[:] = 0
        t.before[:] = 0
        me = S.subjects[s]
        if me.cells < 0 or me.n_cells == 0:
            continue
        for j in range(me.cells, me.cells + me.n_cells):
            c = S.cells[j]
            code, bucket = np.int64(c.code), np.int64(c.bucket)
            tally(S.tallies, B.signal_at, B.signal_n, B.signal_list, B.span_at, s, code, bucket, np.int64(c.n))
