"""Nobody has more rights than his role."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from wuzha.store import Connection, Database, migrate, standing


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


def test_migrations_are_current_and_run_once(db: Database) -> None:
    assert migrate.current(db) == migrate.head()
    assert migrate.upgrade(db) == []


def test_a_newer_database_is_left_alone(db: Database, owner: Connection) -> None:
    owner.execute("UPDATE wuzha.alembic_version SET version_num = '9999_pre_tomorrow'")
    with pytest.raises(migrate.NewerDatabase, match="9999_pre_tomorrow"):
        migrate.upgrade(db)
    assert migrate.current(db) == "9999_pre_tomorrow"


def test_pre_stops_before_post(db: Database, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file in migrate.files():
        (tmp_path / file.name).write_text(file.read_text())
    n = int(migrate.files()[-1].name[:4])  # numbers may have gaps
    names = [f"{n + 1:04d}_pre_a", f"{n + 2:04d}_post_b", f"{n + 3:04d}_pre_c"]
    for name in names:
        (tmp_path / f"{name}.sql").write_text(f"-- {name}\nCREATE TABLE wuzha.t{name} (percent text DEFAULT '100%');")
    monkeypatch.setattr(standing, "FOLDER", tmp_path)
    assert migrate.upgrade(db, phase="pre") == names[:1]
    assert migrate.upgrade(db, phase="pre") == []
    assert migrate.upgrade(db) == names[1:]
    (tmp_path / f"{n + 4:04d}_pre_broken.sql").write_text("-- broken\nCREATE TABLE wuzha.half (x int); SELECT 1/0;")
    with pytest.raises(Exception, match="division by zero"):
        migrate.upgrade(db)
    assert migrate.current(db) == names[2]
    with db.connect("owner") as conn:
        assert conn.execute("SELECT to_regclass('wuzha.half')").fetchone() == (None,), (
            "a migration is whole or not there"
        )


@pytest.mark.parametrize("name", ["0001_pre_twice", "x_pre_y", "0002_during_y"])
def test_a_misnamed_migration_is_refused(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "0001_pre_first.sql").write_text("SELECT 1;")
    (tmp_path / f"{name}.sql").write_text("SELECT 1;")
    monkeypatch.setattr(standing, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="numbers that rise"):
        migrate.files()
