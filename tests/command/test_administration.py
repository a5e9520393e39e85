"""Units, users, roles, sources: who reaches what, what is refused, what stands in the audit."""

from __future__ import annotations

import pytest
from tests.desks import PASSWORD, Centre

from wuzha.command import sessions, sources, units, users
from wuzha.command.public import ACTS, MAY, ROLES, Actor, Refused, require
from wuzha.store import keys


def actions(house: Centre) -> list[str]:
    return [row[0] for row in house.engine.execute("SELECT action FROM audit ORDER BY audit_id")]


def reason(call: object) -> str:
    with pytest.raises(Refused) as caught:
        call()  # type: ignore[operator]
    return caught.value.reason


def test_the_table_of_rights_knows_every_role_and_no_role_is_idle() -> None:
    assert set(MAY) == set(ROLES)
    assert all(MAY.values()) and set().union(*MAY.values()) == ACTS


def test_administration_and_files_are_apart() -> None:
    assert not {"desk.read", "desk.act", "reveal"} & MAY["admin"]
    assert not {"desk.act", "reveal", "users.write"} & MAY["auditor"]


def test_an_unknown_act_is_a_programming_error(admin: Actor) -> None:
    with pytest.raises(ValueError):
        require(admin, "fly")


def test_units_are_added_moved_and_renamed_below_ones_own_only(house: Centre, admin: Actor) -> None:
    with house.scope(admin) as conn:
        new = units.add(
            conn, admin, code="west", name="西塘所", kind="station", parent_id=house.units["centre"], place="330283"
        )
        units.change(conn, admin, new, name="西塘派出所", parent_id=house.units["east"], active=True)
        tree = units.tree(conn, admin)
    assert [(u["name"], u["depth"]) for u in tree] == [
        ("示例区反诈中心", 0), ("东街派出所", 1), ("西塘派出所", 2), ("南岸派出所", 1),
    ]  # fmt: skip
    east = house.officer("east-admin", "东", "admin", unit="east")
    with house.scope(east) as conn:
        assert (
            reason(lambda: units.change(conn, east, house.units["south"], name="x", parent_id=None, active=True))
            == "not_found"
        )
        assert (
            reason(lambda: units.add(conn, east, code="n", name="n", kind="station", parent_id=house.units["centre"]))
            == "not_found"
        )
        assert [u["code"] for u in units.tree(conn, east)] == ["east", "west"]
    assert actions(house) == ["unit.added", "unit.changed"]


def test_a_circle_of_units_is_refused_and_the_transaction_goes_on(house: Centre, admin: Actor) -> None:
    with house.scope(admin) as conn:
        below = units.add(conn, admin, code="below", name="下级", kind="community", parent_id=house.units["east"])
        assert (
            reason(lambda: units.change(conn, admin, house.units["east"], name="x", parent_id=below, active=True))
            == "circle"
        )
        assert (
            reason(lambda: units.add(conn, admin, code="below", name="再", kind="zone", parent_id=below))
            == "code_taken"
        )
        assert (
            reason(lambda: units.add(conn, admin, code="p", name="p", kind="zone", parent_id=below, place="33x"))
            == "place"
        )


def test_a_unit_with_open_alerts_is_not_closed(house: Centre, admin: Actor) -> None:
    house.alert(unit="east")
    with house.scope(admin) as conn:
        assert (
            reason(lambda: units.change(conn, admin, house.units["east"], name="x", parent_id=None, active=False))
            == "has_open_alerts"
        )
        assert (
            reason(lambda: units.change(conn, admin, admin.unit_id, name="x", parent_id=None, active=False))
            == "own_unit"
        )


def test_a_new_user_logs_in_with_the_password_shown_once_and_must_change_it(house: Centre, admin: Actor) -> None:
    with house.scope(admin) as conn:
        _, secret = users.add(conn, admin, login="sun", name="孙丽", unit_id=house.units["east"], roles=["dissuader"])
        token = sessions.log_in(conn, "sun", secret).token
        assert token is not None
        session = sessions.find(conn, token)
    assert session is not None and session.actor.must_change and session.actor.unit_name == "东街派出所"
    stored = house.web.execute("SELECT password_hash FROM users WHERE login = 'sun'").fetchone()
    assert stored is not None and stored[0].startswith("$argon2id$") and secret not in stored[0]
    whole = str(house.engine.execute("SELECT detail FROM audit").fetchall())
    assert secret not in whole


def test_users_outside_ones_units_and_ones_own_rights_are_out_of_reach(house: Centre, admin: Actor) -> None:
    wang = house.officer("wang", "王敏", "dissuader")
    east = house.officer("east-admin", "东", "admin", unit="east")
    centre = house.units["centre"]
    with house.scope(east) as conn:
        assert reason(lambda: users.reset_password(conn, east, wang.user_id)) == "not_found"
        assert (
            reason(lambda: users.add(conn, east, login="x", name="x", unit_id=centre, roles=["admin"])) == "not_found"
        )
    with house.scope(admin) as conn:
        change = {"name": "a", "unit_id": centre}
        assert (
            reason(lambda: users.change(conn, admin, admin.user_id, roles=["auditor"], active=True, **change))
            == "own_rights"
        )
        assert (
            reason(lambda: users.change(conn, admin, admin.user_id, roles=["admin"], active=False, **change))
            == "own_rights"
        )
        assert (
            reason(lambda: users.add(conn, admin, login="wang", name="x", unit_id=centre, roles=["admin"]))
            == "login_taken"
        )
        assert (
            reason(lambda: users.add(conn, admin, login="y", name="x", unit_id=centre, roles=["king"]))
            == "unknown_code"
        )
    with house.scope(wang) as conn:
        assert reason(lambda: users.all_in_reach(conn, wang)) == "forbidden"


def test_a_deactivated_users_session_ends_at_once(house: Centre, admin: Actor) -> None:
    wang = house.officer("wang", "王敏", "dissuader")
    with house.scope(admin) as conn:
        token = sessions.log_in(conn, "wang", PASSWORD).token
        assert token and sessions.find(conn, token)
        users.change(conn, admin, wang.user_id, name="王敏", unit_id=wang.unit_id, roles=["dissuader"], active=False)
        assert sessions.find(conn, token) is None
        assert sessions.log_in(conn, "wang", PASSWORD).refused == "bad_login"


def test_a_sources_key_is_shown_once_works_and_is_revoked(house: Centre, admin: Actor) -> None:
    with house.scope(admin) as conn:
        source = sources.add(
            conn, admin, name="mobile-a", title="移动", role="carrier", basis="holder_own", purpose="预警",
            retention_days=30, tables=["warnings"],
        )  # fmt: skip
        issued = sources.issue_key(conn, admin, source)
        assert keys.check(conn, issued.key) is not None
        assert issued.key not in str(sources.keys_of(conn, admin, source))
        sources.revoke_key(conn, admin, source, issued.key_id)
        assert keys.check(conn, issued.key) is None
        assert reason(lambda: sources.revoke_key(conn, admin, source, issued.key_id)) == "not_found"
        again = {
            "name": "mobile-a",
            "title": "x",
            "role": "carrier",
            "basis": "consent",
            "purpose": "x",
            "retention_days": 1,
        }
        assert reason(lambda: sources.add(conn, admin, tables=["warnings"], **again)) == "name_taken"
        assert reason(lambda: sources.add(conn, admin, tables=["labels"], **{**again, "name": "b2"})) == "source_entry"
    assert actions(house) == ["source.added", "key.issued", "key.revoked"]
    assert issued.key not in str(house.engine.execute("SELECT * FROM audit").fetchall())
