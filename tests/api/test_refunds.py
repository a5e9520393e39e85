"""A bank takes the refunds that were sent to it over HTTP, and answers with its receipts."""

from __future__ import annotations

import pytest
from tests.api.conftest import Opened
from tests.desks import Centre
from tests.money import BANK, VICTIM, bank_key
from tests.refunds import Refunding, frozen

from wuzha.store import Connection, Database


@pytest.fixture
def going(opened: Opened, db: Database, engine: Connection, web: Connection) -> Refunding:
    """A refund that was decided; its bank is a registered member unit."""
    house = Centre(db=db, engine=engine, web=web)
    opened()
    row = engine.execute("SELECT unit_id, code FROM units").fetchone()
    assert row is not None
    house.units["centre"] = row[0]
    house.web.execute("UPDATE units SET kind = 'county' WHERE unit_id = %s", (row[0],))
    return frozen(house, house.officer("wang", "王敏", "dissuader"))


def test_a_bank_pays_by_its_interface_and_the_last_receipt_completes(opened: Opened, going: Refunding) -> None:
    client = opened()
    mine, theirs = ({"Authorization": bank_key(going.house, *who)} for who in (("bank-a", BANK), ("bank-b", "乙银行")))
    going.start()
    going.decided(today=True)
    assert client.get("/v1/refunds", headers=mine).json() == {"refunds": []}  # decided is not yet sent
    going.send()
    asked = client.get("/v1/refunds", headers=mine).json()["refunds"]
    assert [(p["amount_fen"], p["to_account"], p["taken"]) for p in asked] == [
        (1_800_000, VICTIM, False), (1_200_000, "6222020200002222", False),
    ]  # fmt: skip
    assert asked[0]["note"] == "返还不收取任何费用，可拨96110核实。" and asked[0]["document"].startswith("city刑返字")
    assert client.get("/v1/refunds", headers=theirs).json() == {"refunds": []}
    first, second = (p["refund"] for p in asked)
    assert client.post(f"/v1/refunds/{first}/answer", headers=theirs, json={"key": "k"}).status_code == 404
    got = client.post(f"/v1/refunds/{first}/receipt", headers=mine, json={"number": "FH1"})
    assert got.json() == {"refund": first, "state": "taken", "repeated": False}
    assert client.post(f"/v1/refunds/{first}/receipt", headers=mine, json={"number": "FH1"}).json()["repeated"]
    paid = {"key": "a1", "paid_fen": 1_800_000, "receipt": "HZ1"}
    url = f"/v1/refunds/{first}/answer"
    assert client.post(url, headers=mine, json=paid | {"receipt": ""}).status_code == 409
    assert client.post(url, headers=mine, json=paid | {"paid_fen": 1_800_001}).status_code == 409
    assert client.post(url, headers=mine, json=paid | {"paid_at": "2026-03-02T09:00:00"}).status_code == 422
    assert client.post(url, headers=mine, json=paid).json() == {"refund": first, "state": "paid", "repeated": False}
    assert client.post(url, headers=mine, json=paid).json()["repeated"]
    assert client.post(url, headers=mine, json=paid | {"key": "a2", "paid_fen": 0, "failed": "name"}).status_code == 409
    part = {"key": "b1", "paid_fen": 1, "receipt": "HZ2", "failed": "no_balance"}
    assert client.post(f"/v1/refunds/{second}/answer", headers=mine, json=part).json()["state"] == "partial"
    assert going.state() == "failed"
    going.send(going.read()["shares"][1]["share_id"])
    (rest,) = client.get("/v1/refunds", headers=mine).json()["refunds"]
    assert rest["amount_fen"] == 1_199_999
    last = {"key": "c1", "paid_fen": 1_199_999, "receipt": "HZ3"}
    assert client.post(f"/v1/refunds/{rest['refund']}/answer", headers=mine, json=last).json()["state"] == "paid"
    assert going.state() == "completed"


def test_only_a_member_units_key_gets_in(opened: Opened, going: Refunding) -> None:
    client = opened()
    assert client.get("/v1/refunds").status_code == 401
    desk = {"Authorization": bank_key(going.house, "web-desk", "网上", role="desk")}
    assert client.get("/v1/refunds", headers=desk).status_code == 403
    mine = {"Authorization": bank_key(going.house)}
    for body in ({"key": "k", "nobody": 1}, {"key": ""}, {"key": "k", "paid_fen": -1}, {"key": "a\x00b"}):
        assert client.post("/v1/refunds/1/answer", headers=mine, json=body).status_code == 422
    assert client.post("/v1/refunds/99999999999999999999/answer", headers=mine, json={"key": "k"}).status_code == 422
