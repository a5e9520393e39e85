"""The engine's state: flat arrays of fixed records, and what each field means.

Kept true here: the whole state is these arrays, so that a snapshot is a copy of them; a record refers to another by
its index; growth copies, and never changes an index.
"""

from __future__ import annotations

import mmap
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

#: One subject: its windows, its owner, its counterparts, what is registered of it. What every event reads comes first:
#: it fills one line of the processor's cache, and records begin with a line.
SUBJECT = np.dtype(
    [
        ("key", "u8"),
        ("last_ts", "i8"),  # newest accepted event
        ("first_ts", "i8"),
        ("cells", "i4"),  # region of the cell arena, -1 none
        ("n_cells", "i4"),
        ("owner", "i4"),  # newest membership of this line, account or device
        ("provisional", "i4"),  # its provisional person; of such a person: its subject
        ("root", "i4"),  # person: who speaks for the circle
        ("dossier", "i4"),
        ("users", "i4"),  # distinct counterparts ever
        ("people", "i4"),  # person: its record in ``people``; of a subject: its provisional person's; -1 none
        ("suspect", "u2"),  # bits of SUSPECTS
        ("marks", "u2"),  # 1 provisional, 2 cleared, 4 confirmed, 8 registered
        ("kind", "u1"),
        ("cells_class", "u1"),  # regions hold 1 << class records
        ("owners", "u1"),
        ("plan", "u1"),
        # the second line
        ("opened", "i8"),  # register: opened, last active (NEVER: unknown)
        ("active", "i8"),
        ("ring", "i4"),  # region of the counterpart arena, -1 none
        ("n_ring", "i4"),
        ("ring_at", "i4"),  # next slot of a full ring
        ("device", "i4"),  # line: device last seen with it, plus 1; 0 none yet
        ("place", "i4"),  # city of the newest event
        ("member", "i4"),  # person: newest membership
        ("twin", "i4"),  # person: next of the same human being, a circle
        ("tally", "i4"),  # its record in ``tallies``, -1 none yet
        ("ring_class", "u1"),
        ("spare", "u1", (15,)),
    ],
    align=True,
)
#: Aggregates of one subject's events of one code in one bucket; all of them commute.
CELL = np.dtype(
    [
        ("code", "u2"),
        ("bucket", "i4"),
        ("n", "i4"),
        ("first", "u4"),  # µs after the bucket's begin
        ("last", "u4"),
        ("total", "i8"),
        ("most", "i8"),
        ("bits", "u8"),  # counterparts, one bit of 64 each
        ("first_ref", "i8"),
        ("last_ref", "i8"),
    ],
    align=True,
)
#: A counterpart that a suspect-to-be has dealt with.
CONTACT = np.dtype([("ts", "i8"), ("ref", "i8"), ("value", "i8"), ("other", "i4"), ("met", "i4")], align=True)
#: ``subject`` belongs to ``person`` in [begin, end).
MEMBER = np.dtype(
    [("begin", "i8"), ("end", "i8"), ("ref", "i8"), ("subject", "i4"), ("person", "i4"), ("next_of_subject", "i4"),
     ("next_of_person", "i4"), ("confidence", "i4"), ("rank", "i4"),
     ("people", "i4"),  # the person's record in ``people``, -1 none yet
     ("spare", "u1", (12,))],
    align=True,
)  # fmt: skip
#: What is known of one person at risk, or of one suspect.
DOSSIER = np.dtype(
    [
        ("raised_at", "i8"), ("high_at", "i8"), ("last_at", "i8"), ("now", "i8"), ("amount", "i8"), ("score", "f8"),
        ("subject", "i4"),
        ("episode", "i4"),  # of the open alert, or of the one closed last
        ("evidence", "i4"),  # newest piece of the open or the next episode; a closed one's are let go
        ("n_evidence", "i4"),
        ("warnings", "i4"), ("line", "i4"), ("place", "i4"), ("typology", "i4"), ("level", "i4"), ("stage", "i4"),
        ("open", "u1"),
        ("dirty", "u1"),  # stands in the list of what is to be told
        ("withdrawn", "u1"),  # the alert that was open has gone to others
        ("restated", "u1"),  # pieces have come or gone by a word on persons: all are told anew
    ],
    align=True,
)  # fmt: skip
N_ARGS, N_REFS = 6, 8
#: One reason, with its figures and events.
EVIDENCE = np.dtype(
    [
        ("at", "i8"), ("known", "i8"), ("amount", "i8"), ("args", "f8", (N_ARGS,)), ("refs", "i8", (N_REFS,)),
        ("dossier", "i4"), ("origin", "i4"),
        ("next", "i4"),  # the piece before it; indices rise in the order of the log
        ("rule", "i2"),
        ("typology", "i2"),  # that the alert had when it came in, -1 before
        ("n_refs", "u1"), ("hint", "u1"), ("told", "u1"),
        ("last", "u1"),  # the last one of those that one event gave: then the dossier was weighed
    ],
    align=True,
)  # fmt: skip
#: One warning joined to a person.
JOINED = np.dtype(
    [("ref", "i8"), ("ts", "i8"), ("amount", "i8"), ("dossier", "i4"), ("origin", "i4"), ("next", "i4"),
     ("place", "i4"), ("told", "u1")],
    align=True,
)  # fmt: skip
#: Hash tables: identities seen; one side's report waiting for the other's; first contact of two subjects.
#: ``came``: day of the log on which the row came; ``done``: the record may be forgotten.
SEEN = np.dtype([("key", "u8"), ("print", "u4"), ("came", "u2"), ("done", "u2")])
HALF = np.dtype(
    [("key", "u8"), ("ts", "i8"), ("source", "u4"), ("came", "u2"), ("done", "u1"), ("side", "u1")], align=True
)
PAIR = np.dtype([("key", "u8"), ("first", "i8")])
SLOT = np.dtype([("key", "u8"), ("id", "i4")], align=True)
#: Work that an event leaves behind: a subject to judge.
TASK = np.dtype(
    [("at", "i8"), ("now", "i8"), ("ref", "i8"), ("subject", "i4"), ("origin", "i4"), ("code", "i4"), ("hint", "i4")],
    align=True,
)  # fmt: skip
#: One event to come into a subject's windows: of those that one row brings, a report's waiting identifiers the most.
ADDED = np.dtype([("ts", "i8"), ("value", "i8"), ("other", "u8"), ("ref", "i8"), ("subject", "i4"), ("code", "i4")])
N_ADDED = 2048
#: What a report, an identifier or a finding waits with: identifiers that came before their report.
WAITING = np.dtype([("report", "i4"), ("subject", "i4"), ("role", "i4"), ("ref", "i8")], align=True)
#: Evidence or warnings that went from one person to another.
MOVE = np.dtype([("source", "i4"), ("target", "i4"), ("at", "i8")], align=True)
#: One person judged another or not: same_person edges in log order.
TWIN = np.dtype([("a", "i4"), ("b", "i4"), ("alike", "i4")], align=True)

