"""The demo's night shift handles what is old and not grave, as an officer of the desk, and nothing else."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from tests.desks import Centre, centre

from wuzha.city.demo_shift import LOGIN, work
from wuzha.events import TABLES, clock
from wuzha.store import Connection, Database


def labels(folder: Path, rows: list[tuple[datetime, str, str]]) -> Path:
    """A city of labels alone: (when, step, person) of one scam."""
    full = [
        {"source": "bank", "event_id": f"e{i}", "ts": ts, "table": "calls", "scam_id": "x", "step": step, "person": who}
        for i, (ts, step, who) in enumerate(rows)
    ]
    schema = pa.schema([pa.field(f.name, f.type) for f in TABLES["labels"].schema])
    pq.write_table(pa.Table.from_pylist(full, schema=schema), folder / "labels.parquet")
    return folder


def states(house: Centre) -> dict[int, tuple[str, Any]]:
    return {n: (s, o) for n, s, o in house.engine.execute("SELECT alert_id, state, outcome FROM alerts")}


def test_old_alerts_are_closed_by_what_the_city_knows_and_the_rest_is_left(
    db: Database, engine: Connection, web: Connection, tmp_path: Path
) -> None:
    house, now = centre(db, engine, web), clock.now()
    house.officer(LOGIN, "周宁", "dissuader")
    long_ago: dict[str, Any] = {"ago": timedelta(hours=9), "now": now}
    paid = [house.alert(level="low", person=(house.subject("person", f"paid{i}"), None), **long_ago) for i in range(6)]
    met = [house.alert(level="medium", person=(house.subject("person", f"met{i}"), None), **long_ago) for i in range(6)]
    innocent = [house.alert(level="low", **long_ago) for _ in range(6)]
    left = {house.alert(level="high", **long_ago), house.alert(level="low", ago=timedelta(minutes=30), now=now)}
    told = [(now - timedelta(hours=10), "lure", f"{k}{i}") for k in ("paid", "met") for i in range(6)]
    told += [(now - timedelta(hours=9), "loss", f"paid{i}") for i in range(6)]
    told += [(now + timedelta(hours=1), "loss", f"met{i}") for i in range(6)]
    city = labels(tmp_path, told)

    assert work(web, city, now) == 18
    found = states(house)
    waiting = {n for n, (state, _) in found.items() if state == "contacting"}
    assert 0 < len(waiting) <= 3, "left to the automatic calls"
    for group, code in ((paid, "deceived"), (met, "dissuaded"), (innocent, "false_alarm")):
        outcomes = {found[n] for n in group if n not in waiting}
        assert outcomes <= {("closed", code), ("closed", "not_reached")} and ("closed", code) in outcomes
    assert {n for n, (state, _) in found.items() if state == "new"} == left
    assert work(web, city, now) == 0
    [closes] = engine.execute("SELECT count(*) FROM log WHERE table_name = 'findings'").fetchall()
    assert closes == (18 - len(waiting),)


def test_without_its_login_nothing_happens(db: Database, engine: Connection, web: Connection, tmp_path: Path) -> None:
    house = centre(db, engine, web)
    house.alert(level="low", ago=timedelta(hours=9))
    assert work(web, labels(tmp_path, []), clock.now()) == 0
