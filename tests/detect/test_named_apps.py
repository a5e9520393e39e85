"""An app named by its name is the package that bears the name, unless two bear it."""

from __future__ import annotations

from typing import Any

from tests.eventlog import block

from wuzha import detect

WHO = "+8613800000007"


def _warned(uses: list[tuple[str, str]], named: str) -> dict[str, float | None]:
    engine = detect.Engine()
    opened: list[dict[str, Any]] = [
        {"line": WHO, "app": name, "package": package, "action": "open", "at": i}
        for i, (name, package) in enumerate(uses)
    ]
    warning = {"victim_line": WHO, "suspect_app": named, "level_upstream": "high", "at": 60}
    engine.feed(block({"app_events": opened, "warnings": [warning]}))
    known = {package: engine.figures("app:" + package) for _, package in uses} | {named: engine.figures("app:" + named)}
    return {key: found["app_warned_30d"] if found else None for key, found in known.items()}


def test_a_name_that_one_package_bears_is_that_package() -> None:
    assert _warned([("好理财", "com.a"), ("别的", "com.b")], "好理财") == {"com.a": 1, "com.b": 0, "好理财": 0}


def test_a_name_that_two_packages_bear_is_neither() -> None:
    assert _warned([("银行", "com.a"), ("银行", "com.fake")], "银行") == {"com.a": 0, "com.fake": 0, "银行": 1}


def test_a_package_named_as_such_is_itself() -> None:
    assert _warned([("好理财", "com.a")], "com.a") == {"com.a": 1}
