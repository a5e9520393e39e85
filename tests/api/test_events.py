"""``POST /v1/events/{table}``: every row is accounted for, the credential says whose it is, limits hold."""

from __future__ import annotations

import gzip
import io
import json
import time
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from fastapi.testclient import TestClient
from tests.refusing import refusing

from wuzha.events import clock
from wuzha.live import appender
from wuzha.store import Connection, Database, keys, sources

from .conftest import Opened

UNTIL = {"basis": "consent", "basis_until": "2090-01-01T00:00:00Z"}


def call(i: int, **changes: Any) -> dict[str, Any]:
    return {
        "event_id": f"c{i}", "ts": f"2026-03-02T09:{i % 60:02d}:00+08:00", "caller": "+85251234567",
        "callee": "13800138000", "duration_s": 60, **changes,
    }  # fmt: skip


def post(client: TestClient, key: str, rows: list[dict[str, Any]] | bytes, table: str = "calls", **more: Any) -> Any:
    body = rows if isinstance(rows, bytes) else "\n".join(json.dumps(r) for r in rows).encode()
    headers = {"Authorization": key, "Content-Type": "application/x-ndjson", **more.pop("headers", {})}
    said = {k: v for k, v in {**UNTIL, **more}.items() if v is not None}
    return client.post(f"/v1/events/{table}", content=body, headers=headers, params=said)


def test_every_row_is_accepted_duplicate_or_rejected(client: TestClient, sender: Callable[..., str]) -> None:
    key = sender()
    rows = [call(1), call(2), call(2), call(3, duration_s=-1), call(4, caller=None), call(1, ts="2026-03-02T10:00:00Z")]
    said = post(client, key, rows).json()
    assert (said["accepted"], said["duplicates"], said["rejected"]) == (2, 1, 3)
    assert {(r["row"], r["column"], r["reason"]) for r in said["rejects"]} == {
        (3, "duration_s", "below_minimum"), (4, "caller", "missing"), (5, "ts", "ts_differs"),
    }  # fmt: skip
    assert said["position"] == 1
    again = post(client, key, rows).json()
    assert (again["accepted"], again["duplicates"], again["position"]) == (0, 3, None), "a retry counts nothing twice"


def test_row_numbers_are_the_bodys_own_past_blank_and_broken_lines(
    client: TestClient, sender: Callable[..., str]
) -> None:
    key = sender()
    assert post(client, key, [call(1)]).json()["accepted"] == 1
    lines = ["", json.dumps(call(2)), "{broken", "", json.dumps(call(1, ts="2026-03-02T10:00:00Z"))]
    said = post(client, key, "\n".join(lines).encode()).json()
    assert [(r["row"], r["reason"]) for r in said["rejects"]] == [(2, "broken_json"), (4, "ts_differs")]


def test_the_source_is_the_credentials_whatever_the_body_says(
    client: TestClient, sender: Callable[..., str], engine: Connection
) -> None:
    assert post(client, sender(), [call(1, source="somebody-else")]).json()["accepted"] == 1
    assert engine.execute("SELECT source FROM wuzha.log").fetchall() == [("carrier-a",)]


def test_json_lines_arrow_parquet_and_gzip_bring_the_same_rows(client: TestClient, sender: Callable[..., str]) -> None:
    key = sender()
    rows = [call(i) for i in range(5)]
    assert post(client, key, rows).json()["accepted"] == 5
    table = pa.table({n: [r[n] for r in rows] for n in rows[0]})
    table = table.set_column(
        1, "ts", pa.array([clock.datetime.fromisoformat(r["ts"]) for r in rows], pa.timestamp("us", tz="UTC"))
    )
    stream, parquet = io.BytesIO(), io.BytesIO()
    with pa.ipc.new_stream(stream, table.schema) as writer:
        writer.write_table(table)
    pq.write_table(table, parquet)
    lines = gzip.compress("\n".join(json.dumps(r) for r in rows).encode())
    for body, headers in (
        (stream.getvalue(), {"Content-Type": "application/vnd.apache.arrow.stream"}),
        (parquet.getvalue(), {"Content-Type": "application/vnd.apache.parquet"}),
        (lines, {"Content-Encoding": "gzip"}),
    ):
        said = post(client, key, body, headers=headers).json()
        assert (said["accepted"], said["duplicates"]) == (0, 5)


