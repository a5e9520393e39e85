"""A city with two counties and their stations, officers signed in, and steps at a given time."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused, machine
from wuzha.respond import queue
from wuzha.store import Connection, Database, transaction

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
_clicks = itertools.count(1)


def city(db: Database, engine: Connection, web: Connection) -> Centre:
    """City over north and south; a station below each."""
    made = Centre(db=db, engine=engine, web=web)
    made.unit("city", "示例市反诈中心", "city")
    made.unit("north", "北区反诈中心", "county", parent="city")
    made.unit("south", "南区反诈中心", "county", parent="city")
    made.unit("river", "河口派出所", parent="north")
    made.unit("hill", "山前派出所", parent="south")
    return made


def sign_in(house: Centre, *officers: Actor, at: datetime = NOW) -> None:
    """They are signed in and were seen at ``at``."""
    for one in officers:
        house.web.execute(
            "INSERT INTO sessions (token_hash, user_id, csrf, created_at, seen_at, expires_at)"
            " VALUES (%s, %s, 'x', %s, %s, %s)",
            (f"t{next(_clicks)}".encode(), one.user_id, at, at, at + timedelta(hours=14)),
        )


def do(house: Centre, actor: Actor, verb: Callable[..., Any], *args: Any, at: datetime = NOW, **values: Any) -> Any:
    """One step in a transaction of its own; ``version`` is the one that stands where the verb wants one."""
    values.setdefault("key", f"click-{next(_clicks):06d}")
    if "version" in verb.__code__.co_varnames[: verb.__code__.co_argcount + verb.__code__.co_kwonlyargcount]:
        values.setdefault("version", column(house, args[0], "version"))
    with house.scope(actor, now=at) as conn:
        return verb(conn, actor, *args, now=at, **values)


def refused(house: Centre, actor: Actor, verb: Callable[..., Any], *args: Any, **values: Any) -> str:
    """The reason why a step was refused."""
    with pytest.raises(Refused) as caught:
        do(house, actor, verb, *args, **values)
    return caught.value.reason


def column(house: Centre, alert: int, name: str) -> Any:
    """One column of an alert, as the engine sees it."""
    row = house.engine.execute(f"SELECT {name} FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row is not None
    return row[0]


def make_round(house: Centre, work: Callable[..., int], at: datetime = NOW, root: str = "city") -> int:
    """A round at ``at``, as the machine over a root."""
    with transaction(house.web, unit=house.units[root], user=None, now=at) as conn:
        return work(conn, machine(house.units[root], "test"), at)


def sees(house: Centre, actor: Actor, alert: int, at: datetime = NOW) -> bool:
    """Whether an officer has the alert in sight."""
    with house.scope(actor, now=at) as conn:
        return queue.one(conn, actor, alert, now=at) is not None


def dues(house: Centre, actor: Actor, alert: int, at: datetime = NOW) -> tuple[Any, ...]:
    """The alert's clocks as this officer reads them."""
    with house.scope(actor, now=at) as conn:
        row = queue.one(conn, actor, alert, now=at)
    assert row is not None
    return tuple(row[c] for c in ("sign_due", "contact_due", "meet_due", "due", "level", "level_at"))


def steps(house: Centre, actor: Actor, alert: int) -> list[tuple[str, str | None]]:
    """Kind and code of every step on the file."""
    with house.scope(actor) as conn:
        return conn.execute(
            "SELECT kind, code FROM contacts WHERE alert_id = %s ORDER BY contact_id", (alert,)
        ).fetchall()  # type: ignore[return-value]
