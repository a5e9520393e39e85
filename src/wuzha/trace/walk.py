"""The kernel that follows money: one sweep in the order of the transfers, over the accounts that the money touches.

Kept true here: every fen that is stolen lies at the end with one account or has left by one exit, under each policy; an
account's money that is not stolen is followed as exactly, since it decides what the stolen money mixes with; nothing is
read of accounts that the money never reaches.

An account's money is a queue of parcels, each somebody's: `CLEAN` or the number of a claim. `FIFO` pays from the parcel
that came first, `LIFO` from the one that came last; the parcels of a payment arrive in the order in which they left.
`HAIRCUT` (and `POISON`, which keeps its figures and notes what is reached besides) takes floor(payment × claim's part ÷
balance) of each claim's part and keeps no parcels of clean money.
"""

from __future__ import annotations

import numpy as np

from .borrowing import borrowed
from .layout import (
    AMOUNT,
    CLEAN,
    CRYPTO,
    DELAYED,
    E_CASH,
    E_CRYPTO,
    E_FEE,
    E_HUB,
    E_MERCHANT,
    E_THIRD_PARTY,
    FREE,
    FULL,
    MERCHANT,
    N_CARRIED,
    N_EDGES,
    N_HEAP,
    N_SLOTS,
    NEVER,
    NOBODY,
    POISON,
    THIRD_PARTY,
    UNKNOWN,
    VOID,
    WITH_FEE,
    kernel,
    small,
)
from .ledger import _square, absorb, carry, fee_of, leaves, next_out, opened, received, take_out, wake
from .parcels import claimed, drawn, let_go, parcel, put, put_all, tainted_of

_CLAIM, _ARRIVE, _OUT = range(3)


@small
def _before(a, b):
    return a.key < b.key or (a.key == b.key and (a.what < b.what or (a.what == b.what and a.who < b.who)))


@small
def _push(Z, key, what, who):
    i = Z.n[N_HEAP]
    if i >= Z.heap.shape[0]:
        Z.n[FULL] = 1
        return
    Z.n[N_HEAP] = i + 1
    h = Z.heap
    h[i].key = key
    h[i].what = what
    h[i].who = who
    while i > 0:
        up = (i - 1) >> 1
        if not _before(h[i], h[up]):
            break
        key, what, who = h[i].key, h[i].what, h[i].who
        h[i] = h[up]
        h[up].key = key
        h[up].what = what
        h[up].who = who
        i = up


@small
def _pop(Z):
    h = Z.heap
    n = Z.n[N_HEAP] - 1
    Z.n[N_HEAP] = n
    key, what, who = h[0].key, h[0].what, h[0].who
    if n > 0:
        last_key, last_what, last_who = h[n].key, h[n].what, h[n].who
        i = 0
        while True:
            down = 2 * i + 1
            if down >= n:
                break
            if down + 1 < n and _before(h[down + 1], h[down]):
                down += 1
            if not _before(h[down], h[n]):
                break
            h[i] = h[down]
            i = down
        h[i].key = last_key
        h[i].what = last_what
        h[i].who = last_who
    return key, what, who


@kernel
def _slot(T, C, Z, a, until):
    s = np.int64(Z.slot_of[a])
    if s >= 0:
        return s
    s = Z.n[N_SLOTS]
    if s >= Z.slots.shape[0]:
        Z.n[FULL] = 1
        return np.int64(0)
    Z.n[N_SLOTS] = s + 1
    stopped = Z.slot_of[a] == -2
    Z.slot_of[a] = s
    me = Z.slots[s]
    me.account = a
    me.balance = me.taint = me.void = me.debt = me.received = me.sent = me.reach = me.stolen = 0
    me.first = NEVER
    me.head = me.last = me.claim = -1
    me.pending = 0
    me.level = -1
    me.active = me.waits = me.poisoned = me.known = 0
    me.stopped = stopped
    if not stopped:
        opened(T, C, me, until)
    return s


