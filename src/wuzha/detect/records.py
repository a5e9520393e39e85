"""Kernels of what is said about subjects: registers, relations, findings, reports, identifiers, warnings.

Kept true here: a report, an identifier and a finding count from when they became known.
"""

from __future__ import annotations

import numpy as np

from .codes import K_PERSON, NEVER, T_LINES, T_PERSONS, TYPE_SHIFT, Y_REPORT, Y_WARNING
from .compiling import inner
from .judge import close, dossier_of
from .layout import N_LINES, N_UNJOINED, N_WAITING
from .meet import add, bump, join_warning, name, person_later, rehome
from .owners import add_member, judge_twins, owner_at, person_at
from .tallies import forget_person, recount_person, stirred


@inner
def _twins(S, a, b, alike):
    """Two persons are one, or are not; what was counted of the circles that this changes is forgotten."""
    forget_person(S, a)
    forget_person(S, b)
    judge_twins(S.subjects, S.twins, S.n, a, b, alike)


@inner
def _numbered(S, B, seed, number, s, now, seen):
    """The register says whose an identity number is; what stood on the number alone goes to that person.

    ``number`` is the person known by the number only. The newest word holds; two persons with one number stay two.
    """
    X = S.subjects
    if X[number].provisional == s:
        return
    if X[number].provisional >= 0 and X[number].root == X[X[number].provisional].root:
        was = np.int64(X[number].root)
        _twins(S, number, np.int64(X[number].provisional), 0)
        rehome(S, B, seed, was, now, seen)
    X[number].provisional = s
    if X[number].dossier >= 0 or X[number].cells >= 0 or X[number].member >= 0:
        was, theirs = np.int64(X[number].root), np.int64(X[s].root)
        _twins(S, number, s, 1)
        rehome(S, B, seed, was, now, seen)
        rehome(S, B, seed, theirs, now, seen)


@inner
def register(S, B, seed, E, i, table, seen):
    X = S.subjects
    s = np.int64(E.ids[i, 0])
    if table == T_PERSONS:
        if E.extra[i]:
            X[s].place = E.extra[i]
        X[s].marks |= 8
        number = np.int64(E.ids[i, 1])
        if number >= 0 and number != s:
            _numbered(S, B, seed, number, s, E.ts[i], seen)
        return
    if table == T_LINES and not X[s].marks & 8:
        S.n[N_LINES] += 1
    X[s].marks |= 8
    if E.value[i] != NEVER:
        X[s].opened = E.value[i]
    if E.more[i] != NEVER:
        X[s].active = E.more[i]
    if E.flags[i]:
        X[s].plan = E.flags[i]
    if E.extra[i]:
        X[s].place = E.extra[i]


@inner
def relation(S, B, seed, E, i, seen):
    X = S.subjects
    a, b = np.int64(E.ids[i, 0]), np.int64(E.ids[i, 1])
    rank = np.int64(E.flags[i]) & 255
    if a < 0 or b < 0 or rank == 0:
        return
    if rank >= 8:
        if X[a].kind == K_PERSON and X[b].kind == K_PERSON:
            ra, rb = np.int64(X[a].root), np.int64(X[b].root)
            _twins(S, a, b, 1 if rank == 8 else 0)
            rehome(S, B, seed, ra, E.ts[i], seen)
            rehome(S, B, seed, rb, E.ts[i], seen)
        return
    if X[a].kind == K_PERSON:
        a, b = b, a
    if X[b].kind != K_PERSON or X[a].kind == K_PERSON:
        return
    add_member(X, S.members, S.n, a, b, E.value[i], E.more[i], rank, np.int64(E.flags[i]) >> 8, E.ref[i])
    recount_person(S, B, b)
    stirred(S, a)
    # a word may be on any time: whoever ever had it may have what is another's now
    if X[a].provisional >= 0:
        rehome(S, B, seed, np.int64(X[X[a].provisional].root), E.ts[i], seen)
    m = np.int64(X[a].owner)
    while m >= 0:
        rehome(S, B, seed, np.int64(X[S.members[m].person].root), E.ts[i], seen)
        m = np.int64(S.members[m].next_of_subject)


