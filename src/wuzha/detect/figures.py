"""Kernels of features: programs over figures, and the figures of a subject from its windows.

Kept true here: a figure reads only the state as of the subject's newest event; null stays null through a program.
"""

from __future__ import annotations

import numpy as np

from .book import (
    A_AGE,
    A_CONFIRMED,
    A_KNOWN,
    A_OWNS,
    A_PLAN,
    A_SILENT,
    A_SUSPECT,
    A_USERS,
    A_YOUNG,
    I_ADD,
    I_AND,
    I_COALESCE,
    I_CONST,
    I_DIV,
    I_EQ,
    I_FEATURE,
    I_GE,
    I_GT,
    I_IS_NULL,
    I_LE,
    I_LT,
    I_MUL,
    I_NE,
    I_NEG,
    I_NOT,
    I_OR,
    I_SUB,
    O_COUNT,
    O_DAYS,
    O_DISTINCT,
    O_MAX,
    O_REGISTER,
    O_SINCE_FIRST,
    O_SUM,
)
from .codes import BUCKET_US, DAY_US, K_PERSON, MINUTE_US, NEVER
from .compiling import entered, fetch, inlined, inner
from .owners import word_at

_NAN = np.nan
_1 = np.uint64(1)


@entered
def run(ops, args, begin, count, values, stack):
    """Value of one program over feature ``values``; NaN is null. Booleans are 0 and 1, with SQL's three values."""
    top = 0
    for i in range(begin, begin + count):
        op = ops[i]
        if op == I_CONST:
            stack[top] = args[i]
            top += 1
            continue
        if op == I_FEATURE:
            stack[top] = values[np.int64(args[i])]
            top += 1
            continue
        x = stack[top - 1]
        if op == I_NEG:
            stack[top - 1] = -x
            continue
        if op == I_NOT:
            stack[top - 1] = 1.0 - x
            continue
        if op == I_IS_NULL:
            stack[top - 1] = 1.0 if np.isnan(x) else 0.0
            continue
        top -= 1
        y = x
        x = stack[top - 1]
        if op == I_COALESCE:
            stack[top - 1] = y if np.isnan(x) else x
        elif op == I_AND:
            if x == 0.0 or y == 0.0:
                stack[top - 1] = 0.0
            else:
                stack[top - 1] = _NAN if np.isnan(x) or np.isnan(y) else 1.0
        elif op == I_OR:
            if x == 1.0 or y == 1.0:
                stack[top - 1] = 1.0
            else:
                stack[top - 1] = _NAN if np.isnan(x) or np.isnan(y) else 0.0
        elif np.isnan(x) or np.isnan(y):
            stack[top - 1] = _NAN
        elif op == I_ADD:
            stack[top - 1] = x + y
        elif op == I_SUB:
            stack[top - 1] = x - y
        elif op == I_MUL:
            stack[top - 1] = x * y
        elif op == I_DIV:
            stack[top - 1] = _NAN if y == 0.0 else x / y
        elif op == I_LT:
            stack[top - 1] = 1.0 if x < y else 0.0
        elif op == I_LE:
            stack[top - 1] = 1.0 if x <= y else 0.0
        elif op == I_GT:
            stack[top - 1] = 1.0 if x > y else 0.0
        elif op == I_GE:
            stack[top - 1] = 1.0 if x >= y else 0.0
        elif op == I_EQ:
            stack[top - 1] = 1.0 if x == y else 0.0
        elif op == I_NE:
            stack[top - 1] = 1.0 if x != y else 0.0
    return stack[0]


@inner
def ones(bits):
    """Bits set."""
    k = 0
    while bits != np.uint64(0):
        bits &= bits - _1
        k += 1
    return k


@entered
def spread(bits):
    """Distinct things behind a set of 64 bits, by linear counting: −64 ln(share of bits unset), rounded."""
    k = ones(bits)
    if k == 0:
        return 0.0
    if k >= 64:
        return 300.0
    return np.rint(-64.0 * np.log(1.0 - k / 64.0))


@inlined
def newest(S, person):
    """Newest accepted event of anything that the person has, µs."""
    t = NEVER
    p = person
    while True:
        m = S.subjects[p].member
        while m >= 0:
            c = S.members[m]
            last = min(S.subjects[c.subject].last_ts, c.end - 1)
            if last >= c.begin and last > t:
                t = last
            m = c.next_of_person
        if S.subjects[p].marks & 1:
            t = max(t, S.subjects[S.subjects[p].provisional].last_ts)
        t = max(t, S.subjects[p].last_ts)
        p = S.subjects[p].twin
        if p == person:
            return t


@inlined
def _asked(S, person):
    """Ask for the windows of all that the person has, so that they come together and not one after the other."""
    for windows in range(2):
        p = person
        while True:
            m = S.subjects[p].member
            while m >= 0:
                s = np.int64(S.members[m].subject)
                if windows == 0:
                    fetch(S.subjects, s, 0)
                elif S.subjects[s].cells >= 0:
                    last = np.int64(S.subjects[s].cells) + S.subjects[s].n_cells - 1
                    fetch(S.cells, last, 0)
                    fetch(S.cells, max(last - 1, 0), 0)
                m = S.members[m].next_of_person
            p = S.subjects[p].twin
            if p == person:
                break