@small
def _go_on(T, Z, s, end, policy):
    """The account's next payment is work to do, as long as it may hold stolen money."""
    me = Z.slots[s]
    if me.waits or me.stopped:
        return
    if me.taint > 0 or me.pending > 0 or me.claim >= 0 or (policy == POISON and me.poisoned):
        key = next_out(T, me)
        if key < end:
            me.waits = 1
            _push(Z, key, _OUT, s)
        return
    let_go(Z, np.int64(me.head))
    me.head = me.last = -1
    me.active = 0


@kernel
def _pay(T, C, Z, s, key, until, end, policy):
    """The account's payment at ``key``."""
    me = Z.slots[s]
    absorb(T, Z, s, key, policy)
    place = me.oi
    marked, other, rank, given = take_out(T, me)
    amount = marked & AMOUNT
    fee = fee_of(T, rank) if marked & WITH_FEE else np.int64(0)
    if marked & VOID:
        me.void -= amount + fee
        return
    if given != UNKNOWN:
        _square(Z, s, -(amount + fee), given, policy)
    head = drawn(Z, s, amount, policy)
    stolen = np.int64(0)
    if me.claim >= 0:
        head, stolen = claimed(Z, s, head, amount, policy)
    tainted = tainted_of(Z, head)
    reach = amount if me.poisoned else stolen
    me.sent += tainted
    me.stolen += stolen
    if tainted > 0 or (policy == POISON and reach > 0):
        _lead(T, C, Z, s, key, rank, place, marked, other, head, tainted, reach, until, end, policy)
    else:
        let_go(Z, head)
    if fee > 0:
        me = Z.slots[s]
        head = drawn(Z, s, fee, policy)
        tainted = tainted_of(Z, head)
        let_go(Z, head)
        if tainted > 0:
            me.sent += tainted
            leaves(Z, me.account, E_FEE, tainted, fee)


@kernel
def _lead(T, C, Z, s, key, rank, place, marked, other, head, tainted, reach, until, end, policy):
    """Stolen money leaves with this payment: by an exit, or to its payee."""
    e = Z.n[N_EDGES]
    if e >= Z.edges.shape[0]:
        Z.n[FULL] = 1
        return
    Z.n[N_EDGES] = e + 1
    edge = Z.edges[e]
    edge.rank = rank
    edge.place = place
    edge.payer = s
    edge.payee = -1
    edge.tainted = tainted
    edge.reach = reach
    edge.exit = -1
    if other == NOBODY:
        edge.exit = E_CASH
    elif marked & MERCHANT:
        edge.exit = E_MERCHANT
    elif marked & THIRD_PARTY:
        edge.exit = E_THIRD_PARTY
    elif marked & CRYPTO:
        edge.exit = E_CRYPTO
    elif T.hub.shape[0] and T.hub[other]:
        edge.exit = E_HUB
    if edge.exit >= 0:
        leaves(Z, Z.slots[s].account if other == NOBODY else other, edge.exit, tainted, reach)
        let_go(Z, head)
        return
    p = _slot(T, C, Z, np.int64(other), until)
    edge.payee = p
    to = Z.slots[p]
    to.received += tainted
    to.reach += reach
    if to.stopped:
        to.first = min(to.first, key)
        put_all(Z, p, head, policy)
        return
    if marked & DELAYED:
        i = np.searchsorted(T.depart_rank, np.uint32(rank))
        arrives = np.int64(T.arrive_rank[i])
        carry(Z, arrives, head, p)
        to.first = min(to.first, 2 * arrives + 1)
        _push(Z, 2 * arrives + 1, _ARRIVE, p)
        return
    carry(Z, rank, head, p)
    to.first = min(to.first, key)
    wake(T, Z, p, key, policy)
    to.pending += 1
    to.poisoned = 1
    _go_on(T, Z, p, end, policy)


