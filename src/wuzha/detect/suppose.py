"""Kernels that suppose a transfer: it goes through the engine's own kernels, what it makes of its sides is read, and
then it has never been.

Kept true here: the answer is what feeding the event would give, since the same kernels run on the same state; and the
state is what it was in every field, since all that they may write is kept in a journal first and put back.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import compiling, layout
from .ahead import FAR, NEAR, fetch
from .codes import BUCKET_US, K_ACCOUNT, K_DEVICE, K_PERSON, NEVER, STRANGER_US
from .dealings import transfer
from .figures import features
from .journal import (
    J_DOSSIERS,
    J_SHORT,
    begin,
    fits,
    note,
    note_cells,
    note_dossier,
    note_half,
    note_person,
    note_ring,
    put_back,
)
from .judge import judge
from .layout import (
    N_CELLS,
    N_CONTACTS,
    N_DOSSIERS,
    N_EVIDENCE,
    N_MERGED,
    N_PEOPLE,
    N_SUBJECTS,
    N_TALLIES,
    N_TASKS,
    Array,
)
from .meet import WHOSE, come_in, met, whose
from .owners import combined, owner_at
from .windows import find, new_subject, pair_key, place_of

# by the module's name: kernels here are part of no others, so that a change here need not compile the engine anew
inner, inlined, entered, borrowed = compiling.inner, compiling.inlined, compiling.entered, compiling.borrowed

#: Whose answer: the payer's account, the payee's account, the person behind each.
SIDES = ("payer", "payee", "payer_person", "payee_person")
#: Reasons told of one side, newest first.
MOST_TOLD = 12
#: Flags of a verdict: the two never dealt before the last 72 h; one person's two accounts; a merchant is paid; the
#: other side has reported this transfer already, so it would count nothing; telling others was cut short.
STRANGER, OWN, MERCHANT, REPORTED, CUT = 1, 2, 4, 8, 16
SIDE = np.dtype(
    [
        ("score", "f8"),
        ("amount", "i8"),  # money at risk
        ("subject", "i4"),  # -1: nobody is known, also not as a provisional person
        ("episode", "i4"),
        ("suspect", "u2"),  # bits of SUSPECTS
        ("marks", "u2"),
        ("typology", "i2"),  # -1 none
        ("level", "i1"),  # -1: no open alert, no suspect's dossier
        ("was_level", "i1"),  # as it is without the transfer
        ("stage", "i1"),
        ("known", "u1"),  # stood in the state before
        ("fired", "u1"),  # rules that the transfer itself fires on it
    ],
    align=True,
)
PIECE = np.dtype(
    [("at", "i8"), ("args", "f8", (layout.N_ARGS,)), ("row", "i4"), ("rule", "i2"), ("side", "i1"), ("fresh", "u1")],
    align=True,
)


class Pending(NamedTuple):
    """n transfers: ``keys`` (n, 3) hashes of payer, payee, device (0 none); the other fields as in `encode.Block`."""

    ts: Array
    keys: Array
    value: Array
    flags: Array
    source: Array
    ids: Array
    ref: Array


class Out(NamedTuple):
    """What is found: ``sides`` (n, 4), ``flags`` (n), ``values`` (n, 4, features) or none, ``pieces`` of all rows."""

    sides: Array
    flags: Array
    values: Array
    pieces: Array
    n_pieces: Array


@inner
def _tell(S, B, J, seed, suspect, now):
    """As `meet.tell`: all who dealt with the new suspect lately are told, each kept in the journal before."""
    me = S.subjects[suspect]
    if me.ring < 0:
        return
    for j in range(me.ring, me.ring + me.n_ring):
        c = S.contacts[j]
        if now - c.ts > STRANGER_US:
            continue
        if not fits(S, J, c.other):
            J.at[J_SHORT] = 1
            return
        note_cells(S, J, c.other, NEVER // BUCKET_US)
        note_person(S, J, seed, c.other)
        met(S, B, seed, c.other, suspect, c.met, c.ts, c.value, now, c.ref)


@inlined
def _drain(S, B, J, seed, Z):
    """As `meet.drain`, with the journal."""
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
                s = whose(S, B, seed, t, Z.spans, Z.seen)
            if s < 0 or (stage == 0) == (S.subjects[s].kind == K_PERSON):
                continue
            t.subject = -1
            note(S, J, s)
            note_dossier(S, J, s)
            turned = judge(
                S, B, s, t.origin, t.code, t.hint, t.at, t.now, t.ref, Z.values, Z.acc, Z.most, Z.bits, Z.first,
                Z.last, Z.stack, Z.seen, Z.times, Z.spans,
            )  # fmt: skip
            if turned:
                _tell(S, B, J, seed, s, max(t.now, S.subjects[s].last_ts))
    S.n[N_TASKS] = 0


@inlined
def _id(S, key, kind):
    """Number of a subject, given to it where it was never seen; −1 for no key."""
    if key == np.uint64(0):
        return np.int64(-1)
    i = find(S.slots, key)
    if S.slots[i].key == np.uint64(0):
        s = S.n[N_SUBJECTS]
        S.n[N_SUBJECTS] += 1
        S.slots[i].key = key
        S.slots[i].id = s
        new_subject(S.subjects, s, key, kind)
    return np.int64(S.slots[i].id)


@inlined
def _person(S, s, ts):
    """Root person behind an account at ``ts``; −1 where nobody is known, also not as a provisional one."""
    if s < 0:
        return np.int64(-1)
    p = np.int64(owner_at(S.subjects, S.members, s, ts))
    if p < 0:
        p = np.int64(S.subjects[s].provisional)
    return np.int64(-1) if p < 0 else np.int64(S.subjects[p].root)


@inlined
def _told(S, J, out, s, row, side, pieces, k):
    """One side's answer as it stands now. Returns how many pieces are in the pool."""
    out.subject = s
    out.typology = -1
    out.level = -1
    out.was_level = -1
    if s < 0:
        return k
    x = S.subjects[s]
    out.known = 1 if s < J.n[N_SUBJECTS] else 0
    out.suspect = x.suspect
    out.marks = x.marks
    d = np.int64(x.dossier)
    if d < 0:
        return k
    y = S.dossiers[d]
    if d < J.n[N_DOSSIERS]:
        out.was_level = y.level if y.open else -1
        for i in range(J.at[J_DOSSIERS]):
            if J.whose[i] == d:
                out.was_level = J.dossiers[i].level if J.dossiers[i].open else -1
    e = np.int64(y.evidence)
    left = MOST_TOLD
    while e >= 0 and (left > 0 or e >= J.n[N_EVIDENCE]):
        v = S.evidence[e]
        fresh = e >= J.n[N_EVIDENCE]
        if fresh:
            out.fired += 1
        if left > 0 and k < pieces.shape[0]:
            left -= 1
            p = pieces[k]
            p.at = v.at
            for i in range(v.args.shape[0]):
                p.args[i] = v.args[i]
            p.row = row
            p.rule = v.rule
            p.side = side
            p.fresh = 1 if fresh else 0
            k += 1
        e = np.int64(v.next)
    out.score = y.score
    out.amount = y.amount
    out.episode = y.episode
    if y.open:
        out.typology = y.typology
        out.level = y.level
        out.stage = y.stage
    return k


