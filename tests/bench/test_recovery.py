"""What the bench of recovery compares by would see a loss, a double and a difference; its quick form finds none."""

from __future__ import annotations

import json
import os
import random
import sys
from itertools import islice
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from tests.live import city
from tests.live.test_worker import fill, follow, settings

from wuzha.bench import killing, outcome, recovery
from wuzha.bench.arriving import Arriving
from wuzha.bench.retrying import Tally
from wuzha.events import clock
from wuzha.events.hashing import identity
from wuzha.live import history, keeping
from wuzha.store import Connection, Database


def test_rounds_go_on_with_the_same_people_days_later_and_share_no_event() -> None:
    arriving = Arriving(city.tables(people=200, days=2), 2)
    first = [arriving[n] for n in range(400)]
    seen = np.concatenate([identity(s.rows) for s in first])
    assert len(np.unique(seen)) == len(seen)
    n = next(n for n in range(10_000) if pc.any(pc.match_substring(arriving[n].rows["event_id"], "~1")).as_py())
    raw = next(s for s in first if s.table == arriving[n].table and s.source == arriving[n].source)
    later = arriving[n].rows
    assert later["ts"][0].as_py().date() > raw.rows["ts"][0].as_py().date() and later.schema == raw.rows.schema
    assert not np.isin(identity(later), seen).any()
    assert arriving[n].rows.equals(later)


def test_every_part_is_killed_before_any_is_killed_often() -> None:
    some = killing.order(60, random.Random(3))
    assert len(some) == 60 and set(some[:6]) == set(killing.PARTS)
    assert killing.order(60, random.Random(3)) == some != killing.order(60, random.Random(4))


def test_a_lost_a_doubled_and_a_swapped_batch_are_seen() -> None:
    sent = [np.arange(5, dtype=np.uint64), np.arange(5, 8, dtype=np.uint64), np.arange(8, 9, dtype=np.uint64)]
    logged = np.concatenate([sent[1], sent[0][:4], sent[1][:2]])
    assert recovery.held(np.concatenate(sent), logged) == (2, 2)
    tally = Tally(taken=[4, 2, 9], identities=sent)
    assert recovery.in_order(tally, [sent[1][0], sent[0][0]]) == [2, 4, 9]


def test_a_difference_in_the_tables_and_in_history_is_seen(db: Database, engine: Connection, tmp_path: Path) -> None:
    given = settings(tmp_path, seal_rows=2000)
    follow(db, given, fill(db, list(islice(city.batches(city.tables()), 300))))
    before = outcome.outcome(engine)
    assert before["relations"] and outcome.differ(before, outcome.outcome(engine)) == {}
    engine.execute("UPDATE wuzha.persons SET name = 'somebody else' WHERE person_id = (SELECT min(person_id) FROM"
                   " wuzha.persons)")  # fmt: skip
    assert outcome.differ(before, outcome.outcome(engine)) == {"persons": 2}
    while keeping.seal_due(engine, given, clock.now()):
        pass
    assert outcome.history_wrong(engine, given.history) == 0
    rows, firsts = outcome.identities(engine)
    path = next(iter(history.files(given.history)))
    gone = pq.read_metadata(path).num_rows
    path.unlink()
    assert outcome.history_wrong(engine, given.history) == gone > 0
    assert len(np.unique(rows)) == len(rows) and firsts[0] == rows[0]


@pytest.mark.soak
def test_killed_in_every_part_it_loses_nothing_and_finds_the_same() -> None:
    told = recovery.run(kills=6, people=500, rate=2_000.0, seed=5, say=lambda _: None)
    assert told["kills"] == 6 and set(told["kills_by"]) == set(killing.PARTS)
    assert (told["lost"], told["duplicated"], told["alerts_differ"]) == (0, 0, 0), told
    assert (told["history_wrong"], told["unsent"]) == (0, 0), told
    assert told["events"] == told["undisturbed_events"] > 0 and told["alerts"] > 0


@pytest.mark.soak
def test_an_hour_at_twice_the_peak_with_kills(capsys: pytest.CaptureFixture[str]) -> None:
    """Where the machine cannot take it in, senders are sent away and come again; ``WUZHA_SOAK_S`` says how long."""
    seconds = float(os.environ.get("WUZHA_SOAK_S", "3600"))
    told = recovery.run(
        kills=max(6, round(seconds / 30)), people=20_000, rate=110_000.0, seed=9, seconds=seconds, say=lambda _: None
    )
    with capsys.disabled():
        sys.stdout.write(f"\n{json.dumps(told)}\n")
    assert (told["lost"], told["duplicated"], told["alerts_differ"]) == (0, 0, 0)
    assert (told["history_wrong"], told["unsent"]) == (0, 0)
    assert told["events"] == told["undisturbed_events"] and told["alerts"] > 0