@pytest.mark.parametrize(
    ("header", "status"),
    [(None, 401), ("Bearer", 401), ("Bearer wz_000000000000_" + "A" * 43, 401), ("Basic eDp5", 401), ("Bearer é", 401)],
)
def test_without_a_good_key_nothing_is_read(client: TestClient, header: str | None, status: int) -> None:
    headers = {"Authorization": header.encode("latin-1")} if header else {}
    answer = client.post("/v1/events/calls", content=b"x", headers=headers)
    assert answer.status_code == status and answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["www-authenticate"] == "Bearer"


def test_a_revoked_key_and_a_closed_source_are_refused_at_once(
    client: TestClient, sender: Callable[..., str], web: Connection
) -> None:
    key = sender()
    assert post(client, key, [call(1)]).status_code == 200
    source = sources.one(web, name="carrier-a")
    assert source is not None
    assert keys.revoke(web, keys.of_source(web, source.source_id)[0]["key_id"])
    assert post(client, key, [call(2)]).status_code == 401


def test_foreign_tables_unknown_tables_and_labels_are_refused(client: TestClient, sender: Callable[..., str]) -> None:
    key = sender()
    for table, status, code in (
        ("visits", 403, "table_not_allowed"), ("labels", 403, "labels_refused"), ("nothing", 404, "unknown_table"),
    ):  # fmt: skip
        answer = post(client, key, [call(1)], table)
        assert (answer.status_code, answer.json()["type"]) == (status, f"urn:wuzha:{code}")


def test_a_centre_takes_raw_rows_only_with_a_basis_and_an_end(client: TestClient, sender: Callable[..., str]) -> None:
    key = sender(basis="warning")
    for asked, reason in (
        ({"basis": "holder_own"}, "no_basis"),
        ({"basis": "case_query", "basis_ref": "案 2026-1", "basis_until": None}, "no_end"),
        ({"basis": "case_query"}, "no_document"),
        ({"basis": None}, "no_basis"),
        ({"basis_until": "2020-01-01T00:00:00Z"}, "basis_over"),
    ):
        said = post(client, key, [call(1), call(2)], **asked).json()
        assert (said["accepted"], said["rejected"], said["rejects"][0]["reason"]) == (0, 2, reason), asked
    assert post(client, key, [call(1)], basis="case_query", basis_ref="案 2026-1").json()["accepted"] == 1
    warning = {"event_id": "w", "ts": "2026-03-02T09:00:00+08:00", "victim_line": "13800138000"}
    assert post(client, key, [warning], "warnings", basis=None, basis_until=None).json()["accepted"] == 1


def test_a_holder_keeps_its_own_rows_without_more(opened: Opened, sender: Callable[..., str]) -> None:
    key = sender(basis="holder_own")
    assert post(opened(role="holder"), key, [call(1)], basis=None, basis_until=None).json()["accepted"] == 1


def test_the_basis_stands_on_the_log_row(client: TestClient, sender: Callable[..., str], engine: Connection) -> None:
    post(client, sender(), [call(1)], basis="case_query", basis_ref="案 2026-1")
    assert engine.execute("SELECT basis, basis_ref, basis_until::date::text FROM wuzha.log").fetchone() == (
        "case_query", "案 2026-1", "2090-01-01",
    )  # fmt: skip


def test_rows_of_the_future_are_rejects(client: TestClient, sender: Callable[..., str]) -> None:
    tomorrow = (clock.now() + timedelta(days=3)).isoformat()
    said = post(client, sender(), [call(1), call(2, ts=tomorrow)]).json()
    assert said["accepted"] == 1 and said["rejects"][0]["reason"] == "in_the_future" and said["rejects"][0]["row"] == 1


