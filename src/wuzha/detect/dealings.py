"""Kernels of what subjects do: calls, messages, visits, apps, transfers, cash, purchases, shipments, lodging.

Kept true here: both sides of an event come into their own windows; a suspect is judged before the person who dealt
with it.
"""

from __future__ import annotations

import numpy as np

from .codes import (
    DAY_US,
    NEVER,
    PAIRING_US,
    SIDE_BIT,
    STRANGER_US,
    T_LODGING,
    T_PURCHASES,
    T_SHIPMENTS,
    TYPE_SHIFT,
    Y_CALL,
    Y_CASH,
    Y_CHAT,
    Y_INSTALL,
    Y_LODGING,
    Y_MESSAGE,
    Y_MET_APP,
    Y_MET_CALL,
    Y_MET_CREDIT,
    Y_MET_MESSAGE,
    Y_MET_PAID,
    Y_MET_VISIT,
    Y_PURCHASE,
    Y_SHIPMENT,
    Y_TRANSFER,
    Y_VISIT,
)
from .compiling import inlined
from .layout import HABIT, N_CROWDS, N_HALVES, N_LINES, N_MERGED, N_PAIRS, N_UNJOINED, RARE
from .meet import add, bump, called, judge_later, met, person_later, remember, seen_on
from .owners import combined, owner_at
from .windows import MEMORY_DAYS, after, day, find, first_contact

IN = 1 << SIDE_BIT


@inlined
def _before(ts, source, side, b):
    """Order of halves that does not depend on where they stand."""
    if ts != b.ts:
        return ts < b.ts
    return source < b.source if source != b.source else side < b.side


@inlined
def _other_side(S, key, ts, source, side, has):
    """Pair a row with the other side's row of one event: −1 it is the first, else what the first had not.

    ``has``: bit 0, the row names a device. The nearest unpaired row within five minutes is taken, of those that came in
    the last `MEMORY_DAYS` of the log.
    """
    i = np.uint64(find(S.halves, key))
    best = -1
    gap = PAIRING_US + 1
    today = day(max(S.watermark[31], ts))
    side |= has << 2
    while S.halves[i].key != np.uint64(0):
        h = S.halves[i]
        if h.key == key and h.done == 0 and h.came + MEMORY_DAYS >= today:
            d = abs(h.ts - ts)
            other = h.source != source or ((h.side ^ side) & 3 != 0 and h.side & 3 != 0 and side & 3 != 0)
            # of two that are as near the earlier one, then the smaller: never the one that the table holds first
            if other and (d < gap or (best >= 0 and d == gap and _before(h.ts, h.source, h.side, S.halves[best]))):
                best = np.int64(i)
                gap = d
        i = after(S.halves, i)
    if best >= 0:
        S.halves[best].done = 1
        return np.int64(has & ~(S.halves[best].side >> 2))
    h = S.halves[i]
    h.key = key
    h.ts = ts
    h.source = source
    h.side = side
    h.came = today
    h.done = 0
    S.n[N_HALVES] += 1
    return -1


@inlined
def _fresh(X, s, stranger, ts):
    """Flag 4 where a stranger is new to a subject whose habits have been seen for a day: else everybody is new."""
    return 4 if stranger and X[s].first_ts != NEVER and ts - X[s].first_ts >= DAY_US else 0


@inlined
def _used_by(S, a, b, device):
    """Which side of a call a device is: a row names the device of the side that reports it, and not which that is.

    Whose device it is decides, then with which line it was seen before. A device new to both is the caller's where the
    callee is known to have another, the callee's where only the caller has another, and else nobody's (−1).
    """
    X = S.subjects
    p = owner_at(X, S.members, device, X[device].last_ts if X[device].last_ts != NEVER else 0)
    if p >= 0:
        if owner_at(X, S.members, a, X[a].last_ts) == p:
            return a
        if owner_at(X, S.members, b, X[b].last_ts) == p:
            return b
    if X[a].device == device + 1:
        return a
    if X[b].device == device + 1:
        return b
    if X[b].device != 0:
        return a
    return b if X[a].device != 0 else -1


