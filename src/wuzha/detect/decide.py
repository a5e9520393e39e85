"""A transfer that has not happened yet is judged as if it had: what its two accounts and the persons behind them would
be after it.

Kept true here: the answer is what feeding the event would give, and the engine's state stays as it was in every field.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from wuzha.events.hash_kernels import hash_bytes
from wuzha.events.hashing import combine, text_hash

from . import layout
from .encode import PROVISIONAL, Block
from .engine import Engine
from .journal import journal
from .suppose import CUT, MERCHANT, MOST_TOLD, OWN, PIECE, REPORTED, SIDE, SIDES, STRANGER, Out, Pending, suppose

_ACCOUNT, _DEVICE = (np.uint64(text_hash("wuzha.detect " + kind)) for kind in ("account", "device"))


class Transfer(NamedTuple):
    """A transfer that somebody is about to make, in the words of the table ``transfers``."""

    ts_us: int
    payer: str
    payee: str
    amount_fen: int
    source: str
    device: str | None = None
    payer_balance_fen: int | None = None
    channel: str | None = None
    merchant: bool = False


def pending(rows: Sequence[Transfer]) -> Pending:
    """The rows as `encode` would have them (``side`` is the payer's, ``ok`` true)."""
    n = len(rows)
    texts = (
        [r.payer for r in rows] + [r.payee for r in rows] + [r.device or "" for r in rows] + [r.source for r in rows]
    )
    hashed = _hashed(texts).reshape(4, n)
    keys = np.empty((n, 3), np.uint64)
    for c, kind in enumerate((_ACCOUNT, _ACCOUNT, _DEVICE)):
        keys[:, c] = combine(np.full(n, kind, np.uint64), hashed[c])
    keys[:, 2] *= np.fromiter((r.device is not None for r in rows), np.uint64, n)
    return Pending(
        ts=np.fromiter((r.ts_us for r in rows), np.int64, n), keys=keys,
        value=np.fromiter((r.amount_fen for r in rows), np.int64, n),
        flags=np.fromiter((_flags(r) for r in rows), np.uint32, n),
        source=(hashed[3] & np.uint64(0xFFFFFFFF)).astype(np.uint32),
        ids=np.empty((n, 3), np.int32), ref=np.full(n, -1, np.int64),
    )  # fmt: skip


def _hashed(texts: list[str]) -> npt.NDArray[np.uint64]:
    """As `hash_text`, of a few texts: no Arrow column is made for them."""
    said = [t.encode() for t in texts]
    out = np.empty(len(said), np.uint64)
    if said:
        offsets = np.zeros(len(said) + 1, np.int32)
        np.cumsum([len(t) for t in said], out=offsets[1:])
        data = np.frombuffer(b"".join(said) or b"\0", np.uint8)
        hash_bytes(data, offsets, np.full((len(said) + 7) // 8, 255, np.uint8), out)
    return out


def _flags(r: Transfer) -> int:
    balance, amount = r.payer_balance_fen, r.amount_fen
    drains = balance is not None and 0 <= balance * 20 <= amount and amount >= 100_000
    return (
        1 | (r.merchant or r.channel in ("pos", "qr")) << 3 | (r.channel in ("crypto", "third_party")) << 4
        | drains << 5 | (amount <= 1_000) << 6 | (amount >= 1_000_000) << 7 | 1 << 8
    )  # fmt: skip


def pending_of(block: Block) -> Pending:
    """The transfers of an encoded block."""
    n = len(block)
    return Pending(
        ts=block.ts, keys=np.ascontiguousarray(block.keys[:, :3]), value=block.value, flags=block.flags,
        source=block.source, ids=np.empty((n, 3), np.int32), ref=np.full(n, -1, np.int64),
    )  # fmt: skip


@dataclass(frozen=True)
class Verdicts:
    """``sides`` (n, 4) of `SIDE`; ``flags`` (n); ``values`` (n or 0, 4, features) float64, NaN null, where those
    of a side's own kind of subject mean something; ``pieces`` of `PIECE`, of one row and side the newest first."""

    sides: npt.NDArray[Any]
    flags: npt.NDArray[np.int64]
    values: npt.NDArray[np.float64]
    pieces: npt.NDArray[Any]


_ROOM = {
    "subjects": 2048, "cells": 1 << 19, "contacts": 1 << 14, "dossiers": 4096, "evidence": 1 << 16, "moves": 4096,
    "dirty": 8192, "tasks": 8192, "people": 4096, "tallies": 4096,
}  # fmt: skip


class Decider:
    """Judges pending transfers against an engine. Not while the engine is fed."""

    def __init__(self) -> None:
        self._journal = journal()

    def judge(self, engine: Engine, rows: Pending, *, figures: bool) -> Verdicts:
        """What each transfer by itself would make of its sides; ``figures``: with every feature of them."""
        n, n_f = len(rows.ts), len(engine._scratch.values)
        out = Out(
            sides=np.zeros((n, 4), SIDE), flags=np.zeros(n, np.int64), values=np.empty((n if figures else 0, 4, n_f)),
            pieces=np.zeros(max(1024, n * 4), PIECE), n_pieces=np.zeros(1, np.int64),
        )  # fmt: skip
        out.values[:] = np.nan
        rows = Pending(*(np.require(a, requirements=("C", "W")) for a in rows))
        told: list[npt.NDArray[Any]] = []
        at = 0
        while at < n:
            for name, room in _ROOM.items():
                engine._state = layout.grown(engine._state, name, room)
            at = suppose(rows, engine._state, engine._book, engine._scratch, self._journal, out, at, n, PROVISIONAL)
            told.append(out.pieces[: int(out.n_pieces[0])].copy())
            out.n_pieces[0] = 0
        pieces = np.concatenate(told) if told else out.pieces[:0]
        return Verdicts(sides=out.sides, flags=out.flags, values=out.values, pieces=pieces)


__all__ = [
    "CUT", "MERCHANT", "MOST_TOLD", "OWN", "PIECE", "REPORTED", "SIDE", "SIDES", "STRANGER", "Decider", "Pending",
    "Transfer", "Verdicts", "pending", "pending_of",
]  # fmt: skip
