"""A centre with an officer who takes reports and one who keeps the seal."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.desks import Centre, centre
from tests.money import Chase
from tests.refunds import Refunding, frozen

from wuzha.command.public import Actor
from wuzha.store import Connection, Database


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The deployment's folder, where fitted curves lie."""
    monkeypatch.setenv("WUZHA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    return centre(db, engine, web)


@pytest.fixture
def sun(house: Centre) -> Actor:
    """Keeps the seal."""
    return house.officer("sun", "孙正", "sealer")


@pytest.fixture
def chase(house: Centre) -> Chase:
    """A pursuit whose reports a dissuader takes."""
    return Chase(house, house.officer("wang", "王敏", "dissuader"))


@pytest.fixture
def going(house: Centre) -> Refunding:
    """A frozen account of two victims, of whose balances nothing is known: a refund may begin."""
    return frozen(house, house.officer("wang", "王敏", "dissuader"))
