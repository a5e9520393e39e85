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

from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

FIFO, LIFO, HAIRCUT, POISON = range(4)
CLEAN = -1
#: No account: cash.
NOBODY = np.uint32(0xFFFFFFFF)
#: One side of a transfer: amount with its marks in the upper bits, the other account, place in the order of all.
SIDE = np.dtype([("amount", "i8"), ("other", "u4"), ("rank", "u4")])
AMOUNT_BITS = 54
AMOUNT = np.int64((1 << AMOUNT_BITS) - 1)
#: Marks: void (undone by a reversal), paid to a merchant, to a payment firm, for crypto; with a fee; arrives later.
VOID, MERCHANT, THIRD_PARTY, CRYPTO, WITH_FEE, DELAYED = (np.int64(1 << (AMOUNT_BITS + i)) for i in range(6))
#: No balance is given.
UNKNOWN = np.int64(-(2**63))
_NEVER = np.int64(2**62)

#: Kinds of exits.
EXITS = ("cash", "merchant", "third_party", "crypto", "fee", "hub", "unknown")
E_CASH, E_MERCHANT, E_THIRD_PARTY, E_CRYPTO, E_FEE, E_HUB, E_UNKNOWN = range(7)


class Transfers(NamedTuple):
    """All transfers by payer and by payee in time order; those of the tail, appended since, are chained by account."""

    out_at: Array
    in_at: Array
    outs: Array  # SIDE
    ins: Array  # SIDE
    out_balance: Array  # beside ``outs``; empty where no transfer has one
    in_balance: Array
    fee_rank: Array
    fee: Array
    depart_rank: Array  # of transfers that arrive later, and where among all they arrive
    arrive_rank: Array
    hub: Array  # by account; empty: none
    tail_from: Array  # [rank of the tail's first]
    tail_out: Array  # SIDE in order of ``rank``, the payer's view
    tail_in: Array
    tail_out_balance: Array
    tail_in_balance: Array
    next_out: Array
    next_in: Array
    head_out: Array  # by account
    head_in: Array


class Claims(NamedTuple):
    """What was stolen, in order of ``key``. ``into``: the account counts as having received it."""

    account: Array
    key: Array  # 2 × rank of the first transfer at or after it
    amount: Array
    into: Array


SLOT = np.dtype(
    [
        ("oi", "i8"), ("oe", "i8"), ("ii", "i8"), ("ie", "i8"), ("balance", "i8"), ("taint", "i8"), ("void", "i8"),
        ("debt", "i8"), ("received", "i8"), ("sent", "i8"), ("reach", "i8"), ("first", "i8"), ("stolen", "i8"),
        ("account", "u4"), ("ot", "i4"), ("it", "i4"), ("head", "i4"), ("last", "i4"), ("pending", "i4"),
        ("claim", "i4"), ("level", "i4"), ("active", "u1"), ("waits", "u1"), ("known", "u1"), ("poisoned", "u1"),
        ("stopped", "u1"),
    ],
    align=True,
)  # fmt: skip
PARCEL = np.dtype([("amount", "i8"), ("owner", "i4"), ("next", "i4")])
EDGE = np.dtype(
    [
        ("rank", "u4"),
        ("payer", "i4"),
        ("payee", "i4"),
        ("exit", "i4"),
        ("tainted", "i8"),
        ("reach", "i8"),
        ("place", "i8"),
    ]
)
EXIT = np.dtype([("amount", "i8"), ("reach", "i8"), ("account", "u4"), ("kind", "i4")])
HEAP = np.dtype([("key", "i8"), ("what", "i4"), ("who", "i4")])
CARRIED = np.dtype([("rank", "i8"), ("head", "i4"), ("payee", "i4")])

N_SLOTS, N_PARCELS, FREE, N_EDGES, N_EXITS, N_HEAP, N_CARRIED, FULL = range(8)
_CLAIM, _ARRIVE, _OUT = range(3)


class Scratch(NamedTuple):
    """What one query works in. ``slot_of`` is by account, −1 where it was not touched."""

    slots: Array
    parcels: Array
    edges: Array
    exits: Array
    heap: Array
    carried: Array  # parcels on their way, by rank of their arrival; a power of two, at most half full
    carried_at: Array  # places in use of it
    slot_of: Array
    left: Array  # of each claim
    next_claim: Array
    n: Array


