"""Features that a deployment declares: drafts, and bringing them into force by a second person. Every version is kept.

Kept true here: a version comes into force only by the hand of another than who wrote it (the database refuses the first
as well); a text is checked whole before it is kept; every act is in the audit. Where the windows of a feature are not
whole it is null until they are rebuilt (`live.rebuilding`).
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.detect import declaring
from wuzha.detect.rulebook import Feature, RuleBook
from wuzha.events import clock
from wuzha.events.datafile import DataFileError
from wuzha.live import declared, rulebooks
from wuzha.store import audit

from .public import Actor, Refused, require
from .rules import _LOCK, standing

MOST_CHARACTERS = 8000
#: Each is computed for every event of its subject.
MOST_OWN = 64


def book(conn: psycopg.Connection[Any]) -> RuleBook:
    """The shipped features with all that was decided."""
    return rulebooks.featured(conn, standing(conn))[0]


def progress(conn: psycopg.Connection[Any]) -> list[dict[str, Any]]:
    """How each feature that is the deployment's own, or waits to be rebuilt, stands."""
    stands = standing(conn)
    return declared.progress(
        conn, rulebooks.book_of(conn, stands)[0], stands.steps, rulebooks.windows(conn, stands.steps)
    )


def check(conn: psycopg.Connection[Any], text: str) -> Feature:
    """The feature of a text beside those in force. DataFileError says where a mistake stands."""
    if len(text) > MOST_CHARACTERS:
        raise DataFileError("feature", 1, 1, f"a feature has at most {MOST_CHARACTERS} characters")
    return declaring.read(text, book(conn))


def save(
    conn: psycopg.Connection[Any], actor: Actor, text: str, *, why: str, now: datetime | None = None
) -> tuple[str, int]:
    """Keep a text as the next version of its feature: (name, version). Refused: rule_why, rule_wrong, rule_same."""
    require(actor, "rules.write")
    now = now or clock.now()
    if not why.strip():
        raise Refused("rule_why")
    text = text.replace("\r\n", "\n").strip() + "\n"
    feature = _checked(conn, text)
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    rows = versions(conn, feature.name)
    if rows and rows[0]["body"] == text:
        raise Refused("rule_same", version=rows[0]["version"])
    shipped = rulebooks.base_book(conn, standing(conn).base_id).features.get(feature.name)
    version = max([r["version"] for r in rows] + [shipped.version if shipped else 0]) + 1
    conn.execute(
        "INSERT INTO wuzha.feature_versions (feature, version, body, zh, en, why, written_by, written_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s)",
        (feature.name, version, text, feature.zh, feature.en, why.strip()[:500], actor.user_id, now),
    )
    _audit(conn, actor, "feature.write", feature.name, now, version=version)
    return feature.name, version


def versions(conn: psycopg.Connection[Any], feature: str) -> list[dict[str, Any]]:
    """What this deployment has written of a feature, newest first, with ``writer``."""
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT v.*, u.name AS writer FROM wuzha.feature_versions v JOIN wuzha.users u ON u.user_id = v.written_by"
            " WHERE feature = %s ORDER BY version DESC",
            (feature,),
        )
        .fetchall()
    )


def text_of(conn: psycopg.Connection[Any], feature: str, version: int | None = None) -> str:
    """The text of a version; without one, of what is decided. Refused("not_found")."""
    for row in versions(conn, feature):
        if row["version"] == (standing(conn).features.get(feature) if version is None else version):
            return str(row["body"])
    base = rulebooks.base_book(conn, standing(conn).base_id).features.get(feature)
    if base is not None and version in (None, base.version):
        return declaring.text_of(base)
    raise Refused("not_found")


def promote(
    conn: psycopg.Connection[Any], actor: Actor, feature: str, version: int, *, why: str = "",
    now: datetime | None = None,
) -> None:  # fmt: skip
    """Bring a version into force. Refused: rule_own (its writer), rule_live, rule_wrong, rule_full, not_found."""
    require(actor, "rules.promote")
    now = now or clock.now()
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    row = next((r for r in versions(conn, feature) if r["version"] == version), None)
    if row is None:
        raise Refused("not_found")
    if row["written_by"] == actor.user_id:
        raise Refused("rule_own")
    stands = standing(conn)
    if stands.features.get(feature) == version:
        raise Refused("rule_live", version=version)
    if feature not in stands.features and len(stands.features) >= MOST_OWN:
        raise Refused("rule_full")
    _checked(conn, row["body"])
    _change(conn, actor, "declared", feature, now, version=version, why=why)


def retire(conn: psycopg.Connection[Any], actor: Actor, feature: str, *, why: str, now: datetime | None = None) -> None:
    """Take a deployment's own feature out; a shipped one of its name comes back. Refused: rule_why, not_found,
    feature_read: a formula reads it, or a rule that has been live, whose evidence still weighs."""
    require(actor, "rules.promote")
    now = now or clock.now()
    if not why.strip():
        raise Refused("rule_why")
    conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
    stands = standing(conn)
    if feature not in stands.features:
        raise Refused("not_found")
    base = rulebooks.base_book(conn, stands.base_id)
    if feature not in base.features:
        featured = rulebooks.featured(conn, stands)[0]
        readers = [n for n in declaring.readers(featured, [feature]) if n != feature]
        readers += [r.id for r in rulebooks.written(conn, stands) if feature in (*r.program.features, *r.args)]
        if readers:
            raise Refused("feature_read", by=", ".join(readers[:5]))
    _change(conn, actor, "undeclared", feature, now, why=why)


def _checked(conn: psycopg.Connection[Any], text: str) -> Feature:
    try:
        return check(conn, text)
    except DataFileError as error:
        raise Refused("rule_wrong", line=error.line, column=error.column, what=error.what) from error


def _change(
    conn: psycopg.Connection[Any], actor: Actor, kind: str, feature: str, now: datetime, *, version: int | None = None,
    why: str = "",
) -> None:  # fmt: skip
    conn.execute(
        "INSERT INTO wuzha.rule_changes (kind, feature, version, by_user, at, why) VALUES (%s, %s, %s, %s, %s, %s)",
        (kind, feature, version, actor.user_id, now, why.strip()[:500] or None),
    )
    said = {} if version is None else {"version": version}
    _audit(conn, actor, "feature.promote" if kind == "declared" else "feature.retire", feature, now, **said)


def _audit(conn: psycopg.Connection[Any], actor: Actor, action: str, name: str, now: datetime, **detail: Any) -> None:
    audit.append(
        conn, at=now, user_id=actor.user_id, unit_id=actor.unit_id, actor=actor.login, action=action,
        object=f"feature:{name}", detail=detail,
    )  # fmt: skip


__all__ = ["book", "check", "progress", "promote", "retire", "save", "text_of", "versions"]
