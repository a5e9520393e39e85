"""The city's bank: it knows its own ledger only, stops what had not left, and says why it does not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest

from wuzha.city.bank import Bank, Ledger, Manner, Moved

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
M = timedelta(minutes=1)


def ledger() -> Ledger:
    return Ledger(
        {"A": "陈某", "B": "李某"},
        [
            Moved(number="1", payer=None, payee="A", fen=500, at=NOW - 9 * M),
            Moved(number="2", payer="A", payee="B", fen=200, at=NOW - 5 * M),
            Moved(number="3", payer="A", payee="B", fen=300, at=NOW + 5 * M),
        ],
        opening={"A": 10},
    )  # fmt: skip


@pytest.fixture
def bank() -> Iterator[Bank]:
    """A bank whose centre does not answer: it goes on serving."""
    made = Bank(ledger(), centre="http://127.0.0.1:9", key="Bearer x", now=lambda: NOW).start()
    yield made
    made.stop()


def order(kind: str, account: str = "A", **changes: Any) -> dict[str, Any]:
    return {"order": 1, "kind": kind, "account": account, "holder": "陈某", "transfer_at": (NOW - 9 * M).isoformat(),
            "transfer_fen": 500, "amount_fen": 400} | changes  # fmt: skip


def test_a_stop_keeps_what_had_not_left(bank: Bank) -> None:
    assert bank.says(order("stop"))["held_fen"] == 310  # less than asked for: what is there
    assert bank.ledger.balance("A", NOW + 10 * M) == 310
    bank.says(order("release"))
    assert bank.ledger.balance("A", NOW + 10 * M) == 10


@pytest.mark.parametrize(
    ("changes", "why"),
    [({"account": "C"}, "no_account"), ({"holder": "别人"}, "name"), ({"transfer_fen": 501}, "amount"),
     ({"transfer_at": (NOW - 3000 * M).isoformat()}, "time")],
)  # fmt: skip
def test_a_mismatch_is_not_stopped(bank: Bank, changes: dict[str, Any], why: str) -> None:
    assert bank.says(order("stop", **changes))["failed"] == why
    assert bank.ledger.stops == {}


def test_it_tells_what_happened_by_now_and_garbles_where_told(bank: Bank) -> None:
    answer = httpx.post(bank.address + "/manner", json={"garbles": 1}, trust_env=False)
    assert answer.status_code == 200 and bank.manner == Manner(garbles=1)
    rows = bank.says(order("query"))["transfers"]
    assert [r["event_id"] for r in rows] == ["1", "2", "garbled-0"]
    assert httpx.get(bank.address + "/accounts", trust_env=False).json()["A"] == {"balance_fen": 310, "stopped": False}
    for path, body in (("/manner", b"nonsense"), ("/manner", b"3"), ("/nothing", b"{}")):
        assert httpx.post(bank.address + path, content=body, trust_env=False).status_code in (400, 404)


def test_a_refund_leaves_a_stopped_account_once(bank: Bank) -> None:
    bank.says(order("stop"))
    asked = {"refund": 7, "account": "A", "to_account": "V", "amount_fen": 300}
    assert bank.pays(asked)["paid_fen"] == bank.pays(asked)["paid_fen"] == 300
    assert bank.ledger.balance("A", NOW + 10 * M) == 10
    assert bank.pays(asked | {"refund": 8})["failed"] == "no_balance"
    bank.manner.refuses["W"] = "closed"
    assert bank.pays(asked | {"refund": 9, "to_account": "W"})["failed"] == "closed"
