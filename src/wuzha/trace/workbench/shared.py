"""Cards that are worked from one IP address, MAC address or device.

Kept true here: cards are one group where a chain of shared addresses joins them; an address that only one card used
joins nothing; addresses that say nothing (0.0.0.0, all zeros, one's own machine) are no addresses.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from .books import Books
from .thresholds import Thresholds

KINDS = ("ip", "mac", "device")
_NOTHING = r"(?i)^(0|0\.0\.0\.0|127\.0\.0\.1|::1?|localhost|[0f:\-. ]+|无|未知|null|none|n/?a|-+)$"


@dataclass(frozen=True, kw_only=True)
class Link:
    """One address with the cards that used it; ``rows``: their transfers with it."""

    kind: str
    value: str
    accounts: tuple[str, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Shared:
    """A group: cards that shared addresses join."""

    accounts: tuple[str, ...]
    links: tuple[Link, ...]


def shared(books: Books, thresholds: Thresholds) -> list[Shared]:
    """The groups, largest first. What comes in tells nothing of the card it comes to: only what an account paid."""
    least = int(thresholds["shared"]["cards"])
    links: list[Link] = []
    paid = books.entries.filter("out")
    for kind in KINDS:
        used = paid.filter(pl.col(kind).is_not_null() & ~pl.col(kind).str.contains(_NOTHING)).with_columns(
            _value=pl.col(kind).str.strip_chars().str.to_uppercase()
        )
        if kind == "mac":
            used = used.with_columns(_value=pl.col("_value").str.replace_all(r"[^0-9A-F]", ""))
        found = used.group_by("_value").agg("account", "i").sort("_value")
        for value, accounts, rows in found.iter_rows():
            cards = sorted(set(accounts))
            if len(cards) >= least:
                links.append(Link(kind=kind, value=value, accounts=tuple(cards), rows=tuple(sorted(rows))))
    root: dict[str, str] = {}

    def of(account: str) -> str:
        while root.setdefault(account, account) != account:
            root[account] = root[root[account]]
            account = root[account]
        return account

    for link in links:
        for other in link.accounts[1:]:
            a, b = of(link.accounts[0]), of(other)
            root[max(a, b)] = min(a, b)
    groups: dict[str, list[Link]] = {}
    for link in links:
        groups.setdefault(of(link.accounts[0]), []).append(link)
    told = [
        Shared(accounts=tuple(sorted({a for link in mine for a in link.accounts})), links=tuple(mine))
        for mine in groups.values()
    ]
    return sorted(told, key=lambda g: (-len(g.accounts), g.accounts))