kernel = nb.njit(cache=True, nogil=True)


@kernel
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


# ---------------------------------------------------------------- parcels


@kernel
def _parcel(Z, owner, amount):
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


@kernel
def _let_go(Z, head):
    p = head
    while p >= 0:
        following = np.int64(Z.parcels[p].next)
        Z.parcels[p].next = Z.n[FREE]
        Z.n[FREE] = p
        p = following


@kernel
def _put(Z, s, p, policy):
    """Parcel ``p`` into the money of slot ``s``."""
    me = Z.slots[s]
    one = Z.parcels[p]
    one.next = -1
    if one.owner != CLEAN:
        me.taint += one.amount
    if policy >= HAIRCUT:
        if one.owner == CLEAN:
            _let_go(Z, p)
            return
        k = me.head
        while k >= 0:
            if Z.parcels[k].owner == one.owner:
                Z.parcels[k].amount += one.amount
                _let_go(Z, p)
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
            _let_go(Z, p)
        else:
            end.next = p
            me.last = p
    else:
        top = Z.parcels[me.head]
        if top.owner == one.owner:
            top.amount += one.amount
            _let_go(Z, p)
        else:
            one.next = me.head
            me.head = p


@kernel
def _put_all(Z, s, head, policy):
    p = head
    while p >= 0:
        following = np.int64(Z.parcels[p].next)
        _put(Z, s, p, policy)
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
        got = _parcel(Z, mine.owner, take)
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
def _drawn(Z, s, x, policy):
    """``x`` out of the money of slot ``s``: first parcel of what leaves. Where there is less, the rest is on credit."""
    me = Z.slots[s]
    if x > me.balance:
        me.debt += x - me.balance
        if policy < HAIRCUT:
            lacking = _parcel(Z, CLEAN, x - me.balance)
            if me.head < 0 or policy == FIFO:
                _put(Z, s, lacking, policy)
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
            got = _parcel(Z, mine.owner, left)
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


@kernel
def _tainted(Z, head):
    total = np.int64(0)
    p = head
    while p >= 0:
        if Z.parcels[p].owner != CLEAN:
            total += Z.parcels[p].amount
        p = np.int64(Z.parcels[p].next)
    return total


@kernel
def _claimed(Z, s, head, amount, policy):
    """The clean part of a payment of ``amount`` becomes what the account's open claims say was stolen."""
    me = Z.slots[s]
    stolen = np.int64(0)
    if policy >= HAIRCUT:
        clean = amount - _tainted(Z, head)
        while clean > 0 and me.claim >= 0:
            c = np.int64(me.claim)
            take = min(clean, Z.left[c])
            p = _parcel(Z, c, take)
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
                rest = _parcel(Z, CLEAN, Z.parcels[p].amount - take)
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


# ---------------------------------------------------------------- what is on its way


@kernel
def _carried_at(Z, rank):
    mask = Z.carried.shape[0] - 1
    i = (rank * 0x9E3779B1) & mask
    while Z.carried[i].rank != rank and Z.carried[i].rank >= 0:
        i = (i + 1) & mask
    return i


@kernel
def _carry(Z, rank, head, payee):
    if 2 * Z.n[N_CARRIED] >= Z.carried.shape[0]:
        Z.n[FULL] = 1
        return
    i = _carried_at(Z, rank)
    Z.carried[i].rank = rank
    Z.carried[i].head = head
    Z.carried[i].payee = payee
    Z.carried_at[Z.n[N_CARRIED]] = i
    Z.n[N_CARRIED] += 1


# ---------------------------------------------------------------- the order of work


@kernel
def _before(a, b):
    return a.key < b.key or (a.key == b.key and (a.what < b.what or (a.what == b.what and a.who < b.who)))


@kernel
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


@kernel
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


# ---------------------------------------------------------------- one account's transfers


@kernel
def _next_out(T, me):
    if me.oi < me.oe:
        return 2 * np.int64(T.outs[me.oi].rank) + 1
    return 2 * (T.tail_from[0] + me.ot) + 1 if me.ot >= 0 else _NEVER


@kernel
def _next_in(T, me):
    if me.ii < me.ie:
        return 2 * np.int64(T.ins[me.ii].rank) + 1
    return 2 * (T.tail_from[0] + me.it) + 1 if me.it >= 0 else _NEVER


