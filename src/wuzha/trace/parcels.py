"""Kernels of an account's money: parcels of it, each somebody's, and what a payment takes of them.

Kept true here: the parcels of an account that holds stolen money sum to its balance (under ``HAIRCUT`` only the stolen
ones are kept), and what a payment takes is its amount, to the fen.
"""

from __future__ import annotations

import numpy as np

from .layout import CLEAN, FIFO, FREE, FULL, HAIRCUT, N_PARCELS, kernel, small


@small
def part_of(x, t, b):
    """floor(x × t ÷ b) for 0 ≤ x ≤ b, 0 ≤ t ≤ b < 2^54, exact: a guess in floating point, set right by its remainder.

    The remainder is small, so that its lowest 64 bits are all of it.
    """
    q = np.int64(np.float64(x) * np.float64(t) / np.float64(b))
    r = x * t - q * b
    while r < 0:
        q -= 1
        r += b
    while r >= b:
        q += 1
        r -= b
    return q


@small
def parcel(Z, owner, amount):
    p = Z.n[FREE]
    if p >= 0:
        Z.n[FREE] = Z.parcels[p].next
    else:
        p = Z.n[N_PARCELS]
        if p >= Z.parcels.shape[0]:
            Z.n[FULL] = 1
            return np.int64(0)
        Z.n[N_PARCELS] = p + 1
    one = Z.parcels[p]
    one.owner = owner
    one.amount = amount
    one.next = -1
    return p


@small
def let_go(Z, head):
    p = head
    while p >= 0:
        following = np.int64(Z.parcels[p].next)
        Z.parcels[p].next = Z.n[FREE]
        Z.n[FREE] = p
        p = following


@small
def put(Z, s, p, policy):
    """Parcel ``p`` into the money of slot ``s``."""
    me = Z.slots[s]
    one = Z.parcels[p]
    one.next = -1
    if one.owner != CLEAN:
        me.taint += one.amount
    if policy >= HAIRCUT:
        if one.owner == CLEAN:
            let_go(Z, p)
            return
        k = me.head
        while k >= 0:
            if Z.parcels[k].owner == one.owner:
                Z.parcels[k].amount += one.amount
                let_go(Z, p)
                return
            k = Z.parcels[k].next
        one.next = me.head
        me.head = p
        return
    if me.head < 0:
        me.head = p
        me.last = p
    elif policy == FIFO:
        end = Z.parcels[me.last]
        if end.owner == one.owner:
            end.amount += one.amount
            let_go(Z, p)
        else:
            end.next = p
            me.last = p
    else:
        top = Z.parcels[me.head]
        if top.owner == one.owner:
            top.amount += one.amount
            let_go(Z, p)
        else:
            one.next = me.head
            me.head = p


@small
def put_all(Z, s, head, policy):
    p = head
    while p >= 0:
        following = np.int64(Z.parcels[p].next)
        put(Z, s, p, policy)
        p = following


@kernel
def _shorn(Z, s, x):
    """floor(``x`` × stolen ÷ balance) fen of the stolen money, each claim's part by the largest remainder (of equal
    ones the earlier claim's); parcels of what leaves."""
    me = Z.slots[s]
    extra = part_of(x, me.taint, me.balance)
    me.taint -= extra
    first = np.int64(-1)
    k = np.int64(me.head)
    while k >= 0:
        mine = Z.parcels[k]
        take = part_of(x, mine.amount, me.balance)
        got = parcel(Z, mine.owner, take)
        Z.parcels[got].next = first
        first = got
        extra -= take
        k = np.int64(mine.next)
    while extra > 0 and Z.n[FULL] == 0:
        best, most, whose = np.int64(-1), np.int64(0), np.int64(-1)
        # the parcels of what leaves stand in the other order
        p = first
        while p >= 0:
            part = Z.parcels[p]
            k = np.int64(me.head)
            while Z.parcels[k].owner != part.owner:
                k = np.int64(Z.parcels[k].next)
            rest = x * Z.parcels[k].amount - part.amount * me.balance
            if rest > most or (rest == most and rest > 0 and part.owner < whose):
                best, most, whose = p, rest, np.int64(part.owner)
            p = np.int64(part.next)
        Z.parcels[best].amount += 1
        extra -= 1
    before = np.int64(-1)
    k = np.int64(me.head)
    while k >= 0:
        mine = Z.parcels[k]
        following = np.int64(mine.next)
        p = first
        while Z.parcels[p].owner != mine.owner:
            p = np.int64(Z.parcels[p].next)
        mine.amount -= Z.parcels[p].amount
        if mine.amount == 0:
            if before < 0:
                me.head = following
            else:
                Z.parcels[before].next = following
            mine.next = Z.n[FREE]
            Z.n[FREE] = k
        else:
            before = k
        k = following
    return _without_nothing(Z, first)


