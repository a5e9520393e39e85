"""The API over a real database, in this process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from wuzha.api import face
from wuzha.api.doors import Doors
from wuzha.live.settings import Settings
from wuzha.live.subjects import first_unit
from wuzha.store import Database, keys, sources

Opened = Callable[..., TestClient]


@pytest.fixture
def opened(db: Database, tmp_path: Path) -> Iterator[Opened]:
    """Opens the API with settings of one's own; closed at the end."""
    made: list[Doors] = []

    def make(**changes: object) -> TestClient:
        settings = Settings(home=tmp_path, **{"role": "centre", "free_space": 0, **changes})
        app = FastAPI(openapi_url="/v1/openapi.json")
        app.state.doors = Doors(db=db, settings=settings).open()
        made.append(app.state.doors)
        face(app)
        with db.connect("web") as conn:
            first_unit(conn, "反诈中心")
        return TestClient(app, raise_server_exceptions=False, client=("127.0.0.1", 5000))

    yield make
    for doors in made:
        doors.close()


@pytest.fixture
def client(opened: Opened) -> TestClient:
    """A centre's API."""
    return opened()


@pytest.fixture
def sender(db: Database) -> Callable[..., str]:
    """Registers a sender; returns the header with its key."""

    def register(name: str = "carrier-a", **changes: object) -> str:
        values = {
            "title": "某运营商", "role": "carrier", "basis": "consent", "purpose": "test", "retention_days": 30,
            "tables": ["calls", "warnings", "relations"], **changes,
        }  # fmt: skip
        with db.connect("web") as conn:
            return "Bearer " + keys.issue(conn, sources.register(conn, name=name, **values)).key  # type: ignore[arg-type]

    return register