@kernel
def walk(T, C, Z, policy, until, end):
    """Follow the claims up to ``end``, a key; balances are known up to ``until``. False where room is short: more of
    it, and all over again. Levels and what is held stand in the slots afterwards."""
    T, C, Z = borrowed(T), borrowed(C), borrowed(Z)
    for c in range(C.key.shape[0]):
        Z.left[c] = C.amount[c]
        Z.next_claim[c] = -1
        if C.key[c] < end:
            _push(Z, C.key[c], _CLAIM, c)
    while Z.n[N_HEAP] > 0 and Z.n[FULL] == 0:
        key, what, who = _pop(Z)
        if what == _OUT:
            Z.slots[who].waits = 0
            _pay(T, C, Z, who, key, until, end, policy)
            _go_on(T, Z, who, end, policy)
        elif what == _ARRIVE:
            if key < end:
                wake(T, Z, who, key, policy)
                Z.slots[who].pending += 1
                Z.slots[who].poisoned = 1
                _go_on(T, Z, who, end, policy)
        else:
            s = _slot(T, C, Z, np.int64(C.account[who]), until)
            me = Z.slots[s]
            if C.into[who]:
                wake(T, Z, s, key, policy)
                if me.active:
                    absorb(T, Z, s, key, policy)
                me.first = min(me.first, key)
                me.received += C.amount[who]
                me.reach += C.amount[who]
                me.poisoned = 1
                Z.left[who] = 0
                me.balance += C.amount[who]
                put(Z, s, parcel(Z, who, C.amount[who]), policy)
                if me.active:
                    received(Z, s, C.amount[who], policy)
                me.level = 1 if me.level < 0 else min(me.level, 1)
            else:
                wake(T, Z, s, key, policy)
                if me.claim < 0:
                    me.claim = who
                else:
                    c = np.int64(me.claim)
                    while Z.next_claim[c] >= 0:
                        c = Z.next_claim[c]
                    Z.next_claim[c] = who
                me.level = 0
            _go_on(T, Z, s, end, policy)
    if Z.n[FULL] != 0:
        return False
    for s in range(Z.n[N_SLOTS]):
        if Z.slots[s].active:
            absorb(T, Z, s, end, policy)
    _levels(Z)
    return Z.n[FULL] == 0


@kernel
def _levels(Z):
    """Each account's fewest hops from a theft."""
    changed = True
    while changed:
        changed = False
        for e in range(Z.n[N_EDGES]):
            edge = Z.edges[e]
            if edge.payee < 0:
                continue
            hops = Z.slots[edge.payer].level + 1
            to = Z.slots[edge.payee]
            if hops > 0 and (to.level < 0 or to.level > hops):
                to.level = hops
                changed = True


@kernel
def _listed(Z, s, head, out, n):
    p = head
    while p >= 0:
        one = Z.parcels[p]
        if one.owner != CLEAN and one.amount > 0:
            if n < out.shape[0]:
                out[n, 0], out[n, 1], out[n, 2] = s, one.owner, one.amount
            n += 1
        p = np.int64(one.next)
    return n


@kernel
def shares(Z, out):
    """(slot, claim, fen) of what is held: in queues, and on its way. Returns how many; ``out`` has room or is short."""
    n = 0
    for s in range(Z.n[N_SLOTS]):
        n = _listed(Z, s, np.int64(Z.slots[s].head), out, n)
    for k in range(Z.n[N_CARRIED]):
        i = Z.carried_at[k]
        n = _listed(Z, np.int64(Z.carried[i].payee), np.int64(Z.carried[i].head), out, n)
    return n


@kernel
def clear(Z):
    """Ready for another query."""
    for s in range(Z.n[N_SLOTS]):
        Z.slot_of[Z.slots[s].account] = -1
    for k in range(Z.n[N_CARRIED]):
        Z.carried[Z.carried_at[k]].rank = -1
    Z.n[:] = 0
    Z.n[FREE] = -1
