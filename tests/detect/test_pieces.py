"""A folder that is read in pieces, each by itself, is the folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests import eventlog

from wuzha import detect
from wuzha.detect.files import citing, read_folder
from wuzha.detect.pieces import pieces, read_piece


@pytest.mark.parametrize("rows", [1, 7, 64, 10_000])
def test_a_folder_in_pieces_is_the_folder(tmp_path: Path, rows: int) -> None:
    """However it is cut, the log is the same, cites the same events, and refuses the same rows."""
    tables = eventlog.city(4, 120)
    for name, events in tables.items():
        table = eventlog.rows(name, events)
        if name == "calls":  # a row that its table's rules refuse
            column = table.schema.field("duration_s")
            wrong = pa.array([-1], column.type)
            bad = table.slice(3, 1).set_column(table.schema.get_field_index("duration_s"), column, wrong)
            table = pa.concat_tables([table.slice(0, 5), bad, table.slice(5)])
        pq.write_table(table, tmp_path / f"{name}.parquet", row_group_size=11)
    whole, refused = read_folder(tmp_path)
    parts = [read_piece(p) for p in pieces(tmp_path, rows)]
    assert refused == sum(n for _, n in parts) == 1
    merged = detect.merge([block for block, _ in parts])
    for name in ("table", "ts", "due", "keys", "kinds", "value", "more", "extra", "flags", "identity", "source"):
        assert np.array_equal(getattr(merged, name), getattr(whole, name)), name
    mine, theirs = citing(merged), citing(whole)
    assert [mine(int(r)) for r in merged.ref] == [theirs(int(r)) for r in whole.ref]
