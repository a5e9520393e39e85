"""A centre with an administrator, on real PostgreSQL."""

from __future__ import annotations

import pytest
from tests.desks import Centre, centre

from wuzha.command.public import Actor
from wuzha.store import Connection, Database


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    """The centre."""
    return centre(db, engine, web)


@pytest.fixture
def admin(house: Centre) -> Actor:
    """An administrator of the centre."""
    return house.officer("admin", "管理员", "admin")
