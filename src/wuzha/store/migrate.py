"""Migrations: Alembic over plain SQL files, ``migrations/NNNN_pre|post_what.sql``, run as ``wuzha_owner``.

Kept true here: the files form one line by number; each runs whole in one transaction with its entry in
``alembic_version``, or not at all. ``pre`` files are safe to run while the former release still serves, ``post`` files
once it is gone. There is no way down but a backup.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.script.base import Script
from sqlalchemy import Connection as SqlConnection
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from .database import Database
from .standing import FOLDER, NewerDatabase, current, files, head

__all__ = ["NewerDatabase", "current", "files", "head", "upgrade"]

#: One migration run at a time.
_LOCK = 0x77757A6862


class _SqlScripts(ScriptDirectory):
    """Alembic's revisions, read from the SQL files."""

    def _load_revisions(self) -> Iterator[Script]:
        before: str | None = None
        for path in files():
            module = ModuleType(path.stem)
            module.__dict__.update(
                revision=path.stem, down_revision=before, branch_labels=None, depends_on=None,
                upgrade=_run_file(path), downgrade=_no_way_down, __doc__=path.read_text().split("\n", 1)[0],
            )  # fmt: skip
            yield Script(module, path.stem, str(path))
            before = path.stem


def upgrade(db: Database, *, phase: str = "all") -> list[str]:
    """Runs what is missing and returns the names that ran. ``phase="pre"`` stops before the first ``post`` file.

    NewerDatabase where the database stands at a migration that this release does not know.
    """
    at = current(db)
    if at is not None and at not in {f.stem for f in files()}:
        raise NewerDatabase(
            f"database {db.name} stands at {at}, which this release does not know: a newer one has migrated it. "
            "Install that release again, or restore a backup made before"
        )
    ran: list[str] = []

    def steps(revision: Any, context: Any) -> Any:
        todo = scripts._upgrade_revs("head", revision)
        for step in todo:
            name = str(step.revision.revision)
            if phase == "pre" and "_post_" in name:
                break
            ran.append(name)
            yield step

    config = Config()
    config.set_main_option("script_location", str(FOLDER))
    scripts = _SqlScripts(str(FOLDER))
    engine = create_engine(
        "postgresql+psycopg://", creator=lambda: db.connect("owner", autocommit=False), poolclass=NullPool
    )
    with engine.connect() as connection, EnvironmentContext(config, scripts, fn=steps) as environment:
        connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": _LOCK})
        connection.execute(text("CREATE SCHEMA IF NOT EXISTS wuzha AUTHORIZATION wuzha_owner"))
        connection.execute(text("GRANT USAGE ON SCHEMA wuzha TO wuzha_engine, wuzha_web, wuzha_member"))
        connection.commit()
        environment.configure(connection=connection, version_table_schema="wuzha", transaction_per_migration=True)
        environment.run_migrations()
        connection.execute(text("GRANT SELECT ON wuzha.alembic_version TO wuzha_engine, wuzha_web"))
        connection.commit()
        connection.execute(text("SELECT pg_advisory_unlock(:lock)"), {"lock": _LOCK})
        connection.commit()
    engine.dispose()
    return ran


def _run_file(path: Path) -> Any:
    def upgrade_() -> None:
        from alembic import op

        bind: SqlConnection = op.get_bind()
        # Straight to the driver: a file holds many statements and its % signs are its own.
        driver = bind.connection.driver_connection
        assert driver is not None
        driver.execute(path.read_text())

    return upgrade_


def _no_way_down() -> None:
    raise NotImplementedError("migrations are not undone; restore a backup")
