"""Where the records stand: an embedded server in the home folder, or a PostgreSQL of one's own.

Read from the environment: ``WUZHA_HOME`` (folder of this deployment), ``WUZHA_DATABASE`` (name), and for a server of
one's own ``WUZHA_DSN`` (libpq string without user and password), ``WUZHA_PASSWORDS`` (a 0600 JSON file, login name →
password) and, only to set it up, ``WUZHA_ADMIN_DSN`` (a role that may make roles and databases). ``WUZHA_LOG``
names the servers of a log that stands in a stream of its own, ``WUZHA_LOG_NODES`` their monitoring pages.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg
from psycopg.conninfo import conninfo_to_dict
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from . import roles, standing
from .database import Database
from .embedded import Server, ServerError


class Settings(BaseSettings):
    """The deployment's settings."""

    model_config = SettingsConfigDict(env_prefix="WUZHA_", extra="ignore")

    home: Path = Field(default_factory=lambda: default_home())
    database: str = "wuzha"
    dsn: str | None = None
    passwords: Path | None = None
    admin_dsn: str | None = None
    log: str | None = None
    log_nodes: str | None = None

    @property
    def heads_file(self) -> Path:
        """The audit chain's heads, outside the database."""
        return self.home / "audit-heads" / f"{self.database}.jsonl"

    @property
    def fingerprints_folder(self) -> Path:
        """Sorted files of older fingerprints."""
        return self.home / "fingerprints" / self.database


def default_home() -> Path:
    """``/var/lib/wuzha/home`` as root, else ``wuzha`` in the user's data folder."""
    if os.geteuid() == 0:
        return Path("/var/lib/wuzha/home")
    base = os.environ.get("XDG_DATA_HOME") or os.path.join(os.path.expanduser("~"), ".local", "share")
    return Path(base) / "wuzha"


def make_home(home: Path) -> None:
    """The deployment's folder, which others cannot list (as root they may pass through: the server's user must). One
    that is there keeps its rights. ServerError where it cannot be made."""
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            home.mkdir(mode=0o711 if os.geteuid() == 0 else 0o700)
    except OSError as error:
        raise ServerError(f"{home} cannot be made: {error.strerror}") from error


@contextmanager
def opened(settings: Settings | None = None, *, upgrade: bool = True, make: bool | None = None) -> Iterator[Database]:
    """The deployment's database, started (or adopted) where embedded, migrated where ``upgrade``; made where there
    is none and ``make`` (which is ``upgrade`` where not said).

    Raises `embedded.ServerError` with what to do.
    """
    settings = settings or Settings()
    if settings.dsn:
        db = external(settings)
        if upgrade:
            _prepare(settings, db)
            _upgrade(db)
        yield db
        return
    if upgrade if make is None else make:
        make_home(settings.home)
    elif not Server.made(settings.home / "postgres"):  # a folder that was removed under us is not made anew
        raise ServerError(f"{settings.home} holds no database; was it removed or moved?")
    with Server(settings.home / "postgres") as server:
        db = server.database(settings.database)
        if upgrade:
            _upgrade(db)
        yield db


def _upgrade(db: Database) -> None:
    if standing.current(db) != standing.head():
        from . import migrate  # Alembic takes most of a second to import

        migrate.upgrade(db)


def external(settings: Settings) -> Database:
    """The database of ``WUZHA_DSN``. ServerError where its password file is missing, readable by others or damaged."""
    assert settings.dsn
    path = settings.passwords
    if path is None:
        raise ServerError(
            "WUZHA_DSN needs WUZHA_PASSWORDS: a JSON file (chmod 600) with the passwords of wuzha_owner …"
        )
    try:
        if path.stat().st_mode & 0o077:
            raise ServerError(f"{path} can be read by others; chmod 600 {path}")
        passwords = {str(k): str(v) for k, v in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError) as error:
        raise ServerError(f"{path}: {error}") from error
    missing = [name for name in roles.LOGINS if not passwords.get(name)]
    if missing:
        raise ServerError(f"{path} lacks the passwords of {', '.join(missing)}")
    params = {"dbname": settings.database, **conninfo_to_dict(settings.dsn)}
    if "user" in params or "password" in params:
        raise ServerError("WUZHA_DSN names the place only; user and password come from the role that enters")
    return Database(params=params, passwords=passwords)


def _prepare(settings: Settings, db: Database) -> None:
    """Roles and database on a server of one's own, where the admin's connection is given."""
    if not settings.admin_dsn:
        return
    with psycopg.connect(settings.admin_dsn, autocommit=True) as conn:
        if conn.info.server_version < 150000:
            raise ServerError(f"PostgreSQL {conn.info.server_version // 10000} is too old; 15 or newer is needed")
        roles.ensure(conn, db.passwords)
        roles.ensure_database(conn, db.name)