def test_a_body_that_is_no_table_is_400_and_an_unknown_type_415(client: TestClient, sender: Callable[..., str]) -> None:
    key = sender()
    parquet = {"Content-Type": "application/vnd.apache.parquet"}
    assert post(client, key, b"PAR1 nothing", headers=parquet).status_code == 400
    assert post(client, key, b"x", headers={"Content-Type": "application/x-yaml"}).status_code == 415
    empty = post(client, key, b"")
    assert empty.status_code == 200 and empty.json()["accepted"] == 0


def test_large_bodies_and_bombs_are_413(opened: Opened, sender: Callable[..., str]) -> None:
    client = opened(body_limit=1000, inflated_limit=5000)
    key = sender()
    assert post(client, key, [call(i) for i in range(50)]).status_code == 413
    bomb = gzip.compress(b"\n" * 200_000)
    assert len(bomb) < 1000
    assert post(client, key, bomb, headers={"Content-Encoding": "gzip"}).status_code == 413


def test_a_full_queue_is_429_with_retry_after_and_a_full_disk_507(opened: Opened, sender: Callable[..., str]) -> None:
    key = sender()
    crowded = opened()
    doors = crowded.app.state.doors  # type: ignore[attr-defined]
    doors.appender._rows = doors.settings.queue_rows + 1
    answer = post(crowded, key, [call(1)])
    assert answer.status_code == 429 and int(answer.headers["retry-after"]) >= 1
    doors.appender._rows = 0
    assert post(crowded, key, [call(1)]).status_code == 200
    full = opened(free_space=1 << 62)
    answer = post(full, key, [call(2)])
    assert answer.status_code == 507 and answer.json()["type"] == "urn:wuzha:disk_nearly_full"


def test_a_database_without_room_is_507_and_one_that_is_away_503(
    opened: Opened, sender: Callable[..., str], db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(appender, "_PATIENCE_S", 0.0)
    key, client = sender(), opened()
    with refusing(db, "wuzha.log", "disk_full"):
        answer = post(client, key, [call(1)])
        assert (answer.status_code, answer.json()["type"]) == (507, "urn:wuzha:disk_nearly_full")
        assert answer.headers["content-type"] == "application/problem+json" and answer.headers["retry-after"]
    with refusing(db, "wuzha.log", "cannot_connect_now"):
        answer = post(client, key, [call(1)])
        assert (answer.status_code, answer.json()["type"]) == (503, "urn:wuzha:no_database")
        # Where there is no room for its own log PostgreSQL stops, and can no longer say why.
        client.app.state.doors._free = (time.monotonic() + 60, 0)  # type: ignore[attr-defined]
        answer = post(client, key, [call(1)])
        assert (answer.status_code, answer.json()["type"]) == (507, "urn:wuzha:disk_nearly_full")
    assert post(client, key, [call(1)]).json()["accepted"] == 1


def test_rejects_are_kept_without_names(client: TestClient, sender: Callable[..., str], engine: Connection) -> None:
    key = sender()
    post(client, key, [call(1, duration_s=-7)])
    rows = engine.execute("SELECT source, table_name, column_name, value, reason FROM wuzha.rejects").fetchall()
    assert rows == [("carrier-a", "calls", "duration_s", "-7", "below_minimum")]
    warning = {"event_id": "w", "ts": "2026-03-02T09:00:00+08:00", "victim_name": "张\x00三"}
    post(client, key, [warning], "warnings")
    assert engine.execute("SELECT value FROM wuzha.rejects WHERE column_name = 'victim_name'").fetchone() == (None,)


def test_wrong_parameters_are_problems(client: TestClient, sender: Callable[..., str]) -> None:
    key = sender()
    for wrong in (
        {"basis": "because"},
        {"basis_until": "soon"},
        {"basis_until": "2090-01-01T00:00:00"},
        {"basis_ref": "\x00"},
    ):
        answer = post(client, key, [call(1)], **wrong)
        assert answer.status_code == 422 and answer.json()["type"] == "urn:wuzha:wrong_parameter", wrong
