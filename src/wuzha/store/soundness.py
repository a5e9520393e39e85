"""Whether a database keeps what it has acknowledged, and lets nobody do more than his role.

Kept true here: each finding is told with the value found, so that whoever mends it knows where to look.
"""

from __future__ import annotations

from typing import Any

import psycopg

from . import roles
from .queries import q

#: Settings under which a commit outlives a crash, and the values that do not.
UNSAFE = {"fsync": ("off",), "synchronous_commit": ("off", "local"), "full_page_writes": ("off",)}
OLDEST = 150000


def unsafe_settings(conn: psycopg.Connection[Any]) -> dict[str, str]:
    """Settings of this login's session under which an acknowledged commit can be lost, with their values."""
    found = {}
    for name, values in UNSAFE.items():
        row = conn.execute(q("soundness.setting"), {"name": name}).fetchone()
        if row is not None and row[0] in values:
            found[name] = str(row[0])
    return found


def strong_roles(conn: psycopg.Connection[Any]) -> list[str]:
    """Our roles that may more than they must: superuser, BYPASSRLS, CREATEROLE, CREATEDB."""
    return [str(r[0]) for r in conn.execute(q("soundness.strong_roles"), {"names": [*roles.LOGINS, roles.SEARCH]})]


def unbound_tables(conn: psycopg.Connection[Any]) -> list[str]:
    """Tables with policies whose policies are not enabled and forced: somebody has switched them off."""
    return [str(r[0]) for r in conn.execute(q("soundness.unbound_tables"))]


def too_old(conn: psycopg.Connection[Any]) -> bool:
    """The server is older than PostgreSQL 15."""
    return conn.info.server_version < OLDEST
