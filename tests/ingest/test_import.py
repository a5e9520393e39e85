# ruff: noqa: E501
"""Invariants of the import as a whole: rows counted once, sides merged, order of files."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import shutil
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
from tests.importing import HEADER_34, A, B, C, Done, csv_file, run, statement

from wuzha.events import TABLES
from wuzha.ingest import ImportFailed, MappingError, WrongUse

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
