"""The roles and what the bootstrap superuser prepares: no role is superuser, makes roles or databases, or passes by
row-level security.

``wuzha_owner`` owns the schema and is used for migrations only. ``wuzha_search`` cannot log in; it owns the one search
function. ``wuzha_owner`` may hand things to it but does not inherit its sight (NOINHERIT).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import psycopg
from psycopg import sql

LOGINS = ("wuzha_owner", "wuzha_engine", "wuzha_web", "wuzha_member")
SEARCH = "wuzha_search"
_NONE = "NOSUPERUSER NOCREATEDB NOCREATEROLE NOBYPASSRLS NOREPLICATION NOINHERIT"

#: Guards "make it where it is missing" between processes.
_LOCK = 0x77757A6861


def ensure(conn: psycopg.Connection[Any], passwords: Mapping[str, str]) -> None:
    """Makes the roles that are missing, with these passwords. ``conn``: a superuser (or CREATEROLE), autocommit.

    A role that is there keeps its password; one with rights it must not have is refused (ValueError).
    """
    with conn.transaction():
        conn.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        there = {
            str(row[0]): bool(row[1])
            for row in conn.execute(
                "SELECT rolname, rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb FROM pg_roles "
                "WHERE rolname = ANY(%s)",
                ([*LOGINS, SEARCH],),
            )
        }
        too_strong = sorted(name for name, strong in there.items() if strong)
        if too_strong:
            raise ValueError(f"{', '.join(too_strong)} must not be superuser, BYPASSRLS, CREATEROLE or CREATEDB")
        for name in LOGINS:
            if name not in there:
                conn.execute(
                    sql.SQL("CREATE ROLE {} LOGIN {} PASSWORD {}").format(
                        sql.Identifier(name), sql.SQL(_NONE), sql.Literal(passwords[name])
                    )
                )
                conn.execute(sql.SQL("ALTER ROLE {} SET search_path = wuzha").format(sql.Identifier(name)))
                conn.execute(sql.SQL("ALTER ROLE {} SET timezone = 'UTC'").format(sql.Identifier(name)))
        if SEARCH not in there:
            conn.execute(sql.SQL("CREATE ROLE {} NOLOGIN {}").format(sql.Identifier(SEARCH), sql.SQL(_NONE)))
            conn.execute(sql.SQL("GRANT {} TO wuzha_owner").format(sql.Identifier(SEARCH)))


def ensure_database(
    conn: psycopg.Connection[Any], name: str, *, template: str | None = None, strategy: str = "WAL_LOG"
) -> bool:
    """Makes the database, owned by ``wuzha_owner``; only our roles may connect. False where it was there. ``strategy``
    is how a ``template`` is copied: by the write-ahead log, or its files at once between two checkpoints."""
    there = conn.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone()
    if there:
        return False
    query = sql.SQL("CREATE DATABASE {} OWNER wuzha_owner").format(sql.Identifier(name))
    if template:
        query += sql.SQL(" TEMPLATE {} STRATEGY {}").format(sql.Identifier(template), sql.Literal(strategy))
    conn.execute(query)
    with conn.transaction():
        conn.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
        for login in LOGINS:
            conn.execute(
                sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(name), sql.Identifier(login))
            )
    return True
