"""What is told of a deployment is true, and what is wrong with it is named."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from wuzha.live import watching
from wuzha.live.settings import Settings
from wuzha.live.watching import Standing, Telling, findings
from wuzha.store import Connection, Database

GOOD: dict[str, Any] = {"free": 1 << 40, "memory": 1 << 35, "aside": 0, "rows": 1000, "rejected": 0, "waiting_s": 0.0,
                        "rebuilt": 0.5, "stuck": False}  # fmt: skip


def fares(**changes: Any) -> Standing:
    told = {"engine:0": {"memory_bytes": 1 << 30}, "keeping": {"unsealed_s": 5}}
    return Standing(
        **{"head": 9, "position": 9, "leased": True, "lag_s": 0.0, "told": told,
           "age_s": {"engine:0": 1.0, "keeping": 4.0}, **changes}
    )  # fmt: skip


def states(now: Standing, home: Path, **changes: Any) -> dict[str, str]:
    found = findings(now, Settings(home=home, role="holder"), **{**GOOD, **changes})
    return {f.name: f.state for f in found}


def test_all_is_fine_where_nothing_is_wrong(tmp_path: Path) -> None:
    assert set(states(fares(), tmp_path).values()) == {"fine"}


@pytest.mark.parametrize(("changes", "name", "state"), [
    ({"leased": False}, "worker", "bad"), ({"age_s": {"keeping": 4.0}}, "worker", "bad"),
    ({"lag_s": 6.0}, "lag", "watch"), ({"lag_s": 61.0}, "lag", "bad"),
    ({"lag_s": 61.0, "leased": False}, "lag_stopped", "bad"),
    ({"rows": 95, "rejected": 5}, "rejects", "watch"), ({"rows": 5, "rejected": 5}, "rejects", "bad"),
    ({"aside": 1}, "aside", "bad"), ({"free": 1 << 29}, "space", "watch"), ({"free": 1 << 28}, "space", "bad"),
    ({"memory": 1 << 30}, "state", "bad"), ({"memory": 3 << 29}, "state", "watch"),
    ({"age_s": {"engine:0": 1.0}}, "keeping", "bad"), ({"waiting_s": 100.0}, "outbox", "watch"),
    ({"told": {"engine:0": {"unsaved": 5, "unsaved_s": 999.0}}}, "snapshot", "watch"),
    ({"told": {"engine:0": {"null_features": ["a"]}}}, "features", "watch"),
    ({"told": {"engine:0": {"null_features": ["a"]}}, "stuck": True}, "features", "bad"),
    ({"told": {"engine:0": {"replaying": True}}, "lag_s": 99.0}, "lag_replay", "bad"),
])  # fmt: skip
def test_what_is_wrong_is_named_and_stands_first(
    tmp_path: Path, changes: dict[str, Any], name: str, state: str
) -> None:
    mine = {k: v for k, v in changes.items() if k in GOOD}
    rest = {k: v for k, v in changes.items() if k not in GOOD}
    found = states(fares(**rest), tmp_path, **mine)
    assert found[name] == state
    assert list(found.values()) == sorted(found.values(), key=["bad", "watch", "fine"].index)


def test_a_process_tells_its_rate_and_memory_and_is_seen_to_fall_silent(db: Database, web: Connection) -> None:
    counted = 0

    def figures() -> dict[str, Any]:
        nonlocal counted
        counted += 1000
        return {"events": counted}

    telling = Telling(lambda: db.connect("engine"), "engine:0", figures)
    telling.start()
    until = time.monotonic() + 60
    while time.monotonic() < until and watching.standing(web).engine.get("events_per_s", 0) == 0:
        time.sleep(0.1)
    telling.stop()
    told = watching.standing(web)
    assert told.engine["events_per_s"] > 0 and told.engine["memory_bytes"] > 1 << 20
    time.sleep(0.2)
    assert watching.standing(web).age_s["engine:0"] > told.age_s["engine:0"] + 0.1
