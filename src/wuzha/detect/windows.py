"""Kernels of the keyed state: hash tables, growing regions, windows of event time.

Kept true here: a window's figures depend on which events it holds, not on their order: count, sum, greatest, first and
last by (time, log order), and a set of counterparts as 64 bits. A cell that no window can reach any more is dropped
only when room is needed, so dropping is never seen.
"""

from __future__ import annotations

import numpy as np

from .codes import BUCKET_US, DAY_US, NEVER, STRANGER_US
from .compiling import entered, fetch, inlined, inner
from .layout import N_CELLS, N_CONTACTS

_U1 = np.uint64(1)
_MIX = np.uint64(0x9E3779B97F4A7C15)
_32 = np.uint64(32)
_58 = np.uint64(58)
#: Rows are known again, and wait for their other side, until this many days of the log after they came.
MEMORY_DAYS = 8
#: A suspect-to-be remembers this many counterparts (1 << class).
RING_CLASS = 8


@entered
def day(ts):
    """Day of a time since 1970, as records of the tables keep it."""
    return min(max(ts // DAY_US, 0), 65000)


@inlined
def place_of(table, key):
    """Where the search for ``key`` begins: entries stand in the order of their mixed keys, so a table grows where it
    stands, in one pass from back to front."""
    return ((key * _MIX >> _32) * np.uint64(table.shape[0])) >> _32


@inlined
def after(table, i):
    """The place after ``i``."""
    i += _U1
    return i if i < np.uint64(table.shape[0]) else np.uint64(0)


@entered
def find(table, key):
    """Slot of ``key`` in an open-addressing table, or the empty slot where it belongs."""
    i = place_of(table, key)
    while table[i].key != np.uint64(0) and table[i].key != key:
        i = after(table, i)
    return np.int64(i)


@inlined
def _spread(table, was, zero):
    """Every entry of the first ``was`` places to where it belongs among all places of ``table``; returns how many.

    From back to front, so that an entry goes behind all that still wait. Who would not is put aside and comes last:
    then no hole opens any more between where a search begins and what it looks for.
    """
    n, aside = 0, 0
    size = table.shape[0]
    kept = np.empty(1024, table.dtype)
    for j in range(was - 1, -1, -1):
        key = table[j].key
        if key == np.uint64(0):
            continue
        n += 1
        i = np.int64(place_of(table, key))
        if i == j:
            continue
        if i > j:
            while i < size and table[i].key != np.uint64(0):
                i += 1
        if i > j and i < size:
            table[i] = table[j]
        else:
            if aside == kept.shape[0]:
                more = np.empty(2 * aside, table.dtype)
                more[:aside] = kept
                kept = more
            kept[aside] = table[j]
            aside += 1
        table[j] = zero[0]
    for k in range(aside):
        # of ``halves`` several may have one key
        free = place_of(table, kept[k].key)
        while table[free].key != np.uint64(0):
            free = after(table, free)
        table[free] = kept[k]
    return n


@entered
def spread_out(table, was, zero):
    """A table that had ``was`` places has more now, behind them, all empty: its entries go to where they belong."""
    return _spread(table, was, zero)


@entered
def spread_since(table, was, zero, since):
    """As `spread_out`, without entries that are done with or came before the day ``since``."""
    for j in range(was):
        if table[j].key != np.uint64(0) and (table[j].came < since or table[j].done != 0):
            table[j] = zero[0]
    return _spread(table, was, zero)


@entered
def lasting(table, since):
    """How many entries `spread_since` would leave."""
    n = 0
    for j in range(table.shape[0]):
        if table[j].key != np.uint64(0) and table[j].came >= since and table[j].done == 0:
            n += 1
    return n


#: Keys between asking for a subject's slot and reading it.
_AHEAD = 16


@entered
def guess(keys, slots, out):
    """What ids (rows, width) subject hashes seem to have, -1 none. `intern` believes none of them: another thread may
    be writing to ``slots`` meanwhile."""
    rows, width = keys.shape
    for r in range(rows + _AHEAD):
        if r < rows:
            for c in range(width):
                if keys[r, c] != np.uint64(0):
                    fetch(slots, np.int64(place_of(slots, keys[r, c])), 0)
        if r < _AHEAD:
            continue
        q = r - _AHEAD
        for c in range(width):
            key = keys[q, c]
            out[q, c] = -1
            if key != np.uint64(0):
                i = find(slots, key)
                if slots[i].key == key:
                    out[q, c] = slots[i].id


@entered
def intern(keys, kinds, slots, subjects, n, out, fresh):
    """Ids of (rows, width) subject hashes; new subjects are added. ``fresh`` takes row * width + slot of each new one.

    ``out`` comes with what `guess` says, or -1: an id is right where it is that of a subject with this hash, and looked
    up where it is not. Returns (subjects now, new ones). ``slots`` and ``subjects`` have room for every key of the
    block.
    """
    m = 0
    rows, width = keys.shape
    for r in range(rows + _AHEAD):
        if r < rows:
            for c in range(width):
                if keys[r, c] != np.uint64(0):
                    if 0 <= out[r, c] < n:
                        fetch(subjects, out[r, c], 0)
                    else:
                        fetch(slots, np.int64(place_of(slots, keys[r, c])), 0)
        if r < _AHEAD:
            continue
        q = r - _AHEAD
        for c in range(width):
            key = keys[q, c]
            if key == np.uint64(0):
                out[q, c] = -1
                continue
            if 0 <= out[q, c] < n and subjects[out[q, c]].key == key:
                continue
            i = find(slots, key)
            if slots[i].key == np.uint64(0):
                # the id first: who guesses meanwhile finds no key without it
                slots[i].id = n
                slots[i].key = key
                new_subject(subjects, n, key, kinds[q, c])
                fresh[m] = q * width + c
                m += 1
                n += 1
            out[q, c] = slots[i].id
    return n, m


@inner
def new_subject(subjects, i, key, kind):
    """Record ``i`` of a subject never seen before."""
    s = subjects[i]
    s.key = key
    s.kind = kind
    s.last_ts = NEVER
    s.first_ts = NEVER
    s.opened = NEVER
    s.active = NEVER
    s.cells = -1
    s.ring = -1
    s.owner = -1
    s.member = -1
    s.twin = i
    s.root = i
    s.provisional = -1
    s.dossier = -1
    s.people = -1
    s.tally = -1
    s.device = 0


@inner
def _take(free, n, counter, size_class):
    """Begin of a region of 1 << size_class records: a used one where there is, else fresh room."""
    if free[size_class] >= 0:
        return free[size_class]
    at = n[counter]
    n[counter] += 1 << size_class
    return at


@inner
def bucket_of(ts):
    return ts // BUCKET_US


@inlined
def add_cell(subjects, cells, free, n, keep, s, code, ts, value, counterpart, ref):
    """Add one event to subject ``s``: into the cell of (code, bucket), which is made where it is not there yet."""
    if keep[code] == 0:
        return
    bucket = np.int32(ts // BUCKET_US)
    offset = np.uint32(ts - np.int64(bucket) * BUCKET_US)
    bit = _U1 << (counterpart * _MIX >> _58)
    me = subjects[s]
    begin = me.cells
    at = me.n_cells
    while at > 0:
        c = cells[begin + at - 1]
        if c.bucket < bucket:
            break
        if c.bucket == bucket and c.code == code:
            c.n += 1
            c.total += value
            if value > c.most:
                c.most = value
            if offset < c.first:
                c.first = offset
                c.first_ref = ref
            if offset >= c.last:
                c.last = offset
                c.last_ref = ref
            c.bits |= bit
            return
        at -= 1
    count = me.n_cells
    if begin < 0 or count == 1 << me.cells_class:
        at, count = _make_room(me, cells, free, n, keep, at)
        begin = me.cells
    for j in range(count, at, -1):
        cells[begin + j] = cells[begin + j - 1]
    c = cells[begin + at]
    c.code = code
    c.bucket = bucket
    c.n = 1
    c.first = offset
    c.last = offset
    c.total = value
    c.most = value
    c.bits = bit
    c.first_ref = ref
    c.last_ref = ref
    me.n_cells = count + 1


@inner
def _make_room(me, cells, free, n, keep, at):
    """Drop what no window reaches; take a larger region where that is not enough. Returns (place of ``at``, count)."""
    begin = me.cells
    if begin < 0:
        new = _take(free, n, N_CELLS, 0)
        if free[0] == new:
            free[0] = cells[new].n
        me.cells = new
        me.cells_class = 0
        me.n_cells = 0
        return 0, 0
    now = me.last_ts // BUCKET_US
    left = 0
    place = at
    for j in range(me.n_cells):
        if now - cells[begin + j].bucket < keep[cells[begin + j].code]:
            if left != j:
                cells[begin + left] = cells[begin + j]
            left += 1
        elif j < at:
            place -= 1
    me.n_cells = left
    if left * 4 > (3 << me.cells_class):
        old_class = me.cells_class
        new_class = old_class + 1
        new = _take(free, n, N_CELLS, new_class)
        if free[new_class] == new:
            free[new_class] = cells[new].n
        for j in range(left):
            cells[new + j] = cells[begin + j]
        cells[begin].n = free[old_class]
        free[old_class] = begin
        me.cells = new
        me.cells_class = new_class
    return place, left


@inner
def add_contact(subjects, contacts, free, n, s, other, met, ts, value, ref):
    """Remember that ``other`` dealt with ``s``. A full ring of 256 forgets the entry that came in first; a smaller one
    is cleared of what is too old where that gives much room, and grows where it does not."""
    me = subjects[s]
    if me.ring < 0:
        new = _take(free, n, N_CONTACTS, 0)
        if free[0] == new:
            free[0] = contacts[new].other
        me.ring = new
        me.ring_class = 0
        me.n_ring = 0
    if me.n_ring == 1 << me.ring_class and me.ring_class < RING_CLASS:
        left = 0
        newest = me.last_ts
        for j in range(me.n_ring):
            if newest - contacts[me.ring + j].ts <= STRANGER_US:
                if left != j:
                    contacts[me.ring + left] = contacts[me.ring + j]
                left += 1
        me.n_ring = left
        if left * 4 > (3 << me.ring_class):
            old = me.ring
            new_class = me.ring_class + 1
            new = _take(free, n, N_CONTACTS, new_class)
            if free[new_class] == new:
                free[new_class] = contacts[new].other
            for j in range(left):
                contacts[new + j] = contacts[old + j]
            contacts[old].other = free[me.ring_class]
            free[me.ring_class] = old
            me.ring = new
            me.ring_class = new_class
            me.ring_at = 0
    if me.n_ring < 1 << me.ring_class:
        at = me.n_ring
        me.n_ring += 1
    else:
        at = me.ring_at
        me.ring_at = (at + 1) & ((1 << me.ring_class) - 1)
    c = contacts[me.ring + at]
    c.ts = ts
    c.ref = ref
    c.value = value
    c.other = other
    c.met = met


@inlined
def pair_key(a, b, group):
    """Key of two subjects' contact in a ``group``; it has no direction."""
    low, high = (a, b) if a < b else (b, a)
    key = (low * _MIX) ^ (high + (low >> _32)) ^ (np.uint64(group) * np.uint64(0xC2B2AE3D27D4EB4F))
    return key if key != np.uint64(0) else _U1


@inner
def first_contact(pairs, n, counter, a, b, group, ts):
    """Time of the first contact of two subjects (this one's, where it is the first), and whether it is new.

    ``a`` and ``b`` are subject hashes; contact of a ``group`` has no direction.
    """
    key = pair_key(a, b, group)
    i = find(pairs, key)
    p = pairs[i]
    if p.key == np.uint64(0):
        p.key = key
        p.first = ts
        n[counter] += 1
        return ts, True
    if ts < p.first:
        p.first = ts
    return p.first, False
