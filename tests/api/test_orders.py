"""Reports in and orders out over HTTP: a report drafts, a member unit takes its own orders and answers in any way."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.api.conftest import Opened
from tests.desks import Centre
from tests.money import BANK, FIRST, VICTIM, Chase, bank_key

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.store import Connection, Database

SECOND = "6217001234560002"


@pytest.fixture
def house(opened: Opened, db: Database, engine: Connection, web: Connection) -> Centre:
    """The API's own first unit, as a house with officers."""
    made = Centre(db=db, engine=engine, web=web)
    opened()
    row = engine.execute("SELECT unit_id FROM units").fetchone()
    assert row is not None
    made.units["centre"] = row[0]
    return made


@pytest.fixture
def sun(house: Centre) -> Actor:
    return house.officer("sun", "孙正", "sealer")


@pytest.fixture
def chase(house: Centre, sun: Actor) -> Chase:
    """A case whose stop and query were sealed for the bank."""
    made = Chase(house, house.officer("wang", "王敏", "dissuader"))
    return made


def body(at: datetime, **changes: Any) -> dict[str, Any]:
    return {
        "number": "110-17", "channel": "web", "name": "张小兰", "line": "13812341234", "scam_type": "authority",
        "verified": "自称本人",
        "transfers": [{"payee": FIRST, "amount_fen": 5_000_000, "at": at.isoformat(), "payee_bank": BANK}],
    } | changes  # fmt: skip


def test_a_report_makes_a_case_whose_orders_only_wait(
    client: TestClient, sender: Callable[..., str], engine: Connection, superuser: Any
) -> None:
    key = {"Authorization": sender("web-desk", role="desk", tables=[])}
    at = clock.now() - timedelta(minutes=5)
    first = client.post("/v1/reports", json=body(at), headers=key)
    assert first.status_code == 200, first.text
    again = client.post("/v1/reports", json=body(at), headers=key).json()
    assert again["repeated"] and again["case"] == first.json()["case"]
    other = client.post("/v1/reports", json=body(at, number="110-18", line="13900000002"), headers=key).json()
    assert other["joined"] and other["case"] == first.json()["case"]
    rows = superuser.execute("SELECT kind, amount_fen, sealed_at FROM wuzha.orders ORDER BY kind").fetchall()
    assert rows == [("query", None, None), ("stop", 10_000_000, None)]
    # A web form verifies nobody, whatever it says.
    assert superuser.execute("SELECT bool_or(verified_at IS NOT NULL) FROM wuzha.case_reports").fetchone() == (False,)
    assert "张小兰" not in first.text and FIRST not in first.text


def test_several_transfers_of_one_report_make_one_case_however_often_it_is_sent(
    client: TestClient, sender: Callable[..., str], superuser: Any
) -> None:
    key = {"Authorization": sender("web-desk", role="desk", tables=[])}
    at = clock.now() - timedelta(minutes=9)
    transfers = [
        {"payee": payee, "amount_fen": fen, "at": (at + timedelta(minutes=i)).isoformat(), "payee_bank": BANK}
        for i, (payee, fen) in enumerate([(FIRST, 5_000_000), (SECOND, 700_000), (FIRST, 300_000)])
    ]
    with ThreadPoolExecutor(4) as at_once:
        told = list(at_once.map(
            lambda _: client.post("/v1/reports", json=body(at, transfers=transfers), headers=key), range(4)
        ))  # fmt: skip
    assert {t.status_code for t in told} == {200} and len({(t.json()["case"], t.json()["report"]) for t in told}) == 1
    assert sorted(t.json()["repeated"] for t in told) == [False, True, True, True]
    rows = superuser.execute("SELECT amount_fen FROM wuzha.case_losses ORDER BY at").fetchall()
    assert rows == [(5_000_000,), (700_000,), (300_000,)]
    stops = superuser.execute("SELECT amount_fen FROM wuzha.orders WHERE kind = 'stop' ORDER BY amount_fen").fetchall()
    assert stops == [(700_000,), (5_300_000,)]


@pytest.mark.parametrize(
    ("changes", "status"),
    [
        ({"transfers": []}, 422), ({"number": ""}, 422), ({"name": "a\x00b"}, 422), ({"nobody": 1}, 422),
        ({"channel": "bank"}, 403),
        ({"transfers": [{"payee": "=1+1", "amount_fen": 1, "at": "2026-03-02T09:00:00+08:00"}]}, 422),
        ({"transfers": [{"payee": FIRST, "amount_fen": -1, "at": "2026-03-02T09:00:00+08:00"}]}, 422),
        ({"transfers": [{"payee": FIRST, "amount_fen": 1, "at": "2026-03-02T09:00:00"}]}, 422),
        ({"transfers": [{"payee": FIRST, "amount_fen": 1, "at": "9999-12-31T23:59:59+00:00"}]}, 422),
    ],
)  # fmt: skip
def test_a_report_that_cannot_be_is_answered_with_what_is_wrong(
    client: TestClient, sender: Callable[..., str], superuser: Any, changes: dict[str, Any], status: int
) -> None:
    key = {"Authorization": sender("web-desk", role="desk", tables=[])}
    answer = client.post("/v1/reports", json=body(clock.now(), **changes), headers=key)
    assert answer.status_code == status and answer.json()["type"].startswith("urn:wuzha:")
    assert superuser.execute("SELECT count(*) FROM wuzha.cases").fetchone() == (0,)


