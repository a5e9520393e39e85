"""Log in, stay in, log out; passwords.

Kept true here: a password is kept as argon2id only and a cookie as its SHA-256 only; wrong passwords lock an account
for a while, and whether an account exists cannot be told from the answer; a session ends by idleness, by its end, and
at once where its user is deactivated or has a new password.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

import psycopg
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError
from psycopg.rows import dict_row

from wuzha.events import clock
from wuzha.store import audit

from .public import Actor, Refused

#: Wrong passwords in a row that lock an account, and for how long; seconds are the officer's own.
LOCK_AFTER, LOCK_S = 5, 900
#: A session's whole length (a shift and its handover), and how long it may stand idle.
SESSION_S, IDLE_S = 14 * 3600, 2 * 3600
PASSWORD_LENGTH = 10

_hasher = PasswordHasher()


@dataclass(frozen=True, kw_only=True)
class Login:
    """What a try to log in gave: a cookie's token, or the reason why not (``bad_login``, ``locked``) and until when."""

    token: str | None = None
    refused: str | None = None
    until: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Session:
    """A session that stands: its officer and the token that each of its forms carries."""

    actor: Actor
    csrf: str


def hash_password(password: str) -> str:
    """argon2id of a password. Refused("weak_password") where it is short or one character over and over."""
    if len(password) < PASSWORD_LENGTH or len(set(password)) < 5:
        raise Refused("weak_password", length=PASSWORD_LENGTH)
    return _hasher.hash(password)


@lru_cache(maxsize=1)
def _nobody() -> str:
    return _hasher.hash(secrets.token_hex(16))


#: Wrong tries by names that nobody has: (how many, locked until). They lock like accounts, else a lock would tell which
#: names exist. Of this process only and of the last names only: it hides, it protects nothing.
_STRANGERS: OrderedDict[str, tuple[int, datetime | None]] = OrderedDict()
_STRANGERS_KEPT = 10_000
_strangers_lock = threading.Lock()


def _stranger(login: str, now: datetime) -> datetime | None:
    """Count a try by a name that nobody has; until when it is locked, as an account would be."""
    with _strangers_lock:
        failed, until = _STRANGERS.pop(login, (0, None))
        if until is None or until <= now:
            failed += 1
            until = now + clock.stretch(LOCK_S) if failed >= LOCK_AFTER else None
            failed = 0 if until else failed
        _STRANGERS[login] = (failed, until)
        while len(_STRANGERS) > _STRANGERS_KEPT:
            _STRANGERS.popitem(last=False)
    return until


def _verify(hashed: str, password: str) -> bool:
    try:
        return _hasher.verify(hashed, password)
    except (VerificationError, InvalidHashError):
        return False


def log_in(conn: psycopg.Connection[Any], login: str, password: str, *, now: datetime | None = None) -> Login:
    """Try to log in. A refusal is returned, not raised, so that the count of wrong passwords is committed."""
    now = now or clock.now()
    login = login.strip()[:100]
    user = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT * FROM wuzha.users WHERE login = %s FOR UPDATE", (login,))
        .fetchone()
    )
    if user is None or not user["active"]:
        _verify(_nobody(), password)
        _audit(conn, now, login[:60], None, None, "login.refused", {"reason": "unknown"})
        until = _stranger(login, now)
        return Login(refused="locked" if until else "bad_login", until=until)
    who = (user["login"], user["user_id"], user["unit_id"])
    if user["locked_until"] is not None and user["locked_until"] > now:
        _verify(_nobody(), password)
        _audit(conn, now, *who, "login.refused", {"reason": "locked"})
        return Login(refused="locked", until=user["locked_until"])
    if not _verify(user["password_hash"], password):
        failed = user["failed"] + 1
        until = now + clock.stretch(LOCK_S) if failed >= LOCK_AFTER else None
        conn.execute(
            "UPDATE wuzha.users SET failed = %s, locked_until = %s WHERE user_id = %s",
            (0 if until else failed, until, user["user_id"]),
        )
        _audit(conn, now, *who, "login.refused", {"reason": "locked" if until else "password", "failed": failed})
        return Login(refused="locked" if until else "bad_login", until=until)
    conn.execute("UPDATE wuzha.users SET failed = 0, locked_until = NULL WHERE user_id = %s", (user["user_id"],))
    token = secrets.token_urlsafe(32)
    conn.execute("DELETE FROM wuzha.sessions WHERE expires_at < %s", (now,))
    conn.execute(
        "INSERT INTO wuzha.sessions (token_hash, user_id, csrf, created_at, seen_at, expires_at)"
        " VALUES (%s, %s, %s, %s, %s, %s)",
        (_key(token), user["user_id"], secrets.token_urlsafe(24), now, now, now + clock.stretch(SESSION_S)),
    )
    _audit(conn, now, *who, "login", {})
    return Login(token=token)