@inlined
def call(S, B, seed, E, i):
    ts, ref, seconds, f = E.ts[i], E.ref[i], E.value[i], np.int64(E.flags[i])
    a, b, device, forwarded = E.ids[i, 0], E.ids[i, 1], E.ids[i, 2], E.ids[i, 3]
    X = S.subjects
    used = np.int64(_used_by(S, a, b, device)) if device >= 0 else np.int64(-1)
    away = used >= 0 and E.more[i] != 0 and X[used].place != 0 and X[used].place != E.more[i]
    fresh = _other_side(S, combined(X[a].key, X[b].key), ts, E.source[i], 0, 1 if used >= 0 else 0)
    if fresh >= 0:
        S.n[N_MERGED] += 1
        if fresh & 1:
            seen_on(S, B, seed, used, device, away, ts, ref)
        return
    since, new = first_contact(S.pairs, S.n, N_PAIRS, X[a].key, X[b].key, 1, ts)
    stranger = ts - since < STRANGER_US
    bump(X, a, ts)
    bump(X, b, ts)
    both = 2 if stranger else 0
    both |= 16 if seconds <= 2 else 0
    both |= 32 if seconds < 25 else 0
    both |= 64 if seconds >= 300 else 0
    both |= 128 if forwarded >= 0 else 0
    out = (Y_CALL << TYPE_SHIFT) | both | ((f >> 1) & 1) | (((f >> 5) & 1) << 8) | _fresh(X, a, stranger, ts)
    out |= ((f >> 3) & 1) << 9
    into = (Y_CALL << TYPE_SHIFT) | IN | both | (f & 1) | (((f >> 2) & 1) << 3) | (((f >> 4) & 1) << 8)
    into |= (((f >> 3) & 1) << 9) | _fresh(X, b, stranger, ts)
    add(S, a, out, ts, seconds, X[b].key, ref)
    add(S, b, into, ts, seconds, X[a].key, ref)
    if new:
        X[a].users += 1
    if stranger and not f & 16:
        remember(S, a, b, Y_MET_CALL, ts, seconds, ref)
    if used >= 0:
        seen_on(S, B, seed, used, device, away, ts, ref)
    judge_later(S, B, seed, a, out, 0, ts, ts, ref)
    judge_later(S, B, seed, b, into, 0, ts, ts, ref)
    if X[a].suspect:
        met(S, B, seed, b, a, Y_MET_CALL, ts, seconds, ts, ref)
    if X[b].suspect:
        met(S, B, seed, a, b, Y_MET_CALL, ts, seconds, ts, ref)
    person_later(S, B, b, into, 0, ts, ts, ref)
    person_later(S, B, a, out, 0, ts, ts, ref)


@inlined
def message(S, B, seed, E, i):
    ts, ref, f = E.ts[i], E.ref[i], np.int64(E.flags[i])
    a, b = E.ids[i, 0], E.ids[i, 1]
    X = S.subjects
    hint = (f >> 8) & 15
    since, _new = first_contact(S.pairs, S.n, N_PAIRS, X[a].key, X[b].key, 2, ts)
    stranger = ts - since < STRANGER_US
    bump(X, a, ts)
    bump(X, b, ts)
    kind = Y_CHAT if f & 32 else Y_MESSAGE
    code = (kind << TYPE_SHIFT) | (f & 1) | (2 if stranger else 0) | _fresh(X, b, stranger, ts)
    code |= (((f >> 2) & 3) << 3) | (hint << 5) | (((f >> 4) & 1) << 9)
    add(S, a, code, ts, 1, X[b].key, ref)
    add(S, b, code | IN, ts, 1, X[a].key, ref)
    if stranger and not f & 16:
        remember(S, a, b, Y_MET_MESSAGE, ts, 1, ref)
    judge_later(S, B, seed, a, code, hint, ts, ts, ref)
    if X[a].suspect:
        met(S, B, seed, b, a, Y_MET_MESSAGE, ts, 1, ts, ref)
    person_later(S, B, b, code | IN, hint, ts, ts, ref)


@inlined
def _is_few(S, s):
    """So few lines have it, up to 5 or one in 500, that who they are is kept: it may turn out a suspect."""
    return S.subjects[s].users <= 5 + S.n[N_LINES] // 500


