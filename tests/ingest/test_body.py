"""Bodies of requests: every line is a row or a reject with its number."""

from __future__ import annotations

import gzip
import io
import json
from datetime import UTC, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.events import TABLES
from wuzha.ingest import BodyError, BodyTooLarge, UnknownContentType, gunzip, rows_from_body

NDJSON = "application/x-ndjson"
CALL = {"source": "a", "event_id": "1", "ts": "2026-03-02T08:00:00+08:00", "caller": "13800138000", "callee": "96110"}


def _lines(*rows: object) -> bytes:
    return "\n".join(r if isinstance(r, str) else json.dumps(r, ensure_ascii=False) for r in rows).encode()


def _rows(table: str, n: int) -> pa.Table:
    rows, rejects = rows_from_body(table, _lines(*[CALL | {"event_id": str(i)} for i in range(n)]), NDJSON)
    assert not rejects
    return rows


def test_rows_have_exactly_the_tables_schema_and_subjects_in_their_one_form() -> None:
    rows, rejects = rows_from_body("calls", _lines(CALL, CALL | {"event_id": "2", "duration_s": 30}), NDJSON)
    assert not rejects
    assert rows.schema.names == TABLES["calls"].schema.names
    assert rows.schema.types == TABLES["calls"].schema.types
    assert rows.column("caller").to_pylist() == ["+8613800138000"] * 2
    assert rows.column("callee").to_pylist() == ["cn-short:96110"] * 2
    assert rows.column("ts")[0].as_py() == datetime(2026, 3, 2, tzinfo=UTC)


def test_a_time_without_an_offset_is_local_and_every_iso_form_is_read() -> None:
    forms = ["2026-03-02T08:00:00", "2026-03-02 08:00:00", "2026-03-02T00:00:00Z", "2026-03-02T08:00:00.000+08:00"]
    rows, rejects = rows_from_body("calls", _lines(*[CALL | {"event_id": f, "ts": f} for f in forms]), NDJSON)
    assert not rejects
    assert set(rows.column("ts").to_pylist()) == {datetime(2026, 3, 2, tzinfo=UTC)}


BROKEN = {
    "{": "broken_json",
    "[1]": "broken_json",
    '"x"': "broken_json",
    json.dumps(CALL | {"colour": 1}): "unknown_column",
    json.dumps(CALL | {"duration_s": "30"}): "wrong_type",
    json.dumps(CALL | {"duration_s": 1.5}): "wrong_type",
    json.dumps(CALL | {"duration_s": 10**30}): "wrong_type",
    json.dumps(CALL | {"duration_s": -1}): "below_minimum",
    json.dumps(CALL | {"roaming": "yes"}): "wrong_type",
    json.dumps(CALL | {"ts": "2026-13-02"}): "wrong_type",
    json.dumps(CALL | {"ts": "1970-01-01T00:00:00Z"}): "time_out_of_range",
    json.dumps(CALL | {"caller": None}): "missing",
    json.dumps(CALL | {"caller": "6.22E+18"}): "digits_lost",
    json.dumps(CALL | {"caller": "☎"}): "not_a_line",
    json.dumps(CALL | {"line_type": "carrot"}): "unknown_value",
    json.dumps(CALL | {"place": "a\x00b"}): "nul_byte",
    "[" * 100_000: "broken_json",
}


@pytest.mark.parametrize(("line", "reason"), BROKEN.items(), ids=lambda v: str(v)[:30])
def test_a_broken_line_is_a_reject_with_its_row_and_its_neighbours_pass(line: str, reason: str) -> None:
    rows, rejects = rows_from_body("calls", _lines(CALL, "", line, CALL | {"event_id": "2"}), NDJSON)
    assert rows.num_rows == 2
    assert [(r.row, r.reason) for r in rejects] == [(2, reason)]


def test_bytes_that_are_no_utf8_are_a_reject() -> None:
    body = _lines(CALL) + b"\n" + json.dumps(CALL).encode()[:-2] + '中"}'.encode("gbk")
    rows, rejects = rows_from_body("calls", body, NDJSON)
    assert rows.num_rows == 1
    assert [r.row for r in rejects] == [1]


def test_the_senders_name_comes_from_the_credential_never_from_the_body() -> None:
    body = _lines(CALL, {k: v for k, v in CALL.items() if k != "source"} | {"event_id": "2"})
    rows, _ = rows_from_body("calls", body, NDJSON, source="bank-7")
    assert rows.column("source").to_pylist() == ["bank-7", "bank-7"]


@pytest.mark.parametrize("shape", ["stream", "file", "parquet"])
def test_arrow_and_parquet_bodies_read_as_json_lines_do(shape: str) -> None:
    rows = _rows("calls", 5)
    sink = io.BytesIO()
    if shape == "parquet":
        pq.write_table(rows, sink)
    else:
        with (pa.ipc.new_stream if shape == "stream" else pa.ipc.new_file)(sink, rows.schema) as writer:
            writer.write_table(rows)
    kind = "application/vnd.apache.parquet" if shape == "parquet" else f"application/vnd.apache.arrow.{shape}"
    back, rejects = rows_from_body("calls", sink.getvalue(), kind)
    assert back.equals(rows) and not rejects
    packed, _ = rows_from_body("calls", gzip.compress(sink.getvalue()), kind)
    assert packed.equals(rows)
    for cut in (0, 3, len(sink.getvalue()) // 2):
        with pytest.raises(BodyError):
            rows_from_body("calls", sink.getvalue()[:cut], kind)


def test_an_arrow_time_without_a_zone_is_local() -> None:
    rows = _rows("calls", 1)
    naive = rows.set_column(2, "ts", pa.array([datetime(2026, 3, 2, 8)], pa.timestamp("ms")))
    sink = io.BytesIO()
    pq.write_table(naive, sink)
    back, _ = rows_from_body("calls", sink.getvalue(), "application/vnd.apache.parquet")
    assert back.column("ts")[0].as_py() == datetime(2026, 3, 2, tzinfo=UTC)


def test_what_is_no_body_of_ours_is_one_clear_error() -> None:
    with pytest.raises(UnknownContentType, match="text/html"):
        rows_from_body("calls", b"", "text/html")
    with pytest.raises(KeyError):
        rows_from_body("nothing", b"", NDJSON)
    with pytest.raises(BodyError, match="gzip"):
        rows_from_body("calls", gzip.compress(b"{}" * 99)[:-9], NDJSON)
    with pytest.raises(BodyTooLarge):
        gunzip(gzip.compress(b"0" * 1_000_000), limit=1000)
    assert gunzip(gzip.compress(b"a") + gzip.compress(b"b")) == b"ab"
    rows, rejects = rows_from_body("calls", b"", NDJSON)
    assert rows.num_rows == 0 and not rejects and rows.schema.types == TABLES["calls"].schema.types


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.one_of(st.just(json.dumps(CALL)), st.text(max_size=12), st.sampled_from(sorted(BROKEN))), max_size=8)
)
def test_lines_in_are_rows_out_plus_rejects(lines: list[str]) -> None:
    lines = [line.replace("\n", " ").replace("\r", " ") for line in lines]
    body = "\n".join(lines).encode("utf-8", "surrogatepass")
    rows, rejects = rows_from_body("calls", body, NDJSON)
    blank = sum(not line.encode("utf-8", "surrogatepass").strip() for line in lines)
    assert rows.num_rows + len(rejects) == len(lines) - blank
    assert len({r.row for r in rejects}) == len(rejects)
