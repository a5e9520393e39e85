"""Windows that a state lacks, taken from an engine that kept them from the log's beginning, and put where they belong.

A feature that is declared while the log goes on wants events from before its declaration, at log position D. The live
state keeps its windows from D on; beside it another engine reads the log up to D with the same books and these windows.
What that one has and the live one has let go (`missing`) is put into the live state at any later place (`graft`).

Kept true here: afterwards the state's windows are those of an engine that kept them from the start, cell by cell and in
their order. For that, the live state has to let go at D exactly what its windows did not reach there (`let_go`): so no
event comes in twice. Windows commute, so that what came after D is added to, not replaced.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import numpy.typing as npt

from .codes import BUCKET_US, N_CODES
from .layout import CELL, N_CELLS, Array, State, grown, used

if TYPE_CHECKING:
    from .engine import Engine

Ints = npt.NDArray[np.int64]
#: By code, how many buckets back windows are whole; 0: not at all.
Keeps = npt.NDArray[np.int32]
#: Subjects at a time, so that what is held besides the state stays small.
_CHUNK = 1 << 18


class Graft(NamedTuple):
    """Cells in the order of their subjects and buckets. ``lacking``: False for one that is here for its place alone."""

    keys: npt.NDArray[np.uint64]
    cells: Array
    lacking: npt.NDArray[np.bool_]
    #: Windows that are whole with it.
    whole: Keeps

    def arrays(self) -> dict[str, Array]:
        """As plain arrays."""
        return {"keys": self.keys, "cells": self.cells, "lacking": self.lacking, "whole": sparse(self.whole)}

    @classmethod
    def of(cls, arrays: dict[str, Array]) -> Graft:
        """From plain arrays. KeyError where one is missing, ValueError where cells are of another layout."""
        if arrays["cells"].dtype != CELL:
            raise ValueError("cells of another layout")
        return cls(arrays["keys"], arrays["cells"], arrays["lacking"], dense(arrays["whole"]))


def sparse(keeps: Keeps) -> Array:
    """(code, buckets) of all codes that are kept."""
    codes = np.flatnonzero(keeps)
    return np.stack([codes, keeps[codes]]).astype(np.int32)


def dense(pairs: Array) -> Keeps:
    """Back from `sparse`."""
    keeps = np.zeros(N_CODES, np.int32)
    keeps[pairs[0]] = pairs[1]
    return keeps


def let_go(state: State, before: Keeps, after: Keeps) -> None:
    """Drop what windows as long as ``before`` do not reach, of codes that are to be kept longer."""
    raised = after > before
    if not raised.any():
        return
    for subjects, at, owner in _cells(state):
        cells = state.cells[at]
        gone = raised[cells["code"]] & (_age(state, owner, cells) >= before[cells["code"]])
        if not gone.any():
            continue
        touched = np.isin(owner, owner[gone])
        stay = touched & ~gone
        begins = state.subjects["cells"][owner[stay]].astype(np.int64)
        state.cells[begins + _ranks(owner[stay])] = cells[stay]
        left = np.bincount(owner[stay] - subjects[0], minlength=len(subjects))
        changed = np.unique(owner[gone])
        state.subjects["n_cells"][changed] = left[changed - subjects[0]]


def missing(engine: Engine, before: Keeps, after: Keeps) -> Graft:
    """What windows as long as ``after`` hold and those as long as ``before`` do not."""
    state = engine._state
    keys, kept, lacking = [], [], []
    raised = after > before
    for _, at, owner in _cells(state):
        cells = state.cells[at]
        code, age = cells["code"], _age(state, owner, cells)
        new = raised[code] & (age >= before[code]) & (age < after[code])
        if not new.any():
            continue
        # all cells of the buckets that get a new one: their order says where it goes
        place = _runs(owner, cells["bucket"])
        some = np.isin(place, place[new])
        keys.append(state.subjects["key"][owner[some]])
        kept.append(cells[some])
        lacking.append(new[some])
    return Graft(
        np.concatenate(keys) if keys else np.zeros(0, np.uint64),
        np.concatenate(kept) if kept else np.zeros(0, CELL),
        np.concatenate(lacking) if lacking else np.zeros(0, bool),
        after.copy(),
    )


def graft(engine: Engine, part: Graft, number: int) -> int:
    """Give the engine the windows of graft ``number``, once; how many cells belong to nobody there."""
    if number <= engine.grafted:
        return 0
    engine.grafted = number
    engine._state, strange = _grafted(engine._state, part)
    engine.use(engine.rules)
    return strange


def _grafted(state: State, part: Graft) -> tuple[State, int]:
    order = np.argsort(part.keys, kind="stable")
    keys, begins = np.unique(part.keys[order], return_index=True)
    ends = np.append(begins[1:], len(order))
    met = np.zeros(len(keys), bool)
    n = int(used(state, "subjects"))
    for low in range(0, n, _CHUNK):
        mine = state.subjects["key"][low : min(low + _CHUNK, n)]
        at = np.minimum(np.searchsorted(keys, mine), max(len(keys) - 1, 0))
        here = np.flatnonzero(keys[at] == mine) if len(keys) else np.zeros(0, np.int64)
        if not len(here):
            continue
        which = at[here]
        met[which] = True
        inside, who = _spread(begins[which], (ends - begins)[which])
        rows = order[inside]
        state = _into(state, part, rows, here[who] + low)
    return state, int((ends - begins)[~met].sum()) if len(keys) else 0


def _into(state: State, part: Graft, rows: Ints, owner: Ints) -> State:
    """Cells ``rows`` of the graft into the windows of their owners, who rise."""
    cells, lacking = part.cells[rows], part.lacking[rows]
    reached = _age(state, owner, cells) < part.whole[cells["code"]]
    rows, owner, cells, lacking = rows[reached], owner[reached], cells[reached], lacking[reached]
    subjects = np.unique(owner)
    has = subjects[state.subjects["cells"][subjects] >= 0]
    at, whose = _spread(state.subjects["cells"][has], state.subjects["n_cells"][has])
    stood = state.cells[at]
    both = np.concatenate([cells, stood])
    whom = np.concatenate([owner, has[whose]])
    ours = np.arange(len(both)) < len(cells)
    first = np.lexsort((~ours, both["code"], both["bucket"], whom))
    same = np.zeros(len(both), bool)  # a cell that stood, after the graft's of its bucket and code
    a, b = first[:-1], first[1:]
    same[1:] = (whom[a] == whom[b]) & (both["bucket"][a] == both["bucket"][b]) & (both["code"][a] == both["code"][b])
    into, second = first[np.flatnonzero(same) - 1], first[same]
    add = np.zeros(len(both), bool)
    add[: len(cells)] = lacking
    wanted = ~ours | add
    wanted[second] = False
    wanted[into] = True
    merging = add[into]
    both[into[merging]] = _sum(both[into[merging]], both[second[merging]])
    both[into[~merging]] = both[second[~merging]]
    out = np.flatnonzero(wanted)
    out = out[np.lexsort((out, ours[out], both["bucket"][out], whom[out]))]
    return _laid(state, subjects, whom[out], both[out])


def _sum(old: Array, new: Array) -> Array:
    """Cells of the same bucket and code, as if all events of ``old`` had come before those of ``new``."""
    out = old.copy()
    for name in ("n", "total"):
        out[name] += new[name]
    out["most"] = np.maximum(old["most"], new["most"])
    out["bits"] |= new["bits"]
    earlier, later = new["first"] < old["first"], new["last"] >= old["last"]
    for name, by in (("first", earlier), ("first_ref", earlier), ("last", later), ("last_ref", later)):
        out[name] = np.where(by, new[name], old[name])
    return out


def _laid(state: State, subjects: Ints, owner: Ints, cells: Array) -> State:
    """Let ``cells`` be all that ``subjects`` have, in larger regions where the old ones are too small."""
    place = np.searchsorted(subjects, owner)
    counts = np.bincount(place, minlength=len(subjects))
    classes = np.ceil(np.log2(np.maximum(counts, 1))).astype(np.int64)
    record = state.subjects
    small = (record["cells"][subjects] < 0) | (counts > 1 << record["cells_class"][subjects].astype(np.int64))
    small &= counts > 0
    moved, sizes = subjects[small], 1 << classes[small]
    state = grown(state, "cells", int(sizes.sum()))
    record = state.subjects
    _give_back(state, moved[record["cells"][moved] >= 0])
    begin = used(state, "cells")
    record["cells"][moved] = begin + np.cumsum(sizes) - sizes
    record["cells_class"][moved] = classes[small]
    state.n[N_CELLS] += int(sizes.sum())
    state.cells[record["cells"][owner].astype(np.int64) + _ranks(owner)] = cells
    record["n_cells"][subjects] = counts
    return state


def _give_back(state: State, subjects: Ints) -> None:
    """The regions of ``subjects`` to the lists of those that are free."""
    begins, classes = state.subjects["cells"][subjects], state.subjects["cells_class"][subjects]
    for c in np.unique(classes):
        here = begins[classes == c]
        state.cells["n"][here] = np.concatenate([[state.free_cells[c]], here[:-1]])
        state.free_cells[c] = here[-1]


def _cells(state: State) -> Iterator[tuple[Ints, Ints, Ints]]:
    """Some subjects in a row, the places of all their cells, and whose each is."""
    n = int(used(state, "subjects"))
    for low in range(0, n, _CHUNK):
        subjects = np.arange(low, min(low + _CHUNK, n))
        records = state.subjects[low : low + len(subjects)]
        has = np.flatnonzero((records["cells"] >= 0) & (records["n_cells"] > 0))
        at, whose = _spread(records["cells"][has], records["n_cells"][has])
        if len(at):
            yield subjects, at, has[whose] + low


def _spread(begins: Array, counts: Array) -> tuple[Ints, Ints]:
    """Places of runs that begin and are as long as given, and the number of the run that each is of."""
    counts = counts.astype(np.int64)
    which = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(which)) - np.repeat(np.cumsum(counts) - counts, counts)
    return begins.astype(np.int64)[which] + within, which


def _ranks(owner: Ints) -> Ints:
    """Of each element its place among those of its owner, who stand together."""
    n = len(owner)
    starts = np.flatnonzero(np.append(True, owner[1:] != owner[:-1])) if n else np.zeros(0, np.int64)
    return np.arange(n) - np.repeat(starts, np.diff(np.append(starts, n)))


def _runs(owner: Ints, bucket: Array) -> Ints:
    """A number for each run of one owner and bucket."""
    return np.cumsum(np.append(True, (owner[1:] != owner[:-1]) | (bucket[1:] != bucket[:-1])))


def _age(state: State, owner: Ints, cells: Array) -> Ints:
    newest: Ints = state.subjects["last_ts"][owner] // BUCKET_US
    age: Ints = newest - cells["bucket"]
    return age
