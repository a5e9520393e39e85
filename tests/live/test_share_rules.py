"""A change of the rules while several partitions run: it holds from one place of the log for all of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from wuzha.events import clock
from wuzha.live import rulebooks
from wuzha.store import Database
from wuzha.store import log as store_log

from .test_share import doubled, restless, same, together
from .test_worker import fill, follow, settings, small_city


@pytest.mark.soak
def test_a_rule_change_holds_from_one_place_for_all(make_db: Callable[[], Database], tmp_path: Path) -> None:
    """A rule is taken out while two partitions run; one worker with the change at the recorded place agrees."""
    sent = restless(list(small_city()))
    parted, whole = make_db(), make_db()
    given, half = settings(tmp_path / "parted"), len(sent) // 2
    doubled(parted, 1)
    together(parted, given, 2, fill(parted, sent[:half]))
    with parted.connect("engine") as conn:
        row = conn.execute(
            "SELECT rule, max(rule_version) FROM wuzha.evidence GROUP BY 1 ORDER BY count(*) DESC, 1 LIMIT 1"
        ).fetchone()
        assert row is not None
        out = "INSERT INTO wuzha.rule_changes (kind, rule, version, at, position) VALUES ('braked', %s, %s, now(), %s)"
        conn.execute(out, [*row, None])
    together(parted, given, 2, len(sent), more=sent[half:])
    with parted.connect("engine") as conn:
        place = conn.execute("SELECT position FROM wuzha.rule_changes WHERE kind = 'braked'").fetchone()
        assert place is not None and half <= place[0] < len(sent)
    fill(whole, [])
    with whole.connect("engine") as conn:
        rulebooks.note_shipped(conn, clock.now())
        conn.execute(out, [*row, place[0]])
        store_log.append(
            conn, [store_log.Batch(table=s.table, rows=s.rows, source=s.source, basis="holder_own") for s in sent]
        )
    follow(whole, settings(tmp_path / "whole"), len(sent))
    same(whole, parted)
