"""The kernel that reads the log: one event after the other, in log order.

Kept true here: the state after an event depends on the events before it and on nothing else; where room is short the
kernel stops *before* an event and is entered again there, so that growth is never seen.
"""

from __future__ import annotations

from typing import NamedTuple

import numba as nb
import numpy as np

from .codes import (
    DAY_US,
    K_PERSON,
    NEVER,
    PAIRING_US,
    SIDE_BIT,
    STRANGER_US,
    T_ACCOUNTS,
    T_APP_EVENTS,
    T_CALLS,
    T_CASH,
    T_FINDINGS,
    T_IDENTIFIERS,
    T_LINES,
    T_LODGING,
    T_MESSAGES,
    T_PERSONS,
    T_PURCHASES,
    T_RELATIONS,
    T_REPORTS,
    T_SHIPMENTS,
    T_TRANSFERS,
    T_VISITS,
    T_WARNINGS,
    TYPE_SHIFT,
    Y_CALL,
    Y_CASH,
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
    Y_REPORT,
    Y_SHIPMENT,
    Y_TRANSFER,
    Y_VISIT,
    Y_WARNING,
)  # fmt: skip
from .judge import dossier_of
from .layout import (
    N_CELLS,
    N_CONFLICTS,
    N_CONTACTS,
    N_DIRTY,
    N_DOSSIERS,
    N_DUPLICATES,
    N_EVENTS,
    N_EVIDENCE,
    N_HALVES,
    N_JOINED,
    N_LATE,
    N_LINES,
    N_MEMBERS,
    N_MERGED,
    N_MOVES,
    N_PAIRS,
    N_SEEN,
    N_SUBJECTS,
    N_TWINS,
    N_UNJOINED,
    N_WAITING,
    Array,
)  # fmt: skip
from .meet import (
    add,
    bump,
    drain,
    join_warning,
    judge_later,
    met,
    name,
    person_later,
    rehome,
    remember,
    seen_on,
)  # fmt: skip
from .owners import add_member, combined, judge_twins, owner_at, person_at
from .windows import find, first_contact

IN = 1 << SIDE_BIT
#: Unused records that one event may need at most.
ROOM_CELLS, ROOM_CONTACTS, ROOM_SMALL, ROOM_EVIDENCE = 1 << 18, 4096, 2048, 32768
#: Identities and halves older than this behind the newest event are forgotten.
MEMORY_US = 8 * DAY_US


class Events(NamedTuple):
    """A block's arrays, with subject ids instead of hashes."""

    table: Array
    ts: Array
    due: Array
    ids: Array
    value: Array
    more: Array
    extra: Array
    flags: Array
    ref: Array
    identity: Array
    source: Array


class Scratch(NamedTuple):
    """Room to judge one subject."""

    values: Array
    acc: Array
    most: Array
    bits: Array
    first: Array
    last: Array
    stack: Array
    seen: Array
    times: Array


@nb.njit(cache=True)
def _room(S):
    """Whether one more event fits."""
    n = S.n
    return (
        n[N_SUBJECTS] + 1024 <= S.subjects.shape[0]
        and (n[N_SUBJECTS] + 1024) * 2 <= S.slots.shape[0]
        and n[N_CELLS] + ROOM_CELLS <= S.cells.shape[0]
        and n[N_CONTACTS] + ROOM_CONTACTS <= S.contacts.shape[0]
        and n[N_MEMBERS] + 4 <= S.members.shape[0]
        and n[N_DOSSIERS] + ROOM_SMALL <= S.dossiers.shape[0]
        and n[N_DIRTY] + 2 * ROOM_SMALL <= S.dirty.shape[0]
        and n[N_EVIDENCE] + ROOM_EVIDENCE <= S.evidence.shape[0]
        and n[N_JOINED] + 16 <= S.joined.shape[0]
        and n[N_WAITING] + 4 <= S.waiting.shape[0]
        and n[N_MOVES] + 64 <= S.moves.shape[0]
        and n[N_TWINS] + 4 <= S.twins.shape[0]
        and (n[N_SEEN] + 2) * 2 <= S.seen.shape[0]
        and (n[N_HALVES] + 2) * 2 <= S.halves.shape[0]
        and (n[N_PAIRS] + 4) * 2 <= S.pairs.shape[0]
    )


