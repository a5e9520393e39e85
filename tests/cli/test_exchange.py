"""``wuzha exchange``: keys once, trust by fingerprint, standing; the private keys are never printed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.commanding import wuzha


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")

    def one(*arguments: str, code: int = 0) -> tuple[str, str]:
        done = wuzha("exchange", *arguments)
        assert done.returncode == code, done.stderr
        return done.stdout, done.stderr

    return one


def test_two_zones_come_to_know_each_other(run: Any, tmp_path: Path) -> None:
    made = json.loads(run("keys", "centre", "--data", "c", "--card", "c.card", "--json")[0])
    assert made["made"] is True
    again = json.loads(run("keys", "centre", "--data", "c", "--json")[0])
    assert again == {"zone": "centre", "made": False, "fingerprint": made["fingerprint"]}
    assert "already" in run("keys", "public", "--data", "c", code=1)[1]
    run("keys", "public", "--data", "p", "--card", "p.card")
    theirs = json.loads(run("keys", "public", "--data", "p", "--json")[0])["fingerprint"]
    folders = ("--inbox", "in", "--outbox", "out", "--data", "c")
    for wrong in ("12345 12345", theirs[:5], "", made["fingerprint"]):
        assert "not what you were told" in run("trust", "p.card", "--fingerprint", wrong, *folders, code=1)[1]
        assert not (tmp_path / "c/exchange/peers").exists()
    said = json.loads(run("trust", "p.card", "--fingerprint", theirs[:17], *folders, "--json")[0])
    assert said["peer"] == "public" and Path(said["inbox"]).is_dir()
    secret = json.loads((tmp_path / "c/exchange/zone.json").read_text())
    card = (tmp_path / "c.card").read_text()
    assert secret["sign"] not in card and secret["box"] not in card
    assert json.loads(run("status", "--data", "c", "--json")[0]) == {"zone": "centre", "peers": []}


def test_what_is_no_card_is_refused_with_its_name(run: Any, tmp_path: Path) -> None:
    assert "wuzha exchange keys" in run("status", "--data", "none", code=1)[1]
    run("keys", "centre", "--data", "c")
    for name, text in (
        ("a", "hello"),
        ("b", "{}"),
        ("c.txt", '{"wuzha_zone": 1, "name": "../x", "sign": "", "box": ""}'),
    ):
        (tmp_path / name).write_text(text)
        said = run("trust", name, "--fingerprint", "1" * 20, "--inbox", "i", "--outbox", "o", "--data", "c", code=1)[1]
        assert name in said
    (tmp_path / "c/exchange/zone.json").chmod(0o644)
    assert "chmod 600" in run("status", "--data", "c", code=1)[1]
