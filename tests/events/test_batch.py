"""Rows in = rows accepted + rows rejected, and an accepted batch has the table's schema."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wuzha.events import TABLES
from wuzha.events.batch import check, conform
from wuzha.events.table import TIME

GOOD = {"source": "c1", "event_id": "1", "ts": datetime(2026, 3, 1, tzinfo=UTC), "caller": "+861", "callee": "+862"}


def calls(*rows: dict) -> pa.Table:
    columns = {c.name: pa.array([r.get(c.name) for r in rows], c.type) for c in TABLES["calls"].all_columns}
    return conform(TABLES["calls"], pa.table(columns))


@pytest.mark.parametrize(
    ("change", "column", "reason"),
    [
        ({"caller": None}, "caller", "missing"),
        ({"caller": ""}, "caller", "missing"),
        ({"event_id": None}, "event_id", "missing"),
        ({"duration_s": -1}, "duration_s", "below_minimum"),
        ({"line_type": "pigeon"}, "line_type", "unknown_value"),
        ({"ts": datetime(1970, 1, 1, tzinfo=UTC)}, "ts", "time_out_of_range"),
        ({"ts": datetime(9999, 1, 1, tzinfo=UTC)}, "ts", "time_out_of_range"),
    ],
)
def test_each_broken_rule_is_a_reject_with_its_reason(change, column, reason):
    kept, rejects = check(TABLES["calls"], calls(GOOD, {**GOOD, **change}, GOOD))
    assert kept.num_rows == 2
    assert [(r.row, r.column, r.reason) for r in rejects] == [(1, column, reason)]


def test_a_row_with_two_faults_is_one_reject():
    kept, rejects = check(TABLES["calls"], calls({**GOOD, "caller": None, "duration_s": -5}))
    assert kept.num_rows == 0
    assert len(rejects) == 1


@given(st.lists(st.tuples(st.sampled_from(["+861", "", None]), st.integers(-2, 2)), max_size=20))
def test_rows_in_equals_rows_out(rows):
    batch = calls(*[{**GOOD, "caller": caller, "duration_s": s} for caller, s in rows])
    kept, rejects = check(TABLES["calls"], batch)
    assert kept.num_rows + len(rejects) == len(rows)
    assert kept.num_rows == sum(1 for caller, s in rows if caller and s >= 0)


def test_unknown_columns_and_wrong_types_are_refused_by_name():
    with pytest.raises(ValueError, match="calls has no column 'colour'"):
        conform(TABLES["calls"], pa.table({"colour": ["red"]}))
    with pytest.raises(ValueError, match=r"calls\.caller: want text"):
        conform(TABLES["calls"], pa.table({"caller": [13800138000]}))
    with pytest.raises(ValueError, match=r"calls\.ts: want a time with a zone"):
        conform(TABLES["calls"], pa.table({"ts": pa.array([0], pa.timestamp("us"))}))


@pytest.mark.parametrize("table", TABLES.values(), ids=lambda t: t.name)
def test_every_table_declares_itself_well(table):
    names = [c.name for c in table.all_columns]
    assert names[:3] == ["source", "event_id", "ts"]
    assert len(names) == len(set(names))
    assert table.schema.field("ts").type == TIME
    assert all(c.zh and c.en for c in table.all_columns)
    assert set(table.natural_key) <= set(names)
    assert check(table, conform(table, table.empty()))[1] == []