@inlined
def _is_rare(S, kind, users):
    """One more use of a site (``kind`` 0) or an app (1) that ``users`` lines have: are uses of such things rare here?

    Rare is what at most one in `RARE` of the last uses went to, things that as few or fewer have. So the log itself
    says what few means: while it is young, or its people are few, everything is had by few and nothing is rare. Before
    `HABIT` uses have been seen nobody knows.
    """
    H = S.habits
    lately = kind * 2 * N_CROWDS
    before = lately + N_CROWDS
    crowd = 0
    if users <= 8:
        crowd = max(users - 1, 0)
    else:
        crowd = 8
        more = (users - 1) // 16
        while more > 0 and crowd < N_CROWDS - 2:
            crowd += 1
            more //= 2
    # the last place of each half is the sum of the others
    total = H[lately + N_CROWDS - 1] + H[before + N_CROWDS - 1]
    rare = total >= HABIT and crowd < N_CROWDS - 2
    if rare:
        below = 0
        for k in range(crowd + 1):
            below += H[lately + k] + H[before + k]
        rare = below * RARE <= total
    if H[lately + N_CROWDS - 1] >= HABIT:
        for k in range(N_CROWDS):
            H[before + k] = H[lately + k]
            H[lately + k] = 0
    H[lately + crowd] += 1
    H[lately + N_CROWDS - 1] += 1
    return rare


@inlined
def _is_new(S, s, ts):
    """Nobody had it in the log's first day, it turned up within the last week, and hardly anybody has it yet."""
    x = S.subjects[s]
    return x.users <= 12 and x.first_ts - S.watermark[30] >= DAY_US and ts - x.first_ts < 7 * DAY_US


@inlined
def visit(S, B, seed, E, i):
    ts, ref = E.ts[i], E.ref[i]
    a, b = E.ids[i, 0], E.ids[i, 1]
    X = S.subjects
    _since, new = first_contact(S.pairs, S.n, N_PAIRS, X[a].key, X[b].key, 3, ts)
    if new:
        X[b].users += 1
    bump(X, a, ts)
    bump(X, b, ts)
    rare = _is_rare(S, 0, X[b].users)
    code = (Y_VISIT << TYPE_SHIFT) | (1 if rare else 0) | (2 if new else 0) | (4 if rare and _is_new(S, b, ts) else 0)
    add(S, a, code, ts, E.value[i], X[b].key, ref)
    if _is_few(S, b):
        add(S, b, code | IN, ts, E.value[i], X[a].key, ref)
        if new:
            remember(S, b, a, Y_MET_VISIT, ts, E.value[i], ref)
        judge_later(S, B, seed, b, code | IN, 0, ts, ts, ref)
    if X[b].suspect:
        met(S, B, seed, a, b, Y_MET_VISIT, ts, E.value[i], ts, ref)
    person_later(S, B, a, code, 0, ts, ts, ref)


@inlined
def app(S, B, seed, E, i):
    ts, ref, action = E.ts[i], E.ref[i], np.int64(E.flags[i]) & 15
    line, app, device = E.ids[i, 0], E.ids[i, 1], E.ids[i, 2]
    X = S.subjects
    a = line if line >= 0 else device
    if a < 0:
        S.n[N_UNJOINED] += 1
        return
    bump(X, a, ts)
    code = ((Y_INSTALL + action) << TYPE_SHIFT) | (8 if E.flags[i] & 16 else 0)
    key = np.uint64(1)
    if app >= 0:
        key = X[app].key
        _since, new = first_contact(S.pairs, S.n, N_PAIRS, X[a].key, key, 4, ts)
        if new:
            X[app].users += 1
        bump(X, app, ts)
        called(X, E.ids[i, 3], app)
        rare = _is_rare(S, 1, X[app].users)
        code |= (1 if rare else 0) | (2 if new else 0) | (4 if rare and _is_new(S, app, ts) else 0)
        if _is_few(S, app):
            add(S, app, code | IN, ts, 1, X[a].key, ref)
            if new or action != 1:
                remember(S, app, a, Y_MET_APP, ts, 1, ref)
            judge_later(S, B, seed, app, code | IN, 0, ts, ts, ref)
    add(S, a, code, ts, 1, key, ref)
    if app >= 0 and X[app].suspect:
        met(S, B, seed, a, app, Y_MET_APP, ts, 1, ts, ref)
    if line >= 0 and device >= 0:
        seen_on(S, B, seed, line, device, False, ts, ref)
    person_later(S, B, a, code, 0, ts, ts, ref)


