"""A city keeps its tables' rules, comes out the same twice, and its labels speak of events that are there."""

from __future__ import annotations

import filecmp
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from wuzha import city
from wuzha.city import generator
from wuzha.events import TABLES
from wuzha.events.batch import check
from wuzha.events.subjects import split_key

RAW = ("calls", "messages", "visits", "app_events", "transfers")


def test_every_table_is_there_with_its_schema(small: dict[str, pa.Table]) -> None:
    assert list(small) == list(TABLES)
    for name, rows in small.items():
        assert rows.schema.equals(TABLES[name].schema), name
        assert name == "findings" or rows.num_rows > 0, name


def test_every_row_keeps_its_tables_rules(small: dict[str, pa.Table]) -> None:
    for name, rows in small.items():
        _, rejects = check(TABLES[name], rows)
        assert rejects == [], name


def test_files_read_back_as_plain_texts_with_their_schema(folder: Path, small: dict[str, pa.Table]) -> None:
    for name, table in TABLES.items():
        rows = pq.read_table(folder / f"{name}.parquet")
        assert rows.schema.equals(table.schema), name
        assert rows.schema.metadata[b"wuzha.table"] == name.encode()
        assert rows.equals(small[name]), name


def test_an_events_identity_is_its_own(small: dict[str, pa.Table]) -> None:
    for name, rows in small.items():
        if name == "labels":
            continue
        refs = pc.binary_join_element_wise(rows["source"], rows["event_id"], "/")
        distinct = pc.count_distinct(refs).as_py()
        if name == "warnings":
            # A few are sent twice, and then they are the same row.
            again = rows.filter(pc.is_in(refs, value_set=pc.value_counts(refs).filter(
                pc.greater(pc.struct_field(pc.value_counts(refs), 1), 1)).field(0)))  # fmt: skip
            same = {(r["event_id"], r["ts"], r["source_no"]) for r in again.to_pylist()}
            assert distinct == rows.num_rows - again.num_rows + len(same)
        else:
            assert distinct == rows.num_rows, name


def test_rows_stand_in_order_of_time(small: dict[str, pa.Table]) -> None:
    for name in RAW:
        ts = small[name]["ts"].cast(pa.int64()).to_numpy()
        assert (ts[1:] >= ts[:-1]).all(), name


def test_warnings_come_late_at_times(small: dict[str, pa.Table]) -> None:
    ts = small["warnings"]["ts"].cast(pa.int64()).to_numpy()
    assert (ts[1:] < ts[:-1]).any()


def test_labels_speak_of_events_that_are_there(small: dict[str, pa.Table]) -> None:
    labels = small["labels"]
    for name in pc.unique(labels["table"]).to_pylist():
        mine = labels.filter(pc.equal(labels["table"], name)).select(["source", "event_id", "ts"])
        there = small[name].select(["source", "event_id", "ts"])
        matched = mine.join(there, keys=["source", "event_id", "ts"], join_type="left anti")
        assert matched.num_rows == 0, name


def test_every_warning_has_one_label_with_whom_it_means(small: dict[str, pa.Table]) -> None:
    labels = small["labels"]
    mine = labels.filter(pc.equal(labels["table"], "warnings"))
    refs = pc.binary_join_element_wise(small["warnings"]["source"], small["warnings"]["event_id"], "/")
    assert mine.num_rows == pc.count_distinct(refs).as_py()
    assert mine["person"].null_count == 0
    right = pc.is_valid(mine["scam_id"])
    assert pc.all(pc.xor(right, pc.is_valid(mine["look_alike"]))).as_py()


def test_all_six_feeds_all_scripts_and_all_steps_appear(small: dict[str, pa.Table]) -> None:
    assert pc.count_distinct(small["warnings"]["source"]).as_py() == 6
    labels = small["labels"]
    assert set(pc.unique(labels["step"]).to_pylist()) >= {"lure", "credit", "loss", "move", "exit", "device"}
    types = set(pc.unique(labels["scam_type"]).to_pylist())
    assert types >= {
        "task_rebate",
        "investment",
        "investment.pig_butchering",
        "loan",
        "customer_service",
        "authority",
        "boss_acquaintance",
    }


def test_feeds_contradict_repeat_and_name_the_registered_owner(small: dict[str, pa.Table]) -> None:
    warnings = small["warnings"].to_pylist()
    truth = {
        r["source"] + "/" + r["event_id"]: r["person"] for r in small["labels"].to_pylist() if r["table"] == "warnings"
    }  # fmt: skip
    names = dict(zip(small["persons"]["person"].to_pylist(), small["persons"]["name"].to_pylist(), strict=True))
    by_person: dict[str, list[dict[str, object]]] = {}
    wrong_owner = 0
    for w in warnings:
        person = truth[w["source"] + "/" + w["event_id"]]
        by_person.setdefault(person, []).append(w)
        wrong_owner += w["victim_name"] is not None and w["victim_name"] != names[person]
    several = [v for v in by_person.values() if len(v) > 1]
    assert several
    assert any(len({w["scam_type"] for w in v}) > 1 for v in several)
    assert any(len({w["level_upstream"] for w in v}) > 1 for v in several)
    assert wrong_owner > 0


