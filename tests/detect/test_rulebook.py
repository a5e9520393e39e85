"""The shipped book is whole; a mistake in a file of one's own is said at its line and column."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
from tests.eventlog import block, run
from typer.testing import CliRunner

from wuzha.cli.main import load as commands
from wuzha.detect import load, shipped
from wuzha.detect.codes import SUSPECTS
from wuzha.events.datafile import DataFileError


def test_the_shipped_book() -> None:
    book = shipped()
    assert len(book.features) >= 40 and len(book.rules) >= 40
    people = {t.id for t in book.typologies.values() if t.subject == "person"}
    assert people >= {"task_rebate", "investment", "loan", "customer_service", "authority", "boss_acquaintance"}
    assert {t.id for t in book.typologies.values()} >= set(SUSPECTS)
    assert len({r.number for r in book.rules.values()}) == len(book.rules)


def test_every_rule_weighs_somewhere_or_only_informs() -> None:
    book = shipped()
    weighed = {r for t in book.typologies.values() for r in t.weights}
    assert set(book.rules) - weighed <= {"reported_already"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(Path(str(files("wuzha.detect"))) / "rules", tmp_path / "rules")
    return tmp_path


def test_a_mistake_is_said_where_it_stands(folder: Path) -> None:
    path = folder / "rules" / "calls.toml"
    text = path.read_text("utf-8").replace("disguised_talk_24h >= 1", "disguised_talks >= 1", 1)
    path.write_text(text, "utf-8")
    line = next(i for i, row in enumerate(text.splitlines(), 1) if "disguised_talks" in row)
    with pytest.raises(DataFileError, match=rf"calls.toml:{line}:\d+: unknown feature 'disguised_talks'; did you mean"):
        load(folder)


def test_the_command_says_it_and_leaves_with_one(folder: Path) -> None:
    runner = CliRunner()
    app = commands()
    assert runner.invoke(app, ["rules", "check", str(folder)]).exit_code == 0
    (folder / "rules" / "calls.toml").write_text("[broken\n", "utf-8")
    assert runner.invoke(app, ["rules", "check", str(folder)]).exit_code == 1
    assert runner.invoke(app, ["rules", "check", str(folder / "nowhere")]).exit_code == 2


_RULE = (
    '[mine]\nnumber = 4000\nversion = 1\nsubject = "person"\nstage = "pay"\nwhen = "talk_stranger_2h > 1"\n'
    'zh = "a"\nen = "b"\n'
)


@pytest.mark.parametrize(
    ("old", "new", "where"),
    [
        ("[mine]", "[mine", "1:"),
        ("number = 4000", "number = 0", "2:"),
        ("number = 4000", 'number = "4000"', "2:"),
        ('subject = "person"', 'subject = "planet"', "4:"),
        ('stage = "pay"', 'stage = "paid"', "5:"),
        ("talk_stranger_2h > 1", "talk_stranger_2h >", "6:"),
        ("talk_stranger_2h > 1", "nothing_2h > 1", "6:"),
        ("talk_stranger_2h > 1", "talk_stranger_2h > 1 AND NOW() > 1", "6:"),
        ("talk_stranger_2h > 1", "line_plan = 4", "6:"),
        ('zh = "a"', 'zh = "{nothing_2h} a"', "7:"),
        ('zh = "a"\n', "", "1:"),
        ('en = "b"', 'en = "b"\ncolour = "red"', "9:"),
        ('en = "b"', 'en = "b"\ncooldown = "soon"', "9:"),
    ],
)
def test_each_mistake_in_a_rule_has_its_place(tmp_path: Path, old: str, new: str, where: str) -> None:
    (tmp_path / "rules").mkdir()
    (tmp_path / "typologies").mkdir()
    (tmp_path / "rules" / "mine.toml").write_text(_RULE, "utf-8")
    assert CliRunner().invoke(commands(), ["rules", "check", str(tmp_path)]).exit_code in (0, 1)
    (tmp_path / "rules" / "mine.toml").write_text(_RULE.replace(old, new, 1), "utf-8")
    result = CliRunner().invoke(commands(), ["rules", "check", str(tmp_path), "--json"])
    assert result.exit_code == 1, result.output
    assert f"mine.toml:{where}" in result.stderr and "Traceback" not in result.output and result.stdout == ""


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ('op = "median"\nof = "call.in"\nwindow = "2h"', "median"),
        ('op = "count"\nof = "telegram.in"\nwindow = "2h"', "telegram"),
        ('op = "count"\nof = "call.up"\nwindow = "2h"', "up"),
        ('op = "count"\nof = "call.in"\nwhere = ["blue"]\nwindow = "2h"', "blue"),
        ('op = "count"\nof = "call.in"\nwindow = "2 hours"', "2 hours"),
        ('op = "count"\nof = "call.in"\nwindow = "15min"', "10 minutes"),
        ('op = "count"\nof = "call.in"', "window"),
        ('formula = "x_2h + "', ""),
        ('formula = "x_2h > 1"', ""),
        ('attribute = "colour"', "colour"),
    ],
)
def test_each_mistake_in_a_feature_has_its_place(tmp_path: Path, line: str, words: str) -> None:
    head = '[mine]\nsubject = "person"\nunit = "count"\nzh = "a"\nen = "b"\nversion = 1\n'
    (tmp_path / "features.toml").write_text(head + line + "\n", "utf-8")
    result = CliRunner().invoke(commands(), ["rules", "check", str(tmp_path)])
    assert result.exit_code == 1, result.output
    assert "features.toml:" in result.stderr and words in result.stderr and "Traceback" not in result.output


def test_features_are_listed_and_a_wrong_question_is_wrong_use(tmp_path: Path) -> None:
    import json

    listed = CliRunner().invoke(commands(), ["features", "list", "--json"])
    assert len(json.loads(listed.stdout)["features"]) == len(shipped().features)
    assert CliRunner().invoke(commands(), ["features", str(tmp_path)]).exit_code == 2
    nothing = CliRunner().invoke(commands(), ["features", str(tmp_path), "--subject", "line:+8613800000001"])
    assert nothing.exit_code == 1 and nothing.stdout == ""


@pytest.mark.parametrize("level", ["low", "medium", "high", "urgent", None])
@pytest.mark.parametrize("scam_type", ["loan", "game_trade", None])
def test_every_warning_on_somebody_stands_on_an_alert(level: str | None, scam_type: str | None) -> None:
    """Whoever sent it wants an answer: no warning is dropped for being weak."""
    warning = {"at": 5, "level_upstream": level, "scam_type": scam_type, "victim_line": "+8613800000001"}
    alerts, _ = run(block({"warnings": [warning]}))
    (alert,) = alerts.to_pylist()
    assert alert["warnings"] == ["s/warnings-0"] and alert["level"] in ("low", "medium")


@pytest.mark.parametrize(("named", "shown"), [("shopping", "shopping"), ("loan", "loan"), (None, "other")])
def test_an_alert_of_warnings_alone_bears_the_type_that_they_name(named: str | None, shown: str) -> None:
    warning = {"at": 5, "level_upstream": "high", "scam_type": named, "victim_line": "+8613800000001"}
    (alert,) = run(block({"warnings": [warning]}))[0].to_pylist()
    assert alert["scam_type"] == shown
