"""How far has my matter come? What a citizen may follow outside the police network, by a code and without a name.

Kept true here: a code has eighty random bits, is shown once and kept by nobody – the centre has its hash, the public
page's database a hash of that under a key which no database has; what the page can show holds no name, number, account
or amount; a letter that comes late never undoes a newer one; what is over goes.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

import psycopg
import structlog
from psycopg.types.json import Jsonb

from wuzha.events import clock
from wuzha.store import Settings, exchange, zone_keys

from .verify import CENTRE, PUBLIC

log = structlog.get_logger(__name__)

#: Letters and digits that nobody mistakes for one another, read aloud or copied by hand.
ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
LENGTH = 16
_READ_AS = str.maketrans("OIL", "011")
_PURPOSE = "progress 1"

Verdict = Literal["empty", "unreadable", "never", "unknown", "found"]


def make_code() -> str:
    """A new code, ``7K3M-…`` in four groups of four."""
    letters = "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))
    return "-".join(letters[i : i + 4] for i in range(0, LENGTH, 4))


def read_code(text: str) -> str | None:
    """The code in what somebody typed, without blanks and dashes; None where it is none."""
    bare = "".join(ch for ch in text.upper() if ch.isascii() and ch.isalnum()).translate(_READ_AS)
    return bare if len(bare) == LENGTH and set(bare) <= set(ALPHABET) else None


def code_hash(code: str) -> bytes:
    """What the centre keeps of a code. ValueError where it is none."""
    bare = read_code(code)
    if bare is None:
        raise ValueError("no code")
    return hashlib.sha256(b"wuzha progress\0" + bare.encode()).digest()


def _proof(secret: bytes, hashed: bytes) -> bytes:
    return hmac.new(secret, hashed, hashlib.sha256).digest()


# ---------------------------------------------------------------- the centre tells


def public_zones() -> list[str]:
    """The public pages' zones that this deployment knows; none where it has no keys, or damaged ones."""
    zone = _zone()
    return [] if zone is None else [p for p in zone.peers if p == PUBLIC or p.startswith(f"{PUBLIC}-")]


def _zone() -> zone_keys.Zone | None:
    try:
        return zone_keys.load(Settings().home)
    except zone_keys.KeysError as error:
        log.error("progress is not told", why=str(error))  # the desk works on; the next change tells it all
        return None


def tell(
    conn: psycopg.Connection[Any], hashed: bytes, *, matter: str, ref: str, told: dict[str, Any] | None,
    until: datetime, now: datetime,
) -> int:  # fmt: skip
    """Queue what is to be shown under a code (its `code_hash`); None: nothing any more. How many letters."""
    zone = _zone()
    if zone is None:
        return 0
    version = int(now.timestamp() * 1_000_000)
    queued = 0
    for peer in public_zones():
        body = {
            "proof": _proof(zone.shared(peer, _PURPOSE), hashed).hex(), "matter": matter, "version": version,
            "told": told, "at": now.isoformat(), "until": until.isoformat(),
        }  # fmt: skip
        digest = hashlib.sha256(repr(sorted(body.items())).encode()).hexdigest()[:16]
        queued += exchange.queue(conn, peer, kind="progress", key=f"{matter}:{ref}:{digest}", body=body, now=now)
    return queued


# ---------------------------------------------------------------- the public page's zone takes in, and is asked


def take(conn: psycopg.Connection[Any], message: exchange.Message) -> None:
    """How far a matter has come by now."""
    if message.peer != CENTRE:
        raise exchange.Unfit(f"from {message.peer}, which has no cases")
    b = message.body
    conn.execute("DELETE FROM wuzha.public_progress WHERE until < %s", (clock.now(),))
    if b["told"] is None:
        conn.execute(
            "DELETE FROM wuzha.public_progress WHERE proof = %s AND version <= %s",
            (bytes.fromhex(b["proof"]), int(b["version"])),
        )
        return
    conn.execute(
        "INSERT INTO wuzha.public_progress AS p (proof, matter, version, told, at, until)"
        " VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (proof) DO UPDATE SET version = excluded.version,"
        " told = excluded.told, at = excluded.at, until = excluded.until WHERE p.version <= excluded.version",
        (
            bytes.fromhex(b["proof"]), str(b["matter"]), int(b["version"]), Jsonb(dict(b["told"])),
            datetime.fromisoformat(b["at"]), datetime.fromisoformat(b["until"]),
        ),
    )  # fmt: skip


HANDLERS: dict[str, exchange.Handler] = {"progress": take}


@dataclass(frozen=True, kw_only=True)
class Found:
    """What the page answers. ``known_until``: what the centre had told until then is known; ``stale``: that is long
    ago."""

    verdict: Verdict
    told: dict[str, Any] | None = None
    at: datetime | None = None
    known_until: datetime | None = None
    stale: bool = False


def ask(
    conn: psycopg.Connection[Any], zone: zone_keys.Zone | None, text: str, *, fresh: timedelta,
    now: datetime | None = None,
) -> Found:  # fmt: skip
    """What is known under the code in ``text``. ``fresh``: how old the page's knowledge may be before it says so."""
    now = now or clock.now()
    if not text.strip():
        return Found(verdict="empty")
    code = read_code(text)
    if code is None:
        return Found(verdict="unreadable")
    row = conn.execute("SELECT current_until FROM wuzha.exchange_peers WHERE peer = %s", (CENTRE,)).fetchone()
    known = row[0] if row else None
    if zone is None or CENTRE not in zone.peers or known is None:
        return Found(verdict="never")
    found = conn.execute(
        "SELECT told, at FROM wuzha.public_progress WHERE proof = %s AND until > %s",
        (_proof(zone.shared(CENTRE, _PURPOSE), code_hash(code)), now),
    ).fetchone()
    if found is None:
        return Found(verdict="unknown", known_until=known)
    return Found(verdict="found", told=found[0], at=found[1], known_until=known, stale=now - known > fresh)