@inlined
def _room(S):
    """Whether one transfer's records fit, as `stream.process` asks; tables have places free anyway."""
    n = S.n
    return (
        n[N_SUBJECTS] + 1024 <= S.subjects.shape[0]
        and n[N_CELLS] + (1 << 18) <= S.cells.shape[0]
        and n[N_CONTACTS] + 4096 <= S.contacts.shape[0]
        and n[N_DOSSIERS] + 2048 <= S.dossiers.shape[0]
        and n[N_EVIDENCE] + 32768 <= S.evidence.shape[0]
        and n[N_PEOPLE] + 2048 <= S.people.shape[0]
        and n[N_TALLIES] + 2048 <= S.tallies.shape[0]
    )


@inlined
def _ask(P, S, i, end):
    """Ask for the memory that rows a little further on will touch, as `ahead.ask` does for events."""
    j = i + 2 * FAR
    if j < end:
        for c in range(3):
            if P.keys[j, c] != np.uint64(0):
                fetch(S.slots, np.int64(place_of(S.slots, P.keys[j, c])), 0)
    j = i + FAR
    if j < end:
        for c in range(3):
            s = np.int64(-1)
            if P.keys[j, c] != np.uint64(0):
                at = find(S.slots, P.keys[j, c])
                if S.slots[at].key != np.uint64(0):
                    s = np.int64(S.slots[at].id)
            P.ids[j, c] = s
            if s >= 0:
                for line in range(2):
                    fetch(S.subjects, s, line * 64)
        fetch(S.pairs, np.int64(place_of(S.pairs, pair_key(P.keys[j, 0], P.keys[j, 1], 5))), 0)
        natural = combined(combined(P.keys[j, 0], P.keys[j, 1]), np.uint64(P.value[j]))
        fetch(S.halves, np.int64(place_of(S.halves, natural)), 0)
    j = i + NEAR
    if j < end and i >= NEAR:
        for c in range(2):
            s = np.int64(P.ids[j, c])
            if s >= 0:
                x = S.subjects[s]
                if x.cells >= 0:
                    fetch(S.cells, np.int64(x.cells) + x.n_cells - 1, 0)
                if x.owner >= 0:
                    fetch(S.members, x.owner, 0)
                if x.tally >= 0:
                    fetch(S.tallies, x.tally, 0)
                if x.ring >= 0:
                    fetch(S.contacts, np.int64(x.ring) + x.n_ring, 0)