def find(
    conn: psycopg.Connection[Any], token: str, *, now: datetime | None = None, touch: bool = True
) -> Session | None:
    """The session of a cookie, or None where it has ended. ``touch``: this is the officer, not an open page's poll."""
    now = now or clock.now()
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT s.csrf, s.seen_at, u.*, n.name AS unit_name,"
            " ARRAY(SELECT role FROM wuzha.user_roles r WHERE r.user_id = u.user_id) AS roles"
            " FROM wuzha.sessions s JOIN wuzha.users u USING (user_id) JOIN wuzha.units n USING (unit_id)"
            " WHERE s.token_hash = %s AND s.expires_at > %s AND s.seen_at > %s AND u.active",
            (_key(token), now, now - clock.stretch(IDLE_S)),
        )
        .fetchone()
    )
    if row is None:
        return None
    if touch and now - row["seen_at"] > clock.stretch(30):
        conn.execute("UPDATE wuzha.sessions SET seen_at = %s WHERE token_hash = %s", (now, _key(token)))
    return Session(
        csrf=row["csrf"],
        actor=Actor(
            user_id=row["user_id"], unit_id=row["unit_id"], login=row["login"], name=row["name"],
            roles=frozenset(row["roles"]), language=row["language"], badge_no=row["badge_no"],
            unit_name=row["unit_name"], must_change=row["must_change"],
        ),
    )  # fmt: skip


def log_out(conn: psycopg.Connection[Any], token: str, actor: Actor, *, now: datetime | None = None) -> None:
    """End the session."""
    conn.execute("DELETE FROM wuzha.sessions WHERE token_hash = %s", (_key(token),))
    _audit(conn, now or clock.now(), actor.login, actor.user_id, actor.unit_id, "logout", {})


def change_password(
    conn: psycopg.Connection[Any], actor: Actor, old: str, new: str, *, keep: str, now: datetime | None = None
) -> None:
    """A new password of one's own; every other session of the user ends. Refused: wrong_password, weak_password."""
    row = conn.execute(
        "SELECT password_hash FROM wuzha.users WHERE user_id = %s FOR UPDATE", (actor.user_id,)
    ).fetchone()
    if row is None or not _verify(row[0], old):
        raise Refused("wrong_password")
    if old == new:
        raise Refused("same_password")
    conn.execute(
        "UPDATE wuzha.users SET password_hash = %s, must_change = false WHERE user_id = %s",
        (hash_password(new), actor.user_id),
    )
    conn.execute("DELETE FROM wuzha.sessions WHERE user_id = %s AND token_hash <> %s", (actor.user_id, _key(keep)))
    _audit(conn, now or clock.now(), actor.login, actor.user_id, actor.unit_id, "password.changed", {})


def set_language(conn: psycopg.Connection[Any], actor: Actor, language: str) -> None:
    """The language of this user's pages. Refused("unknown_code") for another than zh and en."""
    if language not in ("zh", "en"):
        raise Refused("unknown_code", code=language)
    conn.execute("UPDATE wuzha.users SET language = %s WHERE user_id = %s", (language, actor.user_id))


def _key(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _audit(
    conn: psycopg.Connection[Any], now: datetime, actor: str, user_id: int | None, unit_id: int | None, action: str,
    detail: dict[str, Any],
) -> None:  # fmt: skip
    audit.append(conn, at=now, actor=actor, user_id=user_id, unit_id=unit_id, action=action, object=None, detail=detail)
