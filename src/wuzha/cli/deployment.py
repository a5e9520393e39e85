"""The deployment that a command works on: its folder from ``--data`` or the environment, its database opened.

Kept true here: a command that only looks never makes a deployment; trouble with the database is told in one sentence
with what to do.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from .output import CommandError

if TYPE_CHECKING:
    from wuzha.store import Database, Settings

DATA_OPTION = typer.Option(None, "--data", help="Folder of the deployment's data. Default: WUZHA_HOME.")


def settings_of(data: Path | None) -> Settings:
    """The settings, with ``--data`` before ``WUZHA_HOME``."""
    from wuzha.store import Settings

    if data is not None:
        os.environ["WUZHA_HOME"] = str(data.absolute())
    return Settings()


def exists(settings: Settings) -> bool:
    """Whether there is a deployment to look at."""
    return settings.dsn is not None or (settings.home / "postgres" / "ready").exists()


@contextmanager
def database(settings: Settings, *, make: bool = False) -> Iterator[Database]:
    """The deployment's database, migrated. CommandError where there is none (unless ``make``) or it cannot be used."""
    import psycopg

    from wuzha.store import opened
    from wuzha.store.embedded import ServerError

    if not make and not exists(settings):
        raise CommandError(
            f"there is no deployment in {settings.home}; name its folder with --data, or make one with wuzha admin init"
        )
    try:
        with opened(settings) as db:
            yield db
    except ServerError as error:
        raise CommandError(str(error)) from error
    except psycopg.OperationalError as error:
        raise CommandError(f"the database does not answer: {str(error).strip()}") from error
