"""What is new or rare is known only where the log has the habits to tell: a young log raises no storm."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pytest
from tests.eventlog import T0, rows

from wuzha import city, detect
from wuzha.detect.files import detect_block, read_folder
from wuzha.events import TABLES
from wuzha.events.batch import conform

APPS = 30
LATER = dt.timedelta(days=2)


def test_a_small_place_that_has_just_begun_is_not_all_suspicious(tmp_path: Path) -> None:
    city.write(city.generate(300, 2, 3), tmp_path / "city", {"people": 300})
    log, _ = read_folder(tmp_path / "city")
    found, counts = detect_block(log)
    levels = [a.level for a in found.alerts.values()]
    assert counts["events"] > 20_000
    assert sum(level in ("high", "urgent") for level in levels) <= 3
    assert len(levels) <= 30


def _uses(n: int, people: int = 400) -> pa.Table:
    """``n`` uses of a few apps by a few hundred people within two days."""
    at = [T0 + LATER * i / n for i in range(n)]
    known = TABLES["app_events"]
    columns = {
        "source": ["s"] * n, "event_id": [f"u{i}" for i in range(n)], "ts": at,
        "line": [f"+8613800{i % people:06d}" for i in range(n)],
        "package": [f"app.n{i // people % APPS}" for i in range(n)],
        "action": ["open"] * n,
    }  # fmt: skip
    schema = pa.schema([f for f in known.schema if f.name in columns])
    return conform(known, pa.table(columns, schema=schema))


@pytest.mark.parametrize(("habits", "known"), [(9_000, 0.0), (36_000, 1.0)])
def test_an_app_that_one_has_is_rare_where_enough_is_known(habits: int, known: float) -> None:
    minutes = LATER / dt.timedelta(minutes=1)
    who = "line:+8613800000007"
    one = {"line": who[5:], "package": "app.of.one", "action": "install", "at": minutes + 1}
    usual = {"line": who[5:], "package": "app.n3", "action": "open", "at": minutes + 2}
    engine = detect.Engine()
    theirs = {"subject": who, "other": "person:p7", "role": "user", "at": 0}
    log = [
        detect.encode("app_events", _uses(habits), 1),
        detect.encode("app_events", rows("app_events", [one, usual]), 2),
        detect.encode("relations", rows("relations", [theirs]), 3),
    ]
    engine.feed(detect.merge(log))
    person = engine.figures("person:p7")
    assert person is not None
    for name in ("rare_use_72h", "new_app_72h"):
        assert person[name] == known, name
