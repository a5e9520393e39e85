"""Kernels that count events in spans of time: never too few, so that they say which rules cannot hold.

Kept true here: the events of a signal in this span and the one before are at least those in any window as wide as the
span that ends in this one. A subject's counts (``tallies``) are of its own events; those of a person at risk
(``people``) are of all that any word ever gave them at the time, counted when it happens, so that nobody has to be
asked for everything they have. Counts stop at 255, which is more than any rule asks.
"""

from __future__ import annotations

import numpy as np

from .codes import BUCKET_US, K_PERSON
from .compiling import entered, inlined, inner
from .figures import newest
from .layout import (
    AHEAD,
    EPOCH,
    N_MEMBERS,
    N_OWN,
    N_PEOPLE,
    N_PLANS,
    N_SIGNALS,
    N_SPANS,
    N_SUBJECTS,
    N_TALLIES,
    OWN_SPANS,
    SPANS,
)

_SPAN_0, _SPAN_1, _SPAN_2, _SPAN_3, _SPAN_4 = SPANS
_ENDLESS = len(SPANS)
#: What of a span's counts a window may hold: nothing, those of now, those of before too, nobody knows.
_NONE, _NOW, _BOTH, _ANY = range(4)
#: Counts are kept of what has more cells than this; else the cells themselves are asked.
FEW = 2
#: Begin of the subjects' own spans in ``span_at``.
_OWN = N_SPANS + 1
_OWN_FIRST, _OWN_END = OWN_SPANS.start, OWN_SPANS.stop
#: Bit of all plans that no rule names.
_OTHER_PLAN = N_PLANS - 1
_ALL = np.uint32(0xFFFFFFFF)
_AHEAD = np.uint32(AHEAD)
_1 = np.uint32(1)
_32 = np.uint64(32)
_NOTHING = np.uint64(0)


@inlined
def _epoch(span, bucket):
    """Number of the span that a bucket lies in, never 0 or below."""
    if span == 0:
        return bucket // _SPAN_0 + EPOCH
    if span == 1:
        return bucket // _SPAN_1 + EPOCH
    if span == 2:
        return bucket // _SPAN_2 + EPOCH
    if span == 3:
        return bucket // _SPAN_3 + EPOCH
    return bucket // _SPAN_4 + EPOCH


@inner
def _into(counts, i, signal_list, begin, n, span_at, base, first, bucket, events):
    """So many events of the signals ``begin`` … into record ``i``. ``base``: where its spans begin in ``span_at``;
    ``first``: the span of its first epoch."""
    t = counts[i]
    span = np.int64(-1)
    end = np.int64(0)
    age = np.int64(0)
    for j in range(begin, begin + n):
        g = signal_list[j]
        while g >= end:
            span += 1
            end = np.int64(span_at[base + span + 1])
            if span == _ENDLESS:
                age = np.int64(0)
            elif g < end:
                e = _epoch(span, bucket)
                age = t.epoch[span - first] - e
                if age < 0:
                    low = span_at[base + span]
                    for k in range(low, end):
                        t.before[k] = t.now[k] if age == -1 else np.uint8(0)
                        t.now[k] = 0
                        if t.before[k] == 0:
                            t.some[k >> 5] &= ~(_1 << np.uint32(k & 31))
                    t.epoch[span - first] = e
                    age = 0
        if age == 0:
            t.now[g] = min(np.int64(t.now[g]) + events, 255)
        elif age == 1:
            t.before[g] = min(np.int64(t.before[g]) + events, 255)
        if age == 0 or age == 1:
            t.some[g >> 5] |= _1 << np.uint32(g & 31)


@inner
def _unsure(people, i, bucket):
    """An event that may lie after all that the person is known by: everything may have happened to them by then."""
    t = people[i]
    for g in range(N_SIGNALS):
        t.now[g] = 255
        t.before[g] = 255
    for w in range(3):
        t.some[w] = _ALL
    for span in range(_ENDLESS):
        t.epoch[span] = max(np.int64(t.epoch[span]), _epoch(span, bucket))


