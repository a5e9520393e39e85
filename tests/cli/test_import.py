"""The command: exit codes, one JSON object, words to standard error."""

from __future__ import annotations

import json
import os
import pty
import select
import subprocess
import sys
import time
from pathlib import Path

import pytest
from tests.commanding import wuzha
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
    done = wuzha("import", "statements", path, "--out", tmp_path / "o", "--json")
    assert done.returncode == 1 and "empty.csv" in done.stderr
    assert json.loads(done.stdout)["exit_code"] == 1 and "empty.csv" in json.loads(done.stdout)["error"]
    assert not (tmp_path / "o").exists()


@pytest.mark.parametrize(
    "args",
    [
        ["statements", "missing.csv"],
        ["labels", "a.csv"],
        ["statements", "a.csv", "--basis", "whim"],
        ["statements", "a.csv", "--as-of", "someday"],
        ["statements", "a.csv", "--mapping", "missing.toml"],
        ["statements", "a.csv", "--mapping-dir", "a.csv"],
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


class _Screen:
    """The command on a terminal of its own: what it shows, and what is typed."""

    def __init__(self, *args: object) -> None:
        self.master, end = pty.openpty()
        command = [sys.executable, "-c", "from wuzha.cli.main import run; run()", *map(str, args)]
        env = os.environ | {"TERM": "xterm", "COLUMNS": "200"}
        self.process = subprocess.Popen(command, stdin=end, stdout=end, stderr=end, env=env, start_new_session=True)
        os.close(end)
        self.shown = ""

    def read(self, seconds: float) -> str:
        """What appears within ``seconds``."""
        seen = b""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0 and select.select([self.master], [], [], left)[0]:
            try:
                piece = os.read(self.master, 65536)
            except OSError:
                break
            if not piece:
                break
            seen += piece
            if seconds > 5 and self._asks(seen):
                break
        text = seen.decode("utf-8", "replace")
        self.shown += text
        return text

    @staticmethod
    def _asks(seen: bytes) -> bool:
        return seen.rstrip().endswith(b":")

    def answer(self, text: str) -> str:
        os.write(self.master, (text + "\n").encode())
        return self.read(40)

    def end(self) -> int:
        self.read(1)
        code = self.process.wait(40)
        os.close(self.master)
        return code


@pytest.mark.parametrize("said", ["出", "out", "支出（出）"])
def test_a_direction_is_asked_for_till_it_is_understood(tmp_path: Path, said: str) -> None:
    path = csv_file(tmp_path / "a.csv", statement({"收付标志": "嗖"}))
    screen = _Screen("import", "statements", path, "--out", tmp_path / "o", "--mapping-dir", tmp_path / "m")
    assert "它表示" in screen.read(40)
    assert screen.read(0.5).strip() == "", "nothing is drawn over a question"
    for none in ("7", "也许", ""):
        assert "它表示" in screen.answer(none)
    screen.answer(said)
    assert screen.end() == 0, screen.shown
    assert "accepted    1" in screen.shown.replace("\r", "")
    assert '"嗖" = "out"' in (tmp_path / "m" / "bank_statement_34.learned.toml").read_text("utf-8")


ODD = "甲方账号,何时,多少钱,哪边,乙方账号\n6222020200001111111,2023-01-15 09:30:11,5,出,6228480402564890018\n"


def test_a_header_never_seen_is_guessed_from_its_values(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(ODD, "utf-8")
    screen = _Screen("import", "statements", path, "--out", tmp_path / "o", "--mapping-dir", tmp_path / "m")
    asked = [screen.read(40), *(screen.answer("") for _ in range(4))]
    for text, target in zip(asked, ("own_account", "ts", "amount", "direction", "other_account"), strict=True):
        assert f"[{target}]" in text
    screen.answer("")
    assert screen.end() == 0, screen.shown
    assert "accepted    1" in screen.shown


def test_what_is_missing_is_said_and_asked_again(tmp_path: Path) -> None:
    path = tmp_path / "odd.csv"
    path.write_text(ODD, "utf-8")
    screen = _Screen("import", "statements", path, "--out", tmp_path / "o", "--mapping-dir", tmp_path / "m")
    screen.read(40)
    for told in ("", "-", "-", "", ""):
        last = screen.answer(told)
    assert "还缺：ts 或 ts_date；amount 或 amount_in 或 amount_out" in last and "何时" in last
    assert "多少钱" in screen.answer("ts")
    screen.answer("amount")
    assert screen.end() == 0, screen.shown


def test_rows_are_left_out_only_where_that_is_said(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", statement({"收付标志": "嗖"}))
    screen = _Screen("import", "statements", path, "--out", tmp_path / "o", "--mapping-dir", tmp_path / "m")
    screen.read(40)
    screen.answer("0")
    assert screen.end() == 3, screen.shown
