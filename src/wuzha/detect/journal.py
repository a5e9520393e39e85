"""A journal of what a transfer that is only supposed may write to the state, and its putting back.

Kept true here: whatever is kept before it is written stands again afterwards, in every field; what was added is blank
again, since new records are taken to be blank.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from . import compiling, layout
from .judge import MOST_EVIDENCE
from .layout import N_CELLS, N_CONTACTS, N_DOSSIERS, N_EVIDENCE, N_PEOPLE, N_SUBJECTS, N_TASKS, Array
from .owners import combined
from .tallies import forget_person
from .windows import after, find

# by the module's name: kernels here are part of no others, so that a change here need not compile the engine anew
inlined = compiling.inlined

#: Subjects that one transfer may touch before telling others of a new suspect is cut short, and their records.
_MOST, _CELLS, _CHUNKS, _PIECES = 2048, 1 << 17, 8192, 1 << 15
#: Counters of ``Journal.at``.
(_SUBJECTS, _N_CHUNKS, _N_CELLS, _N_CONTACTS, J_DOSSIERS, _N_PIECES, J_SHORT, _N_KEPT) = range(8)


class Journal(NamedTuple):
    """What stood before, and blank records."""

    at: Array
    n: Array
    free_cells: Array
    free_contacts: Array
    who: Array
    low: Array
    high: Array
    subjects: Array
    tallies: Array
    counted: Array
    people: Array
    chunks: Array
    cells: Array
    contact_chunks: Array
    contacts: Array
    whose: Array
    dossiers: Array
    pieces: Array
    halves: Array
    pair: Array
    blank_half: Array
    blank_subject: Array
    blank_cell: Array
    blank_contact: Array
    blank_dossier: Array
    blank_evidence: Array


def journal() -> Journal:
    """An empty journal; one serves an engine for good."""
    i8 = np.int64
    return Journal(
        at=np.zeros(8, i8), n=np.zeros(len(layout.COUNTERS), i8), free_cells=np.zeros(layout.N_CLASSES, np.int32),
        free_contacts=np.zeros(layout.N_CLASSES, np.int32), who=np.zeros(_MOST, i8), low=np.zeros(_MOST, i8),
        high=np.zeros(_MOST, i8), subjects=np.zeros(_MOST, layout.SUBJECT), tallies=np.zeros(_MOST, layout.TALLY),
        counted=np.zeros(2 * _MOST, i8), people=np.zeros(2 * _MOST, layout.PEOPLE),
        chunks=np.zeros((_CHUNKS, 3), i8), cells=np.zeros(_CELLS, layout.CELL), contact_chunks=np.zeros((64, 3), i8),
        contacts=np.zeros(4096, layout.CONTACT), whose=np.zeros(_MOST, i8), dossiers=np.zeros(_MOST, layout.DOSSIER),
        pieces=np.zeros((_PIECES, 4), i8), halves=np.zeros((4096, 2), i8), pair=np.zeros(1, layout.PAIR),
        blank_half=np.zeros(1, layout.HALF), blank_subject=np.zeros(1, layout.SUBJECT),
        blank_cell=np.zeros(1, layout.CELL),
        blank_contact=np.zeros(1, layout.CONTACT), blank_dossier=np.zeros(1, layout.DOSSIER),
        blank_evidence=np.zeros(1, layout.EVIDENCE),
    )  # fmt: skip


@inlined
def begin(S, J):
    """Nothing is kept yet. What is added meanwhile is taken from the arenas' ends, not from regions that were freed."""
    for i in range(J.at.shape[0]):
        J.at[i] = 0
    for i in range(J.n.shape[0]):
        J.n[i] = S.n[i]
    for i in range(J.free_cells.shape[0]):
        J.free_cells[i] = S.free_cells[i]
        J.free_contacts[i] = S.free_contacts[i]
        S.free_cells[i] = -1
        S.free_contacts[i] = -1


@inlined
def note_half(S, J, key):
    """Keep the rows of one transfer that wait for their other side, and the place where this one would wait."""
    i = np.uint64(find(S.halves, key))
    k = 0
    while S.halves[i].key != np.uint64(0):
        if S.halves[i].key == key and k < J.halves.shape[0] - 2:
            J.halves[k, 0] = np.int64(i)
            J.halves[k, 1] = S.halves[i].done
            k += 1
        i = after(S.halves, i)
    J.halves[k, 0] = np.int64(i)
    J.halves[k, 1] = -1
    J.halves[k + 1, 0] = -1