@inner
def _count_own(S, B, s, i):
    """The counts of ``s`` itself from its windows, into record ``i`` of ``tallies``."""
    t = S.tallies[i]
    for span in range(_OWN_FIRST, _OWN_END):
        t.epoch[span - _OWN_FIRST] = 0
    t.some[0] = 0
    for g in range(N_OWN):
        t.now[g] = 0
        t.before[g] = 0
    me = S.subjects[s]
    if me.cells < 0:
        return
    for j in range(me.cells, me.cells + me.n_cells):
        c = S.cells[j]
        n = np.int64(B.signal_n[1, c.code])
        if n > 0:
            at = np.int64(B.signal_at[1, c.code])
            _into(S.tallies, i, B.signal_list, at, n, B.span_at, _OWN, _OWN_FIRST, np.int64(c.bucket), np.int64(c.n))
            if c.bucket > me.last_ts // BUCKET_US:
                t.some[0] |= _AHEAD


@inlined
def _theirs(c, ts):
    """Whether an event at ``ts`` may lie in a cell that counts by the word ``c``."""
    return ts < c.end and ts // BUCKET_US >= c.begin // BUCKET_US


@inlined
def tally(S, B, s, code, ts):
    """One event of ``s`` into its own counts, and into those of everybody whose it may be."""
    bucket = ts // BUCKET_US
    X = S.subjects
    n = np.int64(B.signal_n[1, code])
    if n > 0 and X[s].kind != K_PERSON:
        if X[s].tally >= 0:
            i = np.int64(X[s].tally)
            at = np.int64(B.signal_at[1, code])
            _into(S.tallies, i, B.signal_list, at, n, B.span_at, _OWN, _OWN_FIRST, bucket, 1)
            if ts > X[s].last_ts:
                S.tallies[i].some[0] |= _AHEAD
        elif X[s].n_cells > FEW:
            X[s].tally = S.n[N_TALLIES]
            S.n[N_TALLIES] += 1
            _count_own(S, B, s, np.int64(X[s].tally))
    n = np.int64(B.signal_n[0, code])
    stirs = B.stirs[code]
    if n == 0 and stirs == 0:
        return
    at = np.int64(B.signal_at[0, code])
    if X[s].kind == K_PERSON:
        i = np.int64(X[X[s].root].people)
        if i >= 0:
            S.people[i].stirred |= stirs
            if ts > X[s].last_ts:
                _unsure(S.people, i, bucket)
            else:
                _into(S.people, i, B.signal_list, at, n, B.span_at, 0, 0, bucket, 1)
        return
    m = np.int64(X[s].owner)
    while m >= 0:
        c = S.members[m]
        i = np.int64(c.people)
        if i >= 0 and _theirs(c, ts):
            S.people[i].stirred |= stirs
            if ts < c.begin or ts > X[s].last_ts:
                _unsure(S.people, i, bucket)
            elif not _told(S, s, m, i, ts):
                _into(S.people, i, B.signal_list, at, n, B.span_at, 0, 0, bucket, 1)
        m = np.int64(c.next_of_subject)
    i = np.int64(X[s].people)
    if X[s].provisional >= 0 and i >= 0:
        S.people[i].stirred |= stirs
        if ts > X[s].last_ts:
            _unsure(S.people, i, bucket)
        else:
            _into(S.people, i, B.signal_list, at, n, B.span_at, 0, 0, bucket, 1)


@inlined
def _told(S, s, end, i, ts):
    """Whether a word on ``s`` before word ``end`` gives the event to the same person."""
    m = np.int64(S.subjects[s].owner)
    while m != end:
        c = S.members[m]
        if c.people == i and _theirs(c, ts):
            return True
        m = np.int64(c.next_of_subject)
    return False


@inner
def _cells_into(S, B, s, m, i, latest):
    """All cells of ``s`` into the counts of person record ``i``: by word ``m``, or by none where it is −1."""
    me = S.subjects[s]
    if me.cells < 0:
        return
    for j in range(me.cells, me.cells + me.n_cells):
        c = S.cells[j]
        n = np.int64(B.signal_n[0, c.code])
        if n == 0:
            continue
        bucket = np.int64(c.bucket)
        if m >= 0 and (not _theirs(S.members[m], bucket * BUCKET_US) or _told(S, s, m, i, bucket * BUCKET_US)):
            continue
        if bucket > latest:
            _unsure(S.people, i, bucket)
        else:
            at = np.int64(B.signal_at[0, c.code])
            _into(S.people, i, B.signal_list, at, n, B.span_at, 0, 0, bucket, np.int64(c.n))


