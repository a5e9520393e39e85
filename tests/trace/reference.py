"""Following money slowly: every account's purse is a list of [owner, fen], every transfer is gone through in order."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

CLEAN = -1


@dataclass
class Move:
    """One transfer; ``payee`` None: cash. ``marks``: how money leaves by it, if it does."""

    ts: int
    payer: str | None
    payee: str | None
    amount: int
    fee: int = 0
    exit: str | None = None
    name: str = ""


@dataclass
class Claim:
    """``amount`` stolen out of ``account`` (or received by it) from ``at`` on."""

    account: str
    at: int
    amount: int
    into: bool = False


@dataclass
class Found:
    held: dict[tuple[str, int], int] = field(default_factory=dict)
    exits: dict[tuple[str, str], int] = field(default_factory=dict)
    edges: dict[str, int] = field(default_factory=dict)
    received: dict[str, int] = field(default_factory=dict)
    hops: dict[str, int] = field(default_factory=dict)
    stolen: int = 0


def openings(moves: Iterable[Move], claims: list[Claim]) -> dict[str, int]:
    """The least opening balance of each account that keeps every balance ≥ 0."""
    net: dict[str, int] = {}
    least: dict[str, int] = {}
    waiting = sorted((c for c in claims if c.into), key=lambda c: c.at)
    for move in moves:
        while waiting and waiting[0].at <= move.ts:
            c = waiting.pop(0)
            net[c.account] = net.get(c.account, 0) + c.amount
        if move.payer is not None:
            net[move.payer] = net.get(move.payer, 0) - move.amount - move.fee
            least[move.payer] = min(least.get(move.payer, 0), net[move.payer])
        if move.payee is not None:
            net[move.payee] = net.get(move.payee, 0) + move.amount
    return {a: -n for a, n in least.items()}


def take(purse: list[list[int]], x: int, policy: str) -> list[list[int]]:
    """``x`` fen out of a purse."""
    if policy == "haircut":
        total = sum(n for _, n in purse)
        owned = {o: sum(n for p, n in purse if p == o) for o, _ in purse if o != CLEAN}
        taken = [[o, x * owned[o] // total] for o in sorted(owned)]
        extra = (x * sum(owned.values()) // total if total else 0) - sum(n for _, n in taken)
        # claims are numbered in the order of their times
        for one in sorted(taken, key=lambda t: (-(x * owned[t[0]] % total), t[0]))[:extra]:
            one[1] += 1
        clean = x - sum(n for _, n in taken)
        taken.append([CLEAN, clean])
        for o, n in taken:
            for one in purse:
                if one[0] == o:
                    less = min(n, one[1])
                    one[1] -= less
                    n -= less
            assert n == 0
        purse[:] = [one for one in purse if one[1]]
        return [one for one in taken if one[1]]
    out = []
    while x:
        one = purse[0] if policy == "fifo" else purse[-1]
        n = min(x, one[1])
        out.append([one[0], n])
        one[1] -= n
        x -= n
        if not one[1]:
            purse.remove(one) if policy == "fifo" else purse.pop()
    return out


def follow(moves: list[Move], claims: list[Claim], policy: str) -> Found:
    """``moves`` in the order that counts."""
    found = Found()
    purses: dict[str, list[list[int]]] = {a: [[CLEAN, n]] for a, n in openings(moves, claims).items() if n}
    left = [c.amount for c in claims]
    order = sorted(range(len(claims)), key=lambda i: claims[i].at)
    into = [i for i in order if claims[i].into]

    def come(account: str, parts: list[list[int]]) -> None:
        purses.setdefault(account, []).extend([o, n] for o, n in parts if n)

    def arrive(until: int | None) -> None:
        while into and (until is None or claims[into[0]].at <= until):
            i = into.pop(0)
            come(claims[i].account, [[i, claims[i].amount]])
            found.stolen += claims[i].amount
            left[i] = 0
            a = claims[i].account
            found.received[a] = found.received.get(a, 0) + claims[i].amount
            found.hops[a] = min(found.hops.get(a, 1), 1)

    for c in claims:
        if not c.into:
            found.hops[c.account] = 0
    paths: list[tuple[str, str]] = []
    for move in moves:
        arrive(move.ts)
        if move.payer is None:
            come(move.payee or "", [[CLEAN, move.amount]])
            continue
        parts = take(purses.setdefault(move.payer, []), move.amount, policy)
        for i in order:
            c = claims[i]
            if c.into or c.account != move.payer or c.at > move.ts:
                continue
            cut: list[list[int]] = []
            for o, n in parts:
                if o == CLEAN and left[i]:
                    s = min(n, left[i])
                    left[i] -= s
                    found.stolen += s
                    cut += [[i, s], [CLEAN, n - s]]
                else:
                    cut.append([o, n])
            parts = [p for p in cut if p[1]]
        tainted = sum(n for o, n in parts if o != CLEAN)
        if tainted:
            found.edges[move.name] = tainted
            if move.exit is not None or move.payee is None:
                kind = move.exit if move.payee is not None and move.exit else "cash"
                at = (kind, move.payer if move.payee is None else move.payee)
                found.exits[at] = found.exits.get(at, 0) + tainted
            else:
                found.received[move.payee] = found.received.get(move.payee, 0) + tainted
                paths.append((move.payer, move.payee))
        if move.payee is not None and not (tainted and move.exit is not None):
            come(move.payee, parts)
        elif move.payee is not None:
            come(move.payee, [[CLEAN, move.amount]])
        if move.fee:
            gone = sum(n for o, n in take(purses[move.payer], move.fee, policy) if o != CLEAN)
            if gone:
                found.exits["fee", move.payer] = found.exits.get(("fee", move.payer), 0) + gone
    arrive(None)
    for _ in paths:
        for a, b in paths:
            if a in found.hops:
                found.hops[b] = min(found.hops.get(b, 10**9), found.hops[a] + 1)
    for account, purse in purses.items():
        for o, n in purse:
            if o != CLEAN:
                found.held[account, o] = found.held.get((account, o), 0) + n
    return found
