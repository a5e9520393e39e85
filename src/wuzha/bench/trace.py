"""``wuzha bench trace``: stolen money followed through millions of transfers, beside databases.

The transfers are random: most accounts deal with a few others, some with very many; a theft's money runs through a
planted tree of six to eight levels whose mules serve several thefts, with circles, hubs and cash at its ends.

Indexed are rows with texts for accounts (``index_edges_per_s``); beside it stands what a file's rows take, which are
known by their identity and looked through for reversals and references (``checked_edges_per_s``, two million of them).

Ours answers in full: to the fen, who holds what, under ``fifo``, and the same as records of names and times
(``told_*``). What the rivals are asked stands in `trace_rivals`; ours answers it too (``reach_*``, policy ``poison``).
"""

from __future__ import annotations

import time
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.cli.output import say
from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.trace import Index, Theft, Tracer, layout
from wuzha.trace.warm import warm

from . import trace_rivals
from .machine import machine
from .quantiles import quantiles

Ints = npt.NDArray[np.int64]
Narrow = npt.NDArray[np.int32]
T0 = 1_750_000_000_000_000
_HOUR_US = 3_600_000_000
_DAYS = 30
HOURS = 24
_HUBS, _HUB_ROWS = 20, 130_000


def planted(rows: int, thefts: int, seed: int) -> tuple[pa.Table, list[tuple[str, int, int]], str]:
    """Transfers (ts, payer, payee as texts, amount_fen), the thefts (account, µs, fen), and a hub."""
    r = np.random.default_rng(seed)
    accounts = max(rows // 4, 2_000)
    hubs = min(_HUBS, max(rows // (4 * _HUB_ROWS), 1))
    a: list[Narrow] = []
    b: list[Narrow] = []
    seconds: list[Narrow] = []
    fen: list[Narrow] = []

    def more(payer: Any, payee: Any, at: Any, amount: Any) -> None:
        # narrow numbers, since a hundred million of them should fit; statements know whole seconds
        a.append(np.asarray(payer, np.int32))
        b.append(np.asarray(payee, np.int32))
        seconds.append((np.asarray(at, np.int64) // 1_000_000).astype(np.int32))
        fen.append(np.asarray(amount, np.int32))

    for hub in range(hubs):
        n = min(_HUB_ROWS, rows // 8)
        others = r.choice(np.arange(hubs, accounts), n, replace=n > accounts - hubs)
        inward = r.random(n) < 0.6
        more(np.where(inward, others, hub), np.where(inward, hub, others), r.integers(0, _DAYS * 24 * _HOUR_US, n),
             r.integers(100, 50_000, n))  # fmt: skip
    mules = r.choice(np.arange(hubs, accounts), min(3_000, accounts // 4), replace=False)
    victims = r.choice(np.setdiff1d(np.arange(hubs, accounts), mules), thefts, replace=False)
    asked = []
    for victim in victims.tolist():
        begin = int(r.integers(_HOUR_US, (_DAYS - 2) * 24 * _HOUR_US))
        amount = int(r.integers(50_000_00, 800_000_00))
        asked.append((victim, T0 + begin, amount))
        layer = [(int(victim), begin, amount)]
        for _ in range(int(r.integers(6, 9))):
            following = []
            for holder, at, has in layer:
                parts = int(r.integers(1, 4)) if len(layer) < 24 else 1
                for k in range(parts):
                    share = has // parts - int(r.integers(0, 500)) * (k == 0)
                    if share <= 100:
                        continue
                    kind = r.random()
                    to = int(mules[r.integers(mules.shape[0])])
                    if kind < 0.04:
                        to = int(r.integers(hubs))
                    elif kind < 0.08:
                        to = layer[int(r.integers(len(layer)))][0]
                    if to == holder:
                        continue
                    when = at + int(r.integers(30_000_000, 40 * 60_000_000))
                    more([holder], [to], [when], [share])
                    following.append((to, when, share))
            layer = following
    left = max(rows - sum(x.shape[0] for x in a), 0)
    weight = r.pareto(1.6, accounts - hubs) + 0.3
    weight = np.cumsum(np.minimum(weight, 60.0))
    for begin in range(0, left, 1 << 22):
        n = min(1 << 22, left - begin)
        payer = np.searchsorted(weight, r.random(n) * weight[-1]) + hubs
        payee = r.integers(hubs, accounts, n)
        payee = np.where(payee == payer, (payee + 1 - hubs) % (accounts - hubs) + hubs, payee)
        more(payer, payee, r.integers(0, _DAYS * 24 * _HOUR_US, n), r.integers(100, 2_000_000, n))
    order = np.argsort(np.concatenate(seconds), kind="stable")

    def in_order(parts: list[Narrow]) -> Narrow:
        whole = np.concatenate(parts)
        parts.clear()
        return whole[order]

    moments = in_order(seconds).astype(np.int64) * 1_000_000 + T0
    digits = pa.array(np.arange(accounts) * 2654435761 % 10**17).cast(pa.string())
    names = pc.binary_join_element_wise("62", pc.utf8_lpad(digits, 17, "0"), "")
    table = pa.table(
        {
            "ts": pa.array(moments).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            "payer": names.take(pa.array(in_order(a))), "payee": names.take(pa.array(in_order(b))),
            "amount_fen": pa.array(in_order(fen).astype(np.int64)),
        }
    )  # fmt: skip
    return table, [(str(names[v]), at, f) for v, at, f in asked], str(names[0])


@nb.njit(cache=True, nogil=True)
def _read(out_at, in_at, outs, ins, accounts):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for a in accounts:
        for i in range(out_at[a], out_at[a + 1]):
            total += outs[i].amount + outs[i].rank
        for i in range(in_at[a], in_at[a + 1]):
            total += ins[i].amount + ins[i].rank
    return total


def run(*, rows: int, queries: int, seed: int, rivals: bool = True) -> dict[str, Any]:
    """Build, append, ask. Returns the figures of the module's docstring with the machine."""
    say(f"making {rows:,} transfers")
    table, thefts, crowded = planted(rows, queries, seed)
    warm()
    tried = Index()
    tried.take(table.slice(0, 1_000_000))
    tried.take(table.slice(1_000_000, 10_000))
    del tried
    say("building the index")
    begun = time.perf_counter()
    index = Index()
    index.take(table)
    view = index.view()
    build_s = time.perf_counter() - begun
    tracer = Tracer(index)
    no_hubs = index.hubs(10_000)
    asked = [Theft(account=f"account:{name}", at=at, amount_fen=fen) for name, at, fen in thefts]

    def claims(theft: Theft) -> tuple[layout.Claims, int]:
        made, _, _ = tracer._claims([theft], view)
        return made, 2 * view.rank_at(theft.at + HOURS * _HOUR_US + 1)

    def ask(theft: Theft, policy: Any, hub: npt.NDArray[np.uint8] = no_hubs) -> layout.Scratch:
        made, end = claims(theft)
        return tracer.walk(made, view, policy=policy, until=2 * index.entries, end=end, hub=hub)

    for theft in asked[:20]:
        for policy in ("fifo", "haircut", "poison"):
            ask(theft, policy)
    say(f"asking {len(asked)} questions")
    figures: dict[str, Any] = {}
    times: list[float] = []
    touched: list[Ints] = []
    for theft in asked:
        begun = time.perf_counter()
        z = ask(theft, "fifo")
        times.append(time.perf_counter() - begun)
        touched.append(z.slots["account"][: z.n[layout.N_SLOTS]].astype(np.int64))
    figures |= quantiles(times)
    for name, policy in (("haircut", "haircut"), ("reach", "poison")):
        seconds = []
        for theft in asked:
            begun = time.perf_counter()
            ask(theft, policy)
            seconds.append(time.perf_counter() - begun)
        figures |= {f"{name}_{k}": v for k, v in quantiles(seconds).items()}
    seconds = []
    for theft in asked:
        begun = time.perf_counter()
        tracer.follow([theft], policy="fifo", hours=HOURS)
        seconds.append(time.perf_counter() - begun)
    figures |= {f"told_{k}": v for k, v in quantiles(seconds).items()}
    t = view.transfers
    _read(t.out_at, t.in_at, t.outs, t.ins, touched[0])
    read = []
    for accounts in touched:
        begun = time.perf_counter()
        _read(t.out_at, t.in_at, t.outs, t.ins, accounts)
        read.append(time.perf_counter() - begun)
    figures["times_reading_touched_rows"] = round(sum(times) / max(sum(read), 1e-9), 1)
    figures["accounts_touched_p50"] = int(np.median([x.shape[0] for x in touched]))
    figures["hub_ms"] = _hub_ms(index, tracer, view, crowded)
    if rivals:
        hubs = set(index.names(np.flatnonzero(no_hubs).tolist()))

        def reached(theft: Theft) -> set[str]:
            z = ask(theft, "poison")
            return set(index.names(z.slots["account"][: z.n[layout.N_SLOTS]].tolist()))

        figures["rivals"] = trace_rivals.run(table, asked, reached, hubs, HOURS * _HOUR_US)
    append = _appended(index, table, seed)
    checked = _checked(table)
    return {
        "rows": table.num_rows, "accounts": view.accounts, "index_s": round(build_s, 2),
        "index_edges_per_s": round(table.num_rows / build_s), "bytes_per_edge": index.bytes_per_transfer()["edge"],
        "side_bytes": {k: v for k, v in index.bytes_per_transfer().items() if k != "edge"},
        "checked_edges_per_s": checked, "append_edges_per_s": append, "queries": len(asked), "hours": HOURS, **figures,
        "machine": machine(),
    }  # fmt: skip


def _hub_ms(index: Index, tracer: Tracer, view: Any, hub: str) -> float:
    """A question that goes through an account with 100,000 others."""
    none = np.zeros(0, np.uint8)
    at = T0 + 12 * 24 * _HOUR_US
    made, _, _ = tracer._claims([Theft(account=f"account:{hub}", at=at, amount_fen=500_000, into=True)], view)
    end = 2 * view.rank_at(at + 2 * _HOUR_US)
    best = []
    for _ in range(5):
        begun = time.perf_counter()
        tracer.walk(made, view, policy="fifo", until=2 * index.entries, end=end, hub=none)
        best.append(time.perf_counter() - begun)
    return round(float(np.median(best)) * 1e3, 2)


def _appended(index: Index, table: pa.Table, seed: int) -> int:
    """Transfers a second appended in time order, from texts, in batches of 10,000, a view after each."""
    n = min(2_000_000, table.num_rows // 4)
    r = np.random.default_rng(seed)
    last = int(table.column("ts").cast(pa.int64())[-1].as_py())
    at = last + 1_000_000 + np.sort(r.integers(0, n // 1000 + 1, n)) * 1_000_000
    names = pa.concat_arrays(table.column("payer").chunks[:1])
    more = pa.table(
        {
            "ts": pa.array(at).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            "payer": names.take(pa.array(r.integers(0, len(names), n))),
            "payee": names.take(pa.array(r.integers(0, len(names), n))),
            "amount_fen": pa.array(r.integers(100, 10**6, n)),
        }
    )  # fmt: skip
    begun = time.perf_counter()
    for begin in range(0, n, 10_000):
        index.take(more.slice(begin, 10_000))
        index.view()
    return int(n / (time.perf_counter() - begun))


def _checked(table: pa.Table) -> int:
    """Transfers a second indexed as files' rows are: each known by its identity, reversals and references sought."""
    n = min(2_000_000, table.num_rows)
    some = table.slice(0, n)
    ids = pc.binary_join_element_wise("T", pa.array(np.arange(n)).cast(pa.string()), "")
    rows = conform(
        TABLES["transfers"],
        some.append_column("event_id", ids).append_column("source", pa.array(["bench"] * n, pa.string())),
    )
    Index.of(rows.slice(0, 20_000))
    begun = time.perf_counter()
    Index.of(rows).view()
    return int(n / (time.perf_counter() - begun))
