"""The kernel that reads the log: one event after the other, in log order.

Kept true here: the state after an event depends on the events before it and on nothing else; where room is short the
kernel stops *before* an event and is entered again there, so that growth is never seen. It stops too before an event
that may end an alert or move it to another, while there is anything to tell: so each is told as it stood.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .ahead import ask
from .codes import (
    NEVER,
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
)
from .compiling import borrowed, entered, inlined
from .dealings import app, call, message, single, transfer, visit
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
    N_MEMBERS,
    N_MOVES,
    N_PAIRS,
    N_PEOPLE,
    N_SEEN,
    N_SUBJECTS,
    N_TALLIES,
    N_TWINS,
    N_WAITING,
    Array,
)
from .meet import drain
from .records import finding, identifier, register, relation, report, warning
from .windows import MEMORY_DAYS, day, find

#: Unused records that one event may need at most.
ROOM_CELLS, ROOM_CONTACTS, ROOM_SMALL, ROOM_EVIDENCE = 1 << 18, 4096, 2048, 32768
#: Identities of these are never forgotten: there are few, and they may come however late.
_FOREVER = 65535
_PRINT = np.uint64(0x9E3779B97F4A7C15)
_32 = np.uint64(32)
#: Groups of first contacts by table.
GROUP = np.zeros(32, np.int64)
GROUP[T_CALLS], GROUP[T_MESSAGES], GROUP[T_VISITS], GROUP[T_APP_EVENTS], GROUP[T_TRANSFERS] = range(1, 6)


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
    spans: Array


@inlined
def _room(S):
    """Whether one more event fits."""
    n = S.n
    return (
        n[N_SUBJECTS] + 1024 <= S.subjects.shape[0]
        and (n[N_SUBJECTS] + 1024) * 3 <= S.slots.shape[0] * 2
        and n[N_CELLS] + ROOM_CELLS <= S.cells.shape[0]
        and n[N_CONTACTS] + ROOM_CONTACTS <= S.contacts.shape[0]
        and n[N_MEMBERS] + 4 <= S.members.shape[0]
        and n[N_DOSSIERS] + ROOM_SMALL <= S.dossiers.shape[0]
        and n[N_DIRTY] + 2 * ROOM_SMALL <= S.dirty.shape[0]
        and n[N_EVIDENCE] + ROOM_EVIDENCE <= S.evidence.shape[0]
        and n[N_JOINED] + 16 <= S.joined.shape[0]
        and n[N_WAITING] + 4 <= S.waiting.shape[0]
        and n[N_WAITING] + 1024 <= S.added.shape[0]
        and n[N_MOVES] + ROOM_SMALL <= S.moves.shape[0]
        and n[N_PEOPLE] + ROOM_SMALL <= S.people.shape[0]
        and n[N_TALLIES] + ROOM_SMALL <= S.tallies.shape[0]
        and n[N_TWINS] + 4 <= S.twins.shape[0]
        and (n[N_SEEN] + 2) * 3 <= S.seen.shape[0] * 2
        and (n[N_HALVES] + 2) * 3 <= S.halves.shape[0] * 2
        and (n[N_PAIRS] + 4) * 3 <= S.pairs.shape[0] * 2
    )


@inlined
def _observed(table):
    """Tables of what happens by the million, as against what is registered, reported, found or warned of."""
    return (
        table == T_CALLS
        or table == T_VISITS
        or table == T_MESSAGES
        or table == T_APP_EVENTS
        or table == T_TRANSFERS
        or table == T_CASH
        or table == T_PURCHASES
        or table == T_SHIPMENTS
        or table == T_LODGING
    )


@inlined
def _repeated(S, identity, table, ts):
    """0: new; 1: seen with this time; 2: seen with another time.

    A row is known again by when it came, not by its own time: late rows are remembered as long as others.
    """
    i = find(S.seen, identity)
    x = S.seen[i]
    today = day(max(S.watermark[31], ts))
    told = np.uint32(np.uint64(ts) * _PRINT >> _32)
    if x.key != np.uint64(0):
        if x.came + MEMORY_DAYS >= today:
            return 1 if x.print == told else 2
    else:
        x.key = identity
        S.n[N_SEEN] += 1
    x.print = told
    x.came = today if _observed(table) else _FOREVER
    return 0


@entered
def process(events, state, book, scratch, begin, end, seed):
    """Events begin … end−1, until room is short or results are to be told. Returns the first event not yet read."""
    E, S, B, Z = borrowed(events), borrowed(state), borrowed(book), borrowed(scratch)
    for i in range(begin, end):
        if not _room(S):
            return i
        ask(E, S, i, end, GROUP)
        table = E.table[i]
        ts = E.ts[i]
        if S.n[N_DIRTY] > 0 and (
            table == T_FINDINGS or table == T_RELATIONS or table == T_PERSONS or table == T_LINES or table == T_ACCOUNTS
        ):
            return i  # it may end or move what has not been told yet
        again = _repeated(S, E.identity[i], table, ts)
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
            call(S, B, seed, E, i)
        elif table == T_VISITS:
            visit(S, B, seed, E, i)
        elif table == T_MESSAGES:
            message(S, B, seed, E, i)
        elif table == T_APP_EVENTS:
            app(S, B, seed, E, i)
        elif table == T_TRANSFERS:
            transfer(S, B, seed, E, i)
        elif table in (T_CASH, T_PURCHASES, T_SHIPMENTS, T_LODGING):
            single(S, B, seed, E, i, table)
        elif table == T_LINES or table == T_ACCOUNTS or table == T_PERSONS:
            register(S, B, seed, E, i, table, Z.seen)
        elif table == T_RELATIONS:
            relation(S, B, seed, E, i, Z.seen)
        elif table == T_WARNINGS:
            warning(S, B, seed, E, i)
        elif table == T_REPORTS:
            report(S, B, seed, E, i)
        elif table == T_IDENTIFIERS:
            identifier(S, B, seed, E, i)
        elif table == T_FINDINGS:
            finding(S, B, seed, E, i)
        drain(S, B, seed, Z.values, Z.acc, Z.most, Z.bits, Z.first, Z.last, Z.stack, Z.seen, Z.times, Z.spans)
    return end
