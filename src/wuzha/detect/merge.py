"""Blocks of several tables become one log, ordered by (time it counts from, table, source, event_id)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from .codes import T_IDENTIFIERS, T_REPORTS
from .encode import ARRAYS, Block
from .ties import by_identity, first_bytes


def merge(blocks: Sequence[Block]) -> Block:
    """One block in log order. Identifiers count from when their report became known, where it is among the blocks."""
    if not blocks:
        raise ValueError("no blocks to merge")
    parts: list[pa.Table] = []
    columns: list[tuple[str | None, ...]] = []
    width = max(block.keys.shape[1] for block in blocks)
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
        if first.ndim == 1:
            arrays[name] = np.empty(len(order), first.dtype)
            for block, begin, end in zip(blocks, begins, begins[1:], strict=False):
                arrays[name][place[begin:end]] = getattr(block, name)
            continue
        arrays[name] = np.zeros((len(order), width), first.dtype)
        for block, begin, end in zip(blocks, begins, begins[1:], strict=False):
            here = getattr(block, name)
            arrays[name][place[begin:end], : here.shape[1]] = here
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
    joined = np.zeros(len(rows), bool)  # whether a tied row is of one time and table with the one before it
    joined[1:] = same[np.flatnonzero(tied)[1:] - 1]
    high, low = np.empty(len(rows), np.uint64), np.empty(len(rows), np.uint64)
    ranks = _ranks(parts)
    rank = np.empty(len(rows), np.int64)
    part, row = a["part"][rows], a["row"][rows]
    for p in np.unique(part):
        here = np.flatnonzero(part == p)
        rank[here] = ranks[p][row[here]]
        data, offsets = _buffers(parts[p].column("event_id").combine_chunks())
        first_bytes(data, offsets, row[here], here, high, low)
    doubtful = np.zeros(len(rows), bool)
    by_identity(rows, joined, rank, high, low, doubtful)
    if doubtful.any():
        _by_texts(rows, doubtful, due, a, parts)
    order[tied] = rows
    return order


def _buffers(column: pa.Array) -> tuple[np.ndarray, np.ndarray]:
    """Bytes of a text column, and where each text begins; the last text's end comes last."""
    _, offsets, data = column.buffers()
    begins = np.frombuffer(offsets, np.int32, column.offset + len(column) + 1)[column.offset :]
    return np.frombuffer(data if data is not None and data.size else b"\0", np.uint8), begins


def _ranks(parts: list[pa.Table]) -> list[np.ndarray]:
    """Of every part, its rows' places among all sources in order."""
    sources = [part.column("source").cast(pa.string()).combine_chunks() for part in parts]
    coded = [column.fill_null("").dictionary_encode() for column in sources]
    names = sorted({name for c in coded for name in c.dictionary.to_pylist()}, key=lambda name: name.encode())
    place = {name: i for i, name in enumerate(names)}
    out = []
    for c in coded:
        own = np.array([place[name] for name in c.dictionary.to_pylist()] or [0], np.int64)
        out.append(own[c.indices.to_numpy(zero_copy_only=False)])
    return out


def _by_texts(
    rows: np.ndarray, here: np.ndarray, due: np.ndarray, a: dict[str, np.ndarray], parts: list[pa.Table]
) -> None:
    """Order groups whose identities are alike in their first 16 bytes by the whole of them."""
    some = rows[here]
    source = _texts(some, a, parts, "source")
    event = _texts(some, a, parts, "event_id")
    keys = pa.table({"due": due[some], "table": a["table"][some], "source": source, "event_id": event})
    by = [(name, "ascending") for name in ("due", "table", "source", "event_id")]
    rows[here] = some[pc.sort_indices(keys, sort_keys=by).to_numpy()]


def _texts(rows: np.ndarray, a: dict[str, np.ndarray], parts: list[pa.Table], column: str) -> pa.Array:
    part, row = a["part"][rows], a["row"][rows]
    chunks, where = [], []
    for p in np.unique(part):
        here = np.flatnonzero(part == p)
        chunks.append(parts[p].column(column).take(pa.array(row[here])).cast(pa.string()))
        where.append(here)
    flat = pa.chunked_array([c for chunk in chunks for c in chunk.chunks], pa.string())
    back = np.empty(len(rows), np.int64)
    back[np.concatenate(where)] = np.arange(len(rows))
    return flat.take(pa.array(back)).combine_chunks()