def test_look_alikes_outnumber_victims_fifty_to_one(small: dict[str, pa.Table]) -> None:
    labels = small["labels"]
    victims = pc.count_distinct(labels.filter(pc.equal(labels["step"], "loss"))["person"]).as_py()
    alike = labels.filter(pc.and_(pc.is_valid(labels["look_alike"]), pc.is_valid(labels["person"])))
    assert pc.all(pc.is_null(alike["scam_id"])).as_py()
    people = pc.count_distinct(alike["person"]).as_py()
    assert victims > 0
    assert people >= 50 * victims


def test_some_lines_are_used_by_another_than_their_owner(small: dict[str, pa.Table]) -> None:
    roles: dict[str, dict[str, str]] = {}
    for r in small["relations"].to_pylist():
        if r["role"] in ("registrant", "user"):
            roles.setdefault(r["subject"], {})[r["role"]] = r["other"]
        split_key(r["subject"])
        split_key(r["other"])
    both = [r for r in roles.values() if len(r) == 2]
    share = sum(r["user"] != r["registrant"] for r in both) / len(both)
    assert 0.05 < share < 0.2


def test_balances_add_up(small: dict[str, pa.Table]) -> None:
    last: dict[str, int] = {}
    for r in small["transfers"].select(
        ["payer", "payee", "amount_fen", "ok", "payer_balance_fen", "payee_balance_fen"]
    ).slice(0, 20_000).to_pylist():  # fmt: skip
        moved = r["amount_fen"] if r["ok"] else 0
        if r["payer"] is not None:
            assert r["payer_balance_fen"] >= 0
            if r["payer"] in last:
                assert r["payer_balance_fen"] == last[r["payer"]] - moved
            last[r["payer"]] = r["payer_balance_fen"]
        if r["payee"] is not None and r["payee"] in last:
            last[r["payee"]] += moved
            assert r["payee_balance_fen"] in (None, last[r["payee"]])


def test_money_moved_on_is_money_that_was_lost(small: dict[str, pa.Table]) -> None:
    labels = small["labels"]
    amount = dict(
        zip(small["transfers"]["event_id"].to_pylist(), small["transfers"]["amount_fen"].to_pylist(), strict=True)
    )
    lost: dict[str, int] = {}
    out: dict[str, int] = {}
    for r in labels.filter(pc.equal(labels["table"], "transfers")).to_pylist():
        if r["step"] == "loss":
            lost[r["scam_id"]] = lost.get(r["scam_id"], 0) + amount[r["event_id"]]
        elif r["step"] == "exit":
            out[r["scam_id"]] = out.get(r["scam_id"], 0) + amount[r["event_id"]]
    assert out
    for scam, fen in out.items():
        assert fen <= lost[scam], scam


def test_the_same_seed_gives_the_same_bytes_and_another_does_not(tmp_path: Path) -> None:
    for name, seed, salt in (("a", 5, "1"), ("b", 5, "2"), ("c", 6, "1")):
        subprocess.run(
            _command(300, 2, seed, tmp_path / name),
            check=True,
            capture_output=True,
            env={**os.environ, "PYTHONHASHSEED": salt, "TZ": "America/Lima" if salt == "2" else "UTC"},
        )
    files = sorted(p.name for p in (tmp_path / "a").iterdir())
    assert "city.json" in files
    _, mismatch, errors = filecmp.cmpfiles(tmp_path / "a", tmp_path / "b", files, shallow=False)
    assert (mismatch, errors) == ([], [])
    assert not filecmp.cmp(tmp_path / "a/calls.parquet", tmp_path / "c/calls.parquet", shallow=False)


def _command(people: int, days: int, seed: int, out: Path) -> list[str]:
    run = "from wuzha.cli.main import run; run()"
    return [
        sys.executable,
        "-c",
        run,
        "city",
        "generate",
        "--people",
        str(people),
        "--days",
        str(days),
        "--seed",
        str(seed),
        "--out",
        str(out),
        "--json",
    ]


def test_a_kill_leaves_no_half_city(tmp_path: Path) -> None:
    out = tmp_path / "city"
    process = subprocess.Popen(_command(2000, 3, 1, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    part = tmp_path / ".city.part"
    deadline = time.monotonic() + 60
    while not part.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    if out.exists():  # it was quicker than we are: then it must be whole
        assert (out / "city.json").is_file()
    subprocess.run(_command(200, 1, 2, out), check=True, capture_output=True)
    assert (out / "city.json").is_file()
    assert [p.name for p in tmp_path.iterdir()] == ["city"]


@pytest.mark.parametrize(("people", "days", "rate"), [(1, 1, None), (2, 2, 0.3), (30, 3, None)])
def test_the_smallest_cities_stand(people: int, days: int, rate: float | None) -> None:
    made = city.generate(people, days, 0, scam_rate=rate)
    for name, rows in made.items():
        assert check(TABLES[name], rows)[1] == [], name
    if rate is None:
        assert pc.all(pc.is_null(made["labels"]["scam_id"])).as_py()
        assert made["reports"].num_rows == 0


@pytest.mark.parametrize(
    ("people", "days", "seed", "rate"),
    [
        (0, 7, 1, None),
        (-5, 7, 1, None),
        (1000, 0, 1, None),
        (1000, -1, 1, None),
        (1000, 7, -1, None),
        (1000, 7, 1, 0.9),
    ],
)
def test_arguments_that_make_no_city_are_refused(people: int, days: int, seed: int, rate: float | None) -> None:
    with pytest.raises(city.CityError):
        generator.check(people, days, seed, rate)
