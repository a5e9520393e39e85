"""A centre with its desk and, beside it, the public page with a database of its own; two folders between them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
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
from wuzha.respond import file, rounds, sign
from wuzha.respond.file_number import file_number
from wuzha.store import Connection, Database
from wuzha.web import public


@dataclass
class Zones:
    """Both zones; ``pass_on`` is one second of both deployments."""

    desk: Centre
    officer: Actor
    there: Connection
    homes: dict[str, Path]
    folders: dict[str, Path]
    pool: Any
    page: TestClient = field(init=False)

    def __post_init__(self) -> None:
        self.page = self.opened(verify_tries=1000)

    def opened(self, **told: Any) -> TestClient:
        """The page with settings of its own."""
        return TestClient(public.create(self.pool, Settings(role="public", home=self.homes["public"], **told)))

    def pass_on(self, times: int = 1, *, now: datetime | None = None) -> None:
        for _ in range(times):
            at = now or clock.now()
            rounds.go_round(self.desk.web, now=at)
            for name, conn in (("centre", self.desk.web), ("public", self.there)):
                carry(name, self.homes[name], conn, at)

    def signed(self, **columns: Any) -> tuple[int, str, str]:
        """An alert that the officer has signed for: its id, file number and code."""
        alert = self.desk.alert(**columns)
        with self.desk.scope(self.officer) as conn:
            version = conn.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()[0]
            sign.sign(conn, self.officer, alert, version=version, key=f"sign-{alert}-key")
            code = file.read(conn, self.officer, alert).code
        assert code is not None
        return alert, file_number(alert), code

    def ask(self, text: str, **headers: str) -> str:
        answer = self.page.post("/verify", data={"code": text}, headers=headers)
        assert answer.status_code in (200, 429)
        return str(answer.text)


@pytest.fixture
def zones(make_db: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Zones]:
    """Two zones that trust each other."""
    here, there = make_db(), make_db()
    homes, folders = trusting(tmp_path, "public")
    monkeypatch.setitem(os.environ, "WUZHA_HOME", str(homes["centre"]))
    pool = there.pool("web", max_size=3)
    with here.connect("engine") as engine, here.connect("web") as web, there.connect("web") as other:
        desk = centre(here, engine, web)
        officer = desk.officer("wang", "欧阳娜娜", "dissuader", badge_no="330281")
        yield Zones(desk, officer, other, homes, folders, pool)
    pool.close()
