"""One embedded PostgreSQL a test run, and fresh databases from a migrated template.

Its settings are the ones of a deployment; it stands in memory (``/dev/shm``) where there is room.
"""

from __future__ import annotations

import itertools
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from psycopg import sql

from wuzha.store import Connection, Database, migrate, roles
from wuzha.store.embedded import Server

_TEMPLATE = "wuzha_template"
_OURS = "wuzha-test-"
_MEMORY = Path("/dev/shm")
_numbers = itertools.count(1)

#: The files that take longest, the longest first: begun early, they leave no worker waiting for another at the end.
LONGEST = (
    "test_docs.py",
    "live/test_kill.py",
    "live/test_outside.py",
    "cli/test_import.py",
    "live/test_worker.py",
    "city/test_generate.py",
    "live/test_many.py",
    "respond/test_door.py",
    "respond/test_books.py",
    "live/test_watched.py",
    "live/test_deciding_killed.py",
    "cli/test_trace.py",
    "live/test_rulebooks.py",
    "web/test_door_browser.py",
    "web/test_duty_browser.py",
    "api/test_fuzz.py",
    "web/test_sessions.py",
    "bench/test_trace.py",
    "bench/test_stream.py",
    "live/test_trials.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """`LONGEST` first; all others in their order."""
    here = Path(__file__).parent
    place = {here / name: i for i, name in enumerate(LONGEST)}
    items.sort(key=lambda item: place.get(item.path, len(place)))


@pytest.fixture(scope="session")
def enterable_tmp() -> Iterator[Path]:
    """A folder that the server's own user may pass through (pytest's own are closed to it where we are root)."""
    writable = _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK)
    if writable:
        _clear_leavings(_MEMORY)
    roomy = writable and shutil.disk_usage(_MEMORY).free > 6 << 30 and psutil.virtual_memory().available > 8 << 30
    folder = Path(tempfile.mkdtemp(prefix=f"{_OURS}{os.getpid()}-", dir=_MEMORY if roomy else None))
    folder.chmod(0o711)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def _clear_leavings(memory: Path) -> None:
    """Folders of runs that were killed would fill the memory: those that name a process which is gone are removed."""
    for left in memory.glob(f"{_OURS}*"):
        owner = left.name.removeprefix(_OURS).split("-")[0]
        if owner.isdecimal() and not psutil.pid_exists(int(owner)):
            shutil.rmtree(left, ignore_errors=True)


@pytest.fixture(scope="session")
def server(enterable_tmp: Path) -> Iterator[Server]:
    """The run's server, started."""
    with Server(enterable_tmp / "server") as running:
        yield running


@pytest.fixture(scope="session")
def template(server: Server) -> None:
    """The migrated database that fresh ones are copied from."""
    migrate.upgrade(server.database(_TEMPLATE))


@contextmanager
def _maker(server: Server) -> Iterator[Callable[[], Database]]:
    made: list[str] = []
    # Copied as files where that is memory: half the time, and a third to drop. A disk would be waited for.
    strategy = "FILE_COPY" if server.data_dir.is_relative_to(_MEMORY) else "WAL_LOG"

    def make() -> Database:
        name = f"test_{next(_numbers)}"
        with server.database("postgres").connect("super") as conn:
            roles.ensure_database(conn, name, template=_TEMPLATE, strategy=strategy)
        made.append(name)
        return server.database(name)

    yield make
    with server.database("postgres").connect("super") as conn:
        for name in made:
            conn.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.fixture
def make_db(server: Server, template: None) -> Iterator[Callable[[], Database]]:
    """Makes fresh migrated databases (about 50 ms each), dropped at the end of the test."""
    with _maker(server) as make:
        yield make


@pytest.fixture
def db(make_db: Callable[[], Database]) -> Database:
    """A fresh database of its own for one test."""
    return make_db()


@pytest.fixture(scope="module")
def module_db(server: Server, template: None) -> Iterator[Database]:
    """A fresh database shared by the tests of one module."""
    with _maker(server) as make:
        yield make()


def _connection(role: str) -> Callable[[Database], Iterator[Connection]]:
    @pytest.fixture(name=role)
    def connection(db: Database) -> Iterator[Connection]:
        with db.connect(role) as conn:  # type: ignore[arg-type]
            yield conn

    connection.__doc__ = f"A connection to ``db`` as wuzha_{role}, autocommit."
    return connection


owner = _connection("owner")
engine = _connection("engine")
web = _connection("web")
member = _connection("member")


@pytest.fixture
def superuser(db: Database) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    """A connection to ``db`` as the bootstrap superuser: for looking past the policies and for tampering."""
    with db.connect("super") as conn:
        yield conn
