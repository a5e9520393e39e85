"""API keys of registered senders: shown once, kept as a hash, revocable.

Kept true here: a key is ``wz_<prefix>_<secret>`` with 256 random bits in its secret; the database holds the prefix, to
find it by, and the SHA-256 of the whole (a random key needs no slow hash). A revoked key, or one of a closed sender,
works no more from the next question on.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.events import clock

from .queries import q
from .sources import Source, source_of

_KEY = re.compile(r"wz_([0-9a-f]{12})_([A-Za-z0-9_-]{43})\Z")
#: How often ``last_used_at`` is written at most: a key may come a thousand times a second.
_NOTED_EVERY = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Issued:
    """A new key. ``key`` is shown this once and kept nowhere."""

    key_id: int
    prefix: str
    key: str


def issue(
    conn: psycopg.Connection[Any], source_id: int, *, created_by: int | None = None, now: datetime | None = None
) -> Issued:
    """A new key for a sender. psycopg.errors.ForeignKeyViolation where there is no such sender. Role wuzha_web."""
    prefix, secret = secrets.token_hex(6), secrets.token_urlsafe(32)
    key = f"wz_{prefix}_{secret}"
    row = conn.execute(
        q("keys.insert"),
        {
            "source_id": source_id, "prefix": prefix, "key_hash": _hash(key), "created_at": now or clock.now(),
            "created_by": created_by,
        },
    ).fetchone()  # fmt: skip
    assert row is not None
    return Issued(key_id=int(row[0]), prefix=prefix, key=key)


def check(conn: psycopg.Connection[Any], key: str, *, now: datetime | None = None) -> Source | None:
    """The sender whose key this is; None for one that is malformed, unknown, revoked or of a closed sender."""
    found = numbered(conn, key, now=now)
    return None if found is None else found[1]


def numbered(conn: psycopg.Connection[Any], key: str, *, now: datetime | None = None) -> tuple[int, Source] | None:
    """As `check`, with the key's number."""
    match = _KEY.match(key)
    if match is None:
        return None
    row = conn.cursor(row_factory=dict_row).execute(q("keys.by_prefix"), {"prefix": match[1]}).fetchone()
    if row is None or not hmac.compare_digest(bytes(row["key_hash"]), _hash(key)):
        return None
    now = now or clock.now()
    if row["last_used_at"] is None or abs(now - row["last_used_at"]) >= _NOTED_EVERY:
        conn.execute(q("keys.used"), {"key_id": row["key_id"], "at": now})
    return int(row["key_id"]), source_of(row)


def revoke(conn: psycopg.Connection[Any], key_id: int, *, now: datetime | None = None) -> bool:
    """Ends a key at once. False where there is none that still works."""
    return conn.execute(q("keys.revoke"), {"key_id": key_id, "at": now or clock.now()}).rowcount == 1


def of_source(conn: psycopg.Connection[Any], source_id: int) -> list[dict[str, Any]]:
    """Every key of a sender, newest first: key_id, prefix, created_at, created_by, last_used_at, revoked_at."""
    return conn.cursor(row_factory=dict_row).execute(q("keys.of_source"), {"source_id": source_id}).fetchall()


def _hash(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