@inlined
def note(S, J, s):
    """Keep the record and the counts of subject ``s``, once. Returns their place in the journal."""
    k = J.at[_SUBJECTS]
    for i in range(k):
        if J.who[i] == s:
            return i
    J.who[k] = s
    J.low[k] = -1
    J.subjects[k] = S.subjects[s]
    if S.subjects[s].tally >= 0:
        J.tallies[k] = S.tallies[S.subjects[s].tally]
    J.at[_SUBJECTS] = k + 1
    return k


@inlined
def _count(S, J, i):
    """Keep record ``i`` of the persons' counts, once."""
    k = J.at[_N_KEPT]
    for j in range(k):
        if J.counted[j] == i:
            return
    J.counted[k] = i
    J.people[k] = S.people[i]
    J.at[_N_KEPT] = k + 1


@inlined
def _note_people(S, J, s):
    """Keep the counts of everybody whose ``s`` may be."""
    x = S.subjects[s]
    if x.people >= 0:
        _count(S, J, np.int64(x.people))
    m = np.int64(x.owner)
    while m >= 0 and J.at[_N_KEPT] < J.counted.shape[0]:
        if S.members[m].people >= 0:
            _count(S, J, np.int64(S.members[m].people))
        m = np.int64(S.members[m].next_of_subject)


@inlined
def _keep(S, J, begin, end):
    """Keep cells begin … end−1."""
    if end <= begin:
        return
    c, at = J.at[_N_CHUNKS], J.at[_N_CELLS]
    J.chunks[c, 0] = begin
    J.chunks[c, 1] = end
    J.chunks[c, 2] = at
    for i in range(begin, end):
        J.cells[at] = S.cells[i]
        at += 1
    J.at[_N_CHUNKS] = c + 1
    J.at[_N_CELLS] = at


@inlined
def note_cells(S, J, s, bucket):
    """Keep the windows of ``s`` that events from ``bucket`` on may change; asked again, all of them."""
    k = note(S, J, s)
    _note_people(S, J, s)
    begin = np.int64(J.subjects[k].cells)
    if begin < 0:
        return
    count, size = np.int64(J.subjects[k].n_cells), np.int64(1) << np.int64(J.subjects[k].cells_class)
    if J.low[k] >= 0:
        _keep(S, J, begin, begin + J.low[k])
        _keep(S, J, begin + J.high[k], begin + size)
        J.low[k] = 0
        J.high[k] = size
        return
    low, high = np.int64(0), size
    if count + 6 <= size:  # room for all that one transfer adds: nothing is dropped or moved
        high = count + 6
        low = count
        while low > 0 and S.cells[begin + low - 1].bucket >= bucket:
            low -= 1
    _keep(S, J, begin + low, begin + high)
    J.low[k] = low
    J.high[k] = high


@inlined
def note_person(S, J, seed, s):
    """Keep the person who may become the provisional one of ``s`` and stands already under that name."""
    if S.subjects[s].provisional < 0:
        i = find(S.slots, combined(seed, S.subjects[s].key))
        if S.slots[i].key != np.uint64(0):
            note(S, J, np.int64(S.slots[i].id))


@inlined
def note_ring(S, J, s):
    """Keep the places where ``s`` may remember two more counterparts."""
    x = S.subjects[s]
    if x.ring < 0:
        return
    size = np.int64(1) << np.int64(x.ring_class)
    low, high = np.int64(x.n_ring), np.int64(x.n_ring) + 2
    if high > size:
        low, high = np.int64(0), size
    c = np.int64(0)
    at = J.at[_N_CONTACTS]
    while J.contact_chunks[c, 1] > 0:
        c += 1
    J.contact_chunks[c, 0] = x.ring + low
    J.contact_chunks[c, 1] = x.ring + high
    J.contact_chunks[c, 2] = at
    for i in range(x.ring + low, x.ring + high):
        J.contacts[at] = S.contacts[i]
        at += 1
    J.at[_N_CONTACTS] = at


