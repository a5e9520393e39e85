"""Registered sources and their keys, as the administration's commands.

Kept true here: every registration, change, key and revocation is in the audit; a key is returned once and the audit
holds its prefix only.
"""

from __future__ import annotations

from typing import Any

import psycopg

from wuzha.events import clock
from wuzha.store import audit, keys, sources
from wuzha.store.sources import Source, SourceError

from .public import Actor, Refused, require

__all__ = ["Source", "add", "every", "issue_key", "keys_of", "one", "revoke_key", "set_active"]


def every(conn: psycopg.Connection[Any], actor: Actor) -> list[tuple[Source, list[str]]]:
    """All sources by name, each with what is wrong with its registration (codes of `store.sources.flaws`)."""
    require(actor, "sources.write")
    now = clock.now()
    return [(source, sources.flaws(source, now=now)) for source in sources.every(conn)]


def one(conn: psycopg.Connection[Any], actor: Actor, source_id: int) -> Source:
    """A source. Refused("not_found") where there is none."""
    require(actor, "sources.write")
    source = sources.one(conn, source_id=source_id)
    if source is None:
        raise Refused("not_found")
    return source


def add(conn: psycopg.Connection[Any], actor: Actor, **values: Any) -> int:
    """Register a source (entries of `store.sources.register`). Refused("source_entry", code=entry), "name_taken"."""
    require(actor, "sources.write")
    try:
        source_id = sources.register(conn, **values)
    except SourceError as error:
        raise Refused("name_taken" if error.reason == "name_taken" else "source_entry", code=error.field) from error
    _audit(conn, actor, "source.added", source_id, {"name": values["name"], "role": values["role"]})
    return source_id


def set_active(conn: psycopg.Connection[Any], actor: Actor, source_id: int, *, active: bool) -> None:
    """Close a source, whose keys stop working at once, or open it again."""
    s = one(conn, actor, source_id)
    sources.change(
        conn, source_id, title=s.title, role=s.role, basis=s.basis, purpose=s.purpose, retention_days=s.retention_days,
        tables=s.tables, active=active, basis_ref=s.basis_ref, basis_until=s.basis_until,
        late_allowance=s.late_allowance, unit_id=s.unit_id,
    )  # fmt: skip
    _audit(conn, actor, "source.opened" if active else "source.closed", source_id, {})


def keys_of(conn: psycopg.Connection[Any], actor: Actor, source_id: int) -> list[dict[str, Any]]:
    """Keys of a source, newest first, without their secrets."""
    require(actor, "sources.write")
    return keys.of_source(conn, source_id)


def issue_key(conn: psycopg.Connection[Any], actor: Actor, source_id: int) -> keys.Issued:
    """A new key; its text is in this answer and nowhere else."""
    one(conn, actor, source_id)
    issued = keys.issue(conn, source_id, created_by=actor.user_id)
    _audit(conn, actor, "key.issued", source_id, {"prefix": issued.prefix})
    return issued


def revoke_key(conn: psycopg.Connection[Any], actor: Actor, source_id: int, key_id: int) -> None:
    """End a key at once. Refused("not_found") where this source has no such key that works."""
    require(actor, "sources.write")
    if not any(k["key_id"] == key_id for k in keys.of_source(conn, source_id)) or not keys.revoke(conn, key_id):
        raise Refused("not_found")
    _audit(conn, actor, "key.revoked", source_id, {"key": key_id})


def _audit(conn: psycopg.Connection[Any], actor: Actor, action: str, source_id: int, detail: dict[str, Any]) -> None:
    audit.append(
        conn, at=clock.now(), actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action=action,
        object=f"source:{source_id}", detail=detail,
    )  # fmt: skip
