# ruff: noqa: E501
"""Invariants of the import as a whole: rows counted once, sides merged, order of files, hostile input, whole files."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.importing import AS_OF, HEADER_34, A, B, C, Done, csv_file, run, statement, xlsx_file

from wuzha.events import TABLES
from wuzha.ingest import ImportFailed, MappingError, WrongUse, import_files

EXAMPLES = Path(__file__).resolve().parents[2] / "docs" / "examples" / "mappings"

# ---- counted once, merged


def test_the_same_row_in_two_files_counts_once(tmp_path: Path) -> None:
    rows = [{"交易时间": f"2023-01-15 09:30:{i:02d}"} for i in range(5)]
    a = csv_file(tmp_path / "a.csv", statement(*rows[:4]))
    b = csv_file(tmp_path / "b.csv", statement(*rows[2:]))
    s = run("statements", a, b).summary
    assert (s.rows, s.accepted, s.duplicates) == (7, 5, 2)


def test_the_same_reference_counts_once_and_equal_transfers_stay_two(tmp_path: Path) -> None:
    told = {"交易流水号": "88"}
    booked = {"交易余额": "900.00"}
    later = {"交易余额": "800.00"}
    s = run("statements", csv_file(tmp_path / "a.csv", statement(told, told, booked, later, later, {}, {}))).summary
    assert (s.accepted, s.duplicates) == (5, 2)


def test_equal_transfers_of_one_statement_stay_two_when_it_is_sent_twice(tmp_path: Path) -> None:
    a = csv_file(tmp_path / "a.csv", statement({}, {}, {"交易金额": "7"}))
    b = csv_file(tmp_path / "b.csv", statement({}, {}))
    s = run("statements", a, b).summary
    assert (s.accepted, s.duplicates) == (3, 2)


def _payee_side(**more: str) -> dict[str, str]:
    return {"交易卡号": B, "账户开户名称": "李强", "收付标志": "进", "交易对手账卡号": A, "对手户名": "", **more}


def test_both_sides_of_a_transfer_are_one_and_the_second_fills_blanks(tmp_path: Path) -> None:
    a = csv_file(tmp_path / "a.csv", statement({"交易流水号": "1", "交易余额": "900", "对手户名": ""}))
    b = csv_file(
        tmp_path / "b.csv",
        statement(_payee_side(交易时间="2023-01-15 09:34:00", 交易流水号="x9", 交易余额="100", 备注="b")),
    )
    done = run("statements", a, b)
    assert (done.summary.accepted, done.summary.merged) == (1, 1)
    got = done.row()
    assert (got["payer"], got["payee"], got["side"], got["bank_ref"]) == (A, B, "both", "1")
    assert (got["payer_name"], got["payee_name"], got["payer_balance_fen"], got["payee_balance_fen"]) == (
        "王芳",
        "李强",
        90000,
        10000,
    )
    assert got["ts"] == datetime(2023, 1, 15, 1, 30, 11, tzinfo=UTC) and json.loads(got["raw"]) == {"备注": "b"}


def test_sides_further_apart_or_of_another_amount_stay_two(tmp_path: Path) -> None:
    rows = [{}, _payee_side(交易时间="2023-01-15 09:35:12"), _payee_side(交易金额="100.01")]
    s = run("statements", csv_file(tmp_path / "a.csv", statement(*rows))).summary
    assert (s.accepted, s.merged) == (3, 0)


def test_a_date_only_side_is_paired_on_its_day_and_the_finer_time_wins(tmp_path: Path) -> None:
    done = run(
        "statements",
        csv_file(
            tmp_path / "a.csv", statement({"交易时间": "2023-01-15"}, _payee_side(交易时间="2023-01-15 20:00:00"))
        ),
    )
    got = done.row()
    assert (got["ts"], got["ts_precision_s"]) == (datetime(2023, 1, 15, 12, tzinfo=UTC), 1)


def test_the_reference_decides_between_two_partners(tmp_path: Path) -> None:
    rows = [
        {"交易流水号": "r2", "交易时间": "2023-01-15 09:31:00"},
        _payee_side(交易流水号="r1", 交易时间="2023-01-15 09:31:00"),
        _payee_side(交易流水号="r2", 交易时间="2023-01-15 09:33:00"),
    ]
    done = run("statements", csv_file(tmp_path / "a.csv", statement(*rows)))
    assert {r["bank_ref"]: r["side"] for r in done.rows()} == {"r2": "both", "r1": "payee"}


def test_rows_of_a_reversed_transfer_pair_with_their_like(tmp_path: Path) -> None:
    rows = [
        {"交易时间": "2023-01-15 09:00:00"}, _payee_side(交易时间="2023-01-15 09:00:01"),
        {"交易时间": "2023-01-15 09:02:00", "收付标志": "进", "摘要说明": "冲正"}, _payee_side(交易时间="2023-01-15 09:02:01", 收付标志="出", 摘要说明="冲正"),
    ]  # fmt: skip
    first, back = run("statements", csv_file(tmp_path / "a.csv", statement(*rows))).rows()
    assert (first["side"], back["side"], back["reverses"]) == ("both", "both", first["event_id"])


# ---- properties

_row = st.fixed_dictionaries(
    {
        "交易卡号": st.sampled_from([A, B, C, "6.22E+18"]),
        "交易对手账卡号": st.sampled_from([A, B, C, "", "-"]),
        "收付标志": st.sampled_from(["进", "出", "出", "借", "O", ""]),
        "交易金额": st.sampled_from(["100.00", "1", "-1", "x", "3万元", ""]),
        "交易时间": st.sampled_from(["2023-01-15 09:30:11", "2023-01-15 09:31:00", "20230115", "?", ""]),
        "交易流水号": st.sampled_from(["", "", "1", "2"]),
        "交易余额": st.sampled_from(["", "900", "1,000.00"]),
        "摘要说明": st.sampled_from(["", "冲正", "货款"]),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(files=st.lists(st.lists(_row, max_size=7), min_size=1, max_size=3), seed=st.integers(0, 99))
def test_rows_are_conserved_and_the_order_of_files_does_not_matter(
    tmp_path: Path, files: list[list[dict[str, str]]], seed: int
) -> None:
    folder = tmp_path / str(time.monotonic_ns())
    paths = [csv_file(folder / f"{i}.csv", statement(*rows)) for i, rows in enumerate(files)]
    one = run("statements", *paths, out=folder / "o1")
    assert one.summary.rows == sum(len(rows) for rows in files)
    random.Random(seed).shuffle(paths)
    two = run("statements", *paths, out=folder / "o2")
    for name in ("accepted", "rejected", "duplicates", "merged"):
        assert getattr(one.summary, name) == getattr(two.summary, name)
    assert one.table("transfers").equals(two.table("transfers"))
    assert one.rejects == two.rejects
    amounts = [r["amount_fen"] for r in one.rows()]
    assert all(a >= 0 for a in amounts)
    shutil.rmtree(folder)


_text = st.text(st.characters(codec="gb18030", exclude_characters="\x00␀", exclude_categories=["Cs"]), max_size=12)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.tuples(_text, st.integers(0, 10**12), st.sampled_from(["gb18030", "utf-8", "utf-8-sig", "utf-16"])),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_written_is_read_back(tmp_path: Path, rows: list[tuple[str, int, str]]) -> None:
    folder = tmp_path / str(time.monotonic_ns())
    written = [
        {"对手户名": f"名{name}名", "交易金额": f"{fen // 100}.{fen % 100:02d}", "交易流水号": f"r{i}"}
        for i, (name, fen, _) in enumerate(rows)
    ]
    done = run("statements", csv_file(folder / "a.csv", statement(*written), rows[0][2]))
    got = {r["bank_ref"]: r for r in done.rows()}
    for i, (name, fen, _) in enumerate(rows):
        assert got[f"r{i}"]["amount_fen"] == fen
        assert got[f"r{i}"]["payee_name"].replace("\r\n", "\n") == f"名{name}名".replace("\r\n", "\n")


# ---- own tables


def _own_calls(n: int = 3) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "source": ["cmcc"] * n, "event_id": [str(i) for i in range(n)],
            "ts": [datetime(2026, 3, 2, 8, i, tzinfo=UTC) for i in range(n)],
            "caller": ["13800138000"] * n, "callee": ["96110"] * n, "duration_s": list(range(n)),
        }
    )  # fmt: skip


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv", "csv.gz", "jsonl.gz", "zip"])
def test_own_column_names_pass_in_every_format(tmp_path: Path, kind: str) -> None:
    frame = _own_calls()
    path = tmp_path / f"calls.{kind}"
    sink = io.BytesIO()
    if kind == "parquet":
        frame.write_parquet(sink)
    elif kind.startswith("csv"):
        frame.write_csv(sink, datetime_format="%Y-%m-%dT%H:%M:%SZ")
    else:
        sink.write("\n".join(json.dumps(r | {"ts": r["ts"].isoformat()}) for r in frame.to_dicts()).encode())
    data = sink.getvalue()
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("内层/话单.jsonl", data)
    else:
        path.write_bytes(gzip.compress(data) if kind.endswith("gz") else data)
    done = run("calls", path)
    assert done.summary.accepted == 3
    assert [(r["source"], r["event_id"], r["caller"], r["callee"]) for r in done.rows("calls")] == [
        ("cmcc", str(i), "+8613800138000", "cn-short:96110") for i in range(3)
    ]  # fmt: skip
    assert [r["ts"] for r in done.rows("calls")] == frame["ts"].to_list()


@pytest.mark.parametrize("name", [t for t in TABLES if t != "labels"])
def test_every_table_passes_through_its_own_parquet(tmp_path: Path, name: str) -> None:
    pq.write_table(TABLES[name].empty(), tmp_path / "x.parquet")
    assert run(name, tmp_path / "x.parquet").summary.rows == 0


def test_an_id_seen_at_another_time_is_a_reject_and_a_missing_id_is_given(tmp_path: Path) -> None:
    frame = _own_calls(4).with_columns(
        event_id=pl.Series(["1", "1", "2", None]),
        ts=pl.Series([datetime(2026, 3, 2, 8, i, tzinfo=UTC) for i in (0, 1, 2, 3)]),
    )
    frame.write_parquet(tmp_path / "x.parquet")
    done = run("calls", tmp_path / "x.parquet")
    assert done.reasons == [(2, "id_conflict")]
    assert len({r["event_id"] for r in done.rows("calls")}) == 3


def test_broken_lines_of_json_are_rejects_with_their_row(tmp_path: Path) -> None:
    row = {"ts": "2026-03-02 08:00:00", "caller": "13800138000", "callee": "96110"}
    (tmp_path / "x.jsonl").write_text(
        "\n".join(
            [json.dumps(row), "{broken", "", json.dumps(row | {"duration_s": "x"}), json.dumps(row | {"caller": "☎"})]
        )
    )
    done = run("calls", tmp_path / "x.jsonl", source="cmcc")
    assert done.reasons == [(2, "broken_json"), (4, "wrong_type"), (5, "not_a_line")]
    assert done.row("calls")["source"] == "cmcc"


# ---- hostile input


def test_files_that_cannot_be_read_are_rejects_and_stop_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    csv_file(folder / "good.csv", statement({}))
    (folder / "empty.csv").write_bytes(b"")
    (folder / "broken.xlsx").write_bytes(b"PK\x03\x04" + b"\x00" * 100)
    (folder / "broken.zip").write_bytes(b"PK\x03\x04nothing")
    (folder / "broken.parquet").write_bytes(b"PAR1xxxxPAR1")
    (folder / "cut.csv.gz").write_bytes(gzip.compress(b"a,b\n1,2\n" * 99)[:-12])
    (folder / "photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + os.urandom(500))
    (folder / "noise.csv").write_bytes(bytes(range(256)) * 20)
    good = xlsx_file(tmp_path / "g.xlsx", {"s": statement({})}).read_bytes()
    (folder / "cut.xlsx").write_bytes(good[: len(good) // 2])
    (folder / "~$lock.xlsx").write_bytes(b"x")
    done = run("statements", folder, out=tmp_path / "out")
    assert done.summary.accepted == 1
    assert {r["file"].split("/")[-1] for r in done.rejects} == {p.name for p in folder.iterdir()} - {
        "good.csv",
        "~$lock.xlsx",
    }
    assert all(r["reason"] in ("empty_file", "corrupt_file", "unknown_format", "unknown_header") for r in done.rejects)


def test_nothing_readable_is_a_failure_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for path in (tmp_path / "empty.csv", tmp_path / "folder"):
        with pytest.raises(ImportFailed):
            import_files("statements", [path], tmp_path / "new" / "out", as_of=AS_OF)
    assert not (tmp_path / "new").exists()
    with pytest.raises(WrongUse, match=r"missing\.csv"):
        import_files("statements", [tmp_path / "missing.csv"], tmp_path / "out", as_of=AS_OF)
    for kind in ("labels", "nothing"):
        with pytest.raises(WrongUse, match=kind):
            import_files(kind, [tmp_path / "empty.csv"], tmp_path / "out", as_of=AS_OF)


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ({"对手户名": "a\x00b"}, "nul_byte"),
        ({"对手户名": "好" * 4_000_000}, "cell_too_long"),
        ({"交易金额": "1" * 10_000_000}, "bad_amount"),
    ],
)
def test_poisoned_cells_are_rejects(tmp_path: Path, row: dict[str, str], reason: str) -> None:
    done = run("statements", csv_file(tmp_path / "a.csv", statement({}, row, {"交易金额": "2"})))
    assert done.reasons == [(3, reason)] and done.summary.accepted == 2
    assert len(done.rejects[0]["value"]) <= 200


def test_a_line_in_another_encoding_is_a_reject(tmp_path: Path) -> None:
    text = [",".join(row) for row in statement(*[{"对手户名": "李强", "交易金额": str(i)} for i in range(1, 9)])]
    lines = [line.encode("utf-8" if i == 4 else "gb18030") for i, line in enumerate(text)]
    lines[6] = lines[6].replace("李强".encode("gb18030"), b"\xff\xff\x81")
    (tmp_path / "a.csv").write_bytes(b"\n".join(lines))
    done = run("statements", tmp_path / "a.csv")
    assert (5, "encoding") in done.reasons and (7, "encoding") in done.reasons and done.summary.accepted == 6


def test_cells_beyond_the_header_and_open_quotes_are_rejects(tmp_path: Path) -> None:
    header, row = statement({})
    lines = [",".join(r) for r in (header, row, [*row, "", "extra"], row)]
    lines[3] = lines[3].replace("2023-01-15 09:30:11", "2023-01-15 09:30:12")
    lines.insert(2, '"' + lines[1].replace("09:30:11", "09:30:13"))
    (tmp_path / "a.csv").write_text("\n".join(lines), "gb18030")
    done = run("statements", tmp_path / "a.csv")
    assert done.reasons == [(3, "broken_quotes"), (4, "too_many_cells")]
    assert done.summary.accepted == 2


def test_zip_bombs_and_locked_archives_are_rejects(tmp_path: Path) -> None:
    bomb = io.BytesIO()
    with zipfile.ZipFile(bomb, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("0.csv", b"0" * (80 << 20))
        archive.writestr("1.csv", b"0")
    (tmp_path / "bomb.zip").write_bytes(bomb.getvalue())
    nested = b"a,b\n1,2\n"
    for i in range(8):
        box = io.BytesIO()
        with zipfile.ZipFile(box, "w") as archive:
            archive.writestr(f"{i}.zip" if i else "a.csv", nested)
        nested = box.getvalue()
    (tmp_path / "deep.zip").write_bytes(nested)
    with zipfile.ZipFile(tmp_path / "good.zip", "w") as archive:
        archive.writestr("N" * 13, "\n".join(",".join(r) for r in statement({}, {"交易金额": "x"})).encode("gb18030"))
    raw = (tmp_path / "good.zip").read_bytes().replace(b"N" * 13, "流水/一月.csv".encode("gbk"))
    (tmp_path / "good.zip").write_bytes(raw)
    done = run("statements", *[tmp_path / f"{n}.zip" for n in ("bomb", "deep", "good")])
    assert [r["reason"] for r in done.rejects] == ["archive_too_large", "archive_too_deep", "bad_amount"]
    assert done.summary.accepted == 1
    assert {r["file"] for r in done.rejects if r["reason"] == "bad_amount"} == {"good.zip/流水/一月.csv"}


# ---- whole files or none


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_without_write_permission_is_a_clear_failure(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    with pytest.raises(ImportFailed, match="没有写下任何文件"):
        run("statements", csv_file(tmp_path / "a.csv", statement({})), out=closed / "out")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("statements", csv_file(tmp_path / "a.csv", statement({})), out=out)
    before = {p.name: p.read_bytes() for p in out.iterdir()}
    rows = [{"交易流水号": str(i), "对手户名": str(random.Random(i).random())} for i in range(3000)]
    path = csv_file(tmp_path / "b.csv", statement(*rows))
    code = (
        "import resource,sys,datetime as d;from pathlib import Path;import wuzha.ingest as w;"
        "go=lambda out: w.import_files('statements',[Path(sys.argv[1])],out,as_of=d.datetime(2026,1,1,tzinfo=d.UTC));"
        "go(Path(sys.argv[2]).parent/'warm');"  # compiled kernels are cached before the disk is full
        "resource.setrlimit(resource.RLIMIT_FSIZE,(20000,20000));"
        "\ntry: go(Path(sys.argv[2]))"
        "\nexcept w.ImportFailed as e: print(e); sys.exit(1)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path), str(out)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1 and "没有写下任何文件" in done.stdout, done.stderr
    assert {p.name: p.read_bytes() for p in out.iterdir()} == before
    assert resource.getrlimit(resource.RLIMIT_FSIZE)[0] != 20000


def test_a_killed_import_leaves_only_whole_files(tmp_path: Path) -> None:
    rows = [{"交易流水号": str(i)} for i in range(4000)]
    path = csv_file(tmp_path / "b.csv", statement(*rows))
    out = tmp_path / "out"
    code = (
        "import sys,os,signal,datetime as d;from pathlib import Path;import wuzha.ingest as w;from wuzha.ingest import output\n"
        "real=output._sync\n"
        "def die(path):\n    real(path)\n    os.kill(os.getpid(),signal.SIGKILL)\n"
        "output._sync=die\n"
        "w.import_files('statements',[Path(sys.argv[1])],Path(sys.argv[2]),as_of=d.datetime(2026,1,1,tzinfo=d.UTC))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(path), str(out)], capture_output=True, check=False)
    assert done.returncode == -signal.SIGKILL
    assert not list(out.glob("*.parquet"))
    again = run("statements", path, out=out)
    assert again.summary.accepted == 4000


def test_a_new_import_without_rejects_leaves_no_old_ones(tmp_path: Path) -> None:
    out = tmp_path / "out"
    run("statements", csv_file(tmp_path / "a.csv", statement({"交易金额": "x"}, {})), out=out)
    assert not run("statements", csv_file(tmp_path / "b.csv", statement({})), out=out).rejects


# ---- basis


def test_the_basis_stands_in_the_file(tmp_path: Path) -> None:
    path = csv_file(tmp_path / "a.csv", statement({}))
    done = run("statements", path, basis="case_query", basis_ref="厦公(刑)调证字〔2023〕1号", basis_until="2026-12-31")
    told = pq.read_schema(done.out / "transfers.parquet").metadata
    assert told[b"wuzha.basis"] == b"case_query" and told[b"wuzha.basis_until"] == b"2026-12-31"
    assert told[b"wuzha.basis_ref"].decode() == "厦公(刑)调证字〔2023〕1号"
    wrong: list[dict[str, Any]] = [
        {"basis": "x"}, {"basis_ref": "1"}, {"basis": "case_query", "basis_until": "2026-12-31"},
        {"basis": "case_query", "basis_ref": "1"}, {"basis": "case_query", "basis_ref": "1", "basis_until": "soon"},
    ]  # fmt: skip
    for options in wrong:
        with pytest.raises(WrongUse):
            run("statements", path, **options)


# ---- other people's data


def test_simulated_transfers_and_real_texts_pass_by_their_example_mappings(tmp_path: Path) -> None:
    data = os.environ.get("WUZHA_DATA")
    if not data:
        pytest.skip("WUZHA_DATA is not set: no simulated transfers or real texts to import")
    path = next(iter(sorted(Path(data, "transfers").glob("*/transactions.csv.gz"))))
    done = run("transfers", path, mapping=EXAMPLES / "amlsim.toml", out=tmp_path / "t")
    with gzip.open(path, "rt") as file:
        lines = file.read().splitlines()[1:]
    assert done.summary.rows == done.summary.accepted == len(lines)
    yuan = sum(round(float(line.split(",")[2]) * 100) for line in lines)
    assert done.table("transfers").get_column("amount_fen").sum() == yuan
    texts = sorted(Path(data, "sms").glob("*.csv"))
    done = run("messages", *texts, mapping=EXAMPLES / "labelled_sms.toml", out=tmp_path / "m")
    assert done.summary.rejected == 0 and done.summary.accepted > 10_000


def test_example_mappings_read_rows_like_theirs(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text(
        "sourceNodeId,targetNodeId,value,time\n280,15349,147.8,1\n280,15349,147.8,1\n1,2,3,x\n"
    )
    done = run("transfers", tmp_path / "t.csv", mapping=EXAMPLES / "amlsim.toml")
    assert done.reasons == [(4, "bad_time")] and done.summary.accepted == 2
    got = done.rows()[0]
    assert (got["payer"], got["payee"], got["amount_fen"], got["ts_precision_s"]) == ("280", "15349", 14780, 86400)
    assert got["ts"] == datetime(2026, 1, 1, 16, tzinfo=UTC)
    with pytest.raises(MappingError):
        run("transfers", tmp_path / "t.csv", mapping=tmp_path / "none.toml")


def test_a_header_never_seen_fails_with_a_draft_that_can_be_used(tmp_path: Path) -> None:
    rows = [["付款卡", "收付标志码", "发生时间点", "钱数", "对方卡"], [A, "出", "2023-01-15 09:30:11", "5", B]]
    path = csv_file(tmp_path / "怪.csv", rows)
    with pytest.raises(ImportFailed, match=r"表头未登记.*付款卡"):
        run("statements", path)
    draft = tmp_path / "mapping-怪.csv.toml"
    text = draft.read_text("utf-8")
    assert '"钱数"' in text and not (tmp_path / "out").exists()
    lines = [
        line
        for line in text.splitlines()
        if not any(c in line for c in ("付款卡", "收付标志码", "发生时间点", "钱数", "对方卡"))
        or line.startswith("header")
    ]
    lines += [
        'own_account = ["付款卡"]',
        'direction = ["收付标志码"]',
        'ts = ["发生时间点"]',
        'amount = ["钱数"]',
        'other_account = ["对方卡"]',
    ]
    draft.write_text("\n".join(lines), "utf-8")
    got = run("statements", path, mapping=draft).row()
    assert (got["payer"], got["payee"], got["amount_fen"]) == (A, B, 500)


def test_a_guide_maps_a_new_header_once_and_it_is_kept(tmp_path: Path) -> None:
    class Guide:
        asked = 0

        def direction(self, mapping: object, word: str, samples: list[str]) -> str | None:
            raise AssertionError(word)

        def header(self, grid: Any, row: int, proposal: str) -> str | None:
            self.asked += 1
            return 'name="mine"\ntable="transfers"\nshape="one_sided"\nheader=["付款卡","钱数"]\n[columns]\nown_account=["付款卡"]\nts=["何时"]\namount=["钱数"]\n[constants]\n'

    rows = [["付款卡", "何时", "钱数"], [A, "2023-01-15 09:30:11", "-5"]]
    guide = Guide()
    for i in range(2):
        path = csv_file(tmp_path / f"{i}.csv", rows)
        assert run("statements", path, guide=guide, mapping_dir=tmp_path / "m").row()["payer"] == A
    assert guide.asked == 1
    assert isinstance(run("statements", tmp_path / "0.csv", mapping_dir=tmp_path / "m"), Done)
    assert len(HEADER_34) == 34