@inlined
def _sum_up(S, B, c, kind, s, word, begin, end, plain, now, acc, most, bits, first, last):
    """Add the cells of subject ``s`` in [begin, end) that are theirs by membership ``word`` (all where ``plain``).

    Several words may give one person the same line; each cell counts by the one word that decides at its last event.
    What the subject's own newest event has left behind counts for nobody, not for an earlier owner either: it may have
    been dropped.
    """
    me = S.subjects[s]
    if me.cells < 0:
        return
    reach = B.reach[c]
    newest_here = max(now, np.int64(me.last_ts // BUCKET_US))
    for j in range(me.cells + me.n_cells - 1, me.cells - 1, -1):
        x = S.cells[j]
        age = now - x.bucket
        behind = newest_here - x.bucket
        if behind >= reach:
            return
        some = B.set_of[kind, x.code]
        n = B.need_n[c, some]
        if n == 0:
            continue
        ts = np.int64(x.bucket) * BUCKET_US
        if ts + x.last < begin or ts + x.first >= end:
            continue
        if not plain and word_at(S.subjects, S.members, s, ts + x.last) != word:
            continue
        at = B.need_at[c, some]
        for i in range(at, at + n):
            f = B.need_list[i]
            if age < B.skip[f] or behind >= B.end[f]:
                continue
            # only what its own operation reads
            op = B.op[f]
            if op == O_DISTINCT:
                bits[f] |= x.bits
                continue
            if op == O_SUM:
                acc[f, 1] += x.total
                continue
            acc[f, 0] += x.n
            if op == O_COUNT:
                continue
            if op == O_MAX:
                most[f] = max(most[f], x.most)
            elif op == O_DAYS:
                bits[f] |= _1 << np.uint64((ts // DAY_US) & 63)
            elif op == O_SINCE_FIRST:
                first[f] = min(first[f], ts + x.first)
            else:
                last[f] = max(last[f], ts + x.last)


@entered
def features(S, B, c, kind, s, values, acc, most, bits, first, last, stack):
    """Class ``c`` of the features of ``s`` (a person: of all that it has) as of its newest event. Returns that time."""
    for i in range(B.base_at[c], B.base_at[c] + B.base_n[c]):
        f = B.base_list[i]
        acc[f, 0] = 0
        acc[f, 1] = 0
        most[f] = NEVER
        bits[f] = np.uint64(0)
        first[f] = -NEVER
        last[f] = NEVER
    owns = 0.0
    if kind == K_PERSON:
        _asked(S, s)
        as_of = newest(S, s)
        now = np.int64(as_of // BUCKET_US)
        p = s
        while True:
            m = S.subjects[p].member
            while m >= 0:
                w = S.members[m]
                if S.subjects[w.subject].suspect != 0 and w.begin <= as_of and as_of < w.end:
                    owns = 1.0
                plain = S.subjects[w.subject].owners == 1
                _sum_up(S, B, c, kind, w.subject, m, w.begin, w.end, plain, now, acc, most, bits, first, last)
                m = w.next_of_person
            if S.subjects[p].marks & 1:
                t = S.subjects[p].provisional
                plain = S.subjects[t].owners == 0
                if S.subjects[t].suspect != 0 and (plain or word_at(S.subjects, S.members, t, as_of) < 0):
                    owns = 1.0
                _sum_up(S, B, c, kind, t, -1, NEVER, -NEVER, plain, now, acc, most, bits, first, last)
            _sum_up(S, B, c, kind, p, -1, NEVER, -NEVER, True, now, acc, most, bits, first, last)
            p = S.subjects[p].twin
            if p == s:
                break
    else:
        as_of = S.subjects[s].last_ts
        _sum_up(S, B, c, kind, s, -1, NEVER, -NEVER, True, np.int64(as_of // BUCKET_US), acc, most, bits, first, last)
    me = S.subjects[s]
    for i in range(B.base_at[c], B.base_at[c] + B.base_n[c]):
        f = B.base_list[i]
        op = B.op[f]
        n = acc[f, 0]
        if op == O_COUNT:
            v = np.float64(n)
        elif op == O_SUM:
            v = np.float64(acc[f, 1])
        elif op == O_DISTINCT:
            v = spread(bits[f])
        elif op == O_DAYS:
            v = np.float64(ones(bits[f]))
        elif op == O_REGISTER:
            v = _register(me, B.attribute[f], as_of, owns)
        elif n == 0:
            v = _NAN
        elif op == O_MAX:
            v = np.float64(most[f])
        elif op == O_SINCE_FIRST:
            v = np.float64((as_of - first[f]) // MINUTE_US)
        else:
            v = np.float64((as_of - last[f]) // MINUTE_US)
        values[f] = v
    for i in range(B.derived_at[c], B.derived_at[c] + B.derived_n[c]):
        f = B.derived_list[i]
        values[f] = run(B.code_op, B.code_arg, B.formula_at[f], B.formula_n[f], values, stack)
    return as_of


@inner
def _register(me, attribute, as_of, owns):
    if as_of == NEVER and (attribute == A_AGE or attribute == A_SILENT or attribute == A_KNOWN):
        return _NAN  # nothing has happened to it yet
    if attribute == A_AGE:
        return _NAN if me.opened == NEVER else np.float64((as_of - me.opened) // DAY_US)
    if attribute == A_SILENT:
        return _NAN if me.active == NEVER or me.first_ts == NEVER else np.float64((me.first_ts - me.active) // DAY_US)
    if attribute == A_PLAN:
        return _NAN if me.plan == 0 else np.float64(me.plan)
    if attribute == A_USERS:
        return np.float64(me.users)
    if attribute == A_KNOWN:
        return np.float64((as_of - me.first_ts) // MINUTE_US)
    if attribute == A_SUSPECT:
        return 1.0 if me.suspect != 0 else 0.0
    if attribute == A_OWNS:
        return owns
    if attribute == A_CONFIRMED:
        return 1.0 if me.marks & 4 else 0.0
    if attribute == A_YOUNG:
        return 1.0 if as_of - me.first_ts < 3 * DAY_US else 0.0
    return _NAN
