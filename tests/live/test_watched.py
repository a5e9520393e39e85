"""A whole server under a collector's eyes: each batch's trace goes from its arrival to the alerts that it raised, and
neither traces nor logs tell anything of a person."""

from __future__ import annotations

import json
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.served import Served, ended, folder

from . import city
from .test_kill import post, registered

pytest.importorskip("opentelemetry.sdk", reason="traces are an extra")
pytest.importorskip("opentelemetry.exporter.otlp.proto.http", reason="traces are an extra")

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@contextmanager
def collector() -> Iterator[tuple[str, list[bytes]]]:
    """A collector of traces: its address, and what it was sent."""
    got: list[bytes] = []

    class Taking(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            got.append(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Taking)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", got
    finally:
        server.shutdown()
        server.server_close()


def personal(sent: list[city.Sent]) -> set[str]:
    """Numbers, names and identity numbers of the rows, as they would be found in a text."""
    found: set[str] = set()
    for s in sent:
        for name in ("caller", "callee", "line", "payer", "payee", "recipient", "name", "id", "payer_name"):
            if name in s.rows.column_names:
                values = s.rows.column(name).drop_null().to_pylist()
                found |= {v.removeprefix("+86") for v in values if isinstance(v, str)}
    return {v for v in found if len(v) >= 11 or (len(v) >= 2 and not v.isascii())}


def spans(got: list[bytes]) -> list[Any]:
    told = []
    for body in list(got):
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            told += [span for scope in resource.scope_spans for span in scope.spans]
    return told


def test_traces_reach_from_ingest_to_alert_and_nobody_is_told_of(enterable_tmp: Path) -> None:
    # without the ground truth's order, registers first: what the people are called comes before what they do
    sent = list(city.batches(city.tables()))[:90]
    known = personal(sent)
    assert len(known) > 300
    with folder(enterable_tmp) as place, collector() as (address, got):
        served = Served.role(place / "home", "holder", environment={
            "OTEL_EXPORTER_OTLP_ENDPOINT": address, "OTEL_BSP_SCHEDULE_DELAY": "200", "WUZHA_LOG_LEVEL": "debug",
            "WUZHA_SNAPSHOT_EVENTS": "5000",
        })  # fmt: skip
        with ended(served):
            served.start()
            served.ready()
            keys = registered(served.database(), {s.source for s in sent})
            for s in sent:
                post(served.url.removeprefix("http://"), keys[s.source], s)
            odd(served, next(iter(keys.values())))
            caught_up(served)
            time.sleep(1.0)
            served.stop()
        logs = [served.log, *(place / "home").rglob("*.log"), *(place / "home").rglob("set-aside.json")]
        texts = {path.name: path.read_text("utf-8", "replace") for path in logs}
    for name, text in texts.items():
        assert not [k for k in (*known, "13812340001", "张无名") if k in text], name
    lines = [json.loads(line) for line in texts["home.log"].splitlines() if line.startswith("{")]
    assert {"worker"} <= {line["process"] for line in lines} and all("at" in line and "level" in line for line in lines)
    told = spans(got)
    wire = b"".join(got)
    assert not [k for k in (*known, "13812340001", "张无名") if k.encode() in wire]
    follow(told)


def odd(served: Served, key: str) -> None:
    """Requests with something wrong, each with a number or a name in it."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=served.url, headers=headers, trust_env=False, timeout=30) as client:
        for body in (
            '{"event_id": "x1", "ts": "2026-03-02T08:00:00+08:00", "caller": "13812340001", "callee": "张无名",'
            ' "duration_s": -5}',
            '{"event_id": "x2", "13812340001": "张无名"}', '{"event_id": "13812340001', '["13812340001"]',
        ):  # fmt: skip
            answer = client.post("/v1/events/calls", content=body.encode())
            assert answer.status_code in (200, 403) and "13812340001" not in answer.headers.get("location", "")
        assert client.post("/v1/events/13812340001", content=b"{}").status_code in (403, 404)
        assert client.get("/v1/alerts?person=13812340001").status_code in (200, 401, 403, 404, 422)


def caught_up(served: Served) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        answer = httpx.get(f"{served.url}/v1/ready", trust_env=False, timeout=10)
        if answer.status_code == 200 and answer.json()["behind"] == 0:
            return
        time.sleep(0.2)
    raise AssertionError("the worker never caught up")


def follow(told: list[Any]) -> None:
    by_name: dict[str, list[Any]] = defaultdict(list)
    for span in told:
        by_name[span.name].append(span)
    received = {span.trace_id: span for span in by_name["events.receive"]}
    assert len(received) >= 90 and len(by_name["engine.feed"]) >= 90
    for name in ("body.read", "log.append", "engine.feed"):
        for span in by_name[name]:
            assert span.parent_span_id == received[span.trace_id].span_id, name
    commits = by_name["results.commit"]
    reached = {c.trace_id for c in commits} | {link.trace_id for c in commits for link in c.links}
    assert {span.trace_id for span in by_name["engine.feed"]} == reached
    alerts = [a.value.int_value for c in commits for a in c.attributes if a.key == "alerts"]
    assert sum(alerts) > 0