@inlined
def note_dossier(S, J, s):
    """Keep the dossier of ``s`` and what a judgement may change of its pieces."""
    d = np.int64(S.subjects[s].dossier)
    if d < 0 or d >= J.n[N_DOSSIERS]:
        return
    k = J.at[J_DOSSIERS]
    for i in range(k):
        if J.whose[i] == d:
            return
    J.whose[k] = d
    J.dossiers[k] = S.dossiers[d]
    J.at[J_DOSSIERS] = k + 1
    e = np.int64(S.dossiers[d].evidence)
    left = MOST_EVIDENCE + 1
    p = J.at[_N_PIECES]
    while e >= 0 and p < J.pieces.shape[0] and (left > 0 or S.evidence[e].typology < 0):
        left -= 1
        v = S.evidence[e]
        J.pieces[p, 0] = e
        J.pieces[p, 1] = v.next
        J.pieces[p, 2] = v.amount
        J.pieces[p, 3] = v.typology
        p += 1
        e = np.int64(v.next)
    J.at[_N_PIECES] = p


@inlined
def fits(S, J, s):
    """Whether one more subject can be kept whole, with its dossier and its person's."""
    x = S.subjects[s]
    cells = (np.int64(1) << np.int64(x.cells_class)) if x.cells >= 0 else np.int64(0)
    return (
        J.at[_SUBJECTS] + 8 < J.who.shape[0]
        and J.at[_N_KEPT] + 64 < J.counted.shape[0]
        and J.at[_N_CHUNKS] + 4 < J.chunks.shape[0]
        and J.at[_N_CELLS] + cells + 8 < J.cells.shape[0]
        and J.at[J_DOSSIERS] + 8 < J.whose.shape[0]
        and J.at[_N_PIECES] + 4096 < J.pieces.shape[0]
        and S.n[N_TASKS] + 8 < S.tasks.shape[0]
    )


@inlined
def put_back(S, J):
    """Everything as the journal has it."""
    for p in range(S.n[N_SUBJECTS] - 1, J.n[N_SUBJECTS] - 1, -1):
        i = find(S.slots, S.subjects[p].key)
        S.slots[i].key = np.uint64(0)
        S.slots[i].id = 0
        S.subjects[p] = J.blank_subject[0]
    for k in range(J.at[_SUBJECTS]):
        if J.who[k] < J.n[N_SUBJECTS]:
            S.subjects[J.who[k]] = J.subjects[k]
            if J.subjects[k].tally >= 0:
                S.tallies[J.subjects[k].tally] = J.tallies[k]
    for k in range(J.at[_N_KEPT]):
        S.people[J.counted[k]] = J.people[k]
    for i in range(J.n[N_PEOPLE], S.n[N_PEOPLE]):
        if S.people[i].person < J.n[N_SUBJECTS]:
            forget_person(S, np.int64(S.people[i].person))
    for c in range(J.at[_N_CHUNKS]):
        at = J.chunks[c, 2]
        for i in range(J.chunks[c, 0], J.chunks[c, 1]):
            S.cells[i] = J.cells[at]
            at += 1
    for i in range(J.n[N_CELLS], S.n[N_CELLS]):
        S.cells[i] = J.blank_cell[0]
    c = 0
    while J.contact_chunks[c, 1] > 0:
        at = J.contact_chunks[c, 2]
        for i in range(J.contact_chunks[c, 0], J.contact_chunks[c, 1]):
            S.contacts[i] = J.contacts[at]
            at += 1
        J.contact_chunks[c, 1] = 0
        c += 1
    for i in range(J.n[N_CONTACTS], S.n[N_CONTACTS]):
        S.contacts[i] = J.blank_contact[0]
    for p in range(J.at[_N_PIECES]):
        v = S.evidence[J.pieces[p, 0]]
        v.next = J.pieces[p, 1]
        v.amount = J.pieces[p, 2]
        v.typology = J.pieces[p, 3]
    for e in range(J.n[N_EVIDENCE], S.n[N_EVIDENCE]):
        S.evidence[e] = J.blank_evidence[0]
    for k in range(J.at[J_DOSSIERS]):
        S.dossiers[J.whose[k]] = J.dossiers[k]
    for d in range(J.n[N_DOSSIERS], S.n[N_DOSSIERS]):
        S.dossiers[d] = J.blank_dossier[0]
    k = 0
    while J.halves[k, 0] >= 0:
        if J.halves[k, 1] >= 0:
            S.halves[J.halves[k, 0]].done = J.halves[k, 1]
        else:
            S.halves[J.halves[k, 0]] = J.blank_half[0]
        k += 1
    for i in range(J.n.shape[0]):
        S.n[i] = J.n[i]
    for i in range(J.free_cells.shape[0]):
        S.free_cells[i] = J.free_cells[i]
        S.free_contacts[i] = J.free_contacts[i]
