"""The shipped book is whole; a mistake in a file of one's own is said at its line and column."""

from __future__ import annotations

import shutil
from importlib.resources import files
from pathlib import Path

import pytest
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
