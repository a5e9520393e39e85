"""Stolen money on its way: first level, second, third, and out of the banks.

Kept true here: no account sends more of a loss than it got; what stays is what the script says; the last layer pays
out in cash, to a dealer of crypto-currency, or for goods at a shop that knows nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from . import draw
from .stage import CH, lognormal

if TYPE_CHECKING:
    from .infrastructure import Infrastructure
    from .notebook import Notebook
    from .play import Crew
    from .scripts import Script


def launder(
    book: Notebook, infra: Infrastructure, crew: Crew, script: Script, scam: int, person: int, second: int,
    account: int, fen: int, rng: Any,
) -> None:  # fmt: skip
    """Move one loss from its first-level account on. Rows are labelled ``move`` and ``exit``."""
    money = script.money
    label: dict[str, Any] = {"scam": scam, "stage": "pay", "victim": person}
    if account not in crew.tested:
        crew.tested.add(account)
        if rng.random() < money.tested:
            before = second - int(lognormal(rng, 600, 20000, 1)[0])
            tester = infra.mule(crew, script, rng, layer=True)
            # It tells of the account, and of nobody whom it will be used against.
            book.write("transfers", before, **{**label, "victim": -1}, step="move", payer=tester, payee=account,
                       amount=int(rng.integers(1, 11)) * 100, channel=1, device=crew.device)  # fmt: skip
    depth = int(rng.integers(money.depth[0], money.depth[1] + 1))
    held = [(account, second, fen)]
    for _ in range(depth - 1):
        onward: list[tuple[int, int, int]] = []
        for source, when, amount in held:
            onward.extend(_split(book, infra, crew, script, label, source, when, amount, rng))
        held = onward
    exits = list(money.exits)
    for source, when, amount in held:
        keep = rng.uniform(*money.keep)
        amount = int(amount * (1 - keep)) // 100 * 100
        if amount <= 0:
            continue
        when += int(lognormal(rng, money.hop[0] * 120, money.hop[1] * 120, 1)[0])
        how = exits[int(draw.pick(rng, list(money.exits.values()), 1)[0])]
        _leave(book, crew, label, how, source, when, amount, rng)


def _split(
    book: Notebook, infra: Infrastructure, crew: Crew, script: Script, label: dict[str, Any], source: int, when: int,
    amount: int, rng: Any,
) -> list[tuple[int, int, int]]:  # fmt: skip
    money = script.money
    parts = int(rng.integers(money.fan_out[0], money.fan_out[1] + 1))
    parts = max(1, min(parts, amount // 300_000))
    left = int(amount * (1 - rng.uniform(*money.keep)))
    shares = rng.dirichlet(np.full(parts, 4.0))
    out = []
    for k in range(parts):
        part = int(left * shares[k]) // 100 * 100
        if part <= 0:
            continue
        when += int(lognormal(rng, money.hop[0] * 60, money.hop[1] * 60, 1)[0]) + 5
        to = infra.mule(crew, script, rng, layer=True)
        book.write(
            "transfers",
            when,
            **label,
            step="move",
            payer=source,
            payee=to,
            amount=part,
            channel=CH["mobile"] if rng.random() < 0.85 else CH["third_party"],
            device=crew.device if rng.random() < 0.5 else -2,
        )
        out.append((to, when, part))
    return out


def _leave(
    book: Notebook, crew: Crew, label: dict[str, Any], how: str, source: int, when: int, amount: int, rng: Any
) -> None:
    w = book.stage.world
    if how == "cash":
        place = int(rng.integers(0, len(draw.PLACES)))
        while amount > 0:
            part = min(amount, int(rng.integers(1, 5)) * 500_000)
            atm = rng.random() < 0.7
            book.write("transfers", when, **label, step="exit", payer=source, payee=-1, amount=part, cash=True,
                       channel=CH["atm"] if atm else CH["counter"], place=place)  # fmt: skip
            amount -= part
            when += int(rng.integers(40, 400))
            if part > 10**7:
                break
    elif how == "crypto":
        book.write(
            "transfers",
            when,
            **label,
            step="exit",
            payer=source,
            payee=int(rng.choice(w.wallets)),
            amount=amount,
            channel=CH["crypto"],
            device=crew.device,
        )
    else:
        shop = int(rng.choice(w.merchants))
        book.write("transfers", when, **label, step="exit", payer=source, payee=shop, amount=amount,
                   channel=CH["qr"] if rng.random() < 0.6 else CH["pos"])  # fmt: skip
        book.stage.tainted.append((when, shop, amount))
