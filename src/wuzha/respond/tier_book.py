"""The deployment's own table of clocks, written at a page: one proposes, another puts it in force.

Kept true here: what is in force is the one file that every process reads (`tiers.own_file`), replaced whole or not at
all; a text that `tiers.read` refuses never gets there; each text stays on record with who wrote it, why, and who put it
in force; a text that was written on another table than the one in force by now is refused.
"""

from __future__ import annotations

import hashlib
import os
from datetime import datetime
from importlib.resources import files
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.command.public import Actor, Refused, require
from wuzha.events import clock
from wuzha.store import audit

from . import tiers

_LONGEST = 20_000


def text_now() -> str:
    """The text in force: the deployment's own file, or the shipped one."""
    try:
        return tiers.own_file().read_text("utf-8")
    except OSError:
        return (files(__package__) / "tiers.toml").read_text("utf-8")


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def propose(conn: psycopg.Connection[Any], actor: Actor, text: str, *, why: str, now: datetime | None = None) -> int:
    """Write a table down for another to put in force; its number.

    Refused: forbidden, tiers_wrong (why, with the line), tiers_same, no_words (not said why).
    """
    require(actor, "clocks.write")
    text = text.replace("\r\n", "\n").strip() + "\n"
    if len(text) > _LONGEST:
        raise Refused("tiers_wrong", why=f"> {_LONGEST}")
    try:
        tiers.read(text)
    except ValueError as error:
        raise Refused("tiers_wrong", why=str(error)) from error
    if not why.strip():
        raise Refused("no_words")
    base = text_now()
    if text.strip() == base.strip():
        raise Refused("tiers_same")
    now = now or clock.now()
    row = conn.execute(
        "INSERT INTO wuzha.tier_texts (body, base, why, written_by, written_at) VALUES (%s, %s, %s, %s, %s)"
        " RETURNING text_id",
        (text, _digest(base), why.strip()[:500], actor.user_id, now),
    ).fetchone()
    assert row is not None
    _audit(conn, actor, "proposed", int(row[0]), now)
    return int(row[0])


def decide(
    conn: psycopg.Connection[Any], actor: Actor, text_id: int, *, accept: bool, now: datetime | None = None
) -> None:
    """Put a table in force, which another has written; or leave it, also one's own.

    Refused: forbidden, not_found (none waits by this number), tiers_own, tiers_changed (another table has come into
    force since it was written).
    """
    require(actor, "clocks.write")
    now = now or clock.now()
    conn.execute("SELECT pg_advisory_xact_lock(hashtextextended('wuzha.tiers', 0))")  # one at a time touches the file
    row = (
        conn.cursor(row_factory=dict_row)
        .execute("SELECT * FROM wuzha.tier_texts WHERE text_id = %s AND decided_at IS NULL FOR UPDATE", (text_id,))
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    if accept and row["written_by"] == actor.user_id:
        raise Refused("tiers_own")
    if accept and bytes(row["base"]) != _digest(text_now()):
        raise Refused("tiers_changed")
    conn.execute(
        "UPDATE wuzha.tier_texts SET decided_by = %s, decided_at = %s, accepted = %s WHERE text_id = %s",
        (actor.user_id, now, accept, text_id),
    )
    _audit(conn, actor, "accepted" if accept else "left", text_id, now)
    if accept:
        _put(row["body"])


def _put(text: str) -> None:
    path = tiers.own_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with fresh.open("w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)
    finally:
        fresh.unlink(missing_ok=True)


def texts(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """Every table that was written, the newest first, with ``writer`` and ``decider``; at most a hundred."""
    require(actor, "clocks.write")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT t.*, w.name AS writer, d.name AS decider FROM wuzha.tier_texts t"
            " LEFT JOIN wuzha.users w ON w.user_id = t.written_by LEFT JOIN wuzha.users d ON d.user_id = t.decided_by"
            " ORDER BY t.text_id DESC LIMIT 100"
        )
        .fetchall()
    )


def by_hand(rows: list[dict[str, Any]]) -> bool:
    """Whether the file in force is another than the newest one that was put there at the page."""
    stood = next((r["body"] for r in rows if r["accepted"]), None)
    return stood is not None and stood.strip() != text_now().strip()


def _audit(conn: psycopg.Connection[Any], actor: Actor, what: str, text_id: int, at: datetime) -> None:
    audit.append(
        conn, at=at, actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action=f"clocks.{what}",
        object=f"clocks:{text_id}",
    )  # fmt: skip
