"""The kernels that follow money, compiled before they are needed: once on a machine, half a minute."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from wuzha.events import TABLES
from wuzha.events.batch import conform

from .follow import POLICIES, Theft, Tracer
from .index import Index
from .numbers import Numbers

_T0 = 1_750_000_000_000_000


def warm() -> None:
    """Follow a little money by each policy, over what statements are like: a circle, equal seconds, a late row."""
    Numbers().intern(np.arange(1 << 20, dtype=np.uint64))  # so many that two threads share them
    index = Index.of(_rows([("v", "a", 100), ("a", "b", 100), ("b", "a", 100), ("a", "c", 60)]))
    index.append(_rows([("c", "d", 10), ("c", "d", 20), ("d", "e", 5)], after=1))
    index._settle()
    for policy in POLICIES:
        Tracer(index).follow([Theft(account="account:v", at=_T0, amount_fen=100)], policy=policy)


def _rows(paid: list[tuple[str, str, int]], after: int = 0) -> pa.Table:
    """Transfers (payer, payee, fen), two in each second."""
    n = len(paid)
    ts = pa.array([_T0 + (after + i // 2) * 1_000_000 for i in range(n)], pa.timestamp("us")).cast(
        pa.timestamp("us", "UTC")
    )
    columns = {
        "source": ["warm"] * n, "event_id": [f"{after}-{i}" for i in range(n)], "ts": ts,
        "payer": [p for p, _, _ in paid], "payee": [p for _, p, _ in paid], "amount_fen": [fen for *_, fen in paid],
    }  # fmt: skip
    return conform(TABLES["transfers"], pa.table(columns))


if __name__ == "__main__":
    warm()