@nb.njit(cache=True)
def _repeated(S, identity, ts):
    """0: new; 1: seen with this time; 2: seen with another time."""
    i = find(S.seen, identity)
    x = S.seen[i]
    if x.key != np.uint64(0):
        if x.ts >= S.watermark[31] - MEMORY_US:
            return 1 if x.ts == ts else 2
        x.ts = ts
        return 0
    x.key = identity
    x.ts = ts
    S.n[N_SEEN] += 1
    return 0


@nb.njit(cache=True)
def _other_side(S, key, ts, source, side, has):
    """Pair a row with the other side's row of one event: −1 it is the first, else what the first had not.

    ``has``: bit 0, the row names a device. The nearest unpaired row within five minutes is taken.
    """
    mask = np.uint64(S.halves.shape[0] - 1)
    i = np.uint64(find(S.halves, key))
    best = -1
    gap = PAIRING_US + 1
    while S.halves[i].key != np.uint64(0):
        h = S.halves[i]
        if h.key == key and h.paired == 0:
            d = abs(h.ts - ts)
            if d < gap and (h.source != source or (h.side != side and h.side != 0 and side != 0)):
                best = np.int64(i)
                gap = d
        i = (i + np.uint64(1)) & mask
    if best >= 0:
        S.halves[best].paired = 1
        return np.int64(has & ~S.halves[best].has)
    h = S.halves[i]
    h.key = key
    h.ts = ts
    h.source = source
    h.side = side
    h.paired = 0
    h.has = has
    S.n[N_HALVES] += 1
    return -1


@nb.njit(cache=True)
def _fresh(X, s, stranger, ts):
    """Flag 4 where a stranger is new to a subject whose habits have been seen for a day: else everybody is new."""
    return 4 if stranger and X[s].first_ts != NEVER and ts - X[s].first_ts >= DAY_US else 0


@nb.njit(cache=True)
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


@nb.njit(cache=True)
def _call(S, B, seed, E, i):
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
    add(S, B, a, out, ts, seconds, X[b].key, ref)
    add(S, B, b, into, ts, seconds, X[a].key, ref)
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
    person_later(S, B, seed, b, into, 0, ts, ts, ref)
    person_later(S, B, seed, a, out, 0, ts, ts, ref)


@nb.njit(cache=True)
def _message(S, B, seed, E, i):
    ts, ref, f = E.ts[i], E.ref[i], np.int64(E.flags[i])
    a, b = E.ids[i, 0], E.ids[i, 1]
    X = S.subjects
    hint = (f >> 8) & 15
    since, _new = first_contact(S.pairs, S.n, N_PAIRS, X[a].key, X[b].key, 2, ts)
    stranger = ts - since < STRANGER_US
    bump(X, a, ts)
    bump(X, b, ts)
    code = (Y_MESSAGE << TYPE_SHIFT) | (f & 1) | (2 if stranger else 0) | _fresh(X, b, stranger, ts)
    code |= (((f >> 2) & 3) << 3) | (hint << 5) | (((f >> 4) & 1) << 9)
    add(S, B, a, code, ts, 1, X[b].key, ref)
    add(S, B, b, code | IN, ts, 1, X[a].key, ref)
    if stranger and not f & 16:
        remember(S, a, b, Y_MET_MESSAGE, ts, 1, ref)
    judge_later(S, B, seed, a, code, hint, ts, ts, ref)
    if X[a].suspect:
        met(S, B, seed, b, a, Y_MET_MESSAGE, ts, 1, ts, ref)
    person_later(S, B, seed, b, code | IN, hint, ts, ts, ref)


