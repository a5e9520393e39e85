"""A centre with two dissuaders, or the house that a module names (``HOUSE``), on real PostgreSQL."""

from __future__ import annotations

import pytest
from tests.desks import Centre, centre

from wuzha.command.public import Actor
from wuzha.store import Connection, Database


@pytest.fixture
def house(request: pytest.FixtureRequest, db: Database, engine: Connection, web: Connection) -> Centre:
    """The centre, or what the module's ``HOUSE`` makes."""
    made: Centre = getattr(request.module, "HOUSE", centre)(db, engine, web)
    return made


@pytest.fixture
def chief(house: Centre) -> Actor:
    """The commander of the city's north."""
    return house.officer("chief", "北长官", "commander", unit="north")


@pytest.fixture
def wang(house: Centre) -> Actor:
    """A dissuader of the centre."""
    return house.officer("wang", "王敏", "dissuader")


@pytest.fixture
def zhao(house: Centre) -> Actor:
    """Another one."""
    return house.officer("zhao", "赵磊", "dissuader")
