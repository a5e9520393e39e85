"""``wuzha rules`` on files and on a real deployment: what it prints, what it refuses, with which exit code."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from tests.desks import PASSWORD, Centre, centre
from tests.eventlog import rows
from typer.testing import CliRunner, Result

from wuzha.cli import main
from wuzha.live import rulebooks
from wuzha.store import Database, Settings, opened

TEXT = """[told]
subject = "person"
stage = "approach"
when = "warnings_7d >= 1"
zh = "7 天内有 {warnings_7d} 条预警"
en = "{warnings_7d} warnings in 7 days"
opens = true
cap = 9

[weights]
loan = 40
"""


def run(*words: str, stdin: str | None = None) -> Result:
    return CliRunner().invoke(main.load() if not main.app.registered_groups else main.app, list(words), input=stdin)


def out(result: Result, code: int = 0) -> dict[str, Any]:
    assert result.exit_code == code, (result.output, result.exception)
    parsed = json.loads(result.stdout)
    assert isinstance(parsed, dict)
    return parsed


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "told.toml"
    path.write_text(TEXT, "utf-8")
    return path


def test_one_rule_is_checked_and_a_mistake_is_at_its_place(file: Path) -> None:
    said = out(run("rules", "check", str(file), "--json"))
    assert said == {
        "rule": "told",
        "subject": "person",
        "features": ["warnings_7d"],
        "weights": {"loan": 40.0},
        "cap": 9,
    }
    file.write_text(TEXT.replace("warnings_7d >= 1", "warnings_7d > = 1"), "utf-8")
    wrong = run("rules", "check", str(file))
    assert wrong.exit_code == 1 and f"{file}:4:" in wrong.stderr.replace("\n", "")


def test_what_differs_from_the_shipped_rule(tmp_path: Path) -> None:
    listed = {r["id"]: r for r in out(run("rules", "list", "--json"))["rules"]}
    stood = listed["warned_low"]
    path = tmp_path / "mine.toml"
    text = TEXT.replace("[told]", "[warned_low]")
    path.write_text(text.replace("warnings_7d >= 1", stood["when"] + " AND warnings_7d < 9"), "utf-8")
    said = out(run("rules", "diff", str(path), "--json"))
    assert not said["same"] and any(line.startswith("+when") and "AND warnings_7d < 9" in line for line in said["diff"])


def test_a_backtest_on_a_folder(file: Path, tmp_path: Path) -> None:
    folder = tmp_path / "events"
    folder.mkdir()
    told = [
        {"at": 60 * i, "event_id": f"w{i}", "victim_line": f"+86138000000{i:02d}", "level_upstream": "low"}
        for i in range(6)
    ]
    closed = [
        {"at": 600, "event_id": f"f{i}", "subject": f"person:line:+86138000000{i:02d}", "kind": "alert_closed",
         "code": code, "known_at": rows("warnings", told[:1])["ts"][0].as_py()}
        for i, code in enumerate(("dissuaded", "false_alarm", "deceived", "not_reached"))
    ]  # fmt: skip
    pq.write_table(rows("warnings", told), folder / "warnings.parquet")
    pq.write_table(rows("findings", closed), folder / "findings.parquet")
    said = out(run("rules", "backtest", str(file), str(folder), "--minutes", "15", "--json"))
    assert said["subjects"] == 6 and said["precision"]["settled"] == 3 and said["precision"]["right"] == 2
    assert said["overlap"]["subjects_share"] == 1.0 and said["overlap"]["rules"][0]["rule"] == "warned_low"
    assert said["alerts"] == said["alerts"] | {"new": 0, "gone": 0} and said["hours_a_day"] == 0.0
    assert run("rules", "backtest", str(file)).exit_code == 2
    assert run("rules", "backtest", str(file), str(folder), "--days", "0").exit_code == 2
    assert run("rules", "backtest", str(file), str(tmp_path / "nowhere")).exit_code == 1


@pytest.fixture(scope="module")
def deployment(enterable_tmp: Path) -> Iterator[Database]:
    patch = pytest.MonkeyPatch()
    patch.setenv("WUZHA_HOME", str(enterable_tmp / "rules"))
    patch.setenv("WUZHA_DATABASE", "wuzha")
    for name in ("WUZHA_DSN", "WUZHA_CLOCK"):
        patch.delenv(name, raising=False)
    with opened(Settings()) as db:
        yield db
    patch.undo()


@pytest.fixture(scope="module")
def house(deployment: Database) -> Iterator[Centre]:
    with deployment.connect("engine") as engine, deployment.connect("web") as web:
        made = centre(deployment, engine, web)
        made.officer("ana", "安娜", "analyst")
        made.officer("bai", "白杨", "analyst")
        made.officer("wang", "王敏", "dissuader")
        rulebooks.note_shipped(engine, rulebooks.clock.now())
        yield made


def test_from_a_draft_to_a_live_rule_and_out_again(house: Centre, file: Path, tmp_path: Path) -> None:
    data = ("--data", str(Settings().home), "--json", "--password-stdin", "--as")

    def act(login: str, *words: str) -> dict[str, Any]:
        return out(run("rules", *words, *data, login, stdin=PASSWORD + "\n"))

    def refused(login: str, *words: str, password: str = PASSWORD) -> str:
        result = run("rules", *words, *data, login, stdin=password + "\n")
        assert result.exit_code == 1 and not result.stdout, result.output
        return str(result.exception)

    assert act("ana", "draft", str(file), "--why", "a test") == {"rule": "told", "version": 1}
    file.write_text(TEXT.replace("cap = 9", "cap = 7"), "utf-8")
    assert act("ana", "draft", str(file), "--why", "less")["version"] == 2
    assert "says the same" in refused("ana", "draft", str(file), "--why", "again")
    assert "another person" in refused("ana", "promote", "told", "2")
    assert "do not allow" in refused("wang", "promote", "told", "2")
    assert "password is wrong" in refused("bai", "promote", "told", "2", password="not-hers-123")
    assert act("bai", "shadow", "told", "2")["shadow"] and act("bai", "promote", "told", "2")["promoted"]
    listed = out(run("rules", "list", "--data", str(Settings().home), "--json"))
    row = next(r for r in listed["rules"] if r["id"] == "told")
    assert (row["version"], row["state"], row["cap"]) == (2, "promoted", 7) and listed["shadows"] == {}
    said = out(run("rules", "diff", "told", "1", "2", "--data", str(Settings().home), "--json"))
    assert [line for line in said["diff"] if line[:4] in ("-cap", "+cap")] == ["-cap = 9", "+cap = 7"]
    house.subject("person", "p77")
    assert "within 90 days" in refused("bai", "snooze", "told", "person:p77", "--until", "2020-01-01", "--why", "x")
    assert "nobody has met" in refused("bai", "snooze", "told", "person:p78", "--why", "x")
    assert act("bai", "retire", "told", "--why", "too loud")["retired"]
    tried = out(run("rules", "backtest", str(file), "--data", str(Settings().home), "--json"))
    assert tried["events"] == 0
    audited = house.engine.execute(
        "SELECT action FROM wuzha.audit WHERE object = 'rule:told' ORDER BY audit_id"
    ).fetchall()
    assert [a for (a,) in audited] == [
        "rule.write", "rule.write", "rule.shadow", "rule.promote", "rule.retire",
    ]  # fmt: skip