@kernel
def _take_out(T, me):
    """The next payment: (amount with marks, payee, rank, balance given after it); the account stands behind it."""
    if me.oi < me.oe:
        i = me.oi
        me.oi = i + 1
        given = T.out_balance[i] if T.out_balance.shape[0] else UNKNOWN
        return T.outs[i].amount, T.outs[i].other, np.int64(T.outs[i].rank), given
    t = np.int64(me.ot)
    me.ot = T.next_out[t]
    return T.tail_out[t].amount, T.tail_out[t].other, T.tail_from[0] + t, T.tail_out_balance[t]


@kernel
def _take_in(T, me):
    if me.ii < me.ie:
        i = me.ii
        me.ii = i + 1
        given = T.in_balance[i] if T.in_balance.shape[0] else UNKNOWN
        return T.ins[i].amount, T.ins[i].other, np.int64(T.ins[i].rank), given
    t = np.int64(me.it)
    me.it = T.next_in[t]
    return T.tail_in[t].amount, T.tail_in[t].other, T.tail_from[0] + t, T.tail_in_balance[t]


@kernel
def _fee(T, rank):
    i = np.searchsorted(T.fee_rank, np.uint32(rank))
    return T.fee[i]


@kernel
def _at_begin(T, me):
    a = np.int64(me.account)
    me.oi = me.oe = me.ii = me.ie = 0
    if a + 1 < T.out_at.shape[0]:
        me.oi, me.oe = T.out_at[a], T.out_at[a + 1]
        me.ii, me.ie = T.in_at[a], T.in_at[a + 1]
    me.ot = T.head_out[a] if a < T.head_out.shape[0] else np.int32(-1)
    me.it = T.head_in[a] if a < T.head_in.shape[0] else np.int32(-1)


@kernel
def _open(T, C, me, until):
    """Opening balance: what the first balance given says; else the least that keeps every balance ≥ 0."""
    _at_begin(T, me)
    a = np.int64(me.account)
    net, least, gone = np.int64(0), np.int64(0), np.int64(0)
    c = np.int64(0)
    received = C.into.any()
    known = False
    opening = np.int64(0)
    while True:
        next_out, next_in = _next_out(T, me), _next_in(T, me)
        key = min(next_out, next_in)
        if received:
            while c < C.key.shape[0] and C.key[c] <= key and C.key[c] < until:
                if C.into[c] and C.account[c] == a:
                    net += C.amount[c]
                c += 1
        if key >= until:
            break
        if next_out < next_in:
            marked, _, rank, given = _take_out(T, me)
            paid = marked & AMOUNT
            if marked & WITH_FEE:
                paid += _fee(T, rank)
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
    me.first = _NEVER
    me.head = me.last = me.claim = -1
    me.pending = 0
    me.level = -1
    me.active = me.waits = me.poisoned = me.known = 0
    me.stopped = stopped
    if not stopped:
        _open(T, C, me, until)
    return s


@kernel
def _exit(Z, account, kind, amount, reach):
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
    head = _drawn(Z, s, amount, policy)
    gone = _tainted(Z, head)
    _let_go(Z, head)
    if gone > 0:
        Z.slots[s].sent += gone
        _exit(Z, Z.slots[s].account, E_UNKNOWN, gone, gone)


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
                _put(Z, s, _parcel(Z, CLEAN, unseen), policy)
    elif unseen < 0:
        if me.active:
            _leaves_unseen(Z, s, -unseen, policy)
        else:
            me.balance += unseen
            if me.balance < 0:
                me.debt -= me.balance
                me.balance = 0


@kernel
def _received(Z, s, amount, policy):
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
        next_out, next_in = _next_out(T, me), _next_in(T, me)
        if min(next_out, next_in) >= key:
            return
        if next_out < next_in:
            marked, _, rank, given = _take_out(T, me)
            paid = marked & AMOUNT
            if marked & WITH_FEE:
                paid += _fee(T, rank)
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
            _received(Z, s, came, FIFO)


@kernel
def _absorb(T, Z, s, key, policy):
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
            _put_all(Z, s, head, policy)
        elif policy < HAIRCUT:
            _put(Z, s, _parcel(Z, CLEAN, came), policy)
        _received(Z, s, came, policy)