#: Spans in buckets (2, 6, 24, 72 hours, a week; what is wider has no end) in which events are counted by signal.
SPANS = (12, 36, 144, 432, 1008)
N_SPANS = len(SPANS) + 1
#: Those in which what a subject does itself is counted: what is wider than the last has no end.
OWN_SPANS = range(1, 4)
#: Signals of rules on persons, and of rules on all others; a record fills whole lines.
N_SIGNALS, N_OWN = 77, 24
EPOCH = 1 << 27
#: Plans of lines and kinds of accounts that rules may be bound to; the last one stands for all others.
N_PLANS = 32
#: What all that a person has may have done, by span and signal.
PEOPLE = np.dtype(
    [("epoch", "i4", (len(SPANS),)),
     ("person", "i4"),  # root
     ("some", "u4", (3,)),  # bits of signals with any count
     ("now", "u1", (N_SIGNALS,)), ("before", "u1", (N_SIGNALS,)),
     ("stirred", "u1")],  # the money at risk may have grown
    align=True,
)  # fmt: skip
#: The same of one subject, for rules on it. The bit `AHEAD` of ``some``: an event came that is later than its newest.
TALLY = np.dtype(
    [("epoch", "i4", (len(OWN_SPANS),)), ("some", "u4", (1,)), ("now", "u1", (N_OWN,)), ("before", "u1", (N_OWN,))],
    align=True,
)
AHEAD = 1 << 31

#: Counters of the state.
COUNTERS = (
    "subjects", "cells", "contacts", "members", "dossiers", "evidence", "joined", "seen", "halves", "pairs", "waiting",
    "moves", "twins", "tasks", "events", "duplicates", "conflicts", "late", "merged_sides", "unjoined", "lines",
    "people", "dirty", "judged", "tallies", "added",
)  # fmt: skip
COUNTER = {name: i for i, name in enumerate(COUNTERS)}
(
    N_SUBJECTS, N_CELLS, N_CONTACTS, N_MEMBERS, N_DOSSIERS, N_EVIDENCE, N_JOINED, N_SEEN, N_HALVES, N_PAIRS, N_WAITING,
    N_MOVES, N_TWINS, N_TASKS, N_EVENTS, N_DUPLICATES, N_CONFLICTS, N_LATE, N_MERGED, N_UNJOINED, N_LINES,
    N_PEOPLE, N_DIRTY, N_JUDGED, N_TALLIES, N_ADDS,
) = range(26)  # fmt: skip
N_CLASSES = 24
#: Uses of sites and apps are counted by how many lines have the thing: 1 … 8, then by doublings up to an
#: open end; the last place is their sum.
N_CROWDS = 16
#: So many uses are counted before older ones fall out by as many; before that nothing is called rare.
HABIT = 16384
#: Rare is what at most one use in so many goes to.
RARE = 1000


class State(NamedTuple):
    """Every array of the engine, in the order of snapshots."""

    subjects: Array
    slots: Array
    cells: Array
    contacts: Array
    members: Array
    dossiers: Array
    evidence: Array
    joined: Array
    seen: Array
    halves: Array
    pairs: Array
    waiting: Array
    moves: Array
    twins: Array
    tasks: Array
    dirty: Array
    tallies: Array  # like ``people`` made again from the cells, so no part of a snapshot; record 0 is for trying
    people: Array
    added: Array  # of the event that is being read
    free_cells: Array
    free_contacts: Array
    watermark: Array
    habits: Array
    n: Array


