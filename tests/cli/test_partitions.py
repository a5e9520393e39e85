"""``wuzha partitions`` and ``wuzha work``: what they say, and that workers do not start where they could not write."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.served import folder
from typer.testing import CliRunner

from wuzha.cli import main
from wuzha.cli.output import CommandError
from wuzha.live import working
from wuzha.live.server import CannotServe
from wuzha.live.settings import Settings
from wuzha.store import Settings as StoreSettings
from wuzha.store import opened


@pytest.fixture
def home(enterable_tmp: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    with folder(enterable_tmp) as place:
        monkeypatch.setenv("WUZHA_HOME", str(place / "home"))
        with opened(StoreSettings(home=place / "home")):
            yield place / "home"


def test_partitions_are_told_and_doubled(home: Path) -> None:
    main.load() if not main.app.registered_groups else main.app
    said = CliRunner().invoke(main.app, ["partitions", "--data", str(home), "--double", "--json"])
    assert said.exit_code == 0, (said.output, said.exception)
    found = json.loads(said.stdout)["partitions"]
    assert [(p["partition"], p["of"], p["position"], p["machine"]) for p in found] == [(0, 2, 0, None), (1, 2, 0, None)]
    plain = CliRunner().invoke(main.app, ["partitions", "--data", str(home)])
    assert plain.exit_code == 0 and "held by nobody" in plain.stdout


def test_workers_alone_want_a_database_that_others_reach(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WUZHA_DSN", raising=False)
    with pytest.raises(CannotServe, match="WUZHA_DSN"):
        working.work(Settings(home=tmp_path, role="holder"), say=lambda _: None)


def test_a_deployment_that_is_not_there_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WUZHA_HOME", str(tmp_path))
    main.load() if not main.app.registered_groups else main.app
    said = CliRunner().invoke(main.app, ["partitions", "--data", str(tmp_path / "nowhere")], standalone_mode=False)
    assert isinstance(said.exception, CommandError)
