"""Kernels that judge a subject: its features, the rules that these may fire, evidence, score, level.

Kept true here: a judgement reads only the subject's state as of its newest event; null never fires a rule; evidence
given once stays, and only its age changes what it weighs.
"""

from __future__ import annotations

import numba as nb
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
)  # fmt: skip
from .codes import BUCKET_US, DAY_US, K_LINE, K_PERSON, MINUTE_US, NEVER
from .layout import N_ARGS, N_DIRTY, N_DOSSIERS, N_EVIDENCE, N_JUDGED, N_REFS
from .owners import word_at

#: Evidence and cited events kept a dossier.
MOST_EVIDENCE = 64
_NAN = np.nan
_1 = np.uint64(1)
_BUCKETS_A_DAY = DAY_US // BUCKET_US


@nb.njit(cache=True)
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


@nb.njit(cache=True)
def ones(bits):
    """Bits set."""
    k = 0
    while bits != np.uint64(0):
        bits &= bits - _1
        k += 1
    return k


@nb.njit(cache=True)
def spread(bits):
    """Distinct things behind a set of 64 bits, by linear counting: −64 ln(share of bits unset), rounded."""
    k = ones(bits)
    if k == 0:
        return 0.0
    if k >= 64:
        return 300.0
    return np.rint(-64.0 * np.log(1.0 - k / 64.0))


@nb.njit(cache=True)
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