@kernel
def _wake(T, Z, s, key, policy):
    """Stolen money comes into the account at ``key``: from here on its parcels are kept."""
    me = Z.slots[s]
    if me.stopped or me.active:
        return
    _skip(T, Z, s, key)
    me.active = 1
    me.head = me.last = -1
    if policy < HAIRCUT and me.balance > 0:
        p = _parcel(Z, CLEAN, me.balance)
        me.head = me.last = p


@kernel
def _go_on(T, Z, s, end, policy):
    """The account's next payment is work to do, as long as it may hold stolen money."""
    me = Z.slots[s]
    if me.waits or me.stopped:
        return
    if me.taint > 0 or me.pending > 0 or me.claim >= 0 or (policy == POISON and me.poisoned):
        key = _next_out(T, me)
        if key < end:
            me.waits = 1
            _push(Z, key, _OUT, s)
        return
    _let_go(Z, np.int64(me.head))
    me.head = me.last = -1
    me.active = 0


@kernel
def _pay(T, C, Z, s, key, until, end, policy):
    """The account's payment at ``key``."""
    me = Z.slots[s]
    _absorb(T, Z, s, key, policy)
    place = me.oi
    marked, other, rank, given = _take_out(T, me)
    amount = marked & AMOUNT
    fee = _fee(T, rank) if marked & WITH_FEE else np.int64(0)
    if marked & VOID:
        me.void -= amount + fee
        return
    if given != UNKNOWN:
        _square(Z, s, -(amount + fee), given, policy)
    head = _drawn(Z, s, amount, policy)
    stolen = np.int64(0)
    if me.claim >= 0:
        head, stolen = _claimed(Z, s, head, amount, policy)
    tainted = _tainted(Z, head)
    reach = amount if me.poisoned else stolen
    me.sent += tainted
    me.stolen += stolen
    if tainted > 0 or (policy == POISON and reach > 0):
        _lead(T, C, Z, s, key, rank, place, marked, other, head, tainted, reach, until, end, policy)
    else:
        _let_go(Z, head)
    if fee > 0:
        me = Z.slots[s]
        head = _drawn(Z, s, fee, policy)
        tainted = _tainted(Z, head)
        _let_go(Z, head)
        if tainted > 0:
            me.sent += tainted
            _exit(Z, me.account, E_FEE, tainted, fee)


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
        _exit(Z, Z.slots[s].account if other == NOBODY else other, edge.exit, tainted, reach)
        _let_go(Z, head)
        return
    p = _slot(T, C, Z, np.int64(other), until)
    edge.payee = p
    to = Z.slots[p]
    to.received += tainted
    to.reach += reach
    if to.stopped:
        to.first = min(to.first, key)
        _put_all(Z, p, head, policy)
        return
    if marked & DELAYED:
        i = np.searchsorted(T.depart_rank, np.uint32(rank))
        arrives = np.int64(T.arrive_rank[i])
        _carry(Z, arrives, head, p)
        to.first = min(to.first, 2 * arrives + 1)
        _push(Z, 2 * arrives + 1, _ARRIVE, p)
        return
    _carry(Z, rank, head, p)
    to.first = min(to.first, key)
    _wake(T, Z, p, key, policy)
    to.pending += 1
    to.poisoned = 1
    _go_on(T, Z, p, end, policy)


@kernel
def walk(T, C, Z, policy, until, end):
    """Follow the claims up to ``end``, a key; balances are known up to ``until``. False where room is short: more of it,
    and all over again. Levels and what is held stand in the slots afterwards."""
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
                _wake(T, Z, who, key, policy)
                Z.slots[who].pending += 1
                Z.slots[who].poisoned = 1
                _go_on(T, Z, who, end, policy)
        else:
            s = _slot(T, C, Z, np.int64(C.account[who]), until)
            me = Z.slots[s]
            if C.into[who]:
                _wake(T, Z, s, key, policy)
                if me.active:
                    _absorb(T, Z, s, key, policy)
                me.first = min(me.first, key)
                me.received += C.amount[who]
                me.reach += C.amount[who]
                me.poisoned = 1
                Z.left[who] = 0
                me.balance += C.amount[who]
                _put(Z, s, _parcel(Z, who, C.amount[who]), policy)
                if me.active:
                    _received(Z, s, C.amount[who], policy)
                me.level = 1 if me.level < 0 else min(me.level, 1)
            else:
                _wake(T, Z, s, key, policy)
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
            _absorb(T, Z, s, end, policy)
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