@kernel
def _without_nothing(Z, head):
    """The parcels that hold something."""
    first, before = np.int64(-1), np.int64(-1)
    p = head
    while p >= 0:
        following = np.int64(Z.parcels[p].next)
        if Z.parcels[p].amount == 0:
            Z.parcels[p].next = Z.n[FREE]
            Z.n[FREE] = p
        else:
            if before < 0:
                first = p
            else:
                Z.parcels[before].next = p
            before = p
        p = following
    if before >= 0:
        Z.parcels[before].next = -1
    return first


@kernel
def drawn(Z, s, x, policy):
    """``x`` out of the money of slot ``s``: first parcel of what leaves. Where there is less, the rest is on credit."""
    me = Z.slots[s]
    if x > me.balance:
        me.debt += x - me.balance
        if policy < HAIRCUT:
            lacking = parcel(Z, CLEAN, x - me.balance)
            if me.head < 0 or policy == FIFO:
                put(Z, s, lacking, policy)
            else:  # under all that is there
                p = np.int64(me.head)
                while Z.parcels[p].next >= 0:
                    p = np.int64(Z.parcels[p].next)
                Z.parcels[p].next = lacking
        me.balance = x
    first, end = np.int64(-1), np.int64(-1)
    if x == 0:
        return first
    if policy >= HAIRCUT:
        first = _shorn(Z, s, x)
        me.balance -= x
        return first
    left = x
    while left > 0 and Z.n[FULL] == 0:
        p = np.int64(me.head)
        mine = Z.parcels[p]
        if mine.amount <= left:
            me.head = mine.next
            if me.head < 0:
                me.last = -1
            got = p
            left -= mine.amount
        else:
            got = parcel(Z, mine.owner, left)
            mine.amount -= left
            left = 0
        taken = Z.parcels[got]
        taken.next = -1
        if taken.owner != CLEAN:
            me.taint -= taken.amount
        if first < 0:
            first = got
        else:
            Z.parcels[end].next = got
        end = got
    me.balance -= x
    return first


@small
def tainted_of(Z, head):
    total = np.int64(0)
    p = head
    while p >= 0:
        if Z.parcels[p].owner != CLEAN:
            total += Z.parcels[p].amount
        p = np.int64(Z.parcels[p].next)
    return total


@kernel
def claimed(Z, s, head, amount, policy):
    """The clean part of a payment of ``amount`` becomes what the account's open claims say was stolen."""
    me = Z.slots[s]
    stolen = np.int64(0)
    if policy >= HAIRCUT:
        clean = amount - tainted_of(Z, head)
        while clean > 0 and me.claim >= 0:
            c = np.int64(me.claim)
            take = min(clean, Z.left[c])
            p = parcel(Z, c, take)
            Z.parcels[p].next = head
            head = p
            clean -= take
            stolen += take
            Z.left[c] -= take
            if Z.left[c] == 0:
                me.claim = Z.next_claim[c]
        return head, stolen
    p = head
    while p >= 0 and me.claim >= 0:
        if Z.parcels[p].owner == CLEAN:
            c = np.int64(me.claim)
            take = min(Z.parcels[p].amount, Z.left[c])
            if take < Z.parcels[p].amount:
                rest = parcel(Z, CLEAN, Z.parcels[p].amount - take)
                Z.parcels[rest].next = Z.parcels[p].next
                Z.parcels[p].next = rest
                Z.parcels[p].amount = take
            Z.parcels[p].owner = c
            stolen += take
            Z.left[c] -= take
            if Z.left[c] == 0:
                me.claim = Z.next_claim[c]
        p = np.int64(Z.parcels[p].next)
    return head, stolen