@inner
def finding(S, B, seed, E, i):
    s = np.int64(E.ids[i, 0])
    if s < 0:
        return
    kind = E.flags[i]
    now = E.due[i]
    if kind == 0:
        p = np.int64(S.subjects[s].root) if S.subjects[s].kind == K_PERSON else s
        d = np.int64(S.subjects[p].dossier)
        if d >= 0 and S.dossiers[d].open and (E.value[i] == 0 or S.dossiers[d].episode == E.value[i]):
            close(S, d)
    elif kind == 1:
        S.subjects[s].marks |= 4
        S.subjects[s].marks &= ~np.uint16(2)
        name(S, B, seed, s, 4, now, now, E.ref[i])
    elif kind == 2:
        S.subjects[s].marks |= 2
        S.subjects[s].marks &= ~np.uint16(4)
        S.subjects[s].suspect = 0
        if S.subjects[s].dossier >= 0 and S.subjects[s].kind != K_PERSON:
            close(S, np.int64(S.subjects[s].dossier))


@inner
def _identify(S, B, seed, s, role, ts, now, ref):
    """An identifier of a report that is known: roles 2 suspect's, 3 payee's."""
    if role == 2 or role == 3:
        name(S, B, seed, s, 1 | (8 if role == 3 else 0), now, now, ref)


@inner
def report(S, B, seed, E, i):
    X = S.subjects
    r = E.ids[i, 0]
    X[r].opened = E.due[i]
    if E.ids[i, 1] >= 0:
        p = np.int64(E.ids[i, 1])
        code = Y_REPORT << TYPE_SHIFT
        bump(X, p, E.due[i])
        add(S, p, code, E.due[i], E.value[i], np.uint64(1), E.ref[i])
        person_later(S, B, p, code, E.extra[i], E.due[i], E.due[i], E.ref[i])
    left = 0
    for j in range(S.n[N_WAITING]):
        w = S.waiting[j]
        if w.report == r:
            _identify(S, B, seed, w.subject, w.role, E.due[i], E.due[i], w.ref)
        else:
            S.waiting[left] = w
            left += 1
    S.n[N_WAITING] = left


@inner
def identifier(S, B, seed, E, i):
    r, s = E.ids[i, 0], E.ids[i, 1]
    if s < 0:
        return
    role = np.int64(E.flags[i])
    if S.subjects[r].opened != NEVER:
        now = max(E.due[i], S.subjects[r].opened)
        _identify(S, B, seed, s, role, now, now, E.ref[i])
        return
    w = S.waiting[S.n[N_WAITING]]
    w.report = r
    w.subject = s
    w.role = role
    w.ref = E.ref[i]
    S.n[N_WAITING] += 1


@inner
def _whose(S, seed, E, i):
    """Subject by which a warning joins: what most identifiers agree on; where they disagree, whose line it is now.

    A line is spoken on by its user: where the warning's identity number is the line's registrant's, it is still the
    user who is at risk. An identity number that has nothing to do with the line weighs as one voice.
    """
    X = S.subjects
    ts = E.ts[i]
    best, best_votes, best_real = np.int64(-1), 0, False
    for c in range(4):
        s = np.int64(E.ids[i, c])
        if s < 0:
            continue
        if c == 3:
            if X[s].provisional < 0:
                if best < 0:
                    best = s  # nobody's number yet, or a name alone: a person of its own
                continue
            s = np.int64(X[s].provisional)
        p = X[s].root if X[s].kind == K_PERSON else owner_at(X, S.members, s, ts)
        real = p >= 0
        votes = 0
        if real:
            for c2 in range(4):
                s2 = np.int64(E.ids[i, c2])
                if s2 < 0:
                    continue
                if c2 == 3:
                    if X[s2].provisional < 0:
                        continue
                    s2 = np.int64(X[s2].provisional)
                p2 = X[s2].root if X[s2].kind == K_PERSON else owner_at(X, S.members, s2, ts)
                if p2 >= 0 and X[p2].root == X[p].root:
                    votes += 1
        if best < 0 or (real and not best_real) or votes > best_votes:
            best, best_votes, best_real = s, votes, real
    return best


@inner
def warning(S, B, seed, E, i):
    ts, ref, f = E.ts[i], E.ref[i], np.int64(E.flags[i])
    hint = (f >> 2) & 15
    for c in range(4, 8):
        if E.ids[i, c] >= 0:
            name(S, B, seed, E.ids[i, c], 2, ts, ts, ref)
    s = _whose(S, seed, E, i)
    if s < 0:
        S.n[N_UNJOINED] += 1
        return
    code = (Y_WARNING << TYPE_SHIFT) | (f & 127)
    bump(S.subjects, s, ts)
    add(S, s, code, ts, E.value[i], np.uint64(ref), ref)
    p = person_at(S.subjects, S.slots, S.members, S.n, seed, s, ts)
    d = dossier_of(S, p)
    join_warning(S, d, s, ref, ts, E.value[i], E.more[i])
    person_later(S, B, s, code, hint, ts, ts, ref)
