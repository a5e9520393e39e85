"""Risk is a pure function of the log: cuts, saving, restoring, repeats and the hash seed change nothing."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from tests.eventlog import block, city, run

from wuzha import detect


@pytest.mark.parametrize("seed", range(4))
def test_batch_cuts_and_snapshots_change_nothing(seed: int) -> None:
    log = block(city(seed))
    alerts, suspects = run(log)
    assert alerts.num_rows > 0
    rng = random.Random(seed)
    for save in (False, True):
        cuts = rng.sample(range(1, len(log)), 6)
        again = run(log, cuts, save=save)
        assert again[0].to_pylist() == alerts.to_pylist()
        assert again[1].to_pylist() == suspects.to_pylist()


def test_every_single_event_a_batch() -> None:
    log = block(city(9, 120))
    whole, _ = run(log)
    single, _ = run(log, list(range(1, len(log))))
    assert single.to_pylist() == whole.to_pylist()


def test_repeated_rows_count_once() -> None:
    tables = city(3, 200)
    log = block(tables)
    engine = detect.Engine()
    first = engine.feed(log).counts
    again = engine.feed(log).counts
    assert again["duplicates"] == first["duplicates"] + len(log)
    assert again["events"] == first["events"]


def test_same_identity_with_another_time_is_a_conflict() -> None:
    a = {"at": 0, "event_id": "x", "caller": "+8613800000001", "callee": "+8613800000002", "duration_s": 30}
    engine = detect.Engine()
    counts = engine.feed(block({"calls": [a, {**a, "at": 90}]})).counts
    assert (counts["events"], counts["conflicts"]) == (1, 1)


def test_both_sides_of_one_call_are_one_event() -> None:
    a = {"at": 0, "caller": "+8613800000001", "callee": "+8613800000002", "duration_s": 30}
    log = block({"calls": [a, {**a, "source": "other", "at": 3}, {**a, "source": "other", "at": 60}]})
    engine = detect.Engine()
    counts = engine.feed(log).counts
    assert counts["merged_sides"] == 1
    figures = engine.figures("line:+8613800000001")
    assert figures is not None and figures["line_out_24h"] == 2


@pytest.mark.parametrize("hash_seed", ["0", "4242"])
def test_the_process_changes_nothing(hash_seed: str) -> None:
    code = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from tests.eventlog import block, city, run\nimport hashlib\n"
        "print(hashlib.sha256(repr(run(block(city(2)))[0].to_pylist()).encode()).hexdigest())"
    )
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    out = subprocess.run(
        [sys.executable, "-c", code, here],
        env={**os.environ, "PYTHONHASHSEED": hash_seed},
        capture_output=True,
        text=True,
        check=True,
    )
    import hashlib

    want = hashlib.sha256(repr(run(block(city(2)))[0].to_pylist()).encode()).hexdigest()
    assert out.stdout.strip() == want


def test_a_snapshot_holds_no_objects_and_refuses_another_layout() -> None:
    engine = detect.Engine()
    engine.feed(block(city(1, 50)))
    arrays = engine.snapshot()
    assert all(not a.dtype.hasobject for a in arrays.values())
    with pytest.raises(ValueError, match="layout"):
        detect.Engine.restore({**arrays, "layout": np.array([999])})


def test_labels_are_refused() -> None:
    from wuzha.events import TABLES

    with pytest.raises(ValueError, match="labels"):
        detect.encode("labels", TABLES["labels"].empty(), 1)


def test_typologies_may_be_added_and_taken_away_between_two_starts(tmp_path: Path) -> None:
    shipped = Path(str(files("wuzha.detect")))
    for name in ("rules", "typologies"):
        shutil.copytree(shipped / name, tmp_path / name)
    warning = {"level_upstream": "high", "scam_type": "loan", "victim_line": "+8613800000001"}
    engine = detect.Engine()
    (opened,) = engine.feed(block({"warnings": [{"at": 1, **warning}]})).alerts
    assert opened.typology == "loan"
    (tmp_path / "typologies" / "authority.toml").unlink()  # stands before the loan's
    fewer = detect.Engine.restore(engine.snapshot(), detect.load(tmp_path))
    later = {"warnings": [{"at": 9, "event_id": "w", **warning, "level_upstream": "low"}]}
    (same,) = fewer.feed(block(later)).alerts
    assert (same.person, same.typology, same.scam_type) == (opened.person, "loan", "loan")
    (tmp_path / "typologies" / "loan.toml").unlink()
    without = detect.Engine.restore(engine.snapshot(), detect.load(tmp_path))
    (left,) = without.feed(block(later)).alerts
    assert left.episode == opened.episode and left.typology != "loan"