@nb.njit(cache=True)
def _is_rare(S, s):
    """Few people have it, up to 5 or one in 500 of the lines; in a log's first day everything is new, nothing rare."""
    return S.watermark[31] - S.watermark[30] >= DAY_US and S.subjects[s].users <= 5 + S.n[N_LINES] // 500


@nb.njit(cache=True)
def _is_new(S, s, ts):
    """Nobody had it in the log's first day, it turned up within the last week, and hardly anybody has it yet."""
    x = S.subjects[s]
    return x.users <= 12 and x.first_ts - S.watermark[30] >= DAY_US and ts - x.first_ts < 7 * DAY_US


@nb.njit(cache=True)
def _visit(S, B, seed, E, i):
    ts, ref = E.ts[i], E.ref[i]
    a, b = E.ids[i, 0], E.ids[i, 1]
    X = S.subjects
    _since, new = first_contact(S.pairs, S.n, N_PAIRS, X[a].key, X[b].key, 3, ts)
    if new:
        X[b].users += 1
    bump(X, a, ts)
    bump(X, b, ts)
    rare = _is_rare(S, b)
    code = (Y_VISIT << TYPE_SHIFT) | (1 if rare else 0) | (2 if new else 0) | (4 if _is_new(S, b, ts) else 0)
    add(S, B, a, code, ts, E.value[i], X[b].key, ref)
    if rare:
        add(S, B, b, code | IN, ts, E.value[i], X[a].key, ref)
        if new:
            remember(S, b, a, Y_MET_VISIT, ts, E.value[i], ref)
        judge_later(S, B, seed, b, code | IN, 0, ts, ts, ref)
    if X[b].suspect:
        met(S, B, seed, a, b, Y_MET_VISIT, ts, E.value[i], ts, ref)
    person_later(S, B, seed, a, code, 0, ts, ts, ref)


@nb.njit(cache=True)
def _app(S, B, seed, E, i):
    ts, ref, action = E.ts[i], E.ref[i], np.int64(E.flags[i])
    line, app, device = E.ids[i, 0], E.ids[i, 1], E.ids[i, 2]
    X = S.subjects
    a = line if line >= 0 else device
    if a < 0:
        S.n[N_UNJOINED] += 1
        return
    bump(X, a, ts)
    code = (Y_INSTALL + action) << TYPE_SHIFT
    key = np.uint64(1)
    if app >= 0:
        key = X[app].key
        _since, new = first_contact(S.pairs, S.n, N_PAIRS, X[a].key, key, 4, ts)
        if new:
            X[app].users += 1
        bump(X, app, ts)
        rare = _is_rare(S, app)
        code |= (1 if rare else 0) | (2 if new else 0) | (4 if _is_new(S, app, ts) else 0)
        if rare:
            add(S, B, app, code | IN, ts, 1, X[a].key, ref)
            if new or action != 1:
                remember(S, app, a, Y_MET_APP, ts, 1, ref)
            judge_later(S, B, seed, app, code | IN, 0, ts, ts, ref)
    add(S, B, a, code, ts, 1, key, ref)
    if app >= 0 and X[app].suspect:
        met(S, B, seed, a, app, Y_MET_APP, ts, 1, ts, ref)
    if line >= 0 and device >= 0:
        seen_on(S, B, seed, line, device, False, ts, ref)
    person_later(S, B, seed, a, code, 0, ts, ts, ref)


@nb.njit(cache=True)
def _transfer(S, B, seed, E, i):
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
        add(S, B, a, out, ts, amount, key_b, ref)
    if b >= 0:
        bump(X, b, ts)
        young = 4 if a >= 0 and X[a].opened != NEVER and ts - X[a].opened < 30 * DAY_US else 0
        into = (Y_TRANSFER << TYPE_SHIFT) | IN | both | young | (_fresh(X, b, stranger, ts) >> 1)
        add(S, B, b, into, ts, amount, key_a, ref)
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
        person_later(S, B, seed, a, out, 0, ts, ts, ref)
    if b >= 0:
        person_later(S, B, seed, b, into, 0, ts, ts, ref)


