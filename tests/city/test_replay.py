"""A city told again gives every row of a seat once, in order of arrival, from registered sources."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from wuzha.city import CityError, replay
from wuzha.city.sources import sources
from wuzha.events import RAW_TABLES, TABLES


@pytest.mark.parametrize("seat", ["holder", "centre"])
def test_every_row_once_in_order_of_arrival(folder: Path, small: dict[str, pa.Table], seat: str) -> None:
    first, last = replay.span(folder)
    seen: dict[str, int] = {}
    at = None
    for b in replay.batches(folder, first + timedelta(days=5), seat=seat, every=timedelta(hours=1)):
        assert b.table != "labels"
        assert pc.unique(b.rows["source"]).to_pylist() == [b.source]
        assert b.rows.schema.equals(TABLES[b.table].schema)
        seen[b.table] = seen.get(b.table, 0) + b.rows.num_rows
        if b.table not in replay.REGISTERS and b.at >= first + timedelta(days=5):
            assert at is None or b.at >= at - timedelta(hours=1)
            at = b.at
            if b.table not in ("warnings", "identifiers"):
                assert b.rows["ts"][b.rows.num_rows - 1].as_py() <= b.at
    wanted = {t for t in replay.seat_tables(seat) if small[t].num_rows}
    assert set(seen) == wanted
    assert all(seen[t] == small[t].num_rows for t in wanted)
    del last


def test_raw_rows_stay_with_the_holder() -> None:
    assert set(replay.seat_tables("centre")).isdisjoint(RAW_TABLES)
    assert set(replay.seat_tables("centre")) >= {"warnings", "reports", "identifiers", "relations"}
    with pytest.raises(CityError):
        replay.seat_tables("bank")


def test_a_replay_may_begin_and_end_anywhere(folder: Path, small: dict[str, pa.Table]) -> None:
    first, _ = replay.span(folder)
    begin, end = first + timedelta(days=3), first + timedelta(days=3, hours=2)
    rows = [
        b.rows for b in replay.batches(folder, begin, end_at=end, registers=False, before=False) if b.table == "calls"
    ]
    ts = small["calls"]["ts"]
    want = pc.sum(pc.and_(pc.greater_equal(ts, pa.scalar(begin)), pc.less(ts, pa.scalar(end)))).as_py()
    assert sum(r.num_rows for r in rows) == want


def test_every_source_is_listed_with_its_tables(small: dict[str, pa.Table]) -> None:
    listed = {s.name: s for s in sources()}
    assert len(listed) == len(sources())
    for name, rows in small.items():
        if name in ("labels", "findings"):
            continue
        for source in pc.unique(rows["source"]).to_pylist():
            assert any(name in t for t in listed[source].tables.values()), (name, source)
    assert {s.role for s in listed.values()} == {"carrier", "bank", "platform", "upstream", "desk"}
