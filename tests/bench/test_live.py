"""The live benchmark tells what it measured, of a whole server."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from wuzha.bench import live
from wuzha.bench.offering import bodies


@pytest.mark.soak
def test_every_event_offered_is_told_and_every_figure_stands() -> None:
    told = live.run(offered_per_s=1_000, seconds=5.0, seed=7)
    assert told["events"] >= 5_000 and told["batch"] == 1_000 and told["offered_per_s"] == 1_000
    assert 0 < told["durable_p50_ms"] <= told["durable_p99_ms"]
    assert told["lag_max_s"] >= 0 and told["cpu_s"] > 0 and told["bytes_written"] != 0
    assert {"database", "doors", "engine"} <= told["cpu_by"].keys() & told["memory_mib"].keys()
    assert told["cpu_s"] == pytest.approx(sum(told["cpu_by"].values()), abs=0.3)


def test_bodies_hold_the_rows_asked_for_in_the_order_of_their_time(tmp_path: Path) -> None:
    offered = bodies(tmp_path / "bodies", 3_000, 100, 7)
    firsts, ids = [], []
    for body in offered.listed:
        with pa.ipc.open_stream(offered.read(body)) as reader:
            rows = reader.read_all()
        assert rows.num_rows == body.rows <= 100
        assert not any(pa.types.is_dictionary(f.type) for f in rows.schema)
        firsts.append(rows.column("ts")[0].as_py())
        ids.append(rows.column("event_id")[-1].as_py())
    assert sum(b.rows for b in offered.listed) >= 3_000 and firsts == sorted(firsts)
    assert offered.which([ids[5], ids[2], "nobody's"]) == {ids[5]: 5, ids[2]: 2}
