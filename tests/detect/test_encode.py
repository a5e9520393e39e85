"""Tables to numbers: texts as codes and columns left unread change nothing; one time's rows by their whole identity."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from wuzha.detect import encode, merge
from wuzha.detect.encode import ARRAYS, FILL
from wuzha.detect.files import read_folder
from wuzha.events import TABLES
from wuzha.events.batch import conform

AT = dt.datetime(2026, 3, 2, 8, tzinfo=dt.UTC)


def _calls(ids: list[str], **columns: list[str | None]) -> pa.Table:
    rows = {"source": ["a"] * len(ids), "event_id": ids, "ts": [AT] * len(ids)}
    rows |= {"caller": ["+8613800000001"] * len(ids), "callee": ["+8613900000002"] * len(ids)} | columns
    fields = pa.schema([TABLES["calls"].schema.field(name) for name in rows])
    return conform(TABLES["calls"], pa.Table.from_pydict(rows, schema=fields))


def _coded(rows: pa.Table) -> pa.Table:
    """Two chunks, each with its own codes."""
    parts = []
    for part in (rows.slice(0, 2), rows.slice(2)):
        columns = [
            c.combine_chunks().dictionary_encode() if f.type == pa.string() and f.name != "event_id" else c
            for f, c in zip(part.schema, part.columns, strict=True)
        ]
        parts.append(pa.table(columns, names=part.column_names))
    return pa.concat_tables(parts)


def test_codes_and_texts_are_the_same_numbers() -> None:
    raw = ["+861395588", None, "0085512110", "13800000001", "+8613800000001"]
    numbers = ["+85512345678", "cn-short:95588", "+864001234567", "+8613800000001", "+8613800000001"]
    rows = _calls(list("edcba"), caller=numbers, caller_raw=raw, place=["310101", None, "11", "440305", "x"])
    one, other = encode("calls", rows, 1), encode("calls", conform(TABLES["calls"], _coded(rows), coded=True), 1)
    for name in ARRAYS:
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    assert one.flags.any() and one.more.any()
    texts = [[b.subject_text(i, k) for i in range(len(b)) for k in range(2)] for b in (one, other)]
    assert texts[0] == texts[1]


def test_a_folder_is_read_as_its_tables_are(tmp_path: Path) -> None:
    for name in FILL:
        pq.write_table(TABLES[name].empty(), tmp_path / f"{name}.parquet")
    rows = _calls(["2", "1"], caller_raw=["+861395588", ""], imsi=["460001", "460002"])
    pq.write_table(rows, tmp_path / "calls.parquet")
    block, refused = read_folder(tmp_path)
    want = merge([encode("calls", rows, 1)])
    assert refused == 0
    for name in ("keys", "kinds", "flags", "identity", "ts"):
        assert np.array_equal(getattr(block, name), getattr(want, name)), name


def test_rows_of_one_time_stand_by_their_whole_identity() -> None:
    ids = ["b", "a", "same-sixteen-byte-2", "same-sixteen-byte-1", "same-sixteen-byte", "é", "ab"]
    log = merge([encode("calls", _calls(ids), 1)])
    assert [ids[row] for row in log.row] == sorted(ids, key=lambda i: i.encode())
    many = [f"{(i * 7919) % 100:03d}" for i in range(100)]
    log = merge([encode("calls", _calls(many[:50]), 1), encode("calls", _calls(many[50:]), 2)])
    assert [many[50 * part + row] for part, row in zip(log.part, log.row, strict=True)] == sorted(many)
