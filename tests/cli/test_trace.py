"""The command: totals that conserve, every format, and a clear answer to what cannot be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.trace.rows import pay, table
from typer.testing import CliRunner

from wuzha.cli.main import load

START = "2025-06-15T23:06:40+08:00"  # tests.trace.rows.T0


@pytest.fixture
def transfers(tmp_path: Path) -> Path:
    rows = [
        pay(1, "v", "a", 5_000_00), pay(2, "w", "a", 3_000_00), pay(3, "a", "b", 4_000_00),
        pay(4, "b", None, 1_000_00, cash=True), pay(5, "=1+1", "b", 100),
    ]  # fmt: skip
    pq.write_table(table(rows), tmp_path / "transfers.parquet")
    return tmp_path


def trace(*args: object) -> tuple[int, dict[str, Any]]:
    done = CliRunner().invoke(load(), ["trace", *map(str, args), "--json"])
    return done.exit_code, json.loads(done.stdout) if done.stdout.strip() else {}


THEFT = ("--from", "account:v", "--at", START, "--amount", "5000")


def test_totals_conserve_and_every_account_stands(transfers: Path) -> None:
    code, told = trace(transfers, *THEFT)
    assert code == 0
    assert told["totals"] == {"stolen_fen": 500_000, "held_fen": 400_000, "exited_fen": 100_000, "unknown_fen": 0}
    assert [a["account"] for a in told["accounts"]] == ["account:v", "account:a", "account:b"]
    assert told["exits"] == [{"kind": "cash", "account": "account:b", "amount_fen": 100_000}]
    assert told["edges"][0] == {
        "event_id": "e0", "source": "bank", "payer": "account:v", "payee": "account:a",
        "ts": "2025-06-15T23:06:41+08:00", "amount_fen": 500_000, "tainted_fen": 500_000,
    }  # fmt: skip


def test_a_time_without_an_offset_is_the_deployments(transfers: Path) -> None:
    code, told = trace(transfers, "--from", "account:v", "--at", START[:-6], "--amount", "5,000.00")
    assert (code, told["totals"]["stolen_fen"]) == (0, 500_000)


def test_options_keep_their_order_and_a_file_says_the_same(transfers: Path, tmp_path: Path) -> None:
    both = ("--into", "account:b", "--from", "account:w", "--at", START, "--at", START, "--amount", 1, "--amount", 3000)
    code, told = trace(transfers, *both)
    assert code == 0
    assert [(t["account"], t["into"], t["amount_fen"]) for t in told["thefts"]] == [
        ("account:b", True, 100), ("account:w", False, 300_000),
    ]  # fmt: skip
    victims = tmp_path / "victims.csv"
    victims.write_text(f"from,into,at,amount_yuan\n,account:b,{START},1\naccount:w,,{START},3000\n", "utf-8-sig")
    code, again = trace(transfers, "--victims", victims)
    assert (code, again) == (0, told)


@pytest.mark.parametrize("name", ["t.json", "t.parquet", "t.xlsx", "t.html"])
def test_each_format_is_written_whole(transfers: Path, tmp_path: Path, name: str) -> None:
    out = tmp_path / "new folder" / name
    code, told = trace(transfers, *THEFT, "--out", out)
    assert code == 0
    if name.endswith("json"):
        assert json.loads(out.read_text())["totals"] == told["totals"]
    elif name.endswith("parquet"):
        assert pq.read_table(out).to_pylist()[1]["held_fen"] == 100_000
        assert pq.read_table(out.with_suffix(".edges.parquet")).num_rows == len(told["edges"])
        assert pq.read_table(out.with_suffix(".exits.parquet")).to_pylist()[0]["kind"] == "cash"
    elif name.endswith("html"):
        assert "4,000.00" in out.read_text() and "http" not in out.read_text()
    else:
        import openpyxl

        book = openpyxl.load_workbook(out)
        assert book.sheetnames == ["合计", "账户", "流向", "出口", "被骗"]
        assert book["账户"]["A3"].value == "a" and book["账户"]["D3"].value == 5000
    assert not list(out.parent.glob(".*")), "no part of a file is left"


def test_an_account_that_is_a_formula_stays_a_text(transfers: Path, tmp_path: Path) -> None:
    import openpyxl

    out = tmp_path / "t.xlsx"
    code, _ = trace(transfers, "--from", "account:=1+1", "--at", START, "--amount", "1", "--out", out)
    assert code == 0
    cell = openpyxl.load_workbook(out)["账户"]["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


@pytest.mark.parametrize(
    ("args", "words"),
    [
        ((), "say what was stolen"),
        (("--from", "account:v", "--at", START), "give one of each"),
        (("--from", "line:1", "--at", START, "--amount", "1"), "is no account"),
        (("--from", "account:v", "--at", "yesterday", "--amount", "1"), "yesterday"),
        (("--from", "account:v", "--at", "9999-01-01", "--amount", "1"), "1990"),
        (("--from", "account:v", "--at", START, "--amount", "-5"), "nothing can have been stolen"),
        (("--from", "account:v", "--at", START, "--amount", "0.001"), "finer than one fen"),
        (("--from", "account:v", "--at", START, "--amount", "1e99"), "is no amount"),
        ((*THEFT, "--policy", "guess"), "guess"),
        ((*THEFT, "--out", "t.pdf"), "t.pdf"),
        ((*THEFT, "--hours", "-1"), "--hours"),
        (("--victims", "nowhere.csv"), "nowhere.csv"),
    ],
)
def test_wrong_use_is_said(transfers: Path, args: tuple[str, ...], words: str) -> None:
    done = CliRunner().invoke(load(), ["trace", str(transfers), *args])
    assert done.exit_code == 2
    assert words in done.stderr


def test_a_file_of_victims_names_its_wrong_row(transfers: Path, tmp_path: Path) -> None:
    victims = tmp_path / "victims.csv"
    for text, words in (
        ("from,at\n", "amount_yuan"),
        (f"from,into,at,amount_yuan\naccount:v,,{START},1\naccount:v,account:w,{START},1\n", "row 3"),
        (f"from,into,at,amount_yuan\naccount:v,,{START},lots\n", "row 2"),
        ("from,into,at,amount_yuan\n", "holds no theft"),
    ):
        victims.write_text(text)
        done = CliRunner().invoke(load(), ["trace", str(transfers), "--victims", str(victims)])
        assert done.exit_code == 2 and words in done.stderr


def test_what_is_no_table_fails_and_a_bad_row_is_told(tmp_path: Path, transfers: Path) -> None:
    done = CliRunner().invoke(load(), ["trace", str(tmp_path / "none"), *THEFT])
    assert done.exit_code == 1 and "holds no transfers" in done.stderr
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "transfers.parquet").write_bytes(b"PAR1 but not really")
    done = CliRunner().invoke(load(), ["trace", str(tmp_path / "bad"), *THEFT])
    assert done.exit_code == 1 and "transfers.parquet" in done.stderr
    rows = table([pay(1, "v", "a", 500_000), pay(2, "a", "b", 10**17)])
    pq.write_table(rows, tmp_path / "bad" / "transfers.parquet")
    code, told = trace(tmp_path / "bad", *THEFT)
    assert (code, told["rejected"], told["totals"]["held_fen"]) == (3, 1, 500_000)


def test_more_than_fits_into_memory_is_refused_with_both_figures(
    transfers: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wuzha.trace import room

    assert room.free_bytes() is None or room.free_bytes() > 0  # type: ignore[operator]
    need = room.needed([transfers / "transfers.parquet"], ["amount_fen", "payer"])
    assert need >= 5 * 8 * 2
    monkeypatch.setattr(room, "free_bytes", lambda: 50)
    done = CliRunner().invoke(load(), ["trace", str(transfers), *THEFT])
    assert done.exit_code == 1
    assert "GB of memory" in done.stderr and "nothing was read" in done.stderr


def test_rows_that_cannot_be_are_told_one_by_one(tmp_path: Path) -> None:
    from datetime import UTC, datetime

    good = table([pay(1, "v", "a", 500_000), pay(2, "a", "a", 5)])
    bad = good.slice(0, 1).to_pylist()[0]
    rows = [
        {**bad, "event_id": "n", "amount_fen": -5},
        {**bad, "event_id": "y", "ts": datetime(9999, 1, 1, tzinfo=UTC)},
    ]
    whole = pa.concat_tables([good, pa.Table.from_pylist(rows, schema=good.schema)])
    pq.write_table(whole, tmp_path / "transfers.parquet")
    code, told = trace(tmp_path, *THEFT)
    assert code == 3
    assert told["rejected"] == 2 and told["left_out"] == {"itself": 1}
    assert told["totals"]["held_fen"] == 500_000


def test_to_levels_hours_and_until_are_taken_from_the_command(transfers: Path) -> None:
    code, told = trace(transfers, *THEFT, "--to", "account:b")
    assert code == 0 and [e["payee"] for e in told["edges"]] == ["account:a", "account:b"]
    _, told = trace(transfers, *THEFT, "--levels", "1")
    assert {a["account"]: a["held_fen"] for a in told["accounts"]}["account:a"] == 500_000
    _, told = trace(transfers, *THEFT, "--hours", "0.0005")
    assert {a["account"]: a["held_fen"] for a in told["accounts"]}["account:a"] == 500_000
    _, told = trace(transfers, *THEFT, "--until", "2025-06-15T23:06:42+08:00")
    assert {a["account"]: a["held_fen"] for a in told["accounts"]}["account:a"] == 500_000
    for policy in ("lifo", "haircut", "poison"):
        code, told = trace(transfers, *THEFT, "--policy", policy)
        t = told["totals"]
        assert code == 0 and t["stolen_fen"] == t["held_fen"] + t["exited_fen"] + t["unknown_fen"] == 500_000
        assert ("reach_fen" in told) == (policy == "poison")


def test_a_page_shows_what_accounts_are_called_and_runs_none_of_it(tmp_path: Path) -> None:
    pq.write_table(table([pay(1, "<script>x()</script>", "=cmd|' /C calc'!A0", 100)]), tmp_path / "transfers.parquet")
    out = tmp_path / "t.html"
    code, _ = trace(tmp_path, "--from", "account:<script>x()</script>", "--at", START, "--amount", "1", "--out", out)
    assert code == 0
    assert "<script" not in out.read_text() and "&lt;script&gt;" in out.read_text()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_a_file_of_victims_is_read_in_what_spreadsheets_write(transfers: Path, tmp_path: Path, encoding: str) -> None:
    lines = "from,into,at,amount_yuan,备注\r\naccount:v,,2025-06-15 23:06:40,5000,电话报警\r\n"
    (tmp_path / "v.csv").write_bytes(lines.encode(encoding))
    code, told = trace(transfers, "--victims", tmp_path / "v.csv")
    assert (code, told["totals"]["stolen_fen"]) == (0, 500_000)


def test_a_file_of_victims_in_no_encoding_names_the_line(transfers: Path, tmp_path: Path) -> None:
    (tmp_path / "v.csv").write_bytes(b"from,into,at,amount_yuan\naccount:\xff\xff\xff,,2025-06-15,5\n")
    done = CliRunner().invoke(load(), ["trace", str(transfers), "--victims", str(tmp_path / "v.csv")])
    assert done.exit_code == 2 and "line 2" in done.stderr


def test_a_path_may_end_where_money_left_and_one_that_is_none_is_said(tmp_path: Path) -> None:
    rows = [
        pay(1, "v", "a", 500_000), pay(2, "a", "b", 300_000), pay(3, "b", "shop", 200_000, merchant_id="m"),
        pay(4, "a", "c", 200_000), pay(5, "c", None, 50_000, cash=True),
    ]  # fmt: skip
    pq.write_table(table(rows), tmp_path / "transfers.parquet")
    code, told = trace(tmp_path, *THEFT, "--to", "account:shop")
    assert code == 0
    assert [(e["payer"], e["payee"]) for e in told["edges"]] == [
        ("account:v", "account:a"), ("account:a", "account:b"), ("account:b", "account:shop"),
    ]  # fmt: skip
    assert [a["account"] for a in told["accounts"]] == ["account:v", "account:a", "account:b"]
    assert told["exits"] == [{"kind": "merchant", "account": "account:shop", "amount_fen": 200_000}]
    assert told["totals"]["stolen_fen"] == 500_000
    code, told = trace(tmp_path, *THEFT, "--to", "account:nobody")
    assert code == 0 and told["accounts"] == told["edges"] == told["exits"] == []
    assert told["notes"] == ["no stolen money reached account:nobody"]


def test_more_rows_than_a_sheet_has_are_refused_and_nothing_is_left(
    transfers: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wuzha.trace import report

    monkeypatch.setattr(report, "_SHEET_ROWS", 2)
    done = CliRunner().invoke(load(), ["trace", str(transfers), *THEFT, "--out", str(tmp_path / "out" / "t.xlsx")])
    assert done.exit_code == 1 and "do not fit into a sheet" in str(done.exception)
    assert not list((tmp_path / "out").iterdir())


def test_the_limits_of_the_process_count_as_memory_that_is_not_there() -> None:
    import resource

    from wuzha.trace import room

    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    try:
        resource.setrlimit(resource.RLIMIT_DATA, (room._taken("VmData") + (512 << 20), hard))
        free = room.free_bytes()
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))
    assert free is not None and free <= 512 << 20
