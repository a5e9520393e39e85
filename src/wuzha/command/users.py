"""Users and their roles.

Kept true here: an administrator reaches users of their own units only; nobody takes the last administrator's role away
or their own; a new or reset password is shown once and must be changed at the first log-in.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Collection
from typing import Any

import psycopg
from psycopg.rows import dict_row

from wuzha.events import clock
from wuzha.store import audit

from .public import ROLES, Actor, Refused, in_reach, require
from .sessions import hash_password

_EXTENSION = re.compile(r"[0-9A-Za-z_.+-]{1,32}")


def all_in_reach(conn: psycopg.Connection[Any], actor: Actor) -> list[dict[str, Any]]:
    """Users of the actor's units, with unit name and roles."""
    require(actor, "users.write")
    return (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT u.user_id, u.login, u.name, u.badge_no, u.extension, u.unit_id, n.name AS unit_name, u.active,"
            " u.locked_until, u.must_change,"
            " ARRAY(SELECT role FROM wuzha.user_roles r WHERE r.user_id = u.user_id ORDER BY role) AS roles,"
            " (SELECT max(seen_at) FROM wuzha.sessions s WHERE s.user_id = u.user_id) AS seen_at"
            " FROM wuzha.users u JOIN wuzha.units n USING (unit_id)"
            " WHERE u.unit_id IN (SELECT descendant FROM wuzha.unit_closure WHERE ancestor = %s)"
            " ORDER BY u.active DESC, n.code, u.login",
            (actor.unit_id,),
        )
        .fetchall()
    )


def new_password() -> str:
    """A password to be shown once: four groups that can be read out."""
    letters = "abcdefghjkmnpqrstuvwxyz23456789"
    return "-".join("".join(secrets.choice(letters) for _ in range(4)) for _ in range(4))


def add(
    conn: psycopg.Connection[Any],
    actor: Actor,
    *,
    login: str,
    name: str,
    unit_id: int,
    roles: Collection[str],
    badge_no: str | None = None,
    extension: str | None = None,
    password: str | None = None,
) -> tuple[int, str]:
    """A new user; returns their id and the password to hand over, which is kept nowhere.

    Refused: empty, unknown_code, login_taken, not_found, extension_form.
    """
    require(actor, "users.write")
    in_reach(conn, actor, unit_id)
    extension = _extension(extension)
    login, name = login.strip(), name.strip()
    if not login or not name or not roles:
        raise Refused("empty")
    if len(login) > 60 or any(ch.isspace() for ch in login):
        raise Refused("login_form")
    unknown = set(roles) - set(ROLES)
    if unknown:
        raise Refused("unknown_code", code=sorted(unknown)[0])
    secret = password or new_password()
    row = conn.execute(
        "INSERT INTO wuzha.users (login, name, badge_no, extension, unit_id, password_hash, must_change, created_at)"
        " VALUES (%s, %s, %s, %s, %s, %s, %s, %s) ON CONFLICT (login) DO NOTHING RETURNING user_id",
        (login, name[:100], badge_no or None, extension, unit_id, hash_password(secret), password is None, clock.now()),
    ).fetchone()
    if row is None:
        raise Refused("login_taken", login=login)
    _set_roles(conn, row[0], roles)
    _audit(conn, actor, "user.added", row[0], {"login": login, "unit": unit_id, "roles": sorted(roles)})
    return int(row[0]), secret


def change(
    conn: psycopg.Connection[Any],
    actor: Actor,
    user_id: int,
    *,
    name: str,
    unit_id: int,
    roles: Collection[str],
    active: bool,
    badge_no: str | None = None,
    extension: str | None = None,
) -> None:
    """Change a user. Deactivating ends their sessions at once.

    Refused: not_found, empty, unknown_code, extension_form, own_rights (nobody takes their own rights or account
    away).
    """
    require(actor, "users.write")
    before = _reach(conn, actor, user_id)
    in_reach(conn, actor, unit_id)
    if not name.strip() or not roles:
        raise Refused("empty")
    extension = _extension(extension)
    unknown = set(roles) - set(ROLES)
    if unknown:
        raise Refused("unknown_code", code=sorted(unknown)[0])
    if user_id == actor.user_id and (not active or "admin" not in roles):
        raise Refused("own_rights")
    conn.execute(
        "UPDATE wuzha.users SET name = %s, unit_id = %s, badge_no = %s, extension = %s, active = %s WHERE user_id = %s",
        (name.strip()[:100], unit_id, badge_no or None, extension, active, user_id),
    )
    _set_roles(conn, user_id, roles)
    if not active:
        conn.execute("DELETE FROM wuzha.sessions WHERE user_id = %s", (user_id,))
    after = {"name": name.strip(), "unit_id": unit_id, "extension": extension, "active": active, "roles": sorted(roles)}
    _audit(conn, actor, "user.changed", user_id, {"before": before, "after": after})


def reset_password(conn: psycopg.Connection[Any], actor: Actor, user_id: int) -> str:
    """A new password for a user, shown once; unlocks the account and ends its sessions."""
    require(actor, "users.write")
    _reach(conn, actor, user_id)
    secret = new_password()
    conn.execute(
        "UPDATE wuzha.users SET password_hash = %s, must_change = true, failed = 0, locked_until = NULL"
        " WHERE user_id = %s",
        (hash_password(secret), user_id),
    )
    conn.execute("DELETE FROM wuzha.sessions WHERE user_id = %s", (user_id,))
    _audit(conn, actor, "user.password_reset", user_id, {})
    return secret


def _extension(text: str | None) -> str | None:
    """The desk telephone as it is kept; None where there is none. Refused("extension_form")."""
    text = (text or "").strip()
    if text and not _EXTENSION.fullmatch(text):
        raise Refused("extension_form")
    return text or None


def _reach(conn: psycopg.Connection[Any], actor: Actor, user_id: int) -> dict[str, Any]:
    row = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT name, unit_id, active, ARRAY(SELECT role FROM wuzha.user_roles r WHERE r.user_id = u.user_id"
            " ORDER BY role) AS roles FROM wuzha.users u WHERE user_id = %s FOR UPDATE",
            (user_id,),
        )
        .fetchone()
    )
    if row is None:
        raise Refused("not_found")
    in_reach(conn, actor, row["unit_id"])
    return row


def _set_roles(conn: psycopg.Connection[Any], user_id: int, roles: Collection[str]) -> None:
    conn.execute("DELETE FROM wuzha.user_roles WHERE user_id = %s", (user_id,))
    for role in sorted(set(roles)):
        conn.execute("INSERT INTO wuzha.user_roles (user_id, role) VALUES (%s, %s)", (user_id, role))


def _audit(conn: psycopg.Connection[Any], actor: Actor, action: str, user_id: int, detail: dict[str, Any]) -> None:
    audit.append(
        conn, at=clock.now(), actor=actor.login, user_id=actor.user_id, unit_id=actor.unit_id, action=action,
        object=f"user:{user_id}", detail=detail,
    )  # fmt: skip
