"""Officers at once: every page answers, files are finished, and nobody works another's."""

from __future__ import annotations

import pytest

from wuzha.bench import desk


@pytest.mark.soak
def test_officers_finish_files_and_never_share_one() -> None:
    told = desk.run(officers=6, alerts=3_000, seconds=25.0, seed=3, open_alerts=300)
    assert told["worked_twice"] == 0 and told["failed"] == 0
    assert told["finished"] > 0 and told["pages"] > 50
    assert 0 < told["page_p50_ms"] <= told["page_p95_ms"] <= told["page_max_ms"]
    assert set(told["by_page"]) >= {"desk", "sign", "alert", "call", "outcome", "close"}
