"""``wuzha paper money``: the report from a folder as it came, and a clear answer to what cannot be."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import docx
import pytest
from tests.importing import A, B, C, csv_file, statement
from typer.testing import CliRunner

from wuzha.cli.main import load


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "流水"
    rows = statement(
        {"收付标志": "进", "交易金额": "80000", "交易对手账卡号": C, "交易时间": "2023-01-15 09:00:00"},
        {"收付标志": "出", "交易金额": "79000", "交易对手账卡号": B, "交易时间": "2023-01-15 09:10:00"},
        {"交易金额": "-5", "交易对手账卡号": "=HYPERLINK(\"http://x\",\"y\")", "交易时间": "2023-01-16 09:10:00"},
        {"交易时间": "9999-01-01 00:00:00"}, {"交易金额": "八百"},
    )  # fmt: skip
    csv_file(made / "甲行.csv", rows)
    return made


def paper(*args: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(load(), ["paper", "money", *map(str, args)])
    return done.exit_code, done.stdout, f"{done.stderr} {done.exception}"


def test_a_report_of_a_folder_says_what_was_read_and_what_was_not(folder: Path, tmp_path: Path) -> None:
    code, out, _ = paper(folder, "--out", tmp_path / "new" / "r.docx", "--case", "A1", "--json")
    told = json.loads(out)
    assert (code, told["rejected"], told["files"][0]["refused"]) == (3, 2, 2)
    document = docx.Document(str(tmp_path / "new" / "r.docx"))
    words = "\n".join(p.text for p in document.paragraphs)
    assert "A1" in words and f"账户 {A}" in words and "流水/甲行.csv 第 2–3 行" in words
    assert not list((tmp_path / "new").glob(".*"))


def test_money_is_followed_in_the_report(folder: Path, tmp_path: Path) -> None:
    theft = ("--from", f"account:{A}", "--at", "2023-01-15 09:05", "--amount", "79000")
    code, _, _ = paper(folder, "--out", tmp_path / "r.docx", *theft)
    words = "\n".join(p.text for p in docx.Document(str(tmp_path / "r.docx")).paragraphs)
    assert code == 3 and "被骗 79,000.00 元 = 现存 79,000.00 元" in words


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("--out", "r.pdf"), 2, ".docx"), (("--out", "r.docx", "--thresholds", "nowhere.toml"), 2, "nowhere.toml:1:1"),
        (("--out", "r.docx", "--from", "account:1"), 2, "give one of each"),
        (("--out", "/dev/null/r.docx"), 1, "/dev/null"),
        (("--out", "r.docx", "--from", "x", "--at", "2023-01-01", "--amount", "1"), 2, "'x'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], code: int, words: str
) -> None:
    monkeypatch.chdir(tmp_path)
    got, _, said = paper(folder, *args)
    assert (got, words in said) == (code, True), said
    assert not list(tmp_path.glob("*.docx"))


def test_a_folder_without_a_statement_fails_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    assert paper(tmp_path / "x", "--out", tmp_path / "r.docx")[0] == 1
    assert paper(tmp_path / "y", "--out", tmp_path / "r.docx")[0] == 2
    assert not (tmp_path / "r.docx").exists()


def test_where_the_disk_has_no_room_it_is_said_and_nothing_stays(folder: Path, tmp_path: Path) -> None:
    def little_room() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    done = subprocess.run(
        [sys.executable, "-m", "wuzha", "paper", "money", str(folder), "--out", str(tmp_path / "r.docx")],
        preexec_fn=little_room, capture_output=True, text=True, check=False,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr and ("没有写下任何文件" in done.stderr or "too large" in done.stderr)
    assert [p.name for p in tmp_path.iterdir()] == ["流水"]


def refund(*args: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(load(), ["paper", "refund", *map(str, args)])
    return done.exit_code, done.stdout, f"{done.stderr} {done.exception}"


@pytest.fixture
def stolen(tmp_path: Path) -> tuple[Path, Path]:
    """Transfers of two victims into one account, and the victims' file."""
    from datetime import UTC, datetime

    import pyarrow.parquet as pq
    from tests.trace.rows import T0, pay, table

    file, victims = tmp_path / "transfers.parquet", tmp_path / "victims.csv"
    rows = [pay(1, "v", "m", 10_000), pay(2, "w", "m", 5_000), pay(3, "m", "x", 12_000)]
    pq.write_table(table(rows), file)
    at = [datetime.fromtimestamp((T0 + rows[i]["ts"]) / 1e6, UTC).isoformat() for i in (0, 1)]
    victims.write_text(f"from,into,at,amount_yuan\naccount:v,,{at[0]},100\naccount:w,,{at[1]},50\n", encoding="utf-8")
    return file, victims


def test_shares_of_a_frozen_balance_out_of_files(stolen: tuple[Path, Path], tmp_path: Path) -> None:
    file, victims = stolen
    asked = (file, "--account", "account:m", "--balance", "31", "--victims", victims, "--case", "A9")
    code, out, errors = refund(*asked, "--out", tmp_path / "plan.docx", "--json")
    assert code == 0, errors
    told = json.loads(out)
    assert (told["way"], told["rule"], [v["share_fen"] for v in told["victims"]]) == ("pro_rata", "fifo", [2067, 1033])
    assert told["returned_fen"] + told["stays_fen"] == told["balance_fen"] == 3100 and "96110" in told["free"]
    document = docx.Document(str(tmp_path / "plan.docx"))
    words = "\n".join(p.text for p in document.paragraphs)
    cells = " ".join(c.text for t in document.tables for row in t.rows for c in row.cells)
    assert "返还不收取任何费用，可拨96110核实" in words and "先进先出" in cells and "A9" in cells and "20.67" in cells


@pytest.mark.parametrize(
    ("changes", "code", "words"),
    [
        (("--rule", "haircut"), 2, "fifo, lifo"), (("--balance", "一元"), 2, "no amount"),
        (("--account", "line:1"), 2, "no account"), (("--until", "gestern"), 2, "gestern"),
        (("--out", "x.pdf"), 2, ".docx"), (("--balance", "-5"), 2, "no frozen balance"),
        (("--victims", "nowhere.csv"), 2, "nowhere.csv"), (("--out", "/dev/null/x.docx"), 1, "/dev/null"),
    ],
)  # fmt: skip
def test_what_cannot_be_shared_is_told(
    stolen: tuple[Path, Path], changes: tuple[str, str], code: int, words: str
) -> None:
    told = {"--account": "account:m", "--balance": "31", "--victims": str(stolen[1])} | {changes[0]: changes[1]}
    done, _, errors = refund(stolen[0], *(part for pair in told.items() for part in pair))
    assert (done, words in errors) == (code, True), errors
