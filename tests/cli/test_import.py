"""The command: exit codes, one JSON object, words to standard error."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from tests.importing import csv_file, statement
from typer.testing import CliRunner

from wuzha.cli.main import load

KEYS = ["rows", "accepted", "rejected", "duplicates", "merged", "files", "seconds"]


def _wuzha(*args: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", "from wuzha.cli.main import run; run()", *map(str, args)]
    return subprocess.run(command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL)


def _invoke(*args: object) -> tuple[int, str, str]:
    result = CliRunner().invoke(load(), [str(a) for a in args])
    return result.exit_code, result.stdout, result.stderr


@pytest.fixture
def good(tmp_path: Path) -> Path:
    return csv_file(tmp_path / "a.csv", statement({}))


def test_json_is_one_object_with_its_keys_in_order(tmp_path: Path, good: Path) -> None:
    done = _wuzha("import", "statements", good, "--out", tmp_path / "o", "--mapping-dir", tmp_path / "m", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert list(summary)[:7] == KEYS and summary["tables"] == {"transfers": 1}
    assert len(done.stdout.splitlines()) == 1


def test_rejects_end_with_three_and_say_where_to_look(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", statement({}, {"交易金额": "x"}))
    code, out, err = _invoke("import", "statements", path, "--out", tmp_path / "o", "--mapping-dir", tmp_path, "--json")
    assert code == 3 and json.loads(out)["rejected"] == 1 and "rejects.xlsx" in err


def test_nothing_readable_ends_with_one_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "empty.csv"
    path.write_bytes(b"")
    done = _wuzha("import", "statements", path, "--out", tmp_path / "o", "--json")
    assert done.returncode == 1 and done.stdout == "" and "empty.csv" in done.stderr
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "args",
    [
        ["statements", "missing.csv"],
        ["labels", "a.csv"],
        ["statements", "a.csv", "--basis", "whim"],
        ["statements", "a.csv", "--as-of", "someday"],
        ["statements", "a.csv", "--mapping", "missing.toml"],
        ["statements"],
    ],
)
def test_wrong_use_ends_with_two(tmp_path: Path, good: Path, args: list[str]) -> None:
    placed = [str(tmp_path / a) if "." in a else a for a in args]
    code, out, _ = _invoke("import", *placed, "--out", tmp_path / "o")
    assert code == 2 and out == ""


def test_people_get_lines_and_a_broken_mapping_its_line(tmp_path: Path, good: Path) -> None:
    code, out, _ = _invoke("import", "statements", good, "--out", tmp_path / "o", "--mapping-dir", tmp_path)
    assert code == 0 and "accepted    1" in out
    (tmp_path / "m.toml").write_text('name = "x"\ntable = "nothing"\n[columns]\na = ["b"]\n')
    code, _, err = _invoke("import", "statements", good, "--out", tmp_path / "o", "--mapping", tmp_path / "m.toml")
    assert code == 2 and "m.toml:2:" in err.replace("\n", "")
