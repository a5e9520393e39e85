"""``wuzha city`` speaks as every command does."""

from __future__ import annotations

import json
import os
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from tests.commanding import wuzha


def generate(out: Path, *more: object) -> CompletedProcess[str]:
    return wuzha("city", "generate", "--people", 300, "--days", 1, "--seed", 1, "--out", out, "--json", *more)


def test_json_is_one_object_and_nothing_else(tmp_path: Path) -> None:
    done = generate(tmp_path / "c", "--start", "2026-05-04")
    assert done.returncode == 0, done.stderr
    got = json.loads(done.stdout)
    assert got["people"] == 300
    assert got["start"] == "2026-05-04"
    assert got["events"] == sum(got["rows"].values()) - got["rows"]["labels"]
    assert json.loads((tmp_path / "c/city.json").read_text())["rows"] == got["rows"]
    scored = wuzha("city", "score", tmp_path / "c", tmp_path / "none.parquet", "--json")
    assert scored.returncode == 1 and "no file" in json.loads(scored.stdout)["error"]
    assert "no file" in scored.stderr


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (("--people", 0), "people must be"),
        (("--days", -1), "days must be"),
        (("--start", "yesterday"), "--start wants a day"),
        (("--scam-rate", 2), "scam rate"),
        (("--scripts", "no/such/folder"), "no folder of scripts"),
    ],
)
def test_wrong_use_is_2_and_writes_nothing(tmp_path: Path, more: tuple[object, ...], words: str) -> None:
    done = generate(tmp_path / "c", *more)
    assert done.returncode == 2, done.stderr
    assert words in done.stderr and words in json.loads(done.stdout)["error"]
    assert list(tmp_path.iterdir()) == []


def test_a_bad_script_is_named_with_its_line(tmp_path: Path) -> None:
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    (scripts / "mine.toml").write_text('title = "x"\nweigth = 1\n')
    done = generate(tmp_path / "c", "--scripts", scripts)
    assert done.returncode == 2
    assert "mine.toml, line" in done.stderr
    assert not (tmp_path / "c").exists()


def test_a_place_that_cannot_be_written_is_1_and_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    done = generate(tmp_path / "file")
    assert done.returncode == 1
    assert "is a file" in done.stderr
    (tmp_path / "full").mkdir()
    (tmp_path / "full/letter.txt").write_text("mine")
    done = generate(tmp_path / "full")
    assert done.returncode == 1
    assert "something else than a city" in done.stderr
    assert sorted(os.listdir(tmp_path)) == ["file", "full"]
    assert (tmp_path / "full/letter.txt").read_text() == "mine"
    done = generate(Path("/proc/nowhere/city"))
    assert done.returncode == 1
    assert "cannot" in done.stderr
