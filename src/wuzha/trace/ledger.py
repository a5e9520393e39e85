"""Kernels that read one account's transfers in order: its opening balance, what came in, what the data does not show.

Kept true here: balances that are given are believed. What a balance shows and no transfer does is money of the
account's own where it came in, and left by an unknown way where it went out; a debt is paid before money is held.
"""

from __future__ import annotations

import numpy as np

from .layout import (
    AMOUNT,
    CLEAN,
    E_UNKNOWN,
    FIFO,
    FULL,
    HAIRCUT,
    N_CARRIED,
    N_EXITS,
    NEVER,
    UNKNOWN,
    VOID,
    WITH_FEE,
    kernel,
    small,
)
from .parcels import drawn, let_go, parcel, put, put_all, tainted_of


@small
def next_out(T, me):
    if me.oi < me.oe:
        return 2 * np.int64(T.outs[me.oi].rank) + 1
    return 2 * (T.tail_from[0] + me.ot) + 1 if me.ot >= 0 else NEVER


@small
def _next_in(T, me):
    if me.ii < me.ie:
        return 2 * np.int64(T.ins[me.ii].rank) + 1
    return 2 * (T.tail_from[0] + me.it) + 1 if me.it >= 0 else NEVER


@small
def take_out(T, me):
    """The next payment: (amount with marks, payee, rank, balance given after it); the account stands behind it."""
    if me.oi < me.oe:
        i = me.oi
        me.oi = i + 1
        given = T.out_balance[i] if T.out_balance.shape[0] else UNKNOWN
        return T.outs[i].amount, T.outs[i].other, np.int64(T.outs[i].rank), given
    t = np.int64(me.ot)
    me.ot = T.next_out[t]
    return T.tail_out[t].amount, T.tail_out[t].other, T.tail_from[0] + t, T.tail_out_balance[t]


@small
def _take_in(T, me):
    if me.ii < me.ie:
        i = me.ii
        me.ii = i + 1
        given = T.in_balance[i] if T.in_balance.shape[0] else UNKNOWN
        return T.ins[i].amount, T.ins[i].other, np.int64(T.ins[i].rank), given
    t = np.int64(me.it)
    me.it = T.next_in[t]
    return T.tail_in[t].amount, T.tail_in[t].other, T.tail_from[0] + t, T.tail_in_balance[t]


@small
def fee_of(T, rank):
    i = np.searchsorted(T.fee_rank, np.uint32(rank))
    return T.fee[i]


@small
def _at_begin(T, me):
    a = np.int64(me.account)
    me.oi = me.oe = me.ii = me.ie = 0
    if a + 1 < T.out_at.shape[0]:
        me.oi, me.oe = T.out_at[a], T.out_at[a + 1]
        me.ii, me.ie = T.in_at[a], T.in_at[a + 1]
    me.ot = T.head_out[a] if a < T.head_out.shape[0] else np.int32(-1)
    me.it = T.head_in[a] if a < T.head_in.shape[0] else np.int32(-1)


@kernel
def opened(T, C, me, until):
    """Opening balance: what the first balance given says; else the least that keeps every balance ≥ 0."""
    _at_begin(T, me)
    a = np.int64(me.account)
    net, least, gone = np.int64(0), np.int64(0), np.int64(0)
    c = np.int64(0)
    received = C.into.any()
    known = False
    opening = np.int64(0)
    while True:
        leaving, coming = next_out(T, me), _next_in(T, me)
        key = min(leaving, coming)
        if received:
            while c < C.key.shape[0] and C.key[c] <= key and C.key[c] < until:
                if C.into[c] and C.account[c] == a:
                    net += C.amount[c]
                c += 1
        if key >= until:
            break
        if leaving < coming:
            marked, _, rank, given = take_out(T, me)
            paid = marked & AMOUNT
            if marked & WITH_FEE:
                paid += fee_of(T, rank)
            if marked & VOID:
                gone -= paid
            else:
                net -= paid
        else:
            marked, _, rank, given = _take_in(T, me)
            if marked & VOID:
                gone += marked & AMOUNT
            else:
                net += marked & AMOUNT
        least = min(least, net)
        if given != UNKNOWN:
            known = True
            opening = given - net - gone
            break
    _at_begin(T, me)
    me.known = known
    if not known:
        opening = -least
    me.balance = max(opening, 0)
    me.debt = max(-opening, 0)


@small
def leaves(Z, account, kind, amount, reach):
    e = Z.n[N_EXITS]
    if e >= Z.exits.shape[0]:
        Z.n[FULL] = 1
        return
    Z.n[N_EXITS] = e + 1
    one = Z.exits[e]
    one.account = account
    one.kind = kind
    one.amount = amount
    one.reach = reach


