"""The live benchmark tells what it measured, of a whole server."""

from __future__ import annotations

import pytest

from wuzha.bench import live


@pytest.mark.soak
def test_every_event_offered_is_told_and_every_figure_stands() -> None:
    told = live.run(offered_per_s=1_000, seconds=5.0, seed=7)
    assert told["events"] >= 5_000 and told["batch"] == 1_000
    assert 0 < told["durable_p50_ms"] <= told["durable_p99_ms"]
    assert told["lag_max_s"] >= 0 and told["cpu_s"] > 0 and told["bytes_written"] > 0
