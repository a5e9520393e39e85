"""Kernels that judge a subject: the rules that these may fire, evidence, score, level.

Kept true here: a judgement reads only the subject's state as of its newest event; null never fires a rule; evidence
given once stays, and only its age changes what it weighs. An alert is what its pieces of evidence make of it, weighed
one after the other as they came; so pieces that go to another person take their share of the alert along (`settle`).
"""

from __future__ import annotations

import numpy as np

from .codes import BUCKET_US, K_LINE, K_PERSON, NEVER
from .compiling import inlined, inner
from .figures import features, run
from .layout import N_ARGS, N_DIRTY, N_DOSSIERS, N_EVIDENCE, N_JUDGED, N_REFS
from .owners import word_at
from .snoozing import snoozed
from .tallies import possible

#: Pieces that are weighed, and that a rule's cool-down is sought in: the newest ones.
MOST_EVIDENCE = 64
_NAN = np.nan


@inner
def _cite(S, B, kind, s, word, begin, end, plain, r, now, refs, times, k):
    """Newest events of ``s`` behind rule ``r``, into refs[:k]; at most N_REFS, newest first.

    Of one instant those come first that the windows hold first: that follows from the log, and a ref's number, which
    says where a row stands in its file, does not.
    """
    me = S.subjects[s]
    if me.cells < 0:
        return k
    newest_here = max(now, np.int64(me.last_ts // BUCKET_US))
    for j in range(me.cells, me.cells + me.n_cells):
        c = S.cells[j]
        base = np.int64(c.bucket) * BUCKET_US
        age = now - c.bucket
        behind = newest_here - c.bucket
        hit = False
        at = B.feature_at[kind, c.code]
        for i in range(at, at + B.feature_n[kind, c.code]):
            f = B.feature_list[i]
            if B.uses[r, f] and age >= B.skip[f] and behind < B.width[f] + B.skip[f]:
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
            elif ts > times[N_REFS - 1]:
                i = N_REFS - 1
            else:
                continue
            while i > 0 and ts > times[i - 1]:
                refs[i] = refs[i - 1]
                times[i] = times[i - 1]
                i -= 1
            refs[i] = ref
            times[i] = ts
    return k


@inner
def dossier_of(S, s):
    """Dossier of a root person or a suspect, made where there is none."""
    d = S.subjects[s].dossier
    if d >= 0:
        return d
    d = S.n[N_DOSSIERS]
    S.n[N_DOSSIERS] += 1
    x = S.dossiers[d]
    x.subject = s
    x.episode = 0
    x.evidence = -1
    x.n_evidence = 0
    x.warnings = -1
    x.dirty = 0
    x.withdrawn = 0
    x.restated = 0
    empty(x)
    S.subjects[s].dossier = d
    return d


@inner
def empty(x):
    """A dossier as it is before its first piece of evidence."""
    x.raised_at = NEVER
    x.high_at = NEVER
    x.last_at = NEVER
    x.now = NEVER
    x.amount = 0
    x.score = 0.0
    x.line = -1
    x.place = 0
    x.typology = -1
    x.level = -1
    x.stage = 0
    x.open = 0


@inner
def touch(S, d):
    """Results of this dossier have changed."""
    if S.dossiers[d].dirty == 0:
        S.dossiers[d].dirty = 1
        S.dirty[S.n[N_DIRTY]] = d
        S.n[N_DIRTY] += 1


@inner
def _stamp(S, newest, typology):
    """The new pieces are told with the typology that the alert has with them."""
    e = newest
    while e >= 0 and S.evidence[e].typology < 0:
        S.evidence[e].typology = typology
        e = S.evidence[e].next


@inner
def score(S, B, d, kind, newest, seen):
    """Weigh the dossier's evidence up to ``newest``: typology, score, stage, level; open an alert where it is due.

    Returns True where a suspect's typology is reached for the first time.
    """
    x = S.dossiers[d]
    best, best_score, best_stage = -1, 0.0, 0
    opens = False
    for t in range(B.kind.shape[0]):
        if B.kind[t] != kind:
            continue
        seen[:] = 0
        total = 0.0
        stage = 0
        e = newest
        left = MOST_EVIDENCE
        while e >= 0 and left > 0:
            left -= 1
            v = S.evidence[e]
            r = B.by_number[v.rule]
            if r >= 0 and B.opens[r] == 1:
                opens = True
            if r >= 0 and seen[r] == 0:
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
        if x.open:
            _stamp(S, newest, x.typology)
        return False
    level = -1
    for i in range(4):
        if best_score >= B.level[best, i] and (i < 3 or best_stage >= B.urgent_stage[best]):
            level = i
    if level < 0 and opens:
        level = 0
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
    _stamp(S, newest, x.typology)
    return fresh


@inner
def take_in(x, v, is_line):
    """What a piece says of its dossier beside its weight."""
    x.now = max(x.now, v.known)
    x.last_at = max(x.last_at, v.at)
    x.amount = max(x.amount, v.amount)
    if is_line and x.line < 0:
        x.line = v.origin


@inner
def settle(S, B, d, kind, seen):
    """Pieces have come to this dossier or left it: it becomes what those that it has now make of it."""
    x = S.dossiers[d]
    was = x.open
    if was:
        x.episode -= 1
    empty(x)
    pieces = np.empty(x.n_evidence, np.int64)
    e = np.int64(x.evidence)
    for i in range(x.n_evidence):
        pieces[x.n_evidence - 1 - i] = e
        e = np.int64(S.evidence[e].next)
    for e in pieces:
        v = S.evidence[e]
        v.told = 0
        v.typology = -1
        take_in(x, v, S.subjects[v.origin].kind == K_LINE)
        if v.last:
            score(S, B, d, kind, e, seen)
    w = np.int64(x.warnings)
    while w >= 0:
        j = S.joined[w]
        j.told = 0
        x.amount = max(x.amount, j.amount)
        if x.place == 0:
            x.place = j.place
        w = np.int64(j.next)
    if S.subjects[x.subject].people >= 0:
        S.people[S.subjects[x.subject].people].stirred = 1
    if x.open:
        x.restated = 1
        touch(S, d)
    elif was:
        x.withdrawn = 1
        touch(S, d)


@inner
def close(S, d):
    """The open alert ends. Its evidence is let go: what comes later is the next one's."""
    x = S.dossiers[d]
    x.evidence = -1
    x.n_evidence = 0
    x.warnings = -1
    empty(x)


@inner
def give(S, B, d, r, at, now, origin, hint, values):
    """One piece of evidence. Returns its index."""
    x = S.dossiers[d]
    e = S.n[N_EVIDENCE]
    S.n[N_EVIDENCE] += 1
    v = S.evidence[e]
    v.at = at
    v.known = now
    v.dossier = d
    v.origin = origin
    v.rule = B.number[r]
    v.hint = hint
    v.amount = 0
    v.typology = -1
    v.told = 0
    v.last = 0
    v.n_refs = 0
    for i in range(N_ARGS):
        f = B.args[r, i]
        v.args[i] = values[f] if f >= 0 else _NAN
    v.next = x.evidence
    x.evidence = e
    x.n_evidence += 1
    return e


@inner
def _forget_oldest(S, d):
    """Let go of what a suspect is not weighed by any more; a person's evidence is kept as long as the alert."""
    x = S.dossiers[d]
    e = x.evidence
    for _ in range(MOST_EVIDENCE - 1):
        e = S.evidence[e].next
    S.evidence[e].next = -1
    x.n_evidence = MOST_EVIDENCE


@inlined
def _not_quiet(S, B, d, at, seen):
    """Mark in ``seen`` the rules that spoke on this dossier within their cool-down."""
    e = S.dossiers[d].evidence
    weighed = MOST_EVIDENCE
    while e >= 0 and weighed > 0:
        weighed -= 1
        v = S.evidence[e]
        r = B.by_number[v.rule]
        if r >= 0 and abs(at - v.at) < B.cooldown[r]:
            seen[r] = 1
        e = v.next


@inlined
def _left(B, begin, n_rules, seen):
    """How many rules are not marked in ``seen``, and the last one of them."""
    left, one = np.int64(0), np.int64(-1)
    for i in range(begin, begin + n_rules):
        if seen[B.rule_list[i]] == 0:
            left += 1
            one = np.int64(B.rule_list[i])
    return left, one


@inlined
def _stirred(S, B, kind, s):
    """Whether the money at risk of ``s`` may be more than when it was told last."""
    if not B.still[kind]:
        return True
    if kind != K_PERSON:
        return False
    i = S.subjects[s].people
    return i < 0 or S.people[i].stirred != 0


@inlined
def judge(S, B, s, origin, code, hint, at, known, ref, values, acc, most, bits, first, last, stack, seen, times, spans):
    """Run the rules that an event of ``code`` may fire for ``s``. Returns 1 where it turned suspect, else 0."""
    kind = np.int64(S.subjects[s].kind)
    n_rules = B.rule_n[kind, code]
    if n_rules == 0:
        return 0
    S.n[N_JUDGED] += 1
    begin = B.rule_at[kind, code]
    d = S.subjects[s].dossier
    c = np.int64(B.class_of[kind, code])
    left = possible(S, B, s, origin, at, begin, n_rules, spans, seen)
    if left > 0:
        if d >= 0:
            _not_quiet(S, B, d, at, seen)
        if B.snooze_key.shape[0] > 0:
            snoozed(S, B, s, begin, n_rules, known, seen)
        left, one = _left(B, begin, n_rules, seen)
        if left == 1:
            c = np.int64(B.class_of_rule[one])
    stirred = d >= 0 and S.dossiers[d].open and _stirred(S, B, kind, s)
    if left == 0 and not stirred:
        return 0
    if left == 0:
        c = np.int64(B.risk_of[kind])
    if stirred:
        c = np.int64(B.guarded[c])
    as_of = features(S, B, c, kind, s, values, acc, most, bits, first, last, stack)
    gave = -1
    now = max(known, as_of)
    for i in range(begin, begin + n_rules if left else begin):
        r = B.rule_list[i]
        if seen[r] != 0:
            continue
        if run(B.code_op, B.code_arg, B.when_at[r], B.when_n[r], values, stack) != 1.0:
            continue
        if d < 0:
            d = dossier_of(S, s)
        if gave < 0:
            # what a piece of evidence tells is more than what its rule reads
            features(S, B, kind, kind, s, values, acc, most, bits, first, last, stack)
        e = give(S, B, d, r, at, now, origin, hint, values)
        gave = e
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
                    w = S.members[m]
                    plain = S.subjects[w.subject].owners == 1
                    k = _cite(S, B, kind, w.subject, m, w.begin, w.end, plain, r, bucket, v.refs, times, k)
                    m = w.next_of_person
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
    if gave < 0 and not stirred:
        return 0
    if kind == K_PERSON and S.subjects[s].people >= 0:
        S.people[S.subjects[s].people].stirred = 0
    amount = np.int64(0)
    c = B.risk_of[kind]
    for i in range(B.base_at[c], B.base_at[c] + B.base_n[c]):
        f = B.base_list[i]
        if B.risk[f]:
            amount = max(amount, np.int64(values[f]))
    if gave < 0:
        if amount > x.amount:
            x.amount = amount
            S.evidence[x.evidence].amount = amount
            touch(S, d)
        return 0
    v = S.evidence[gave]
    v.amount = amount
    v.last = 1
    take_in(x, v, S.subjects[origin].kind == K_LINE)
    if x.open:
        touch(S, d)
    if kind != K_PERSON and x.n_evidence > MOST_EVIDENCE:
        _forget_oldest(S, d)
    if (
        score(S, B, d, kind, gave, seen)
        and kind != K_PERSON
        and S.subjects[s].suspect == 0
        and not S.subjects[s].marks & 2
    ):
        S.subjects[s].suspect |= B.suspect[x.typology]
        return 1
    return 0
