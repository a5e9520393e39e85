"""An officer's desk telephone: entered by an administrator, refused where it is none, in the audit."""

from __future__ import annotations

import pytest
from tests.desks import Centre, centre

from wuzha.command import users
from wuzha.command.public import Actor, Refused
from wuzha.store import Connection, Database


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    """A centre."""
    return centre(db, engine, web)


@pytest.fixture
def boss(house: Centre) -> Actor:
    """Its administrator."""
    return house.officer("boss", "管理员", "admin")


def known(house: Centre, user: int) -> str | None:
    row = house.web.execute("SELECT extension FROM users WHERE user_id = %s", (user,)).fetchone()
    assert row is not None
    return row[0]


def test_an_extension_is_entered_changed_and_taken_away(house: Centre, boss: Actor) -> None:
    unit = house.units["centre"]
    with house.scope(boss) as conn:
        user, _ = users.add(
            conn, boss, login="wang", name="王敏", unit_id=unit, roles=["dissuader"], extension=" 801 "
        )  # fmt: skip
    assert known(house, user) == "801"
    for given, kept in (("desk-2.b+", "desk-2.b+"), ("", None), (None, None)):
        with house.scope(boss) as conn:
            users.change(
                conn, boss, user, name="王敏", unit_id=unit, roles=["dissuader"], active=True, extension=given
            )  # fmt: skip
        assert known(house, user) == kept


@pytest.mark.parametrize("text", ["80 1", "八零一", "8@pbx", "sip:801", "1" * 33, "801\r\nX: y", "8;transport=tcp"])
def test_what_is_no_extension_is_refused(house: Centre, boss: Actor, text: str) -> None:
    with house.scope(boss) as conn, pytest.raises(Refused, match="extension_form"):
        users.add(
            conn, boss, login="wang", name="王敏", unit_id=house.units["centre"], roles=["dissuader"], extension=text
        )