@entered
def suppose(P, state, book, scratch, kept, out, first, end, seed):
    """Rows first … end−1, until room is short. Returns the first row that is not judged yet."""
    S, B, Z, J, V = borrowed(state), borrowed(book), borrowed(scratch), borrowed(kept), borrowed(out)
    for i in range(first, end):
        if not _room(S) or V.n_pieces[0] + 4 * MOST_TOLD > V.pieces.shape[0]:
            return i
        _ask(P, S, i, end)
        begin(S, J)
        ts, merged, bucket = P.ts[i], S.n[N_MERGED], P.ts[i] // BUCKET_US
        a, b = _id(S, P.keys[i, 0], K_ACCOUNT), _id(S, P.keys[i, 1], K_ACCOUNT)
        device = _id(S, P.keys[i, 2], K_DEVICE)
        P.ids[i, 0], P.ids[i, 1], P.ids[i, 2] = a, b, device
        for c in range(3):
            s = np.int64(P.ids[i, c])
            if s >= 0:
                note_cells(S, J, s, bucket)
                note_person(S, J, seed, s)
                if c < 2:
                    note_ring(S, J, s)
        key_a = S.subjects[a].key if a >= 0 else np.uint64(1)
        key_b = S.subjects[b].key if b >= 0 else np.uint64(1)
        note_half(S, J, combined(combined(key_a, key_b), np.uint64(P.value[i])))
        pair = find(S.pairs, pair_key(key_a, key_b, 5))
        J.pair[0] = S.pairs[pair]
        transfer(S, B, seed, P, i)
        _drain(S, B, J, seed, Z)
        flags = np.int64(0)
        if S.n[N_MERGED] != merged:
            flags |= REPORTED
        if a >= 0 and b >= 0:
            p, q = np.int64(owner_at(S.subjects, S.members, a, ts)), np.int64(owner_at(S.subjects, S.members, b, ts))
            if p >= 0 and q >= 0 and S.subjects[p].root == S.subjects[q].root:
                flags |= OWN
            elif S.pairs[pair].key == np.uint64(0) or ts - S.pairs[pair].first < STRANGER_US:
                flags |= STRANGER
        if P.flags[i] & 8 or (b >= 0 and S.subjects[b].plan == 3):
            flags |= MERCHANT
        if J.at[J_SHORT]:
            flags |= CUT
        V.flags[i] = flags
        k = np.int64(V.n_pieces[0])
        for c in range(4):
            s = a if c == 0 else b if c == 1 else _person(S, a, ts) if c == 2 else _person(S, b, ts)
            k = _told(S, J, V.sides[i, c], s, i, c, V.pieces, k)
            if s >= 0 and i < V.values.shape[0]:
                kind = np.int64(S.subjects[s].kind)
                features(S, B, kind, kind, s, Z.values, Z.acc, Z.most, Z.bits, Z.first, Z.last, Z.stack)
                V.values[i, c, :] = Z.values
        V.n_pieces[0] = k
        put_back(S, J)
        S.pairs[pair] = J.pair[0]
    return end
