"""A database and the roles that enter it; transactions that carry who, where and when.

Kept true here: nobody but the bootstrap superuser gets more rights than its role; every transaction of a desk says
its unit, user and the deployment's time in the same round trip that opens it, and the settings end with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool, ConnectionPool

from wuzha.events import clock

Role = Literal["owner", "engine", "web", "member"]
ROLES: tuple[Role, ...] = ("owner", "engine", "web", "member")
#: The bootstrap superuser of an embedded server. It makes roles and databases, nothing else.
SUPERUSER = "postgres"

Connection = psycopg.Connection[TupleRow]

#: What a connection that serves people waits for at most: another's row or lock, one statement, and its own process
#: between two statements of a transaction. Somebody sits before it; they are told and try again.
WAITS = {
    "lock_timeout": "4s", "statement_timeout": "30s", "idle_in_transaction_session_timeout": "120s",
}  # fmt: skip
#: Seconds that a request waits for a free connection.
POOL_S = 8.0


@dataclass(frozen=True, kw_only=True)
class Database:
    """Where one database is and the passwords of its roles. ``params`` are libpq's (host, port, dbname, sslmode …)."""

    params: Mapping[str, Any]
    #: By login name (``wuzha_web`` …); for an embedded server also the superuser's.
    passwords: Mapping[str, str] = field(repr=False)

    @property
    def name(self) -> str:
        """The database's name."""
        return str(self.params["dbname"])

    def conninfo(self, role: Role | Literal["super"]) -> str:
        """libpq's connection string of a role. KeyError where its password is not known."""
        login = SUPERUSER if role == "super" else f"wuzha_{role}"
        return make_conninfo(
            **{**self.params, "user": login, "password": self.passwords[login], "application_name": f"wuzha-{role}"}
        )

    def connect(self, role: Role | Literal["super"], **kwargs: Any) -> Connection:
        """A connection in autocommit: what belongs together stands in `transaction` (or ``conn.transaction()``)."""
        return psycopg.connect(self.conninfo(role), **{"autocommit": True, **kwargs})

    def pool(self, role: Role, *, min_size: int = 1, max_size: int = 8, **kwargs: Any) -> ConnectionPool[Connection]:
        """An open pool of such connections; close it when done. Nobody waits for ever in them (`WAITS`) or for one."""
        kwargs = {"autocommit": True, **kwargs}
        return ConnectionPool(
            self.conninfo(role), min_size=min_size, max_size=max_size, kwargs=kwargs, open=True, name=f"wuzha-{role}",
            configure=_bounded, timeout=POOL_S,
        )  # fmt: skip

    def async_pool(
        self, role: Role, *, min_size: int = 1, max_size: int = 8, **kwargs: Any
    ) -> AsyncConnectionPool[Any]:
        """The same for asyncio, not yet open: ``await pool.open()``."""
        kwargs = {"autocommit": True, **kwargs}
        return AsyncConnectionPool(
            self.conninfo(role), min_size=min_size, max_size=max_size, kwargs=kwargs, open=False, name=f"wuzha-{role}"
        )


def _bounded(conn: psycopg.Connection[Any]) -> None:
    for name, value in WAITS.items():
        conn.execute("SELECT set_config(%s, %s, false)", (name, value))


_SCOPE = """SELECT set_config('wuzha.unit', %s, true), set_config('wuzha.user', %s, true),
                   set_config('wuzha.now', %s, true)"""


def set_scope(conn: Connection, *, unit: int | None, user: int | None, now: datetime | None = None) -> None:
    """Says unit, user and time inside an open transaction; they end with it. ``unit`` None: sees nothing."""
    now = now or clock.now()
    conn.execute(
        _SCOPE, ("" if unit is None else str(unit), "" if user is None else str(user), now.isoformat()), prepare=True
    )


@contextmanager
def transaction(
    conn: Connection, *, unit: int | None = None, user: int | None = None, now: datetime | None = None
) -> Iterator[Connection]:
    """A transaction of a desk: commits at the end of the block, rolls back on an exception.

    ``now`` is the deployment's time (default ``events.clock.now()``), by which grants and deadlines are judged.
    """
    with conn.transaction():
        set_scope(conn, unit=unit, user=user, now=now)
        yield conn
