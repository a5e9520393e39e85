"""The operator's page: what is wrong stands first, with what to do; figures only, for those who run the machine."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import MAY, Actor
from wuzha.live import watching
from wuzha.live.settings import settings
from wuzha.web import catalogue

SNAPSHOT = {"at": "2026-03-02T08:00:00+00:00", "position": 3, "size": 99, "seconds": 1.5}


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A data folder of the test's own."""
    monkeypatch.setenv("WUZHA_HOME", str(tmp_path))
    monkeypatch.setenv("WUZHA_FREE_SPACE", "1")
    settings.cache_clear()
    yield tmp_path
    settings.cache_clear()


def test_what_is_wrong_stands_first_with_what_to_do(
    house: Centre, wang: Actor, officer: Callable[..., Any], home: Path
) -> None:
    house.officer("root", "管理员", "admin")
    house.engine.execute(
        "INSERT INTO wuzha.partitions (partition, leased_by, leased_until) VALUES (0, 'x', now() + interval '1 hour')"
    )
    rules = [{"rule": "overseas_call", "given": 1234}]
    figures = {"events_per_s": 4567.8, "memory_bytes": 1 << 20, "subjects": 12, "snapshot": SNAPSHOT, "rules": rules}
    watching.tell(house.engine, "engine:0", figures)
    watching.tell(house.engine, "keeping", {"unsealed_s": 3})
    me = officer("root")
    fine = me.get("/health").text
    assert "4,568" in fine and "1,234" in fine and catalogue.translate("health.bad", "zh") not in fine
    (home / "set-aside.json").write_text('{"aside": {"7": "ValueError"}}')
    house.engine.execute(
        "INSERT INTO wuzha.rejects (source, table_name, received_at, reason, message)"
        " VALUES ('carrier-a', 'calls', now(), 'below_minimum', '')"
    )
    wrong = me.get("/health").text
    order = [wrong.index(catalogue.translate(f"look_{name}.title", "zh")) for name in ("aside", "rate")]
    assert order == sorted(order) and "set-aside.json" in wrong and "below_minimum" in wrong
    assert wrong.count(catalogue.translate("health.next", "zh")) == 2  # the batch set aside, and the rows refused
    assert "health.read" in MAY["admin"] and officer("wang").get("/health").status_code == 403


def test_each_thing_looked_at_has_its_words() -> None:
    told = watching.Standing(head=0, position=0, leased=False, lag_s=0.0)
    names = {"lag", "lag_replay"} | {
        f.name
        for f in watching.findings(
            told, settings().model_copy(update={"role": "holder"}), free=0, memory=1, aside=0, rows=0, rejected=0,
            waiting_s=0.0,
        )
    }  # fmt: skip
    for name in names:
        for part in ("title", "say", "do"):
            assert catalogue.known(f"look_{name}.{part}"), (name, part)
