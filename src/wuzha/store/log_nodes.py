"""Whether the servers of a log's stream keep what they acknowledge, as their monitoring pages tell.

Kept true here: a server counts as sound only where it said itself that it syncs each write; one that cannot be asked is
told of, and is never taken for sound.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

import httpx

_OLDEST = (2, 12)


@dataclass(frozen=True, kw_only=True)
class Node:
    """One server. ``wrong``: why what it acknowledges could be lost, None where it could not."""

    address: str
    name: str
    version: str
    wrong: str | None


def addresses() -> list[str]:
    """Monitoring addresses of ``WUZHA_LOG_NODES`` (http://host:8222, parted by commas)."""
    return [a.strip().rstrip("/") for a in os.environ.get("WUZHA_LOG_NODES", "").split(",") if a.strip()]


def nodes() -> list[Node]:
    """What each of them tells. `httpx.HTTPError` is told as what is wrong with that node."""
    return [_look(address) for address in addresses()]


def _look(address: str) -> Node:
    try:
        said = httpx.get(f"{address}/varz", timeout=3, trust_env=False).raise_for_status().json()
        version, name = str(said.get("version", "?")), str(said.get("server_name", "?"))
        config = (said.get("jetstream") or {}).get("config")
    except (httpx.HTTPError, ValueError, AttributeError) as error:
        return Node(address=address, name="?", version="?", wrong=f"it does not answer ({type(error).__name__})")
    wrong = None
    if tuple(int(p) for p in version.split("-")[0].split(".")[:2] if p.isdecimal()) < _OLDEST:
        wrong = f"nats-server {version} is too old; 2.12 or newer is needed"
    elif not config:
        wrong = "JetStream is off; give it a store_dir"
    elif not config.get("sync_always"):
        wrong = "it acknowledges before its disk has what it acknowledges; set jetstream { sync_interval: always }"
    return Node(address=address, name=name, version=version, wrong=wrong)
