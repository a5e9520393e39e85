"""Health, readiness and figures."""

from __future__ import annotations

from pathlib import Path

from fastapi.testclient import TestClient
from tests.api.conftest import Opened

from wuzha.live import lease, watching
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


def test_figures_tell_what_the_processes_told(client: TestClient, engine: Connection) -> None:
    snapshot = {"at": "2026-03-02T08:00:00+00:00", "position": 3, "size": 99, "seconds": 1.5}
    rules = [{"rule": "overseas_call", "given": 7}]
    watching.tell(engine, "engine:0", {"events": 5, "subjects": 4, "snapshot": snapshot, "rules": rules})
    text = client.get("/metrics").text
    for line in (
        'wuzha_events{process="engine:0"} 5.0', 'wuzha_subjects{process="engine:0"} 4.0', "wuzha_lag_seconds 0.0",
        'wuzha_snapshot_bytes{process="engine:0"} 99.0', 'wuzha_rule_given{rule="overseas_call"} 7.0',
        "wuzha_database_up 1.0",
    ):  # fmt: skip
        assert line in text, line


def test_a_collector_elsewhere_needs_the_word_of_the_file(opened: Opened, tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("measure-it\n")
    elsewhere = TestClient(opened(metrics_key_file=word).app, client=("10.0.0.9", 5000))
    assert elsewhere.get("/metrics").status_code == 404
    assert elsewhere.get("/metrics", headers={"Authorization": "Bearer measure"}).status_code == 404
    assert elsewhere.get("/metrics", headers={"Authorization": "Bearer measure-it"}).status_code == 200
    word.write_text("")
    assert elsewhere.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
