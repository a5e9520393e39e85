"""The bench of decisions asks a real server in an open loop, and in batches."""

from __future__ import annotations

import pytest

from wuzha.bench import decisions


@pytest.mark.soak
def test_every_question_is_answered_and_every_figure_told() -> None:
    told = decisions.run(offered_per_s=40, stream_per_s=1_000, seconds=1.5, seed=7)
    assert told["answers"] == {"200": 60} and sum(told["actions"].values()) == 60
    assert 0 < told["p50_ms"] <= told["p99_ms"] <= told["max_ms"]
    assert min(told["single_per_s"], told["batch_per_s"], told["batch_http_per_s"]) > 0
    assert told["batch_judged_per_s"] >= told["batch_per_s"]
    assert {"doors", "engine", "database"} <= told["cpu_by"].keys()
