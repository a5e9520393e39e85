"""A centre with two dissuaders, on real PostgreSQL."""

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
def wang(house: Centre) -> Actor:
    """A dissuader of the centre."""
    return house.officer("wang", "王敏", "dissuader")


@pytest.fixture
def zhao(house: Centre) -> Actor:
    """Another one."""
    return house.officer("zhao", "赵磊", "dissuader")