@inner
def _clear(people, i):
    t = people[i]
    t.stirred = 1
    for w in range(3):
        t.some[w] = 0
    for span in range(_ENDLESS):
        t.epoch[span] = 0
    for g in range(N_SIGNALS):
        t.now[g] = 0
        t.before[g] = 0


@inner
def count_person(S, B, person):
    """The counts of root ``person`` from the windows of all that they have, into its record, made where it has none."""
    X = S.subjects
    i = np.int64(X[person].people)
    if i < 0:
        i = np.int64(S.n[N_PEOPLE])
        S.n[N_PEOPLE] = i + 1
    _clear(S.people, i)
    S.people[i].person = person
    latest = np.int64(newest(S, person) // BUCKET_US)
    for counting in range(2):
        p = np.int64(person)
        while True:
            X[p].people = i
            m = np.int64(X[p].member)
            while m >= 0:
                if counting:
                    _cells_into(S, B, np.int64(S.members[m].subject), m, i, latest)
                else:
                    S.members[m].people = i
                m = np.int64(S.members[m].next_of_person)
            if X[p].marks & 1:
                if counting:
                    _cells_into(S, B, np.int64(X[p].provisional), -1, i, latest)
                else:
                    X[X[p].provisional].people = i
            if counting:
                _cells_into(S, B, p, -1, i, latest)
            p = np.int64(X[p].twin)
            if p == person:
                break


@inner
def recount_person(S, B, person):
    """A word on what ``person`` has is new or another: their counts are made anew, where there are any."""
    root = np.int64(S.subjects[person].root)
    if S.subjects[root].people >= 0:
        count_person(S, B, root)


@inner
def stirred(S, s):
    """Another word decides whose ``s`` is: the money at risk of everybody whose it may be is looked at again."""
    m = np.int64(S.subjects[s].owner)
    while m >= 0:
        if S.members[m].people >= 0:
            S.people[S.members[m].people].stirred = 1
        m = np.int64(S.members[m].next_of_subject)
    if S.subjects[s].people >= 0:
        S.people[S.subjects[s].people].stirred = 1


@inner
def forget_person(S, person):
    """The circle of ``person`` is to be another: everybody in it is counted anew when they are judged next."""
    X = S.subjects
    p = np.int64(person)
    while True:
        X[p].people = -1
        m = np.int64(X[p].member)
        while m >= 0:
            S.members[m].people = -1
            m = np.int64(S.members[m].next_of_person)
        if X[p].marks & 1:
            X[X[p].provisional].people = -1
        p = np.int64(X[p].twin)
        if p == person:
            return


@inner
def _rule_out(
    counts, i, spans, rules, begin, n, clause_at, clause_n, atom_at, atom_n, signal, least, span_of, cap_at, cap_n,
    cap_signal, cap_span, cap_both, cap_most, seen,
):  # fmt: skip
    """Mark in ``seen`` the rules that cannot hold by the counts of record ``i``; how many are left.

    ``spans``: by span, what of its counts a window may hold.
    """
    t = counts[i]
    left = np.int64(0)
    for k in range(begin, begin + n):
        r = rules[k]
        if seen[r] != 0:
            continue
        holds = True
        for c in range(clause_at[r], clause_at[r] + clause_n[r]):
            met = False
            for a in range(atom_at[c], atom_at[c] + atom_n[c]):
                how = spans[span_of[a]]
                g = signal[a]
                most = np.int64(255)
                if how == _NONE:
                    most = np.int64(0)
                elif how == _NOW:
                    most = np.int64(t.now[g])
                elif how == _BOTH:
                    most = np.int64(t.now[g]) + np.int64(t.before[g])
                if most >= least[a]:
                    met = True
                    break
            if not met:
                holds = False
                break
        for c in range(cap_at[r], cap_at[r] + (cap_n[r] if holds else 0)):
            # all that is counted here lies in the window
            g = cap_signal[c]
            sure = np.int64(t.now[g]) + (np.int64(t.before[g]) if cap_both[c] else np.int64(0))
            if spans[cap_span[c]] == _BOTH and sure > cap_most[c]:
                holds = False
                break
        if holds:
            left += 1
        else:
            seen[r] = 1
    return left


@inlined
def _left_by(B, counts, i, low, high, plan, spans, begin, n, seen):
    """As `_rule_out`, which is asked only where some rule may hold by the bits ``low`` and ``high`` of signals of which
    there may be any, and by ``plan``."""
    left = np.int64(0)
    for k in range(begin, begin + n):
        r = B.rule_list[k]
        out = (B.must[r, 0] & ~low) | (B.must[r, 1] & ~high) != _NOTHING or not (B.plans[r] >> plan) & 1
        seen[r] = 1 if out else 0
        left += 0 if out else 1
    if left == 0:
        return left
    return _rule_out(
        counts, i, spans, B.rule_list, begin, n, B.clause_at, B.clause_n, B.atom_at, B.atom_n, B.atom_signal,
        B.atom_least, B.atom_span, B.cap_at, B.cap_n, B.cap_signal, B.cap_span, B.cap_both, B.cap_most, seen,
    )  # fmt: skip


@inlined
def _by_person(S, B, i, bucket, sure, begin, n, spans, seen):
    """As `possible`, by record ``i`` of ``people``."""
    t = S.people[i]
    low = np.uint64(t.some[0]) | np.uint64(t.some[1]) << _32
    high = np.uint64(t.some[2])
    spans[_ENDLESS] = _BOTH
    for span in range(_ENDLESS):
        age = np.int64(t.epoch[span]) - _epoch(span, bucket)
        spans[span] = _BOTH if age >= 0 or not sure else _NOW if age == -1 else _NONE
        if spans[span] == _NONE:
            low &= ~B.span_bits[0, span, 0]
            high &= ~B.span_bits[0, span, 1]
    return _left_by(B, S.people, i, low, high, np.int64(0), spans, begin, n, seen)


@inlined
def possible(S, B, s, origin, at, begin, n, spans, seen):
    """Mark in ``seen`` which of the rules ``begin`` … cannot hold for ``s``; how many are left.

    ``at``: an event of ``origin`` that is theirs. A person's newest event is no older, and no older than the newest
    that was counted: so counts that an event later than their epoch would have moved on are still enough.
    """
    X = S.subjects
    if X[s].kind == K_PERSON:
        if X[s].people < 0:
            count_person(S, B, s)
        sure = X[origin].last_ts >= at
        return _by_person(S, B, np.int64(X[s].people), np.int64(at // BUCKET_US), sure, begin, n, spans, seen)
    i = np.int64(X[s].tally)
    if i < 0:
        i = np.int64(0)
        _count_own(S, B, s, i)
    t = S.tallies[i]
    low = np.uint64(t.some[0])
    bucket = np.int64(X[s].last_ts // BUCKET_US)
    spans[_ENDLESS] = _BOTH
    for span in range(_OWN_FIRST, _OWN_END):
        age = np.int64(t.epoch[span - _OWN_FIRST]) - _epoch(span, bucket)
        spans[span] = _ANY if age > 0 or t.some[0] & _AHEAD else _BOTH if age == 0 else _NOW if age == -1 else _NONE
        if spans[span] == _NONE:
            low &= ~B.span_bits[1, span, 0]
        elif spans[span] == _ANY:
            low |= B.span_bits[1, span, 0]
    plan = np.int64(X[s].plan)
    return _left_by(B, S.tallies, i, low, _NOTHING, min(plan, _OTHER_PLAN), spans, begin, n, seen)


@inlined
def unheard(S, B, s, code, at, spans, seen):
    """Whether no rule can hold for whoever has ``s``, of whom nothing is known but its few cells."""
    if S.subjects[s].n_cells > FEW:
        return False
    _clear(S.people, 0)
    bucket = np.int64(at // BUCKET_US)
    sure = S.subjects[s].last_ts >= at
    _cells_into(S, B, s, -1, 0, np.int64(S.subjects[s].last_ts // BUCKET_US))
    begin, n = np.int64(B.rule_at[K_PERSON, code]), np.int64(B.rule_n[K_PERSON, code])
    return _by_person(S, B, np.int64(0), bucket, sure, begin, n, spans, seen) == 0


@entered
def recount(S):
    """Forget all counts, after a start from a snapshot or under new rules: they are made anew where they are wanted."""
    S.n[N_PEOPLE] = 1
    S.n[N_TALLIES] = 1
    for m in range(S.n[N_MEMBERS]):
        S.members[m].people = -1
    for s in range(S.n[N_SUBJECTS]):
        S.subjects[s].people = -1
        S.subjects[s].tally = -1
