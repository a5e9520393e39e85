"""Blocks of several tables become one log, ordered by (time it counts from, table, source, event_id)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .codes import T_IDENTIFIERS, T_REPORTS
from .encode import ARRAYS, WIDTH, Block


def merge(blocks: Sequence[Block]) -> Block:
    """One block in log order. Identifiers count from when their report became known, where it is among the blocks."""
    if not blocks:
        raise ValueError("no blocks to merge")
    parts: list[pa.Table] = []
    columns: list[tuple[str | None, ...]] = []
    shifts: list[int] = []
    for block in blocks:
        shifts.append(len(parts))
        parts += block.parts
        columns += block.columns
    whole = {name: np.concatenate([getattr(b, name) for b in blocks]) for name in ("table", "due", "part", "row")}
    begins = np.cumsum([0, *(len(b) for b in blocks)])
    for shift, begin, end in zip(shifts, begins, begins[1:], strict=False):
        whole["part"][begin:end] += np.int32(shift)
    whole["due"] = _due(whole, np.concatenate([b.keys[:, 0] for b in blocks]))
    order = _order(whole, whole["due"], parts)
    place = np.empty(len(order), np.int64)
    place[order] = np.arange(len(order))
    arrays: dict[str, np.ndarray] = {}
    for name in ARRAYS:
        if name in whole:
            arrays[name] = whole[name][order]
            continue
        # each block's rows go straight to their places; the log is never held a second time in another order
        first = getattr(blocks[0], name)
        arrays[name] = np.empty((len(order), *first.shape[1:]), first.dtype)
        for block, begin, end in zip(blocks, begins, begins[1:], strict=False):
            arrays[name][place[begin:end]] = getattr(block, name)
    assert arrays["keys"].shape[1] == WIDTH
    return Block(**arrays, parts=tuple(parts), columns=tuple(columns))


def _due(a: dict[str, np.ndarray], names: np.ndarray) -> np.ndarray:
    due = a["due"].copy()
    reports = np.flatnonzero(a["table"] == T_REPORTS)
    named = np.flatnonzero(a["table"] == T_IDENTIFIERS)
    if len(reports) and len(named):
        by = np.argsort(names[reports], kind="stable")
        keys = names[reports][by]
        at = np.searchsorted(keys, names[named])
        at = np.minimum(at, len(keys) - 1)
        known = keys[at] == names[named]
        due[named] = np.where(known, np.maximum(due[named], due[reports][by][at]), due[named])
    return due


def _order(a: dict[str, np.ndarray], due: np.ndarray, parts: list[pa.Table]) -> np.ndarray:
    table = a["table"]
    # tables that come one after the other are sorted runs, which a stable sort by time alone joins
    rising = bool((table[1:] >= table[:-1]).all())
    order = np.argsort(due, kind="stable") if rising else np.lexsort((table, due))
    sorted_due, sorted_table = due[order], table[order]
    same = (sorted_due[1:] == sorted_due[:-1]) & (sorted_table[1:] == sorted_table[:-1])
    tied = np.zeros(len(order), bool)
    tied[1:] |= same
    tied[:-1] |= same
    rows = order[tied]
    if not len(rows):
        return order
    source = _texts(rows, a, parts, "source")
    event = _texts(rows, a, parts, "event_id")
    keys = pa.table({"due": due[rows], "table": table[rows], "source": source, "event_id": event})
    by = [(name, "ascending") for name in ("due", "table", "source", "event_id")]
    order[tied] = rows[pc.sort_indices(keys, sort_keys=by).to_numpy()]
    return order


def _texts(rows: np.ndarray, a: dict[str, np.ndarray], parts: list[pa.Table], column: str) -> pa.Array:
    part, row = a["part"][rows], a["row"][rows]
    chunks, where = [], []
    for p in np.unique(part):
        here = np.flatnonzero(part == p)
        chunks.append(parts[p].column(column).take(pa.array(row[here])))
        where.append(here)
    flat = pa.chunked_array([c for chunk in chunks for c in chunk.chunks], pa.string())
    back = np.empty(len(rows), np.int64)
    back[np.concatenate(where)] = np.arange(len(rows))
    return flat.take(pa.array(back)).combine_chunks()