@kernel
def _leaves_unseen(Z, s, amount, policy):
    """So much left the account by no transfer that is in the data."""
    head = drawn(Z, s, amount, policy)
    gone = tainted_of(Z, head)
    let_go(Z, head)
    if gone > 0:
        Z.slots[s].sent += gone
        leaves(Z, Z.slots[s].account, E_UNKNOWN, gone, gone)


@kernel
def _square(Z, s, change, given, policy):
    """Before a transfer that changes the balance by ``change`` to ``given``: what the data does not show."""
    me = Z.slots[s]
    unseen = given - (me.balance - me.debt + me.void + change)
    if unseen > 0:
        paid = min(unseen, me.debt)
        me.debt -= paid
        unseen -= paid
        if unseen > 0:
            me.balance += unseen
            if me.active and policy < HAIRCUT:
                put(Z, s, parcel(Z, CLEAN, unseen), policy)
    elif unseen < 0:
        if me.active:
            _leaves_unseen(Z, s, -unseen, policy)
        else:
            me.balance += unseen
            if me.balance < 0:
                me.debt -= me.balance
                me.balance = 0


@small
def received(Z, s, amount, policy):
    """After ``amount`` came in: a debt is paid first, from what the account has."""
    me = Z.slots[s]
    paid = min(me.debt, amount)
    if paid > 0:
        me.debt -= paid
        if me.active:
            _leaves_unseen(Z, s, paid, policy)
        else:
            me.balance -= paid


@kernel
def _skip(T, Z, s, key):
    """An account without stolen money up to ``key``: only its balance counts."""
    me = Z.slots[s]
    while True:
        leaving, coming = next_out(T, me), _next_in(T, me)
        if min(leaving, coming) >= key:
            return
        if leaving < coming:
            marked, _, rank, given = take_out(T, me)
            paid = marked & AMOUNT
            if marked & WITH_FEE:
                paid += fee_of(T, rank)
            if marked & VOID:
                me.void -= paid
                continue
            if given != UNKNOWN:
                _square(Z, s, -paid, given, FIFO)
            me.balance -= paid
            if me.balance < 0:
                me.debt -= me.balance
                me.balance = 0
        else:
            marked, _, rank, given = _take_in(T, me)
            came = marked & AMOUNT
            if marked & VOID:
                me.void += came
                continue
            if given != UNKNOWN:
                _square(Z, s, came, given, FIFO)
            me.balance += came
            received(Z, s, came, FIFO)


@small
def _carried_at(Z, rank):
    mask = Z.carried.shape[0] - 1
    i = (rank * 0x9E3779B1) & mask
    while Z.carried[i].rank != rank and Z.carried[i].rank >= 0:
        i = (i + 1) & mask
    return i


@small
def carry(Z, rank, head, payee):
    if 2 * Z.n[N_CARRIED] >= Z.carried.shape[0]:
        Z.n[FULL] = 1
        return
    i = _carried_at(Z, rank)
    Z.carried[i].rank = rank
    Z.carried[i].head = head
    Z.carried[i].payee = payee
    Z.carried_at[Z.n[N_CARRIED]] = i
    Z.n[N_CARRIED] += 1


@kernel
def absorb(T, Z, s, key, policy):
    """What came into an account with stolen money before ``key``."""
    me = Z.slots[s]
    while _next_in(T, me) < key and Z.n[FULL] == 0:
        marked, _, rank, given = _take_in(T, me)
        came = marked & AMOUNT
        if marked & VOID:
            me.void += came
            continue
        if given != UNKNOWN:
            _square(Z, s, came, given, policy)
        head = np.int64(-1)
        if me.pending > 0:
            i = _carried_at(Z, rank)
            if Z.carried[i].rank == rank:
                head = np.int64(Z.carried[i].head)
                Z.carried[i].head = -1
                me.pending -= 1
        me.balance += came
        if head >= 0:
            put_all(Z, s, head, policy)
        elif policy < HAIRCUT:
            put(Z, s, parcel(Z, CLEAN, came), policy)
        received(Z, s, came, policy)


@kernel
def wake(T, Z, s, key, policy):
    """Stolen money comes into the account at ``key``: from here on its parcels are kept."""
    me = Z.slots[s]
    if me.stopped or me.active:
        return
    _skip(T, Z, s, key)
    me.active = 1
    me.head = me.last = -1
    if policy < HAIRCUT and me.balance > 0:
        p = parcel(Z, CLEAN, me.balance)
        me.head = me.last = p
