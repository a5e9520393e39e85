"""The API fuzzed by its own description: no answer is a 5xx, and every answer is one that the description tells."""

from __future__ import annotations

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from wuzha.live import lease
from wuzha.store import Connection

CHECKS = (not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance)
OPERATIONS = (
    ("/v1/events/{table}", "POST", 60), ("/v1/alerts", "GET", 30), ("/v1/alerts/{alert}", "GET", 30),
    ("/v1/reports", "POST", 40), ("/v1/orders", "GET", 10), ("/v1/orders/{order}/receipt", "POST", 25),
    ("/v1/orders/{order}/answer", "POST", 40), ("/v1/orders/{order}/statement", "POST", 25),
    ("/v1/orders/{order}/camt.056", "GET", 10), ("/v1/orders/camt.029", "POST", 15), ("/v1/refunds", "GET", 10),
    ("/v1/refunds/{refund}/receipt", "POST", 25), ("/v1/refunds/{refund}/answer", "POST", 25),
    ("/v1/feedback", "GET", 15), ("/v1/feedback/{warning}", "POST", 40), ("/v1/calls", "POST", 40),
    ("/v1/decisions/transfer", "POST", 25), ("/v1/decisions/transfers", "POST", 15),
    ("/v1/decisions/{decision}", "GET", 20), ("/v1/health", "GET", 3), ("/v1/ready", "GET", 3),
)  # fmt: skip


@schemathesis.serializer(
    "application/x-ndjson", "application/vnd.apache.arrow.stream", "application/vnd.apache.parquet"
)
def as_sent(context: object, value: object) -> bytes:
    """A generated text as bytes."""
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "replace")


@pytest.mark.parametrize(("path", "method", "examples"), OPERATIONS)
@pytest.mark.parametrize("whose", ["its own", None])
def test_no_answer_is_a_server_error(
    client: TestClient, sender, engine: Connection, path: str, method: str, examples: int, whose: str | None
) -> None:  # type: ignore[no-untyped-def]
    role = whose and ("bank" if any(what in path for what in ("decisions", "orders", "refunds")) else "desk")
    with engine.transaction():
        unit = engine.execute("SELECT unit_id FROM wuzha.units").fetchone()
    assert unit is not None
    headers = {"Authorization": sender(role=role, unit_id=unit[0])} if role else {}
    assert lease.take(engine, 0, lease.worker_name(), 600) is not None
    schema = schemathesis.openapi.from_asgi("/v1/openapi.json", client.app)
    strategy = schema[path][method].as_strategy()

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=strategy)
    def fuzz(case: schemathesis.Case) -> None:
        answer = case.call(headers=headers)
        case.validate_response(answer, checks=CHECKS, headers=headers)

    fuzz()


def test_every_address_is_fuzzed(client: TestClient) -> None:
    described = {(p, m.upper()) for p, ms in client.get("/v1/openapi.json").json()["paths"].items() for m in ms}
    assert described == {(p, m) for p, m, _ in OPERATIONS}