_ARENAS: dict[str, tuple[np.dtype[Any], int]] = {
    "subjects": (SUBJECT, N_SUBJECTS),
    "cells": (CELL, N_CELLS),
    "contacts": (CONTACT, N_CONTACTS),
    "members": (MEMBER, N_MEMBERS),
    "dossiers": (DOSSIER, N_DOSSIERS),
    "evidence": (EVIDENCE, N_EVIDENCE),
    "joined": (JOINED, N_JOINED),
    "waiting": (WAITING, N_WAITING),
    "moves": (MOVE, N_MOVES),
    "twins": (TWIN, N_TWINS),
    "tasks": (TASK, N_TASKS),
    "dirty": (np.dtype("i4"), N_DIRTY),
}
ARENAS = tuple(_ARENAS)
#: Open-addressing tables, at most two thirds full. Field ``key`` 0 is empty.
TABLES_OF = {"slots": (SLOT, N_SUBJECTS), "seen": (SEEN, N_SEEN), "halves": (HALF, N_HALVES), "pairs": (PAIR, N_PAIRS)}
#: Records that grow but are in no snapshot.
_MADE_AGAIN = {"people": (PEOPLE, N_PEOPLE), "tallies": (TALLY, N_TALLIES)}
_LINE = 64
#: From this size on an array is a view of a larger range of addresses; only what is written to takes memory.
RESERVED = 1 << 22
#: Bytes that a processor copies at a time.
_COPIED = 1 << 26
_NO_RESERVE = 0x4000 if sys.platform == "linux" else 0


def room(size: int, dtype: np.dtype[Any]) -> Array:
    """``size`` records of zeros that begin with a line of the cache."""
    length = size * dtype.itemsize
    if length < RESERVED or not _NO_RESERVE:
        plain = np.zeros(length + _LINE, np.uint8)
        begin = -plain.ctypes.data % _LINE
        return plain[begin : begin + length].view(dtype)
    try:
        kept = mmap.mmap(-1, max(16 * length, 1 << 30), flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | _NO_RESERVE)
    except (OSError, ValueError):
        return np.zeros(length + 4096, np.uint8)[:length].view(dtype)
    if hasattr(mmap, "MADV_HUGEPAGE"):
        with suppress(OSError):
            kept.madvise(mmap.MADV_HUGEPAGE)
    return np.frombuffer(kept, np.uint8)[:length].view(dtype)


def filled(records: Array, size: int) -> Array:
    """A copy of ``records`` with room for ``size`` of them. It is bytes that are copied: records have gaps. All
    processors copy, since most of it is waiting for pages."""
    out = room(size, records.dtype)
    target, source = out.view(np.uint8), records.view(np.uint8)

    def copy(begin: int) -> None:
        end = min(begin + _COPIED, source.shape[0])
        target[begin:end] = source[begin:end]

    if source.shape[0] <= _COPIED:
        copy(0)
        return out
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(copy, range(0, source.shape[0], _COPIED)))
    return out


def fresh() -> State:
    """An empty state."""
    arrays: dict[str, Array] = {name: room(1024, dtype) for name, (dtype, _) in (_ARENAS | _MADE_AGAIN).items()}
    arrays |= {name: room(4096, dtype) for name, (dtype, _) in TABLES_OF.items()}
    arrays["added"] = np.zeros(N_ADDED, ADDED)
    arrays["free_cells"] = np.full(N_CLASSES, -1, np.int32)
    arrays["free_contacts"] = np.full(N_CLASSES, -1, np.int32)
    arrays["watermark"] = np.full(32, -(2**62), np.int64)
    arrays["habits"] = np.zeros(2 * 2 * N_CROWDS, np.int64)
    arrays["n"] = np.zeros(len(COUNTERS), np.int64)
    arrays["n"][[N_PEOPLE, N_TALLIES]] = 1
    return State(**arrays)


def used(state: State, name: str) -> int:
    """Records in use of an arena."""
    return int(state.n[(_ARENAS | _MADE_AGAIN)[name][1]])


def grown(state: State, name: str, more: int) -> State:
    """``state`` with at least ``more`` unused records in the arena ``name``."""
    array = getattr(state, name)
    want = used(state, name) + more
    if want <= array.shape[0]:
        return state
    size = max(want, array.shape[0] * 2)
    return state._replace(**{name: longer(array, used(state, name), size)})


def longer(array: Array, kept: int, size: int) -> Array:
    """The array with ``size`` records, the first ``kept`` as they are: where there are addresses left, in its place."""
    whole = array.base
    length = size * array.dtype.itemsize
    if isinstance(whole, np.ndarray) and whole.nbytes >= length and whole.ctypes.data == array.ctypes.data:
        return whole[:length].view(array.dtype)
    # what is not in use is not copied: pages that nothing has written to take no memory
    out = room(size, array.dtype)
    out[:kept] = array[:kept]
    return out
