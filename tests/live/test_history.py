"""History: each row of the log once, without names, whole files only, and an end for every row."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from wuzha.events import clock
from wuzha.live import history
from wuzha.live.appender import Batch
from wuzha.live.keeping import keep, seal_due, trim
from wuzha.live.settings import Settings
from wuzha.store import Connection
from wuzha.store import log as store_log

from .rows import START, calls, table


def log_batch(position: int, first: int, n: int = 50, **changes: object) -> history.LogBatch:
    values = {
        "position": position, "table": "calls", "source": "carrier", "rows": calls(n, first=first, step_s=3600),
        "basis": "holder_own", "until": None, **changes,
    }  # fmt: skip
    return history.LogBatch(**values)  # type: ignore[arg-type]


def refs(folder: Path, name: str = "calls") -> list[int]:
    found: list[int] = []
    for path in history.files(folder, name):
        found += pq.read_table(path, partitioning=None)["ref"].to_pylist()
    return sorted(found)


def test_every_row_stands_once_in_its_day_and_bucket(tmp_path: Path) -> None:
    assert history.seal(tmp_path, [log_batch(1, 0), log_batch(2, 50)], 2) == 100
    assert history.seal(tmp_path, [log_batch(4, 100)], 5) == 50
    assert refs(tmp_path) == [p << 20 | i for p in (1, 2, 4) for i in range(50)]
    assert history.sealed(tmp_path).position == 5
    for path in history.files(tmp_path):
        rows = pq.read_table(path, partitioning=None)
        assert set(history.bucket_of("calls", rows).tolist()) == {int(path.parent.name.removeprefix("bucket="))}


def test_days_are_the_deployments(tmp_path: Path) -> None:
    late_evening = table(
        "visits", [{"event_id": "v", "ts": START.replace(hour=17), "line": "+8613800000001", "host": "a.example"}]
    )
    history.seal(tmp_path, [log_batch(1, 0, table="visits", rows=late_evening)], 1)
    (path,) = history.files(tmp_path, "visits")
    assert "day=2026-03-03" in path.parts, "17:00 UTC is the next day in Shanghai"


def test_an_interrupted_sealing_leaves_nothing_twice(tmp_path: Path) -> None:
    history.seal(tmp_path, [log_batch(1, 0)], 1)
    said = (tmp_path / "sealed.json").read_bytes()
    history.seal(tmp_path, [log_batch(2, 50)], 2)
    (tmp_path / "sealed.json").write_bytes(said)  # killed after the files, before they counted
    assert refs(tmp_path) == [1 << 20 | i for i in range(50)], "files beyond what is sealed are not read"
    assert history.sweep(tmp_path) > 0
    history.seal(tmp_path, [log_batch(2, 50), log_batch(3, 100)], 3)
    assert len(refs(tmp_path)) == len(set(refs(tmp_path))) == 150


def test_names_and_identity_numbers_do_not_go_to_history(tmp_path: Path) -> None:
    named = table(
        "persons", [{"event_id": "p", "ts": START, "person": "p1", "name": "张三", "id": "350200199001011234"}]
    )
    history.seal(tmp_path, [log_batch(1, 0, table="persons", rows=named)], 1)
    (path,) = history.files(tmp_path, "persons")
    assert {"name", "id"}.isdisjoint(pq.read_schema(path).names)
    assert "张三".encode() not in path.read_bytes()


def test_cited_rows_are_found_by_ref(tmp_path: Path) -> None:
    history.seal(tmp_path, [log_batch(1, 0), log_batch(2, 50)], 2)
    wanted = [1 << 20 | 7, 2 << 20 | 3, 9 << 20]
    found = history.cited(tmp_path, wanted)
    assert {r: row["event_id"] for r, (_, row) in found.items()} == {wanted[0]: "c7", wanted[1]: "c53"}


def test_rows_end_where_their_basis_or_retention_ends(tmp_path: Path) -> None:
    soon, later = START + timedelta(days=1), START + timedelta(days=400)
    history.seal(tmp_path, [log_batch(1, 0, until=soon), log_batch(2, 50, until=later), log_batch(3, 100)], 3)
    assert history.expire(tmp_path, START) == 0
    assert history.expire(tmp_path, soon) == 50
    assert {r >> 20 for r in refs(tmp_path)} == {2, 3}
    midnight = datetime(2026, 4, 2, tzinfo=clock.zone())  # START is a morning of 2 March there
    assert history.end_of(later, START, 30) == history.end_of(None, START + timedelta(hours=9), 30) == midnight
    assert history.end_of(soon, START, 30) == soon and history.end_of(None, midnight, 1) == midnight + timedelta(days=2)
    assert history.end_of(None, START, None) is None


def test_late_rows_are_marked_and_the_mark_survives_a_restart(tmp_path: Path) -> None:
    history.seal(tmp_path, [log_batch(1, 1000, 1)], 1)
    history.seal(tmp_path, [log_batch(2, 0, 2)], 2)
    rows = [pq.read_table(p, partitioning=None, columns=["ref", "late"]) for p in history.files(tmp_path)]
    late = dict(zip(*pa.concat_tables(rows).to_pydict().values(), strict=True))
    assert late == {1 << 20: False, 2 << 20: True, 2 << 20 | 1: True}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, seal_rows=100, seal_s=3600, log_keep_s=600)


def test_the_log_is_trimmed_only_below_seal_and_snapshot_and_when_old(engine: Connection, settings: Settings) -> None:
    for i in range(6):
        batch = Batch(
            table="calls", rows=calls(40, first=40 * i), source="carrier", basis="holder_own", received_at=START
        )
        store_log.append(engine, batch)
    engine.execute("INSERT INTO wuzha.partitions (partition, position, snapshot_position) VALUES (0, 5, 2)")
    assert seal_due(engine, settings, START), "100 rows are reached"
    assert history.sealed(settings.history).position == 3
    assert not seal_due(engine, settings, START), "what is left is neither many nor old"
    old = START + timedelta(hours=2)
    assert trim(engine, settings, START) == 0, "not old enough"
    assert trim(engine, settings, old) == 2, "the snapshot reaches 2"
    assert [r[0] for r in engine.execute("SELECT position FROM wuzha.log ORDER BY 1")] == [3, 4, 5, 6]
    keep(engine, settings, old, expire=True)
    assert history.sealed(settings.history).position == 5, "sealed by age, but not beyond committed results"
    again = Batch(table="calls", rows=calls(40), source="carrier", basis="holder_own")
    assert len(store_log.append(engine, again)[0].duplicates) == 40, "what was trimmed is still known"


def test_rows_whose_basis_is_over_leave_the_log(engine: Connection, settings: Settings) -> None:
    for i, until in enumerate((START + timedelta(days=1), None)):
        batch = Batch(
            table="calls", rows=calls(5, first=5 * i), source="carrier", basis="case_query", basis_ref="案1",
            basis_until=until, received_at=START,
        )  # fmt: skip
        store_log.append(engine, batch)
    engine.execute("INSERT INTO wuzha.partitions (partition, position, snapshot_position) VALUES (0, 2, 2)")
    trim(engine, settings, START + timedelta(days=1))
    assert engine.execute("SELECT array_agg(position) FROM wuzha.log").fetchone() == ([2],)
    again = Batch(table="calls", rows=calls(10), source="carrier", basis="holder_own", received_at=START)
    (said,) = store_log.append(engine, again)
    assert (said.accepted, len(said.duplicates)) == (0, 10), "what has been dropped is not taken again"
