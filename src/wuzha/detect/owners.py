"""Kernels of persons: whose line, account or device it was at a time, and which persons are one human being.

Kept true here: windows and evidence stay with the subject that they come from; a person is whoever owns it at that
time. So joining and parting persons moves no window and can always be undone.
"""

from __future__ import annotations

import numpy as np

from .codes import EVER, K_PERSON, NEVER
from .compiling import entered, inner
from .layout import N_MEMBERS, N_SUBJECTS, N_TWINS
from .windows import find, new_subject

_PRIME = np.uint64(1099511628211)
_M1 = np.uint64(0xFF51AFD7ED558CCD)
_M2 = np.uint64(0xC4CEB9FE1A85EC53)
_33 = np.uint64(33)


@inner
def combined(a, b):
    """`events.hashing.combine` of one pair."""
    h = (a * _PRIME) ^ b
    h ^= h >> _33
    h *= _M1
    h ^= h >> _33
    h *= _M2
    h ^= h >> _33
    return h if h != np.uint64(0) else np.uint64(1)


@inner
def provisional(subjects, slots, n, seed, s):
    """The provisional person of ``s``, made where there is none."""
    if subjects[s].provisional >= 0:
        return subjects[s].provisional
    key = combined(seed, subjects[s].key)
    i = find(slots, key)
    if slots[i].key == np.uint64(0):
        p = n[N_SUBJECTS]
        n[N_SUBJECTS] += 1
        slots[i].key = key
        slots[i].id = p
        new_subject(subjects, p, key, K_PERSON)
    p = slots[i].id
    subjects[p].provisional = s
    subjects[p].marks |= 1
    subjects[subjects[p].root].people = -1  # what ``s`` has done is theirs too
    subjects[s].provisional = p
    return p


@entered
def provisional_of(subjects, slots, n, seed, s):
    """Number of the provisional person of ``s``, made where there is none."""
    return np.int64(provisional(subjects, slots, n, seed, s))


@inner
def word_at(subjects, members, s, ts):
    """Membership that decides whose ``s`` is at ``ts``: user before holder before registrant, surer, newer; −1 none."""
    best = -1
    m = subjects[s].owner
    while m >= 0:
        c = members[m]
        if c.begin <= ts and ts < c.end:
            if best < 0:
                best = m
            else:
                b = members[best]
                if c.rank != b.rank:
                    better = c.rank > b.rank
                elif c.confidence != b.confidence:
                    better = c.confidence > b.confidence
                elif c.begin != b.begin:
                    better = c.begin > b.begin
                else:
                    better = False  # the list runs from the newest word of the log to the oldest
                if better:
                    best = m
        m = c.next_of_subject
    return best


@inner
def owner_at(subjects, members, s, ts):
    """Person (not its root) who has ``s`` at ``ts``, by `word_at`; −1 unknown."""
    best = word_at(subjects, members, s, ts)
    return -1 if best < 0 else members[best].person


@inner
def person_at(subjects, slots, members, n, seed, s, ts):
    """Root person behind a line, account, device or person at ``ts``; a provisional one where nobody is known."""
    if subjects[s].kind == K_PERSON:
        return subjects[s].root
    p = owner_at(subjects, members, s, ts)
    if p < 0:
        p = provisional(subjects, slots, n, seed, s)
    return subjects[p].root


@inner
def add_member(subjects, members, n, s, person, begin, end, rank, confidence, ref):
    """``s`` belongs to ``person`` in [begin, end). The same word again ends or changes the earlier one."""
    m = subjects[s].owner
    while m >= 0:
        c = members[m]
        if c.person == person and c.rank == rank and c.begin == begin:
            c.end = end
            c.confidence = confidence
            return
        m = c.next_of_subject
    m = n[N_MEMBERS]
    n[N_MEMBERS] += 1
    c = members[m]
    c.begin = begin
    c.end = end
    c.ref = ref
    c.subject = s
    c.person = person
    c.rank = rank
    c.confidence = confidence
    c.people = -1
    c.next_of_subject = subjects[s].owner
    c.next_of_person = subjects[person].member
    subjects[s].owner = m
    subjects[person].member = m
    subjects[s].owners = min(subjects[s].owners + 1, 255)


@inner
def _join(subjects, a, b):
    """One circle of two; the root is no provisional person where there is another, then a registered one, then the
    one with the smaller hash."""
    ra, rb = subjects[a].root, subjects[b].root
    if ra == rb:
        return
    pa = (subjects[ra].marks & 1) * 2 + (0 if subjects[ra].marks & 8 else 1)
    pb = (subjects[rb].marks & 1) * 2 + (0 if subjects[rb].marks & 8 else 1)
    keep = ra if pa < pb or (pa == pb and subjects[ra].key < subjects[rb].key) else rb
    lose = rb if keep == ra else ra
    t = lose
    while True:
        subjects[t].root = keep
        t = subjects[t].twin
        if t == lose:
            break
    subjects[keep].twin, subjects[lose].twin = subjects[lose].twin, subjects[keep].twin


@inner
def judge_twins(subjects, twins, n, a, b, alike):
    """Record that two persons are one, or are not; circles are what the newest word on each pair says."""
    e = n[N_TWINS]
    n[N_TWINS] += 1
    twins[e].a = a
    twins[e].b = b
    twins[e].alike = alike
    if alike == 1:
        _join(subjects, a, b)
        return
    ra = subjects[a].root
    if ra != subjects[b].root:
        return
    # part the circle, then join it again by the words that still hold
    t = ra
    members = 0
    while True:
        members += 1
        t = subjects[t].twin
        if t == ra:
            break
    circle = np.empty(members, np.int64)
    t = ra
    for i in range(members):
        circle[i] = t
        t = subjects[t].twin
    for i in range(members):
        subjects[circle[i]].twin = circle[i]
        subjects[circle[i]].root = circle[i]
    for i in range(n[N_TWINS]):
        x = twins[i]
        if x.alike != 1:
            continue
        inside = False
        for j in range(members):
            if circle[j] == x.a:
                inside = True
        if not inside:
            continue
        holds = True
        for j in range(i + 1, n[N_TWINS]):
            y = twins[j]
            if (y.a == x.a and y.b == x.b) or (y.a == x.b and y.b == x.a):
                holds = y.alike == 1
        if holds:
            _join(subjects, x.a, x.b)


@inner
def silent(ts):
    """Whether a time is one of the two ends of time."""
    return ts <= NEVER or ts >= EVER
