"""Memory that the next events will touch is asked for ahead of time, so that it is there when they are read.

Kept true here: nothing is read that decides anything and nothing is written; results are the same without it.
"""

from __future__ import annotations

import numpy as np

from .codes import T_CALLS, T_TRANSFERS
from .compiling import borrowed, entered, fetch, inlined
from .owners import combined
from .windows import pair_key, place_of

#: Events between asking for something and reading the event: subjects; what they point to; what that points to.
FAR, NEAR, NEXT = 24, 14, 7
_LINE = 64


@inlined
def _windows(S, s):
    x = S.subjects[s]
    if x.cells >= 0:
        fetch(S.cells, np.int64(x.cells) + x.n_cells - 1, 0)
        fetch(S.cells, np.int64(x.cells) + x.n_cells, 0)
    if x.owner >= 0:
        fetch(S.members, x.owner, 0)
    if x.tally >= 0:
        fetch(S.tallies, x.tally, 0)
    if x.people >= 0:
        _person(S, np.int64(x.provisional), np.int64(x.people))


@inlined
def _person(S, p, i):
    fetch(S.subjects, p, 0)
    fetch(S.people, i, 0)
    fetch(S.people, i, _LINE)
    fetch(S.people, i, 2 * _LINE)


@inlined
def ask(E, S, i, end, group):
    """What the events after ``i`` will touch. ``group``: by table, that of `windows.first_contact`; 0 none."""
    j = i + FAR
    if j < end:
        at = np.int64(place_of(S.seen, E.identity[j]))
        fetch(S.seen, at, 0)
        fetch(S.seen, at, _LINE)
        for c in range(3):
            if E.ids[j, c] >= 0:
                fetch(S.subjects, E.ids[j, c], 0)
                fetch(S.subjects, E.ids[j, c], _LINE)
    j = i + NEAR
    if j < end:
        for c in range(3):
            if E.ids[j, c] >= 0:
                _windows(S, E.ids[j, c])
        g = group[E.table[j]]
        if g > 0 and E.ids[j, 0] >= 0 and E.ids[j, 1] >= 0:
            a, b = S.subjects[E.ids[j, 0]].key, S.subjects[E.ids[j, 1]].key
            at = np.int64(place_of(S.pairs, pair_key(a, b, g)))
            fetch(S.pairs, at, 0)
            fetch(S.pairs, at, _LINE)
            if E.table[j] == T_CALLS or E.table[j] == T_TRANSFERS:
                natural = combined(a, b)
                if E.table[j] == T_TRANSFERS:
                    natural = combined(natural, np.uint64(E.value[j]))
                fetch(S.halves, np.int64(place_of(S.halves, natural)), 0)
            x = S.subjects[E.ids[j, 0]]
            if x.ring >= 0:
                full = x.n_ring == 1 << x.ring_class
                fetch(S.contacts, np.int64(x.ring) + (x.ring_at if full else x.n_ring), 0)
    j = i + NEXT
    if j < end:
        for c in range(2):
            if E.ids[j, c] >= 0:
                m = S.subjects[E.ids[j, c]].owner
                if m >= 0:
                    if S.members[m].next_of_subject >= 0:
                        fetch(S.members, S.members[m].next_of_subject, 0)
                    if S.members[m].people >= 0:
                        _person(S, np.int64(S.members[m].person), np.int64(S.members[m].people))


@entered
def touch(events, state, group):
    """Only read what the events' own lines of the state hold, in their order: the least that memory takes.

    Returns a sum, so that no reading is left out.
    """
    E, S = borrowed(events), borrowed(state)
    total = np.int64(0)
    for i in range(E.ts.shape[0]):
        total += np.int64(S.seen[np.int64(place_of(S.seen, E.identity[i]))].came)
        for c in range(2):
            s = E.ids[i, c]
            if s < 0:
                continue
            x = S.subjects[s]
            total += x.last_ts + x.opened + S.tallies[max(x.tally, 0)].epoch[0]
            if x.cells >= 0:
                total += S.cells[np.int64(x.cells) + x.n_cells - 1].n
            if x.owner >= 0:
                m = S.members[x.owner]
                total += m.begin + S.subjects[m.person].last_ts
                if m.people >= 0:
                    total += S.people[m.people].epoch[0]
        g = group[E.table[i]]
        if g > 0 and E.ids[i, 0] >= 0 and E.ids[i, 1] >= 0:
            a, b = S.subjects[E.ids[i, 0]].key, S.subjects[E.ids[i, 1]].key
            total += S.pairs[np.int64(place_of(S.pairs, pair_key(a, b, g)))].first
    return total
