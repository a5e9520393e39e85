"""Kernels of what an event means to its two subjects: windows, stage one's verdicts, stage two's tasks.

Kept true here: suspects are judged before persons; a person learns of a suspect through one message only, a *met* event
in the windows of the subject that dealt with it, dated to their own dealing.
"""

from __future__ import annotations

import numpy as np

from .codes import (
    K_ACCOUNT,
    K_APP,
    K_DEVICE,
    K_DOMAIN,
    K_LINE,
    K_PERSON,
    NEVER,
    SIDE_BIT,
    STRANGER_US,
    TYPE_SHIFT,
    Y_DEVICE,
    Y_NAMED,
)  # fmt: skip
from .compiling import inlined, inner
from .judge import dossier_of, judge, settle, touch
from .layout import N_ADDS, N_JOINED, N_MOVES, N_TASKS
from .owners import owner_at, person_at
from .tallies import tally, unheard
from .windows import add_cell, add_contact

#: So much less the number of a subject is the task of the person whose it is; a provisional one is made only when a
#: rule may hold for them.
WHOSE = -2


@inlined
def bump(subjects, s, ts):
    """A subject has an accepted event at ``ts``."""
    me = subjects[s]
    if ts > me.last_ts:
        me.last_ts = ts
    if me.first_ts == NEVER or ts < me.first_ts:
        me.first_ts = ts


@inlined
def task(S, subject, origin, code, hint, at, now, ref):
    """Leave a subject to be judged; a full queue of 4,096 loses none, since `meet_all` drains it as it fills."""
    k = S.n[N_TASKS]
    if k >= S.tasks.shape[0]:
        return
    t = S.tasks[k]
    t.subject = subject
    t.origin = origin
    t.code = code
    t.hint = hint
    t.at = at
    t.now = now
    t.ref = ref
    S.n[N_TASKS] = k + 1


@inlined
def add(S, s, code, ts, value, counterpart, ref):
    """One event into the windows of ``s``, before anybody is judged."""
    a = S.added[S.n[N_ADDS]]
    a.subject = s
    a.code = code
    a.ts = ts
    a.value = value
    a.other = counterpart
    a.ref = ref
    S.n[N_ADDS] += 1


@inlined
def judge_later(S, B, seed, s, code, hint, ts, now, ref):
    """Tasks of one side of an event: the subject itself as a suspect, and the person whose it is."""
    if B.rule_n[S.subjects[s].kind, code] > 0:
        task(S, s, s, code, hint, ts, now, ref)


@inlined
def person_later(S, B, s, code, hint, ts, now, ref):
    """Task of the person who had ``s`` at ``ts``."""
    if B.rule_n[K_PERSON, code] > 0:
        task(S, WHOSE - s, s, code, hint, ts, now, ref)


@inlined
def remember(S, s, other, met, ts, value, ref):
    """``s`` may turn out a suspect: keep who dealt with it."""
    add_contact(S.subjects, S.contacts, S.free_contacts, S.n, s, other, met, ts, value, ref)


@inner
def met(S, B, seed, s, suspect, met_type, ts, value, now, ref):
    """``s`` dealt with a suspect at ``ts``."""
    code = (met_type << TYPE_SHIFT) | np.int64(S.subjects[suspect].suspect)
    add(S, s, code, ts, value, S.subjects[suspect].key, ref)
    kind = S.subjects[s].kind
    if kind == K_ACCOUNT and B.rule_n[kind, code] > 0:
        task(S, s, s, code, 0, ts, now, ref)
    person_later(S, B, s, code, 0, ts, now, ref)


@inner
def tell(S, B, seed, suspect, now):
    """A subject turned suspect: all who dealt with it in the 72 hours before ``now`` are told."""
    me = S.subjects[suspect]
    if me.ring < 0:
        return
    for j in range(me.ring, me.ring + me.n_ring):
        c = S.contacts[j]
        if now - c.ts <= STRANGER_US:
            met(S, B, seed, c.other, suspect, c.met, c.ts, c.value, now, c.ref)


