"""A centre and, beside it, the phones' own zone: two databases, two folders, nothing else between them."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.desks import Centre, centre
from tests.zones import carry, trusting

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.live.settings import Settings
from wuzha.respond import dispatch, phones, rounds, sign
from wuzha.store import Connection, Database
from wuzha.web import door

PIN = "427193"
_clicks = itertools.count(1)


@dataclass
class Doors:
    """Both zones; ``pass_on`` is one second of both deployments."""

    desk: Centre
    caller: Actor
    there: Connection
    homes: dict[str, Path]
    folders: dict[str, Path]
    app: Any
    told: Settings
    refused: list[int] = field(default_factory=list)

    def carry(self, name: str, *, now: datetime | None = None) -> None:
        """One zone's round of letters."""
        conn = self.desk.web if name == "centre" else self.there
        done = carry(name, self.homes[name], conn, now)
        self.refused += [one.refused for one in done if one.refused]

    def pass_on(self, times: int = 3, *, now: datetime | None = None) -> None:
        for _ in range(times):
            at = now or clock.now()
            rounds.go_round(self.desk.web, now=at)
            self.carry("centre", now=at)
            self.carry("phone", now=at)

    def signed(self, name: str = "张小兰", **columns: Any) -> int:
        """An alert that the caller has signed for."""
        alert = self.desk.alert(name, **columns)
        with self.desk.scope(self.caller) as conn:
            sign.sign(conn, self.caller, alert, version=self.version(alert), key=f"sign-{alert}-key")
        return alert

    def version(self, alert: int) -> int:
        row = self.desk.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert row is not None
        return int(row[0])

    def sent(self, alert: int, unit: str = "east", words: str = "东街12号2单元301，从北门进") -> int:
        """A visit ordered from a station: the dispatch's number."""
        with self.desk.scope(self.caller) as conn:
            dispatch.send(
                conn, self.caller, alert, unit_id=self.desk.units[unit], version=self.version(alert),
                key=f"send-{next(_clicks)}-key", words=words,
            )  # fmt: skip
            row = conn.execute("SELECT max(dispatch_id) FROM dispatches").fetchone()
        assert row is not None
        return int(row[0])

    def officer(self, login: str, name: str, unit: str = "east") -> Actor:
        return self.desk.officer(login, name, "station", unit=unit, badge_no="330281")

    def code(self, officer: Actor) -> str:
        """A pairing code of theirs, and carried over."""
        with self.desk.scope(officer) as conn:
            issued = phones.issue(conn, officer)
        self.pass_on()
        return issued.code

    def phone(self, officer: Actor) -> TestClient:
        """A paired phone with a session, without scripts."""
        client = TestClient(self.app, follow_redirects=False)
        answer = client.post("/door/login", content=f"code={self.code(officer)}&pin={PIN}")
        assert answer.status_code == 303, answer.text
        self.pass_on()
        return client

    def one(self, sql: str, *values: Any) -> Any:
        """The first row, as the machine without a scope sees it."""
        return self.desk.web.execute(sql, values).fetchone()

    def steps(self, alert: int) -> list[tuple[Any, ...]]:
        """The standing steps of a file."""
        return self.desk.engine.execute(
            "SELECT c.kind, c.code, c.user_id FROM contacts c WHERE alert_id = %s AND undoes IS NULL"
            " AND NOT EXISTS (SELECT 1 FROM contacts u WHERE u.undoes = c.contact_id) ORDER BY contact_id",
            (alert,),
        ).fetchall()


@contextmanager
def doors(make_db: Callable[[], Database], folder: Path, patch: pytest.MonkeyPatch) -> Iterator[Doors]:
    """Two zones that trust each other."""
    here, there = make_db(), make_db()
    homes, folders = trusting(folder, "phone")
    patch.setitem(os.environ, "WUZHA_HOME", str(homes["centre"]))
    pool = there.pool("web", max_size=4)
    told = Settings(role="phone", home=homes["phone"], door_tries=1000)
    app = door.create(pool, told)
    with here.connect("engine") as engine, here.connect("web") as web, there.connect("web") as other:
        desk = centre(here, engine, web)
        caller = desk.officer("wang", "王敏", "dissuader")
        yield Doors(desk, caller, other, homes, folders, app, told)
    pool.close()
