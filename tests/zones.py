"""Zones that know each other: their keys, and the folders by which letters pass between them."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from wuzha.respond import crossing
from wuzha.store import Connection, exchange, zone_keys


def trusting(folder: Path, other: str) -> tuple[dict[str, Path], dict[str, Path]]:
    """The centre and one other zone, keys made and exchanged: their homes, and where each one's letters arrive."""
    names = ("centre", other)
    homes = {name: folder / name for name in names}
    arrive = {name: folder / f"to-{name}" for name in names}
    for name, home in homes.items():
        arrive[name].mkdir()
        (folder / f"{name}.card").write_text(zone_keys.make(home, name).card.text())
    for mine, theirs in (names, names[::-1]):
        zone_keys.trust(homes[mine], folder / f"{theirs}.card", inbox=arrive[mine], outbox=arrive[theirs])
    return homes, arrive


def carry(name: str, home: Path, conn: Connection, now: datetime | None) -> list[exchange.Round]:
    """One round of a zone's letters."""
    zone = zone_keys.load(home)
    assert zone is not None
    return exchange.carry(conn, zone, crossing.HANDLERS[name], now=now)
