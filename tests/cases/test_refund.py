"""A refund from the freeze to the last receipt: who may do what, when, and what never happens."""

from __future__ import annotations

import pytest
from tests.desks import Centre
from tests.refunds import Refunding, frozen


@pytest.fixture
def going(house: Centre) -> Refunding:
    """A frozen account of two victims, of whose balances nothing is known."""
    return frozen(house, house.officer("wang", "王敏", "dissuader"))


def test_the_main_path_ends_with_the_last_receipt(going: Refunding) -> None:
    going.start()
    r = going.read()
    assert (r["plan"]["way"], r["plan"]["balance_fen"], going.shares()) == (
        "pro_rata",
        3_000_000,
        [1_800_000, 1_200_000],
    )
    assert r["state"] == "to_notice"
    going.notice()
    for report in going.victims():
        going.apply(report)
    assert going.state() == "noticed"
    going.later(days=31)
    assert going.state() == "to_ask"
    going.ask()
    assert [(w.state, w.party) for w in going.read()["waits"]] == [("asked", "approver")]
    going.answer()
    going.decide()
    assert going.read()["decision"]["decision_no"].startswith("city刑返字〔")
    going.send()
    r = going.read()
    assert r["state"] == "sent" and [p["amount_fen"] for p in r["payments"]] == [1_800_000, 1_200_000]
    for payment in r["payments"]:
        going.receipt(payment)
    r = going.read()
    assert (r["state"], r["closed_how"]) == ("completed", "completed")
    assert sum(p["paid_fen"] for p in r["payments"]) + r["plan"]["stays_fen"] == r["plan"]["balance_fen"]
