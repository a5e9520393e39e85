"""Which migrations there are and where a database stands, told without loading what runs them.

Kept true here: the files form one line by number.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path

from .database import Database
from .embedded import ServerError

FOLDER = Path(str(resources.files(__package__))) / "migrations"
_NAME = re.compile(r"(\d{4})_(pre|post)_[a-z0-9_]+\Z")


def files() -> list[Path]:
    """The migration files in order. ValueError where a name is wrong or a number stands twice."""
    found = sorted(FOLDER.glob("*.sql"))
    before = 0
    for path in found:
        match = _NAME.match(path.stem)
        if match is None or int(match[1]) <= before:
            raise ValueError(f"{path.name}: migrations have numbers that rise, NNNN_pre|post_what.sql")
        before = int(match[1])
    return found


def head() -> str:
    """The newest migration's name."""
    return files()[-1].stem


def current(db: Database) -> str | None:
    """The migration that the database stands at, None where it is empty. Connects as ``wuzha_web``."""
    with db.connect("web") as conn:
        if conn.execute("SELECT to_regclass('wuzha.alembic_version')").fetchone() == (None,):
            return None
        row = conn.execute("SELECT version_num FROM wuzha.alembic_version").fetchone()
        return None if row is None else str(row[0])


class NewerDatabase(ServerError):
    """The database was migrated by a newer release, which this one would not understand."""