@nb.njit(cache=True)
def _single(S, B, seed, E, i, kind):
    """Cash, purchases, shipments, lodging: one subject's own deed."""
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
    add(S, B, s, code, ts, E.value[i], np.uint64(1), ref)
    person_later(S, B, seed, s, code, 0, ts, ts, ref)


@nb.njit(cache=True)
def _numbered(S, B, seed, number, s, now, seen):
    """The register says whose an identity number is; what stood on the number alone goes to that person.

    ``number`` is the person known by the number only. The newest word holds; two persons with one number stay two.
    """
    X = S.subjects
    if X[number].provisional == s:
        return
    if X[number].provisional >= 0 and X[number].root == X[X[number].provisional].root:
        judge_twins(X, S.twins, S.n, number, X[number].provisional, 0)
    X[number].provisional = s
    d = np.int64(X[X[number].root].dossier)
    if d >= 0 or X[number].cells >= 0 or X[number].member >= 0:
        judge_twins(X, S.twins, S.n, number, s, 1)
        if d >= 0:
            rehome(S, B, seed, d, now, seen)


@nb.njit(cache=True)
def _register(S, B, seed, E, i, table, seen):
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


@nb.njit(cache=True)
def _relation(S, B, seed, E, i, seen):
    X = S.subjects
    a, b = np.int64(E.ids[i, 0]), np.int64(E.ids[i, 1])
    rank = np.int64(E.flags[i]) & 255
    if a < 0 or b < 0 or rank == 0:
        return
    if rank >= 8:
        if X[a].kind == K_PERSON and X[b].kind == K_PERSON:
            ra, rb = X[a].root, X[b].root
            da, db = X[ra].dossier, X[rb].dossier
            judge_twins(X, S.twins, S.n, a, b, 1 if rank == 8 else 0)
            if da >= 0:
                rehome(S, B, seed, da, E.ts[i], seen)
            if db >= 0 and db != da:
                rehome(S, B, seed, db, E.ts[i], seen)
        return
    if X[a].kind == K_PERSON:
        a, b = b, a
    if X[b].kind != K_PERSON or X[a].kind == K_PERSON:
        return
    before = person_at(X, S.slots, S.members, S.n, seed, a, E.ts[i]) if X[a].owner >= 0 else np.int64(-1)
    if X[a].owner < 0 and X[a].provisional >= 0:
        before = X[X[a].provisional].root
    add_member(X, S.members, S.n, a, b, E.value[i], E.more[i], rank, np.int64(E.flags[i]) >> 8, E.ref[i])
    if before >= 0 and X[before].dossier >= 0:
        rehome(S, B, seed, X[before].dossier, E.ts[i], seen)


@nb.njit(cache=True)
def _close(S, p, now):
    d = S.subjects[p].dossier
    if d >= 0 and S.dossiers[d].open:
        S.dossiers[d].open = 0
        S.dossiers[d].closed_at = now


@nb.njit(cache=True)
def _finding(S, B, seed, E, i):
    s = np.int64(E.ids[i, 0])
    if s < 0:
        return
    kind = E.flags[i]
    now = E.due[i]
    if kind == 0:
        p = np.int64(S.subjects[s].root) if S.subjects[s].kind == K_PERSON else s
        d = S.subjects[p].dossier
        if d >= 0 and (E.value[i] == 0 or S.dossiers[d].episode == E.value[i]):
            _close(S, p, now)
    elif kind == 1:
        S.subjects[s].marks |= 4
        S.subjects[s].marks &= ~np.uint16(2)
        name(S, B, seed, s, 4, now, now, E.ref[i])
    elif kind == 2:
        S.subjects[s].marks |= 2
        S.subjects[s].marks &= ~np.uint16(4)
        S.subjects[s].suspect = 0
        _close(S, s, now)


@nb.njit(cache=True)
def _identify(S, B, seed, s, role, ts, now, ref):
    """An identifier of a report that is known: roles 2 suspect's, 3 payee's."""
    if role == 2 or role == 3:
        name(S, B, seed, s, 1 | (8 if role == 3 else 0), now, now, ref)