@nb.njit(cache=True)
def _sum_up(S, B, kind, s, word, begin, end, plain, now, acc, most, bits, first, last):
    """Add the cells of subject ``s`` in [begin, end) that are theirs by membership ``word`` (all where ``plain``).

    Several words may give one person the same line; each cell counts by the one word that decides at its last event.
    """
    me = S.subjects[s]
    if me.cells < 0:
        return
    for j in range(me.cells + me.n_cells - 1, me.cells - 1, -1):
        c = S.cells[j]
        age = now - c.bucket
        ts = np.int64(c.bucket) * BUCKET_US
        n = B.feature_n[kind, c.code]
        if n == 0:
            continue
        if ts + c.last < begin or ts + c.first >= end:
            continue
        if not plain and word_at(S.subjects, S.members, s, ts + c.last) != word:
            continue
        at = B.feature_at[kind, c.code]
        for i in range(at, at + n):
            f = B.feature_list[i]
            if age < B.skip[f] or age >= B.width[f] + B.skip[f]:
                continue
            op = B.op[f]
            acc[f, 0] += c.n
            acc[f, 1] += c.total
            if c.most > most[f]:
                most[f] = c.most
            if op == O_DAYS:
                bits[f] |= _1 << np.uint64((ts // DAY_US) & 63)
            else:
                bits[f] |= c.bits
            if ts + c.first < first[f]:
                first[f] = ts + c.first
            if ts + c.last > last[f]:
                last[f] = ts + c.last


@nb.njit(cache=True)
def features(S, B, kind, s, values, acc, most, bits, first, last, stack):
    """Every feature of ``s`` (of a person: over all that the person has) as of its newest event. Returns that time."""
    for i in range(B.base_at[kind], B.base_at[kind] + B.base_n[kind]):
        f = B.base_list[i]
        acc[f, 0] = 0
        acc[f, 1] = 0
        most[f] = NEVER
        bits[f] = np.uint64(0)
        first[f] = -NEVER
        last[f] = NEVER
    owns = 0.0
    if kind == K_PERSON:
        as_of = newest(S, s)
        now = np.int64(as_of // BUCKET_US)
        p = s
        while True:
            m = S.subjects[p].member
            while m >= 0:
                c = S.members[m]
                if S.subjects[c.subject].suspect != 0 and c.begin <= as_of and as_of < c.end:
                    owns = 1.0
                plain = S.subjects[c.subject].owners == 1
                _sum_up(S, B, kind, c.subject, m, c.begin, c.end, plain, now, acc, most, bits, first, last)
                m = c.next_of_person
            if S.subjects[p].marks & 1:
                t = S.subjects[p].provisional
                plain = S.subjects[t].owners == 0
                if S.subjects[t].suspect != 0 and (plain or word_at(S.subjects, S.members, t, as_of) < 0):
                    owns = 1.0
                _sum_up(S, B, kind, t, -1, NEVER, -NEVER, plain, now, acc, most, bits, first, last)
            _sum_up(S, B, kind, p, -1, NEVER, -NEVER, True, now, acc, most, bits, first, last)
            p = S.subjects[p].twin
            if p == s:
                break
    else:
        as_of = S.subjects[s].last_ts
        _sum_up(S, B, kind, s, -1, NEVER, -NEVER, True, np.int64(as_of // BUCKET_US), acc, most, bits, first, last)
    me = S.subjects[s]
    for i in range(B.base_at[kind], B.base_at[kind] + B.base_n[kind]):
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
    for i in range(B.derived_at[kind], B.derived_at[kind] + B.derived_n[kind]):
        f = B.derived_list[i]
        values[f] = run(B.code_op, B.code_arg, B.formula_at[f], B.formula_n[f], values, stack)
    return as_of


@nb.njit(cache=True)
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


@nb.njit(cache=True)
def _cite(S, B, kind, s, word, begin, end, plain, r, now, refs, times, k):
    """Newest events of ``s`` behind rule ``r``, into refs[:k]; at most N_REFS, newest by (time, log order)."""
    me = S.subjects[s]
    if me.cells < 0:
        return k
    for j in range(me.cells, me.cells + me.n_cells):
        c = S.cells[j]
        base = np.int64(c.bucket) * BUCKET_US
        age = now - c.bucket
        hit = False
        at = B.feature_at[kind, c.code]
        for i in range(at, at + B.feature_n[kind, c.code]):
            f = B.feature_list[i]
            if B.uses[r, f] and age >= B.skip[f] and age < B.width[f] + B.skip[f]:
                hit = True
                break
        if not hit or base + c.last < begin or base + c.first >= end:
            continue
        if not plain and word_at(S.subjects, S.members, s, base + c.last) != word:
            continue
        for which in range(2):
            ref = c.last_ref if which == 0 else c.first_ref
            ts = base + (c.last if which == 0 else c.first)
            if which == 1 and c.first_ref == c.last_ref:
                continue
            known = False
            for i in range(k):
                if refs[i] == ref:
                    known = True
            if known:
                continue
            if k < N_REFS:
                i = k
                k += 1
            elif ts > times[N_REFS - 1] or (ts == times[N_REFS - 1] and ref > refs[N_REFS - 1]):
                i = N_REFS - 1
            else:
                continue
            while i > 0 and (ts > times[i - 1] or (ts == times[i - 1] and ref > refs[i - 1])):
                refs[i] = refs[i - 1]
                times[i] = times[i - 1]
                i -= 1
            refs[i] = ref
            times[i] = ts
    return k


@nb.njit(cache=True)
def dossier_of(S, s):
    """Dossier of a root person or a suspect, made where there is none."""
    d = S.subjects[s].dossier
    if d >= 0:
        return d
    d = S.n[N_DOSSIERS]
    S.n[N_DOSSIERS] += 1
    x = S.dossiers[d]
    x.subject = s
    x.raised_at = NEVER
    x.high_at = NEVER
    x.last_at = NEVER
    x.now = NEVER
    x.closed_at = NEVER
    x.amount = 0
    x.score = 0.0
    x.episode = 0
    x.evidence = -1
    x.n_evidence = 0
    x.warnings = -1
    x.line = -1
    x.account = -1
    x.place = 0
    x.typology = -1
    x.level = -1
    x.stage = 0
    x.open = 0
    x.dirty = 0
    S.subjects[s].dossier = d
    return d


@nb.njit(cache=True)
def touch(S, d):
    """Results of this dossier have changed."""
    if S.dossiers[d].dirty == 0:
        S.dossiers[d].dirty = 1
        S.dirty[S.n[N_DIRTY]] = d
        S.n[N_DIRTY] += 1


@nb.njit(cache=True)
def score(S, B, d, kind, seen):
    """Weigh the dossier's evidence: typology, score, stage, level; open an alert where it is due.

    Returns True where a suspect's typology is reached for the first time.
    """
    x = S.dossiers[d]
    episode = x.episode if x.open else x.episode + 1
    best, best_score, best_stage = -1, 0.0, 0
    for t in range(B.kind.shape[0]):
        if B.kind[t] != kind:
            continue
        seen[:] = 0
        total = 0.0
        stage = 0
        e = x.evidence
        while e >= 0:
            v = S.evidence[e]
            r = B.by_number[v.rule]
            if v.dead == 0 and v.episode == episode and r >= 0 and seen[r] == 0:
                w = B.weight[t, r]
                if w != 0.0:
                    if v.hint != 0 and B.hint[t] != 0 and v.hint != B.hint[t]:
                        w *= 0.4
                    seen[r] = 1
                    age = max(x.now - v.at, 0)
                    total += w * 2.0 ** (-np.float64(age) / B.halflife[t])
                    stage = max(stage, B.stage[r])
            e = v.next
        if total > best_score:
            best, best_score, best_stage = t, total, stage
    if best < 0:
        return False
    level = -1
    for i in range(4):
        if best_score >= B.level[best, i] and (i < 3 or best_stage >= B.urgent_stage[best]):
            level = i
    if level < 0 and not x.open:
        return False
    fresh = False
    if not x.open:
        x.open = 1
        x.episode += 1
        x.raised_at = x.now
        x.high_at = NEVER
        x.level = -1
        x.score = 0.0
        x.stage = 0
        x.typology = -1
        fresh = True
    if level >= 2 and x.high_at == NEVER:
        x.high_at = x.now
    if level > x.level:
        x.level = level
    if best_score >= x.score or x.typology < 0:
        x.score = best_score
        x.typology = best
    x.stage = max(x.stage, best_stage)
    touch(S, d)
    return fresh


@nb.njit(cache=True)
def give(S, B, d, r, at, now, origin, hint, values):
    """One piece of evidence, unless the same rule spoke within its cool-down. Returns its index, or −1."""
    x = S.dossiers[d]
    e = x.evidence
    while e >= 0:
        v = S.evidence[e]
        if v.rule == B.number[r] and v.dead == 0 and abs(at - v.at) < B.cooldown[r]:
            return -1
        e = v.next
    e = S.n[N_EVIDENCE]
    S.n[N_EVIDENCE] += 1
    v = S.evidence[e]
    v.at = at
    v.known = now
    v.dossier = d
    v.origin = origin
    v.rule = B.number[r]
    v.hint = hint
    v.told = 0
    v.dead = 0
    v.episode = x.episode if x.open else x.episode + 1
    v.n_refs = 0
    for i in range(N_ARGS):
        f = B.args[r, i]
        v.args[i] = values[f] if f >= 0 else _NAN
    v.next = x.evidence
    x.evidence = e
    x.n_evidence += 1
    if x.n_evidence > MOST_EVIDENCE:
        _forget_oldest(S, d)
    return e


@nb.njit(cache=True)
def _forget_oldest(S, d):
    """Unlink the oldest piece that has been told, or the oldest of all."""
    x = S.dossiers[d]
    before, e = -1, x.evidence
    while S.evidence[e].next >= 0:
        before = e
        e = S.evidence[e].next
    if before >= 0:
        S.evidence[before].next = -1
        x.n_evidence -= 1


@nb.njit(cache=True)
def judge(S, B, s, origin, code, hint, at, known, ref, values, acc, most, bits, first, last, stack, seen, times):
    """Run the rules that an event of ``code`` may fire for ``s``. Returns 1 where it turned suspect, else 0."""
    kind = S.subjects[s].kind
    n_rules = B.rule_n[kind, code]
    if n_rules == 0:
        return 0
    S.n[N_JUDGED] += 1
    as_of = features(S, B, kind, s, values, acc, most, bits, first, last, stack)
    gave = False
    d = S.subjects[s].dossier
    now = max(known, as_of)
    for i in range(B.rule_at[kind, code], B.rule_at[kind, code] + n_rules):
        r = B.rule_list[i]
        if run(B.code_op, B.code_arg, B.when_at[r], B.when_n[r], values, stack) != 1.0:
            continue
        if d < 0:
            d = dossier_of(S, s)
        e = give(S, B, d, r, at, now, origin, hint, values)
        if e < 0:
            continue
        gave = True
        v = S.evidence[e]
        bucket = np.int64(as_of // BUCKET_US)
        v.refs[0] = ref
        times[0] = at
        k = 1
        if kind == K_PERSON:
            p = s
            while True:
                m = S.subjects[p].member
                while m >= 0:
                    c = S.members[m]
                    plain = S.subjects[c.subject].owners == 1
                    k = _cite(S, B, kind, c.subject, m, c.begin, c.end, plain, r, bucket, v.refs, times, k)
                    m = c.next_of_person
                if S.subjects[p].marks & 1:
                    t = S.subjects[p].provisional
                    plain = S.subjects[t].owners == 0
                    k = _cite(S, B, kind, t, -1, NEVER, -NEVER, plain, r, bucket, v.refs, times, k)
                k = _cite(S, B, kind, p, -1, NEVER, -NEVER, True, r, bucket, v.refs, times, k)
                p = S.subjects[p].twin
                if p == s:
                    break
        else:
            k = _cite(S, B, kind, s, -1, NEVER, -NEVER, True, r, bucket, v.refs, times, k)
        v.n_refs = k
    if d < 0:
        return 0
    x = S.dossiers[d]
    if not gave and not x.open:
        return 0
    x.now = max(x.now, now)
    for i in range(B.base_at[kind], B.base_at[kind] + B.base_n[kind]):
        f = B.base_list[i]
        if B.risk[f] and np.int64(values[f]) > x.amount:
            x.amount = np.int64(values[f])
            if x.open:
                touch(S, d)
    if not gave:
        return 0
    x.last_at = max(x.last_at, at)
    if S.subjects[origin].kind == K_LINE and x.line < 0:
        x.line = origin
    if score(S, B, d, kind, seen) and kind != K_PERSON and S.subjects[s].suspect == 0 and not S.subjects[s].marks & 2:
        S.subjects[s].suspect |= B.suspect[x.typology]
        return 1
    return 0
