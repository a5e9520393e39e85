"""Nobody has more rights than his role."""

from __future__ import annotations

import psycopg
import pytest

from wuzha.store import Connection, migrate


def test_no_login_passes_by_the_policies(superuser: Connection) -> None:
    rows = superuser.execute(
        "SELECT rolname FROM pg_roles WHERE rolname LIKE 'wuzha\\_%' "
        "AND (rolsuper OR rolbypassrls OR rolcreaterole OR rolcreatedb OR rolreplication)"
    ).fetchall()
    assert rows == []
    assert superuser.execute("SELECT count(*) FROM pg_roles WHERE rolname LIKE 'wuzha\\_%'").fetchone() == (5,)


def test_only_the_owner_owns(superuser: Connection) -> None:
    owners = superuser.execute(
        "SELECT DISTINCT pg_get_userbyid(relowner) FROM pg_class WHERE relnamespace = 'wuzha'::regnamespace"
    ).fetchall()
    assert owners == [("wuzha_owner",)]


def test_member_sees_nothing(member: Connection, superuser: Connection) -> None:
    tables = [r[0] for r in superuser.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'wuzha'")]
    assert "alerts" in tables
    for table in tables:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            member.execute(f"SELECT 1 FROM wuzha.{table}")  # type: ignore[arg-type]


def test_migrations_are_current_and_run_once(db: object) -> None:
    from wuzha.store import Database

    assert isinstance(db, Database)
    assert migrate.current(db) == migrate.head()
    assert migrate.upgrade(db) == []