@nb.njit(cache=True)
def _report(S, B, seed, E, i):
    X = S.subjects
    r = E.ids[i, 0]
    X[r].opened = E.due[i]
    if E.ids[i, 1] >= 0:
        p = np.int64(X[E.ids[i, 1]].root)
        code = Y_REPORT << TYPE_SHIFT
        add(S, B, p, code, E.due[i], E.value[i], np.uint64(1), E.ref[i])
        bump(X, p, E.due[i])
        person_later(S, B, seed, p, code, E.extra[i], E.due[i], E.due[i], E.ref[i])
    left = 0
    for j in range(S.n[N_WAITING]):
        w = S.waiting[j]
        if w.report == r:
            _identify(S, B, seed, w.subject, w.role, E.due[i], E.due[i], w.ref)
        else:
            S.waiting[left] = w
            left += 1
    S.n[N_WAITING] = left


@nb.njit(cache=True)
def _identifier(S, B, seed, E, i):
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


@nb.njit(cache=True)
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


@nb.njit(cache=True)
def _warning(S, B, seed, E, i):
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
    add(S, B, s, code, ts, E.value[i], np.uint64(ref), ref)
    p = person_at(S.subjects, S.slots, S.members, S.n, seed, s, ts)
    d = dossier_of(S, p)
    join_warning(S, d, s, ref, ts, E.value[i])
    if E.more[i]:
        S.dossiers[d].place = E.more[i]
    person_later(S, B, seed, s, code, hint, ts, ts, ref)


@nb.njit(cache=True)
def process(E, S, B, Z, begin, end, seed):
    """Events begin … end−1, until room is short. Returns the first event not yet read."""
    for i in range(begin, end):
        if not _room(S):
            return i
        table = E.table[i]
        ts = E.ts[i]
        again = _repeated(S, E.identity[i], ts)
        if again == 1:
            S.n[N_DUPLICATES] += 1
            continue
        if again == 2:
            S.n[N_CONFLICTS] += 1
            continue
        S.n[N_EVENTS] += 1
        if ts < S.watermark[table]:
            S.n[N_LATE] += 1
        S.watermark[table] = max(S.watermark[table], ts)
        S.watermark[31] = max(S.watermark[31], ts)
        if S.watermark[30] == NEVER:
            S.watermark[30] = ts
        if table == T_CALLS:
            _call(S, B, seed, E, i)
        elif table == T_VISITS:
            _visit(S, B, seed, E, i)
        elif table == T_MESSAGES:
            _message(S, B, seed, E, i)
        elif table == T_APP_EVENTS:
            _app(S, B, seed, E, i)
        elif table == T_TRANSFERS:
            _transfer(S, B, seed, E, i)
        elif table == T_CASH:
            _single(S, B, seed, E, i, Y_CASH)
        elif table == T_PURCHASES:
            _single(S, B, seed, E, i, Y_PURCHASE)
        elif table == T_SHIPMENTS:
            _single(S, B, seed, E, i, Y_SHIPMENT)
        elif table == T_LODGING:
            _single(S, B, seed, E, i, Y_LODGING)
        elif table == T_LINES or table == T_ACCOUNTS or table == T_PERSONS:
            _register(S, B, seed, E, i, table, Z.seen)
        elif table == T_RELATIONS:
            _relation(S, B, seed, E, i, Z.seen)
        elif table == T_WARNINGS:
            _warning(S, B, seed, E, i)
        elif table == T_REPORTS:
            _report(S, B, seed, E, i)
        elif table == T_IDENTIFIERS:
            _identifier(S, B, seed, E, i)
        elif table == T_FINDINGS:
            _finding(S, B, seed, E, i)
        drain(S, B, seed, Z.values, Z.acc, Z.most, Z.bits, Z.first, Z.last, Z.stack, Z.seen, Z.times)
    return end
