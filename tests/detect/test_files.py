"""``wuzha detect`` on folders as people have them: whole or nothing, the same bytes, labels never opened."""

from __future__ import annotations

import hashlib
import json
import os
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.eventlog import city, rows
from typer.testing import CliRunner

from wuzha.cli.main import load, run
from wuzha.events import TABLES

runner = CliRunner()


def _write(folder: Path, tables: dict[str, list[dict[str, Any]]], seed: int | None = None) -> Path:
    """A folder of event tables; with ``seed`` their rows are shuffled."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, events in tables.items():
        table = rows(name, events)
        if seed is not None:
            order = list(range(table.num_rows))
            random.Random(seed).shuffle(order)
            table = table.take(order)
        pq.write_table(table, folder / f"{name}.parquet")
    return folder


def _detect(folder: Path, out: Path, *more: str) -> Any:
    return runner.invoke(load(), ["detect", str(folder), "--out", str(out), "--json", *more])


def _digest(out: Path) -> str:
    both = out.read_bytes() + (out.parent / "suspects.parquet").read_bytes()
    return hashlib.sha256(both).hexdigest()


def test_the_order_of_rows_in_the_files_changes_nothing(tmp_path: Path) -> None:
    tables = city(4)
    digests = set()
    for seed in (None, 1, 2):
        out = tmp_path / f"out{seed}" / "alerts.parquet"
        result = _detect(_write(tmp_path / f"in{seed}", tables, seed), out)
        assert result.exit_code == 0, result.output
        digests.add(_digest(out))
    assert len(digests) == 1
    assert pq.read_table(out).num_rows > 0


_PROCESS = """
import builtins, io, os, sys
opened = []
def watch(event, args):
    if event == "open" and os.path.basename(str(args[0])).startswith("labels.parquet"):
        opened.append(args[0])
sys.addaudithook(watch)
from wuzha.cli.main import load
try:
    load()(sys.argv[1:], standalone_mode=True)
finally:
    sys.stdout.flush()
    assert not opened, opened
