"""Health, readiness and figures."""

from __future__ import annotations

from fastapi.testclient import TestClient

from wuzha.live import lease
from wuzha.store import Connection


def test_ready_only_while_a_worker_holds_the_lease(client: TestClient, engine: Connection) -> None:
    assert client.get("/v1/health").json()["role"] == "centre"
    waiting = client.get("/v1/ready")
    assert waiting.status_code == 503 and waiting.json()["type"] == "urn:wuzha:no_worker"
    held = lease.take(engine, 0, lease.worker_name(), 60)
    assert held is not None
    assert client.get("/v1/ready").json() == {"status": "ready", "position": 0, "behind": 0}
    lease.give_back(engine, held)
    assert client.get("/v1/ready").status_code == 503


def test_figures_are_for_this_machine_only(client: TestClient) -> None:
    assert "wuzha_log_position 0.0" in client.get("/metrics").text
    elsewhere = TestClient(client.app, client=("10.0.0.9", 5000))
    assert elsewhere.get("/metrics").status_code == 404


def test_unknown_addresses_answer_as_problems(client: TestClient) -> None:
    answer = client.get("/v1/nothing")
    assert answer.status_code == 404 and answer.headers["content-type"] == "application/problem+json"
    assert client.delete("/v1/health").status_code == 405