@inlined
def come_in(S, B):
    """The events that have been added come into their subjects' windows."""
    for k in range(S.n[N_ADDS]):
        a = S.added[k]
        s, code, ts = np.int64(a.subject), np.int64(a.code), np.int64(a.ts)
        add_cell(S.subjects, S.cells, S.free_cells, S.n, B.keep, s, code, ts, a.value, a.other, a.ref)
        tally(S, B, s, code, ts)
    S.n[N_ADDS] = 0


@inlined
def whose(S, B, seed, t, spans, seen):
    """Person of the task of whoever has a subject; −1 where no rule can hold for them, and nobody is known."""
    X = S.subjects
    s = WHOSE - np.int64(t.subject)
    known = X[s].kind == K_PERSON or X[s].provisional >= 0 or owner_at(X, S.members, s, t.at) >= 0
    if not known and unheard(S, B, s, t.code, t.at, spans, seen):
        return np.int64(-1)
    return np.int64(person_at(X, S.slots, S.members, S.n, seed, s, t.at))


@inlined
def drain(S, B, seed, values, acc, most, bits, first, last, stack, seen, times, spans):
    """Judge everything that waits, suspects' verdicts first, until nothing does."""
    for stage in range(2):
        i = 0
        while True:
            come_in(S, B)
            if i >= S.n[N_TASKS]:
                break
            t = S.tasks[i]
            i += 1
            s = np.int64(t.subject)
            if s <= WHOSE and stage == 1:
                s = whose(S, B, seed, t, spans, seen)
            if s < 0 or (stage == 0) == (S.subjects[s].kind == K_PERSON):
                continue
            t.subject = -1
            turned = judge(
                S,
                B,
                s,
                t.origin,
                t.code,
                t.hint,
                t.at,
                t.now,
                t.ref,
                values,
                acc,
                most,
                bits,
                first,
                last,
                stack,
                seen,
                times,
                spans,
            )
            if turned:
                tell(S, B, seed, s, max(t.now, S.subjects[s].last_ts))
    S.n[N_TASKS] = 0


@inlined
def called(subjects, word, app):
    """An app's name stands for its package (kept as the name's ``device`` + 1), −1 once two packages bear it."""
    if word < 0 or word == app:
        return
    if subjects[word].device == 0:
        subjects[word].device = app + 1
    elif subjects[word].device != app + 1:
        subjects[word].device = -1


@inner
def name(S, B, seed, s, how, ts, now, ref):
    """Somebody names ``s`` as a suspect's: a report, a warning, an officer (``how``: flags of ``named``)."""
    kind = S.subjects[s].kind
    if kind != K_LINE and kind != K_ACCOUNT and kind != K_DOMAIN and kind != K_APP and kind != K_DEVICE:
        return
    if kind == K_APP and S.subjects[s].device > 0:
        s = np.int64(S.subjects[s].device) - 1
    bump(S.subjects, s, ts)
    code = (Y_NAMED << TYPE_SHIFT) | how
    add(S, s, code, ts, 0, np.uint64(ref), ref)
    judge_later(S, B, seed, s, code, 0, ts, now, ref)


@inner
def seen_on(S, B, seed, s, device, away, ts, ref):
    """A line or an account was used on a device."""
    me = S.subjects[s]
    flags = np.int64(away) << 1
    if me.device != device + 1:
        if me.device != 0:
            flags |= 1
        me.device = device + 1
    bump(S.subjects, device, ts)
    out = (Y_DEVICE << TYPE_SHIFT) | flags
    back = out | (1 << SIDE_BIT)
    add(S, s, out, ts, 0, S.subjects[device].key, ref)
    add(S, device, back, ts, 0, S.subjects[s].key, ref)
    if flags & 1:
        judge_later(S, B, seed, s, out, 0, ts, ts, ref)
    judge_later(S, B, seed, device, back, 0, ts, ts, ref)


