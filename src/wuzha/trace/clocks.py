"""Clocks that are minutes apart between banks: what an account paid before the money that it paid came in.

Kept true here: only balances move a transfer, and only as far back as they prove: a transfer that one bank dates after
a payment out of it stands before that payment if, and only if, the balance before it is the one that the account then
had. No transfer goes back more than `MOST_US` in all. The result does not depend on the order of the rows; what was
moved is told, with the time that its file gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.events.clock import zone
from wuzha.events.hashing import identity

from .follow import Result, Theft
from .layout import UNKNOWN
from .rows import Arrays, arrays

#: Banks' clocks are at most so far apart; one step of putting right goes no further.
APART_US = 5 * 60 * 1_000_000
MOST_US = 3 * APART_US
#: Entries after a payment that are looked at for what it was paid out of, and rounds at most.
_AHEAD, _ROUNDS = 16, 12


@dataclass(frozen=True, kw_only=True)
class Retimed:
    """Transfers that stand earlier than their file says: µs of the file by (source, event_id); and of each payer the
    (µs of the file, µs now) of theirs."""

    files: dict[tuple[str, str], int] = field(default_factory=dict)
    payers: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def theft(self, theft: Theft) -> Theft:
        """The theft, found also where its transfer was moved to before the time that a report tells."""
        moved = self.payers.get(theft.account.removeprefix("account:"), []) if not theft.into else []
        early = [now for file, now in moved if file >= theft.at > now]
        return replace(theft, at=min(early)) if early else theft

    def told(self, result: Result, thefts: Sequence[Theft]) -> Result:
        """The result with the files' own times and the thefts' own, and a note of what was put in another order."""
        for told, theft in zip(result.thefts, thefts, strict=True):
            told["at"] = _iso(theft.at)
        moved = [e for e in result.edges if (e["source"], e["event_id"]) in self.files]
        for edge in moved:
            edge |= {"ts": _iso(self.files[edge["source"], edge["event_id"]]), "order_by": "clocks"}
        if moved:
            result.notes.append(
                f"banks' clocks differ: {len(moved)} transfers stand before payments that balances show to be later"
            )
        return result


def _iso(us: int) -> str:
    return datetime.fromtimestamp(us / 1_000_000, UTC).astimezone(zone()).isoformat()


def aligned(table: pa.Table) -> tuple[pa.Table, Retimed]:
    """The rows of the transfers table with the times that the balances prove, and what was moved."""
    known = pc.or_(pc.is_valid(table.column("payer_balance_fen")), pc.is_valid(table.column("payee_balance_fen")))
    counts = pc.and_(pc.fill_null(table.column("ok"), True), known)
    place = np.flatnonzero(counts.to_numpy(zero_copy_only=False))
    if not place.size:
        return table, Retimed()
    some = table.take(pa.array(place))
    ids = identity(some.select(["source", "event_id"]))
    was = arrays(some)["ts"]
    ts = _moved(arrays(some), ids, was.copy())
    changed = np.flatnonzero(ts != was)
    if not changed.size:
        return table, Retimed()
    names = some.select(["source", "event_id"]).take(pa.array(changed))
    files = dict(zip(zip(*(c.to_pylist() for c in names.columns), strict=True), was[changed].tolist(), strict=True))
    payers: dict[str, list[tuple[int, int]]] = {}
    who = some.column("payer").take(pa.array(changed)).to_pylist()
    for payer, file, now in zip(who, was[changed].tolist(), ts[changed].tolist(), strict=True):
        if payer is not None:
            payers.setdefault(payer, []).append((file, now))
    every = np.array(table.column("ts").cast(pa.int64()).to_numpy())
    every[place[changed]] = ts[changed]
    at = table.schema.get_field_index("ts")
    kind = table.schema.field("ts")
    moved = pa.array(every).cast(pa.timestamp("us")).cast(kind.type)
    return table.set_column(at, kind, moved), Retimed(files=files, payers=payers)


def _moved(rows: Arrays, ids: npt.NDArray[np.uint64], ts: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Times of the rows, each moved back as far as balances prove."""
    was = ts.copy()
    n = ts.shape[0]
    account = np.concatenate([rows["payer"], rows["payee"]])
    change = np.concatenate([-(rows["amount"] + rows["fee"]), rows["amount"]])
    given = np.concatenate([rows["payer_balance"], rows["payee_balance"]])
    row = np.concatenate([np.arange(n), np.arange(n)])
    keep = np.flatnonzero((account != 0) & (given != int(UNKNOWN)))
    account, change, given, row = account[keep], change[keep], given[keep], row[keep]
    for _ in range(_ROUNDS):
        # what was moved stands first among what bears its time
        order = np.lexsort((ids[row], ts[row] - was[row], ts[row], account))
        a, t, g, r = account[order], ts[row[order]], given[order], row[order]
        before = g - change[order]
        m = a.shape[0]
        odd = np.flatnonzero((a[1:] == a[:-1]) & (before[1:] != g[:-1])) + 1
        found = False
        taken: dict[int, int] = {}
        for step in range(1, _AHEAD + 1):
            k = odd[odd + step < m]
            j = k + step
            away = t[j] - t[k]
            fits = (a[j] == a[k]) & (away > 0) & (away <= APART_US) & (before[j] == g[k - 1])
            fits &= was[r[j]] - t[k] <= MOST_US
            for at, which in zip(k[fits].tolist(), r[j[fits]].tolist(), strict=True):
                taken[which] = min(taken.get(which, int(t[at])), int(t[at]))
            odd = odd[~np.isin(odd, k[fits])]
        for which, at in taken.items():
            if at < ts[which]:
                ts[which], found = at, True
        if not found:
            return ts
    return ts
