"""``POST /v1/calls``: who may tell, what is refused, and that telling twice is telling once."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from fastapi.testclient import TestClient

from wuzha.events import clock
from wuzha.store import Connection


@pytest.fixture
def pbx(sender: Callable[..., str]) -> dict[str, str]:
    """An exchange's key; it sends no rows of any table."""
    return {"Authorization": sender("pbx", title="电话交换机", role="desk", basis="holder_own", tables=[])}


def event(**changes: object) -> dict[str, object]:
    return {"call": "c-1", "event": "ringing", "at": clock.now().isoformat(), "number": "13812341234", **changes}


def test_events_are_judged_one_by_one(client: TestClient, pbx: dict[str, str], engine: Connection) -> None:
    sent = [
        event(), event(event="missed"), event(call="c-2", number="anonymous"), event(at="2026-03-02T09:15:00"),
        event(at="2999-01-01T00:00:00Z"), event(call="c-3", number="谁"), event(call="c-4", reference="w99"),
        event(call="c-5", reference="nonsense"),
    ]  # fmt: skip
    answer = client.post("/v1/calls", json=sent, headers=pbx)
    assert answer.status_code == 200
    assert [e["became"] for e in answer.json()["events"]] == [
        "new", "new", "new", "no_offset", "in_the_future", "no_number", "unknown_reference", "unknown_reference",
    ]  # fmt: skip
    again = client.post("/v1/calls", json=sent, headers=pbx).json()
    assert (again["taken"], again["known"], again["rejected"]) == (0, 3, 5)


def test_only_the_desks_own_exchange_tells_of_calls(client: TestClient, sender: Callable[..., str]) -> None:
    carrier = {"Authorization": sender()}
    assert client.post("/v1/calls", json=[event()], headers=carrier).status_code == 403
    assert client.post("/v1/calls", json=[event()]).status_code == 401


@pytest.mark.parametrize(
    "body", [[], {}, [{"call": "x"}], [{**event(), "event": "sung"}], [{**event(), "call": "\x00"}],
             [{**event(), "more": 1}], [event()] * 501],
)  # fmt: skip
def test_what_is_no_event_is_refused_whole(client: TestClient, pbx: dict[str, str], body: object) -> None:
    assert client.post("/v1/calls", json=body, headers=pbx).status_code == 422


def test_an_exchange_may_send_no_rows(client: TestClient, pbx: dict[str, str]) -> None:
    assert client.post("/v1/events/calls", content=b"{}", headers=pbx).status_code == 403
