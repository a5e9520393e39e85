"""The kernel against the slow reference, to the fen, on thousands of random graphs."""

from __future__ import annotations

import os
import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tests.trace import rows
from tests.trace.reference import Claim, Found, Move, follow
from tests.trace.rows import T0

from wuzha.trace import Index, Theft, Tracer, layout, walk
from wuzha.trace.follow import POLICIES

#: Random graphs of each law and seed; ``WUZHA_GRAPHS=1000`` asks for thousands.
GRAPHS = int(os.environ.get("WUZHA_GRAPHS", "60"))


def table(moves: list[Move]) -> pa.Table:
    """The moves as rows of the transfers table."""
    return rows.table(
        [
            {
                "event_id": m.name, "ts": m.ts, "payer": m.payer, "payee": m.payee, "amount_fen": m.amount,
                "fee_fen": m.fee or None, "merchant_id": "m" if m.exit == "merchant" else None,
                "channel": m.exit if m.exit in ("third_party", "crypto") else None,
                "cash": True if m.payee is None or m.payer is None else None,
            }
            for m in moves
        ]
    )  # fmt: skip


def random_moves(r: random.Random, n: int, accounts: int, most: int) -> list[Move]:
    names = [f"{i:04d}" for i in range(accounts)]
    moves = []
    ts = 0
    for i in range(n):
        ts += r.randint(1, 1000)
        payer, payee = r.sample(names, 2)
        move = Move(ts, payer, payee, r.choice([1, r.randint(1, 100), r.randint(1, most)]), name=f"e{i}")
        kind = r.random()
        if kind < 0.06:
            move.payee = None
        elif kind < 0.1:
            move.payer = None
        elif kind < 0.14:
            move.exit = r.choice(["merchant", "third_party", "crypto"])
        if move.payer is not None and r.random() < 0.1:
            move.fee = r.randint(1, 50)
        moves.append(move)
    return moves


def random_claims(r: random.Random, moves: list[Move], accounts: int, most: int) -> list[Claim]:
    out = []
    for _ in range(r.choice([1, 1, 2, 4])):
        out.append(
            Claim(f"{r.randrange(accounts):04d}", r.randint(0, moves[-1].ts), r.randint(1, most), r.random() < 0.4)
        )
    return out


def kernel(index: Index, tracer: Tracer, claims: list[Claim], policy: str) -> tuple[Any, Found]:
    thefts = [Theft(account=f"account:{c.account}", at=T0 + c.at, amount_fen=c.amount, into=c.into) for c in claims]
    result = tracer.follow(thefts, policy=policy)  # type: ignore[arg-type]
    found = Found(stolen=result.totals["stolen_fen"])
    z = tracer._scratch
    assert z is not None
    shares = np.empty((10_000, 3), np.int64)
    n = walk.shares(z, shares)
    names = index.names(z.slots["account"][: z.n[layout.N_SLOTS]].tolist())
    order = range(len(claims))
    for slot, claim, fen in shares[:n].tolist():
        at = (names[slot].removeprefix("account:"), order[claim])
        found.held[at] = found.held.get(at, 0) + fen
    found.exits = {(e["kind"], e["account"].removeprefix("account:")): e["amount_fen"] for e in result.exits}
    found.edges = {e["event_id"]: e["tainted_fen"] for e in result.edges}
    for a in result.accounts:
        name = a["account"].removeprefix("account:")
        found.hops[name] = a["level"]
        if a["received_fen"]:
            found.received[name] = a["received_fen"]
    return result, found


@pytest.mark.parametrize("policy", ["fifo", "lifo", "haircut"])
@pytest.mark.parametrize("seed", range(4))
def test_kernel_and_reference_agree_to_the_fen(policy: str, seed: int) -> None:
    agree(policy, seed, GRAPHS)


@pytest.mark.soak
@pytest.mark.parametrize("policy", ["fifo", "lifo", "haircut"])
def test_kernel_and_reference_agree_on_thousands_of_graphs(policy: str) -> None:
    agree(policy, 1000, 3000)


def agree(policy: str, seed: int, graphs: int) -> None:
    r = random.Random(seed)
    for _ in range(graphs):
        accounts = r.choice([3, 6, 20])
        most = r.choice([100, 10**6, 10**12])
        moves = random_moves(r, r.choice([5, 30, 200]), accounts, most)
        claims = random_claims(r, moves, accounts, most)
        index = Index.of(table(moves))
        known = {m.payer for m in moves} | {m.payee for m in moves}
        claims = [c for c in claims if c.account in known]
        claims.sort(key=lambda c: c.at)
        if not claims:
            continue
        want = follow(moves, claims, policy)
        result, got = kernel(index, Tracer(index), claims, policy)
        assert got.stolen == want.stolen
        assert got.edges == want.edges
        assert got.exits == want.exits
        assert got.held == want.held
        assert got.received == want.received
        assert {a: h for a, h in got.hops.items()} == want.hops | {a: want.hops[a] for a in got.hops}
        t = result.totals
        assert t["stolen_fen"] == t["held_fen"] + t["exited_fen"] + t["unknown_fen"]
        assert sum(a["held_fen"] for a in result.accounts) == t["held_fen"]


@pytest.mark.parametrize("seed", range(3))
def test_poison_reaches_all_that_haircut_does_and_keeps_its_sums(seed: int) -> None:
    r = random.Random(100 + seed)
    for _ in range(40):
        moves = random_moves(r, 80, 8, 1000)
        claims = [c for c in random_claims(r, moves, 8, 1000) if c.account in {m.payer for m in moves}]
        if not claims:
            continue
        index = Index.of(table(moves))
        thefts = [Theft(account=f"account:{c.account}", at=T0 + c.at, amount_fen=c.amount, into=c.into) for c in claims]
        tracer = Tracer(index)
        cut, poison = (tracer.follow(thefts, policy=p) for p in ("haircut", "poison"))  # type: ignore[arg-type]
        assert cut.totals == poison.totals
        assert {a["account"] for a in cut.accounts} <= {a["account"] for a in poison.accounts}
        assert {e["event_id"] for e in cut.edges} <= {e["event_id"] for e in poison.edges}
        assert all(e["reach_fen"] >= e["tainted_fen"] for e in poison.edges)
        assert poison.reach_fen is not None and poison.reach_fen >= cut.totals["stolen_fen"]


@pytest.mark.parametrize("seed", range(4))
def test_limits_conserve(seed: int) -> None:
    r = random.Random(200 + seed)
    for _ in range(30):
        moves = random_moves(r, 120, 10, 10**6)
        claims = [c for c in random_claims(r, moves, 10, 10**6) if c.account in {m.payer for m in moves}]
        if not claims:
            continue
        index = Index.of(table(moves))
        thefts = [Theft(account=f"account:{c.account}", at=T0 + c.at, amount_fen=c.amount, into=c.into) for c in claims]
        levels = r.randint(1, 4)
        result = Tracer(index).follow(
            thefts, policy=r.choice(POLICIES), levels=levels, hours=r.choice([None, 1e-8, 1e-5]),
            until=T0 + r.randint(0, moves[-1].ts),
        )  # fmt: skip
        t = result.totals
        assert t["stolen_fen"] == t["held_fen"] + t["exited_fen"] + t["unknown_fen"]
        assert sum(a["held_fen"] for a in result.accounts) == t["held_fen"]
        assert all(0 <= a["level"] <= levels for a in result.accounts)
        assert all(0 <= a["held_low_fen"] <= a["held_fen"] <= a["held_high_fen"] for a in result.accounts)