def test_a_member_unit_takes_its_orders_and_answers(opened: Opened, house: Centre, sun: Actor, chase: Chase) -> None:
    client = opened()
    mine, theirs = ({"Authorization": bank_key(house, *who)} for who in (("bank-a", BANK), ("bank-b", "乙银行")))
    chase.report()
    assert client.get("/v1/orders", headers=mine).json() == {"orders": []}  # nothing is asked before the seal
    chase.seal(sun)
    orders = client.get("/v1/orders", headers=mine).json()["orders"]
    assert [(o["kind"], o["account"], o["amount_fen"]) for o in orders] == [
        ("query", FIRST, None), ("stop", FIRST, 5_000_000),
    ]  # fmt: skip
    query, stop = (o["order"] for o in orders)
    assert client.get("/v1/orders", headers=theirs).json() == {"orders": []}
    assert client.post(f"/v1/orders/{stop}/answer", headers=theirs, json={"key": "k"}).status_code == 404
    got = client.post(f"/v1/orders/{stop}/receipt", headers=mine, json={"number": "BK1", "accepted": True})
    assert got.json() == {"order": stop, "state": "accepted"}
    held = {"key": "a1", "held_fen": 2_000_000}
    assert client.post(f"/v1/orders/{stop}/answer", headers=mine, json=held).json()["state"] == "done"
    assert client.post(f"/v1/orders/{stop}/answer", headers=mine, json=held).json()["repeated"]
    changed = client.post(f"/v1/orders/{stop}/answer", headers=mine, json={"key": "a2", "failed": "name"})
    assert changed.status_code == 409
    rows = [
        chase.moved(VICTIM, FIRST, 5_000_000, 0), chase.moved(FIRST, SECOND, 3_000_000, 3, payee_bank="乙银行"),
        chase.moved(FIRST, SECOND, -5, 4), {"ts": "gestern", "payer": FIRST, "payee": SECOND, "amount_fen": 1},
    ]  # fmt: skip
    answer = client.post(
        f"/v1/orders/{query}/answer", headers=mine,
        json={"key": "q1", "number": "BK2", "transfers": rows, "balance_fen": 2_000_000, "account_kind": "personal"},
    )  # fmt: skip
    assert (answer.json()["rows"], answer.json()["rejected"]) == (2, 2), answer.text
    assert [o["account"] for o in chase.orders("drafted", kind="stop")] == [SECOND]
    assert client.get("/v1/orders", headers=mine).json() == {"orders": []}
    chase.seal(sun)
    assert [o["account"] for o in client.get("/v1/orders", headers=theirs).json()["orders"]] == [SECOND, SECOND]


def test_a_member_unit_answers_with_its_own_file(opened: Opened, house: Centre, sun: Actor, chase: Chase) -> None:
    client = opened()
    key = {"Authorization": bank_key(house)}
    chase.report()
    chase.seal(sun)
    query = chase.order("query", FIRST)["order_id"]

    def line(minutes: int, amount: str, way: str, other: str, balance: str) -> str:
        at = (chase.at + timedelta(minutes=minutes)).astimezone(clock.zone())
        return f"{FIRST},{at:%Y-%m-%d %H:%M:%S},{amount},{balance},{way},{other},陈某,李某"

    text = "\n".join([
        "交易卡号,交易时间,交易金额,交易余额,收付标志,交易对手账卡号,账户开户名称,对手户名",
        line(0, "50000", "进", VICTIM, "50010"), line(3, "30000", "出", SECOND, "20010"),
        line(5, "12x", "出", SECOND, "1"),
    ])  # fmt: skip
    answer = client.post(
        f"/v1/orders/{query}/statement?name=%E6%B5%81%E6%B0%B4.csv&number=BK9", headers=key, content=text.encode("gbk")
    )
    assert answer.status_code == 200, answer.text
    assert (answer.json()["rows"], answer.json()["rejected"], answer.json()["state"]) == (2, 1, "done")
    stop = chase.orders("drafted", kind="stop")
    # The balances say that ten yuan were the account's own, and they left first.
    assert [(o["account"], o["amount_fen"], o["level"]) for o in stop] == [(SECOND, 2_999_000, 2)]
    nothing = client.post(f"/v1/orders/{query}/statement?name=x.csv", headers=key, content=b"\x00\x01")
    assert nothing.status_code == 409


def test_names_of_an_answer_stand_in_the_vault_only(
    opened: Opened, house: Centre, sun: Actor, chase: Chase, superuser: Any
) -> None:
    client = opened()
    key = {"Authorization": bank_key(house)}
    chase.report()
    chase.seal(sun)
    query = chase.order("query", FIRST)["order_id"]
    row = chase.moved(FIRST, SECOND, 3_000_000, 3, payee_name="李某某", payee_id="350203199001011234", memo="货款")
    client.post(f"/v1/orders/{query}/answer", headers=key, json={"key": "q1", "transfers": [row]})
    columns = superuser.execute("SELECT columns::text FROM wuzha.case_transfers").fetchone()[0]
    assert "货款" in columns and "李某某" not in columns and "350203" not in columns and SECOND not in columns
    held = superuser.execute(
        "SELECT name FROM wuzha.persons p JOIN wuzha.subjects s ON s.subject_id = p.person_id WHERE s.value = %s",
        (f"account:{SECOND}",),
    ).fetchone()
    assert held == ("李某某",)