"""


@pytest.mark.parametrize(("seed", "threads"), [("0", "1"), ("77", "2")])
def test_process_seed_and_threads_change_nothing_and_labels_stay_shut(tmp_path: Path, seed: str, threads: str) -> None:
    folder = _write(tmp_path / "in", city(4))
    (folder / "labels.parquet").write_bytes(b"opening this would fail")
    (folder / "labels.parquet").chmod(0)
    (folder / "notes.txt").write_text("unknown files are none of its business")
    (folder / "weather.parquet").write_bytes(b"x")
    out = tmp_path / "alerts.parquet"
    env = {**os.environ, "PYTHONHASHSEED": seed, "POLARS_MAX_THREADS": threads, "OMP_NUM_THREADS": threads}
    command = [sys.executable, "-c", _PROCESS, "detect", str(folder), "--out", str(out), "--json"]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["alerts"] == pq.read_table(out).num_rows
    here = tmp_path / "here" / "alerts.parquet"
    assert _detect(_write(tmp_path / "again", city(4)), here).exit_code == 0
    assert _digest(out) == _digest(here)


def test_missing_and_empty_tables_are_empty_tables(tmp_path: Path) -> None:
    folder = _write(tmp_path / "in", {"calls": city(4)["calls"]})
    pq.write_table(TABLES["transfers"].empty(), folder / "transfers.parquet")
    result = _detect(folder, tmp_path / "a.parquet")
    assert result.exit_code == 0 and json.loads(result.stdout)["events"] > 0


def test_a_folder_of_empty_tables_has_no_alerts(tmp_path: Path) -> None:
    for name in ("calls", "warnings"):
        pq.write_table(TABLES[name].empty(), tmp_path / f"{name}.parquet")
    result = _detect(tmp_path, tmp_path / "out" / "a.parquet")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout)["alerts"] == 0
    assert pq.read_table(tmp_path / "out" / "a.parquet").num_rows == 0


def test_no_tables_is_said(tmp_path: Path) -> None:
    result = _detect(tmp_path, tmp_path / "out" / "a.parquet")
    assert result.exit_code == 1 and "holds no event tables" in result.stderr
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("damage", ["rubbish", "cut", "columns", "types"])
def test_a_damaged_table_writes_nothing(tmp_path: Path, damage: str) -> None:
    folder = _write(tmp_path / "in", city(4))
    path = folder / "calls.parquet"
    if damage == "rubbish":
        path.write_bytes(b"PAR1 this is no parquet")
    elif damage == "cut":
        path.write_bytes(path.read_bytes()[:-200])
    elif damage == "columns":
        pq.write_table(pa.table({"colour": ["red"]}), path)
    else:
        pq.write_table(pa.table({"source": ["s"], "event_id": ["e"], "ts": ["yesterday"]}), path)
    out = tmp_path / "out" / "alerts.parquet"
    result = _detect(folder, out)
    assert result.exit_code == 1 and "calls.parquet" in result.stderr
    assert result.stdout == "" and not out.exists() and "Traceback" not in result.output


@pytest.mark.parametrize("target", ["file/a.parquet", "folder.parquet"])
def test_a_place_that_cannot_be_written_is_said_before_the_work(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.parquet").mkdir()
    folder = _write(tmp_path / "in", city(4))
    monkeypatch.setattr(sys, "argv", ["wuzha", "detect", str(folder), "--out", str(tmp_path / target), "--json"])
    with pytest.raises(SystemExit) as stop:
        run()
    said = capsys.readouterr()
    assert stop.value.code == 1 and json.loads(said.out)["exit_code"] == 1, said
    assert target.partition("/")[0] in said.err and "Traceback" not in said.err
    assert not (tmp_path / "suspects.parquet").exists()


def test_alerts_are_not_written_over_the_suspects_or_the_input(tmp_path: Path) -> None:
    folder = _write(tmp_path / "in", city(4))
    before = {p.name: p.read_bytes() for p in folder.iterdir()}
    for name in ("suspects.parquet", "calls.parquet", "alerts.csv"):
        result = _detect(folder, folder / name)
        assert result.exit_code == 2, result.output
    assert {p.name: p.read_bytes() for p in folder.iterdir()} == before


def test_rules_with_a_mistake_are_wrong_use(tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    (rules / "rules").mkdir(parents=True)
    (rules / "rules" / "mine.toml").write_text("[x]\nnumber = 1\n")
    result = _detect(_write(tmp_path / "in", city(4)), tmp_path / "a.parquet", "--rules", str(rules))
    assert result.exit_code == 2 and "mine.toml:1:" in result.stderr
    assert not (tmp_path / "a.parquet").exists()


def test_the_same_row_twice_counts_once_and_another_time_is_a_reject(tmp_path: Path) -> None:
    call = {"at": 0, "event_id": "x", "caller": "+8613800000001", "callee": "+8613800000002", "duration_s": 30}
    folder = _write(tmp_path / "in", {"calls": [call, call, {**call, "at": 90}]})
    result = _detect(folder, tmp_path / "a.parquet")
    said = json.loads(result.stdout)
    assert result.exit_code == 3
    assert (said["events"], said["duplicates"], said["conflicts"]) == (3, 1, 1)


def test_rows_that_break_their_table_are_counted(tmp_path: Path) -> None:
    good = {"at": 0, "caller": "+8613800000001", "callee": "+8613800000002", "duration_s": 30}
    folder = _write(tmp_path / "in", {"calls": [good, {**good, "duration_s": -5}]})
    result = _detect(folder, tmp_path / "a.parquet")
    assert result.exit_code == 3 and json.loads(result.stdout)["rejected"] == 1


def test_a_report_counts_from_the_time_it_became_known(tmp_path: Path) -> None:
    from tests.eventlog import T0

    caller, callee = "+8613900000099", "+8613800000001"
    report = {"at": 0, "report": "r1", "reported_at": T0.replace(hour=9)}
    named = {"at": 0, "report": "r1", "kind": "line", "value": caller, "role": "suspect"}
    call = {"at": 30, "caller": caller, "callee": callee, "duration_s": 600}
    folder = _write(tmp_path / "in", {"reports": [report], "identifiers": [named], "calls": [call]})
    assert _detect(folder, tmp_path / "a.parquet").exit_code == 0
    suspects = pq.read_table(tmp_path / "suspects.parquet").to_pylist()
    assert all(s["first_at"] >= T0.replace(hour=9) for s in suspects)
