"""What the kernels that follow money work on: transfers by account, claims, and the memory of one query.

Kept true here: a transfer takes one record of 16 bytes in each direction; how it leaves the accounts (to a shop, a
payment firm, as crypto) and whether it was undone stand in the upper bits of its amount.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numba as nb
import numpy as np
import numpy.typing as npt

from wuzha.compiled import refresh

refresh(Path(__file__).parent, Path(__file__).parent.glob("*.py"))

Array = npt.NDArray[Any]

FIFO, LIFO, HAIRCUT, POISON = range(4)
CLEAN = -1
#: No account: cash.
NOBODY = np.uint32(0xFFFFFFFF)
#: One side of a transfer: amount with its marks in the upper bits, the other account, place in the order of all.
SIDE = np.dtype([("amount", "i8"), ("other", "u4"), ("rank", "u4")])
AMOUNT_BITS = 54
AMOUNT = np.int64((1 << AMOUNT_BITS) - 1)
#: Marks: void (undone by a reversal), paid to a merchant, to a payment firm, for crypto; with a fee; arrives later.
VOID, MERCHANT, THIRD_PARTY, CRYPTO, WITH_FEE, DELAYED = (np.int64(1 << (AMOUNT_BITS + i)) for i in range(6))
#: No balance is given.
UNKNOWN = np.int64(-(2**63))
NEVER = np.int64(2**62)

#: Kinds of exits.
EXITS = ("cash", "merchant", "third_party", "crypto", "fee", "hub", "unknown")
E_CASH, E_MERCHANT, E_THIRD_PARTY, E_CRYPTO, E_FEE, E_HUB, E_UNKNOWN = range(7)


class Transfers(NamedTuple):
    """All transfers by payer and by payee in time order; those of the tail, appended since, are chained by account."""

    out_at: Array
    in_at: Array
    outs: Array  # SIDE
    ins: Array  # SIDE
    out_balance: Array  # beside ``outs``; empty where no transfer has one
    in_balance: Array
    fee_rank: Array
    fee: Array
    depart_rank: Array  # of transfers that arrive later, and where among all they arrive
    arrive_rank: Array
    hub: Array  # by account; empty: none
    tail_from: Array  # [rank of the tail's first]
    tail_out: Array  # SIDE in order of ``rank``, the payer's view
    tail_in: Array
    tail_out_balance: Array
    tail_in_balance: Array
    next_out: Array
    next_in: Array
    head_out: Array  # by account
    head_in: Array


class Claims(NamedTuple):
    """What was stolen, in order of ``key``. ``into``: the account counts as having received it."""

    account: Array
    key: Array  # 2 × rank of the first transfer at or after it
    amount: Array
    into: Array


SLOT = np.dtype(
    [
        ("oi", "i8"), ("oe", "i8"), ("ii", "i8"), ("ie", "i8"), ("balance", "i8"), ("taint", "i8"), ("void", "i8"),
        ("debt", "i8"), ("received", "i8"), ("sent", "i8"), ("reach", "i8"), ("first", "i8"), ("stolen", "i8"),
        ("account", "u4"), ("ot", "i4"), ("it", "i4"), ("head", "i4"), ("last", "i4"), ("pending", "i4"),
        ("claim", "i4"), ("level", "i4"), ("active", "u1"), ("waits", "u1"), ("known", "u1"), ("poisoned", "u1"),
        ("stopped", "u1"),
    ],
    align=True,
)  # fmt: skip
PARCEL = np.dtype([("amount", "i8"), ("owner", "i4"), ("next", "i4")])
EDGE = np.dtype(
    [
        ("rank", "u4"),
        ("payer", "i4"),
        ("payee", "i4"),
        ("exit", "i4"),
        ("tainted", "i8"),
        ("reach", "i8"),
        ("place", "i8"),
    ]
)
EXIT = np.dtype([("amount", "i8"), ("reach", "i8"), ("account", "u4"), ("kind", "i4")])
HEAP = np.dtype([("key", "i8"), ("what", "i4"), ("who", "i4")])
CARRIED = np.dtype([("rank", "i8"), ("head", "i4"), ("payee", "i4")])

N_SLOTS, N_PARCELS, FREE, N_EDGES, N_EXITS, N_HEAP, N_CARRIED, FULL = range(8)


class Scratch(NamedTuple):
    """What one query works in. ``slot_of`` is by account, −1 where it was not touched."""

    slots: Array
    parcels: Array
    edges: Array
    exits: Array
    heap: Array
    carried: Array  # parcels on their way, by rank of their arrival; a power of two, at most half full
    carried_at: Array  # places in use of it
    slot_of: Array
    left: Array  # of each claim
    next_claim: Array
    n: Array


kernel = nb.njit(cache=True, nogil=True)
#: Small kernels, put into their callers: a call would hand over some forty arrays.
small = nb.njit(cache=True, nogil=True, forceinline=True)
