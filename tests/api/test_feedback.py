"""A source asks for its answers and says what became of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.desks import Centre
from tests.lists import join
from tests.respond.test_books import dissuade

from wuzha.store import Connection, Database


@pytest.fixture
def house(db: Database, client: TestClient, web: Connection) -> Iterator[Centre]:
    """The centre behind the API, which has made its first unit."""
    with db.connect("engine") as engine:
        made = Centre(db=db, engine=engine, web=web)
        row = web.execute("SELECT unit_id FROM units WHERE code = 'root'").fetchone()
        assert row is not None
        made.units["centre"] = row[0]
        yield made


def post(client: TestClient, auth: str, number: str, **body: Any) -> Any:
    return client.post(f"/v1/feedback/{number}", headers={"Authorization": auth}, json=body)


def test_answers_are_listed_until_the_source_has_them(
    client: TestClient, house: Centre, sender: Callable[..., str]
) -> None:
    mine, theirs = sender("province", role="upstream"), sender("carrier-a")
    wang = house.officer("wang", "王敏", "dissuader")
    alert = house.alert("张小兰")
    number, _ = join(house, alert, "province", "闽诈预/1", "P2")
    join(house, alert, "carrier-a", "C1")
    assert client.get("/v1/feedback", headers={"Authorization": mine}).json() == {"answers": []}
    dissuade(house, wang, alert)
    listed = client.get("/v1/feedback", headers={"Authorization": mine}).json()["answers"]
    assert [a["number"] for a in listed] == ["闽诈预/1", "P2"]
    assert listed[0] | {"at": ""} == {
        "key": f"{number}-1-dissuaded", "number": "闽诈预/1", "warning": "闽诈预/1", "result": "劝阻成功",
        "outcome": "dissuaded", "at": "", "officer": "王敏", "unit": "反诈中心", "correction": False, "avoided": None,
    }  # fmt: skip
    assert post(client, theirs, "P2", state="accepted").status_code == 404  # not that source's
    got = post(client, mine, "闽诈预/1", state="received", key=listed[0]["key"])
    assert got.json() == {"feedback": "sent", "changed": True}
    assert post(client, mine, "闽诈预/1", state="received", key=listed[0]["key"]).json()["changed"] is False
    assert post(client, mine, "P2", state="accepted", key=listed[1]["key"]).json()["feedback"] == "accepted"
    assert client.get("/v1/feedback", headers={"Authorization": mine}).json() == {"answers": []}
    # Long after it was taken: 退回.
    back = post(client, mine, "P2", state="returned", reason="缺\u0000照片")
    assert back.json() == {"feedback": "returned", "changed": True}
    assert post(client, mine, "P2", state="returned", reason="缺照片").json()["changed"] is False
    assert house.engine.execute("SELECT returned_why FROM alert_warnings WHERE event_id = 'P2'").fetchone() == (
        "缺␀照片",
    )


def test_what_cannot_be_is_a_problem_and_changes_nothing(
    client: TestClient, house: Centre, sender: Callable[..., str]
) -> None:
    key = sender("province", role="upstream")
    wang = house.officer("wang", "王敏", "dissuader")
    alert = house.alert()
    (number,) = join(house, alert, "province", "P1")
    assert client.get("/v1/feedback").status_code == 401
    assert post(client, key, "P9", state="accepted").status_code == 404
    assert post(client, key, "P1", state="accepted").status_code == 409  # nothing was sent
    assert post(client, key, "P1", state="received").status_code == 409
    assert post(client, key, "P1", state="lost").status_code == 422
    dissuade(house, wang, alert)
    for wrong in ("", "1", f"{number}-9-dissuaded", f"{number}-1-nothing", f"{number + 1}-1-dissuaded", "\u0000"):
        assert post(client, key, "P1", state="received", key=wrong).status_code == 409, wrong
    assert post(client, key, "P1", state="returned", key=f"{number}-1-dissuaded").status_code == 409  # no reason
    assert house.engine.execute("SELECT feedback, sent_n FROM alert_warnings").fetchone() == ("owed", 0)
    assert client.get("/v1/feedback", headers={"Authorization": sender("calls", tables=["calls"])}).status_code == 403