@inlined
def transfer(S, B, seed, E, i):
    ts, ref, amount, f = E.ts[i], E.ref[i], E.value[i], np.int64(E.flags[i])
    a, b, device = E.ids[i, 0], E.ids[i, 1], E.ids[i, 2]
    X = S.subjects
    if not f & 1 or f & 2 or (a < 0 and b < 0):
        return
    key_a = X[a].key if a >= 0 else np.uint64(1)
    key_b = X[b].key if b >= 0 else np.uint64(1)
    natural = combined(combined(key_a, key_b), np.uint64(amount))
    fresh = _other_side(S, natural, ts, E.source[i], (f >> 8) & 3, 1 if device >= 0 else 0)
    if fresh >= 0:
        S.n[N_MERGED] += 1
        if fresh & 1 and a >= 0:
            seen_on(S, B, seed, a, device, False, ts, ref)
        return
    stranger = False
    own = False
    if a >= 0 and b >= 0:
        since, new = first_contact(S.pairs, S.n, N_PAIRS, key_a, key_b, 5, ts)
        stranger = ts - since < STRANGER_US
        if new:
            X[b].users += 1
        pa = owner_at(X, S.members, a, ts)
        pb = owner_at(X, S.members, b, ts)
        own = pa >= 0 and pb >= 0 and X[pa].root == X[pb].root
    stranger = stranger and not own
    both = 1 if stranger else 0
    both |= 16 if f & 64 else 0
    both |= 32 if a >= 0 and X[a].plan == 6 else 0
    both |= 64 if a >= 0 and X[a].plan == 2 else 0
    both |= 128 if own else 0
    both |= 256 if f & 8 or (b >= 0 and X[b].plan == 3) else 0
    both |= 512 if f & 128 else 0
    out = into = 0
    if a >= 0:
        bump(X, a, ts)
        young = 4 if b >= 0 and X[b].opened != NEVER and ts - X[b].opened < 30 * DAY_US else 0
        out = (Y_TRANSFER << TYPE_SHIFT) | both | young | (8 if f & 32 else 0) | (_fresh(X, a, stranger, ts) >> 1)
        add(S, a, out, ts, amount, key_b, ref)
    if b >= 0:
        bump(X, b, ts)
        young = 4 if a >= 0 and X[a].opened != NEVER and ts - X[a].opened < 30 * DAY_US else 0
        into = (Y_TRANSFER << TYPE_SHIFT) | IN | both | young | (_fresh(X, b, stranger, ts) >> 1)
        add(S, b, into, ts, amount, key_a, ref)
    known = not stranger or both & 256
    if a >= 0 and b >= 0 and not known:
        remember(S, b, a, Y_MET_PAID, ts, amount, ref)
        remember(S, a, b, Y_MET_CREDIT, ts, amount, ref)
    if device >= 0 and a >= 0:
        seen_on(S, B, seed, a, device, False, ts, ref)
    if b >= 0:
        judge_later(S, B, seed, b, into, 0, ts, ts, ref)
    if a >= 0:
        judge_later(S, B, seed, a, out, 0, ts, ts, ref)
    if a >= 0 and b >= 0:
        if X[b].suspect and not own:
            met(S, B, seed, a, b, Y_MET_PAID, ts, amount, ts, ref)
        if X[a].suspect and not own:
            met(S, B, seed, b, a, Y_MET_CREDIT, ts, amount, ts, ref)
    if a >= 0:
        person_later(S, B, a, out, 0, ts, ts, ref)
    if b >= 0:
        person_later(S, B, b, into, 0, ts, ts, ref)


@inlined
def single(S, B, seed, E, i, table):
    """Cash, purchases, shipments, lodging: one subject's own deed."""
    kind = Y_CASH
    if table == T_PURCHASES:
        kind = Y_PURCHASE
    elif table == T_SHIPMENTS:
        kind = Y_SHIPMENT
    elif table == T_LODGING:
        kind = Y_LODGING
    ts, ref = E.ts[i], E.ref[i]
    s = np.int64(-1)
    for c in range(3):
        if E.ids[i, c] >= 0 and not (kind == Y_SHIPMENT and c == 1):
            s = E.ids[i, c]
            break
    if s < 0:
        S.n[N_UNJOINED] += 1
        return
    flags = np.int64(E.flags[i]) & 3
    if kind == Y_LODGING and E.more[i] != 0 and S.subjects[s].place == E.more[i]:
        flags |= 1
    bump(S.subjects, s, ts)
    code = (kind << TYPE_SHIFT) | flags
    add(S, s, code, ts, E.value[i], np.uint64(1), ref)
    person_later(S, B, s, code, 0, ts, ts, ref)
