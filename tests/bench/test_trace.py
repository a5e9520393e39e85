"""The benchmarks of tracing: rivals answer alike, and real thefts are found again."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from wuzha.bench import incidents, trace


def test_rivals_answer_the_same_question_with_the_same_sets() -> None:
    told = trace.run(rows=20_000, queries=5, seed=3)
    assert told["rows"] == 20_000 and told["queries"] == 5 and told["bytes_per_edge"] <= 40
    assert {"polars", "postgresql"} <= told["rivals"].keys() <= {"polars", "duckdb", "postgresql", "networkx"}
    assert all(rival["agrees"] for rival in told["rivals"].values())
    assert 0 < told["p50_ms"] <= told["p95_ms"] and told["append_edges_per_s"] > 0


def test_thefts_are_found_again_and_never_by_more_than_there_is() -> None:
    data = os.environ.get("WUZHA_DATA")
    if not data:
        pytest.skip("WUZHA_DATA is not set")
    whole = incidents.run(Path(data) / "incidents", seed=7)
    told, alone = whole["incidents"], whole["alone"]
    assert told.keys() == alone.keys() == {"54m", "Atomic"}
    for name, by in told.items():
        for policy, most in alone[name].items():
            assert most["coverage"] >= max(by[times][policy]["coverage"] for times in by), (
                "other money hides, never shows"
            )
        assert by.keys() == {"1", "10", "100"}
        for policies in by.values():
            for figures in policies.values():
                assert 0 <= figures["coverage"] <= 1 and 0 <= figures["precision"] <= 1
        assert by["100"]["lifo"]["coverage"] >= 0.8, "what came last goes first: it does not matter how much lay there"


def test_a_folder_that_is_no_theft_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no folder of a theft"):
        incidents.run(tmp_path, seed=1)
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "x.csv").write_text("Timestamp,Tx_hash,From,To,Value_in_USD\n2024-01-01 00:00:00,t,a,b,lots\n")
    with pytest.raises(ValueError, match="row 2"):
        incidents.run(tmp_path, seed=1)
