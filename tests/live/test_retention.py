"""What is over goes by whole days, from history, log and fingerprints; what evidence cites stays and can be read."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from wuzha.bench import outcome
from wuzha.bench.retrying import registered
from wuzha.events import clock
from wuzha.live import history, keeping
from wuzha.live.subjects import first_unit
from wuzha.store import Connection, Database
from wuzha.store import log as store_log

from . import city
from .test_worker import follow, settings

DAYS = 30
#: A morning in the deployment's zone.
FIRST = datetime(2026, 5, 4, 1, 0, tzinfo=UTC)


@pytest.fixture
def two_days(db: Database, engine: Connection, superuser: Connection, tmp_path: Path) -> tuple[Path, int, int]:
    """A log whose batches came on two days, sealed after each; how many rows came on each."""
    sent = list(city.batches(city.tables()))
    registered(db, {s.source for s in sent})
    with db.connect("web") as conn:
        first_unit(conn, "反诈中心")
    superuser.execute("UPDATE wuzha.sources SET retention_days = %s", [DAYS])
    given, rows = settings(tmp_path, seal_s=0.001), []
    half = len(sent) // 2
    for came, part in ((FIRST, sent[:half]), (FIRST + timedelta(days=1), sent[half:])):
        taken = 0
        for n, s in enumerate(part):
            at = came + timedelta(hours=12 * n / len(part))  # from nine in the morning till nine at night
            batch = store_log.Batch(
                table=s.table, rows=s.rows, source=s.source, basis="holder_own", received_at=at,
            )  # fmt: skip
            taken += store_log.append(engine, batch)[0].accepted  # the city sends some rows twice
        rows.append(taken)
        follow(db, given, store_log.head(engine))
        keeping.keep(engine, given, came + timedelta(hours=14), expire=True)
    return tmp_path, rows[0], rows[1]


def stored(folder: Path) -> int:
    """Rows of history."""
    return sum(pq.read_metadata(p).num_rows for p in history.files(folder))


def test_a_day_goes_whole_and_evidence_stays(engine: Connection, two_days: tuple[Path, int, int]) -> None:
    home, first, second = two_days
    given = settings(home, seal_s=0.001, duplicates_days=DAYS)
    before = outcome.outcome(engine)
    assert before["alerts"] and before["evidence"]
    assert stored(given.history) == first + second
    midnight = datetime(2026, 6, 4, tzinfo=clock.zone())
    over = FIRST + timedelta(days=DAYS, hours=13)
    assert over < midnight, "the last row of the first day has had its thirty days"
    keeping.keep(engine, given, over, expire=True)
    assert stored(given.history) == first + second, "nothing goes in the middle of a day"
    keeping.keep(engine, given, midnight, expire=True)
    assert stored(given.history) == second, "then all of the first day at once"
    keeping.keep(engine, given, midnight + timedelta(days=1), expire=True)
    assert stored(given.history) == 0
    assert [p.name for p in given.history.rglob("*") if p.is_file()] == ["sealed.json"]
    assert not list(given.history.glob("*/day=*")), "no empty folders are left"
    assert engine.execute("SELECT count(*) FROM wuzha.log").fetchone() == (0,)
    assert outcome.outcome(engine) == before
    cited: defaultdict[int, int] = defaultdict(int)
    for evidence, event in engine.execute("SELECT evidence_id, event FROM wuzha.evidence_events"):
        cited[evidence] += bool(event)
    raised = engine.execute("SELECT evidence_id FROM wuzha.evidence WHERE withdrawn_at IS NULL").fetchall()
    assert raised and all(cited[number] for (number,) in raised), "each reason still shows its events"


def test_a_file_of_two_days_keeps_the_later_ones_rows(tmp_path: Path) -> None:
    from .rows import calls

    ends = [history.end_of(None, FIRST + timedelta(days=d), DAYS) for d in (0, 1)]
    batches = [
        history.LogBatch(position=n + 1, table="calls", source="carrier", rows=calls(40, first=40 * n),
                         basis="holder_own", until=until)
        for n, until in enumerate(ends)
    ]  # fmt: skip
    history.seal(tmp_path, batches, 2)
    assert ends[0] is not None and ends[1] == ends[0] + timedelta(days=1)
    assert history.expire(tmp_path, ends[0] - timedelta(seconds=1)) == 0
    assert history.expire(tmp_path, ends[0]) == 40 and stored(tmp_path) == 40
    assert history.expire(tmp_path, ends[1]) == 40 and stored(tmp_path) == 0
