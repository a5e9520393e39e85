"""12381's lists say what the city's rows say, and the same rows give the same bytes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from wuzha.city import replay
from wuzha.city.feeds import LISTED
from wuzha.city.lists import lists
from wuzha.ingest.books import read_book

_SAID = ("level_upstream", "type_code", "scam_type", "place", "issued_by")


def test_the_lists_together_are_the_feeds_rows_as_the_shipped_layout_reads_them(
    small: dict[str, pa.Table], folder: Path
) -> None:
    expected = {
        r["source_no"]: r for r in small["warnings"].filter(pc.equal(small["warnings"]["source"], LISTED)).to_pylist()
    }
    assert len(expected) > 20
    begin = replay.span(folder)[0]
    got: dict[str, dict[str, object]] = {}
    before, rows = begin, 0
    for one in lists(folder, begin, timedelta(hours=4)):
        assert one.at > before
        before, rows = one.at, rows + one.n
        book = read_book(one.name, one.data, source=LISTED, now=datetime(2026, 4, 1, tzinfo=UTC))
        assert not book.rejects and book.sheets[0].mapping is not None
        assert book.sheets[0].mapping.name == "warnings_12381"
        got |= {r["source_no"]: r for r in book.rows.to_pylist()}
    assert set(got) == set(expected) and rows >= len(expected)
    for number, row in got.items():
        want = expected[number]
        assert {k: row[k] for k in _SAID} == {k: want[k] for k in _SAID}
        assert row["ts"] == want["ts"].replace(microsecond=0) and row["feedback_by"] is not None
        assert str(row["victim_line"])[-11:] == str(want["victim_line"])[-11:]
        assert want["victim_name"] is None and want["victim_account"] is None and want["victim_id"] is None


def test_the_same_rows_give_the_same_bytes(folder: Path) -> None:
    begin = replay.span(folder)[0]
    first = next(lists(folder, begin, timedelta(hours=12)))
    assert next(lists(folder, begin, timedelta(hours=12))) == first
