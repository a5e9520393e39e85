"""Registered senders: who may send which tables, on what basis, for what purpose, and how long it is kept.

Kept true here: a source's name is what stands in its events' column ``source``, so it never changes and never goes; a
sender that is closed stays readable and its keys stop working at once.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row
from psycopg.types.json import Jsonb

from wuzha.events import BASES, RAW_TABLES, TABLES, clock

from .queries import q

ROLES = ("carrier", "bank", "platform", "upstream", "holder", "desk")
#: Tables that a sender may be allowed: ground truth never enters a server.
SENDABLE = tuple(name for name in TABLES if name != "labels")
_NAME = re.compile(r"[a-z0-9][a-z0-9_.-]{1,62}\Z")


class SourceError(ValueError):
    """What was said about a sender is wrong; ``field`` names the entry, ``reason`` is a stable code."""

    def __init__(self, field_: str, reason: str, words: str) -> None:
        super().__init__(words)
        self.field, self.reason = field_, reason


@dataclass(frozen=True, kw_only=True)
class Source:
    """One registered sender."""

    source_id: int
    name: str
    title: str
    role: str
    basis: str
    basis_ref: str | None
    basis_until: datetime | None
    purpose: str
    retention_days: int
    tables: tuple[str, ...]
    #: table → seconds; tables without an entry keep their own allowance.
    late_allowance: Mapping[str, int] = field(default_factory=dict)
    unit_id: int | None = None
    active: bool = True
    created_at: datetime | None = None
    #: Keys that work, and when one was last used (null: never).
    keys: int = 0
    last_used_at: datetime | None = None


def source_of(row: Mapping[str, Any]) -> Source:
    """A Source of a row that names the columns."""
    known = {f.name for f in fields(Source)}
    values = {k: v for k, v in row.items() if k in known}
    values["tables"] = tuple(values["tables"])
    return Source(**values)


def register(
    conn: psycopg.Connection[Any],
    *,
    name: str,
    title: str,
    role: str,
    basis: str,
    purpose: str,
    retention_days: int,
    tables: Sequence[str],
    basis_ref: str | None = None,
    basis_until: datetime | None = None,
    late_allowance: Mapping[str, int] | None = None,
    unit_id: int | None = None,
    now: datetime | None = None,
) -> int:
    """Registers a sender and returns its number. SourceError names the entry that is wrong. Role wuzha_web."""
    if not _NAME.match(name):
        raise SourceError(
            "name", "name", "a source's name is 2–63 of a–z, 0–9, '_', '.', '-', and begins with a letter or digit"
        )
    asked = _checked(
        title=title, role=role, basis=basis, purpose=purpose, retention_days=retention_days, tables=tables,
        basis_ref=basis_ref, basis_until=basis_until, late_allowance=late_allowance, unit_id=unit_id,
    )  # fmt: skip
    try:
        with conn.transaction():
            row = conn.execute(
                q("sources.register"), {**asked, "name": name, "created_at": now or clock.now()}
            ).fetchone()
    except psycopg.errors.UniqueViolation as error:
        raise SourceError("name", "name_taken", f"there is a source called {name} already") from error
    assert row is not None
    return int(row[0])


def change(
    conn: psycopg.Connection[Any],
    source_id: int,
    *,
    title: str,
    role: str,
    basis: str,
    purpose: str,
    retention_days: int,
    tables: Sequence[str],
    active: bool,
    basis_ref: str | None = None,
    basis_until: datetime | None = None,
    late_allowance: Mapping[str, int] | None = None,
    unit_id: int | None = None,
) -> bool:
    """Changes a sender; ``active=False`` closes it, and its keys stop working at once. False where there is none."""
    asked = _checked(
        title=title, role=role, basis=basis, purpose=purpose, retention_days=retention_days, tables=tables,
        basis_ref=basis_ref, basis_until=basis_until, late_allowance=late_allowance, unit_id=unit_id,
    )  # fmt: skip
    return conn.execute(q("sources.change"), {**asked, "source_id": source_id, "active": active}).rowcount == 1


def _checked(
    *,
    title: str,
    role: str,
    basis: str,
    purpose: str,
    retention_days: int,
    tables: Sequence[str],
    basis_ref: str | None,
    basis_until: datetime | None,
    late_allowance: Mapping[str, int] | None,
    unit_id: int | None,
) -> dict[str, Any]:
    late = dict(late_allowance or {})
    if not title.strip():
        raise SourceError("title", "empty", "a source has a title that people read")
    if role not in ROLES:
        raise SourceError("role", "unknown_value", f"unknown role {role!r}; one of {', '.join(ROLES)}")
    if basis not in BASES:
        raise SourceError("basis", "unknown_value", f"unknown basis {basis!r}; one of {', '.join(BASES)}")
    if not purpose.strip():
        raise SourceError("purpose", "empty", "say what the rows are needed for")
    if not 1 <= retention_days <= 36500:
        raise SourceError("retention_days", "range", "rows are kept for 1 to 36500 days")
    unknown = sorted(set(tables) - set(SENDABLE))
    if unknown or (not tables and role != "desk"):  # an exchange of ours tells of calls and sends no rows
        words = f"unknown tables {', '.join(unknown)}" if unknown else "no table"
        raise SourceError("tables", "unknown_value", f"{words}; of {', '.join(SENDABLE)}")
    if basis_until is not None and basis_until.tzinfo is None:
        raise SourceError("basis_until", "zone", "the end of the basis needs a zone")
    if set(late) - set(tables) or any(not isinstance(s, int) or s < 0 for s in late.values()):
        raise SourceError("late_allowance", "unknown_value", "late allowances are seconds for tables that it may send")
    return {
        "title": title.strip(), "role": role, "basis": basis, "basis_ref": (basis_ref or "").strip() or None,
        "basis_until": basis_until, "purpose": purpose.strip(), "retention_days": retention_days,
        "tables": sorted(set(tables)), "late_allowance": Jsonb(late), "unit_id": unit_id,
    }  # fmt: skip


def every(conn: psycopg.Connection[Any]) -> list[Source]:
    """All senders by name."""
    return [source_of(r) for r in conn.cursor(row_factory=dict_row).execute(q("sources.all"))]


def one(conn: psycopg.Connection[Any], *, source_id: int | None = None, name: str | None = None) -> Source | None:
    """The sender with this number or name."""
    row = conn.cursor(row_factory=dict_row).execute(q("sources.one"), {"source_id": source_id, "name": name}).fetchone()
    return None if row is None else source_of(row)


def flaws(source: Source, *, now: datetime) -> list[str]:
    """What is wrong with a sender's registration, as codes: ``no_end`` (raw rows without an end of their basis),
    ``no_document`` (a case query without its number), ``expired``, ``no_key``, ``never_used``."""
    found = []
    raw = set(source.tables) & set(RAW_TABLES)
    if raw and source.basis != "holder_own" and source.basis_until is None:
        found.append("no_end")
    if source.basis == "case_query" and not source.basis_ref:
        found.append("no_document")
    if source.basis_until is not None and source.basis_until <= now:
        found.append("expired")
    if source.role != "desk":
        if source.keys == 0:
            found.append("no_key")
        elif source.last_used_at is None:
            found.append("never_used")
    return found
