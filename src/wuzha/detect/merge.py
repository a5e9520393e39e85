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
    pieces: dict[str, list[np.ndarray]] = {name: [] for name in ARRAYS}
    for block in blocks:
        shift = len(parts)
        parts += block.parts
        columns += block.columns
        for name in ARRAYS:
            piece = getattr(block, name)
            pieces[name].append(piece + np.int32(shift) if name == "part" else piece)
    joined = {name: np.concatenate(p) for name, p in pieces.items()}
    due = _due(joined)
    joined["due"] = due
    order = _order(joined, due, parts)
    if not (order[1:] > order[:-1]).all():
        joined = {name: array[order] for name, array in joined.items()}
    assert joined["keys"].shape[1] == WIDTH
    return Block(**joined, parts=tuple(parts), columns=tuple(columns))


def _due(a: dict[str, np.ndarray]) -> np.ndarray:
    due = a["due"].copy()
    reports = np.flatnonzero(a["table"] == T_REPORTS)
    named = np.flatnonzero(a["table"] == T_IDENTIFIERS)
    if len(reports) and len(named):
        by = np.argsort(a["keys"][reports, 0], kind="stable")
        keys = a["keys"][reports, 0][by]
        at = np.searchsorted(keys, a["keys"][named, 0])
        at = np.minimum(at, len(keys) - 1)
        known = keys[at] == a["keys"][named, 0]
        due[named] = np.where(known, np.maximum(due[named], due[reports][by][at]), due[named])
    return due


def _order(a: dict[str, np.ndarray], due: np.ndarray, parts: list[pa.Table]) -> np.ndarray:
    order = np.lexsort((a["table"], due))
    same = (due[order][1:] == due[order][:-1]) & (a["table"][order][1:] == a["table"][order][:-1])
    tied = np.zeros(len(order), bool)
    tied[1:] |= same
    tied[:-1] |= same
    rows = order[tied]
    if not len(rows):
        return order
    source = _texts(rows, a, parts, "source")
    event = _texts(rows, a, parts, "event_id")
    keys = pa.table({"due": due[rows], "table": a["table"][rows], "source": source, "event_id": event})
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