@inner
def _bound_for(S, old, to, begin, now):
    """Dossier of person ``to``, to which something of ``old`` goes; it is noted once from move ``begin`` on."""
    for m in range(begin, S.n[N_MOVES]):
        if S.moves[m].target == to:
            return np.int64(S.subjects[to].dossier)
    m = S.n[N_MOVES]
    S.n[N_MOVES] += 1
    S.moves[m].source = old
    S.moves[m].target = to
    S.moves[m].at = now
    return np.int64(dossier_of(S, to))


@inner
def _threaded(records, head, one):
    """Head of a list, newest first, with record ``one`` in its place."""
    newer, k = np.int64(-1), head
    while k > one:
        newer = k
        k = np.int64(records[k].next)
    records[one].next = k
    if newer < 0:
        return one
    records[newer].next = one
    return head


@inner
def _moved_evidence(S, seed, d, begin, now):
    """Each piece to whose it is by now; every list stays in the order of the log."""
    x = S.dossiers[d]
    old = np.int64(x.subject)
    before = np.int64(-1)
    e = np.int64(x.evidence)
    while e >= 0:
        v = S.evidence[e]
        following = np.int64(v.next)
        p = np.int64(person_at(S.subjects, S.slots, S.members, S.n, seed, v.origin, v.at))
        if p == old:
            before = e
            e = following
            continue
        if before < 0:
            x.evidence = following
        else:
            S.evidence[before].next = following
        x.n_evidence -= 1
        to = _bound_for(S, old, p, begin, now)
        y = S.dossiers[to]
        y.evidence = _threaded(S.evidence, np.int64(y.evidence), e)
        v.dossier = to
        y.n_evidence += 1
        e = following


@inner
def _moved_warnings(S, seed, d, begin, now):
    """As `_moved_evidence`, for the warnings that stand on a person."""
    x = S.dossiers[d]
    old = np.int64(x.subject)
    before = np.int64(-1)
    w = np.int64(x.warnings)
    while w >= 0:
        v = S.joined[w]
        following = np.int64(v.next)
        p = np.int64(person_at(S.subjects, S.slots, S.members, S.n, seed, v.origin, v.ts))
        if p == old:
            before = w
            w = following
            continue
        if before < 0:
            x.warnings = following
        else:
            S.joined[before].next = following
        to = _bound_for(S, old, p, begin, now)
        y = S.dossiers[to]
        y.warnings = _threaded(S.joined, np.int64(y.warnings), w)
        v.dossier = to
        w = following


@inner
def rehome(S, B, seed, p, now, seen):
    """Evidence and warnings on root person ``p`` go to whoever has their subject by now; all alerts that this touches
    become what their evidence makes of them."""
    d = np.int64(S.subjects[p].dossier)
    if d < 0:
        return
    begin = S.n[N_MOVES]
    _moved_evidence(S, seed, d, begin, now)
    _moved_warnings(S, seed, d, begin, now)
    if S.n[N_MOVES] == begin:
        return
    settle(S, B, d, K_PERSON, seen)
    for m in range(begin, S.n[N_MOVES]):
        settle(S, B, np.int64(S.subjects[S.moves[m].target].dossier), K_PERSON, seen)


@inner
def join_warning(S, d, origin, ref, ts, amount, place):
    """A warning is on this person from now on."""
    x = S.dossiers[d]
    w = S.n[N_JOINED]
    S.n[N_JOINED] += 1
    v = S.joined[w]
    v.ref = ref
    v.ts = ts
    v.amount = amount
    v.dossier = d
    v.origin = origin
    v.place = place
    v.told = 0
    v.next = x.warnings
    x.warnings = w
    x.amount = max(x.amount, amount)
    if place:
        x.place = place
    if x.open:
        touch(S, d)
