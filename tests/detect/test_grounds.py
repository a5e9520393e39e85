"""Suspects and alerts want grounds: what one warning names, what a new card does, what has been reported already."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests.eventlog import T0, block, run

SITE = "aa.example.top"


def _suspects(log: dict[str, list[dict[str, Any]]]) -> list[str]:
    return run(block(log))[1].column("subject").to_pylist()


@pytest.mark.parametrize(("visitors", "suspect"), [(0, False), (1, True), (5, True), (6, False)])
def test_one_warning_names_a_site_that_a_few_here_have_seen(visitors: int, suspect: bool) -> None:
    seen = [{"line": f"+861380000000{i}", "host": SITE, "at": i} for i in range(visitors)]
    warning = {"victim_line": "+8613900000001", "suspect_url": f"https://{SITE}/a", "level_upstream": "high", "at": 60}
    assert (f"domain:{SITE}" in _suspects({"visits": seen, "warnings": [warning]})) is suspect


@pytest.mark.parametrize(
    ("first", "back", "suspect"),
    [(0, False, True), (8, False, False), (0, True, False)],
)
def test_a_new_card_that_some_do_not_answer_and_nobody_calls(first: int, back: bool, suspect: bool) -> None:
    card = "+8613700000001"
    calls: list[dict[str, Any]] = [
        {"caller": card, "callee": f"+861380000000{i}", "duration_s": s, "at": 30 + 10 * i}
        for i, s in enumerate([first, 9, 12, 14, 70, 11, 13, 15])
    ]
    if back:
        calls.append({"caller": "+8613800000009", "callee": card, "duration_s": 40, "at": 1})
    opened = {"line": card, "plan": "mobile", "opened": T0, "at": 0}
    assert (f"line:{card}" in _suspects({"calls": calls, "lines": [opened]})) is suspect


def test_who_has_reported_is_not_warned_of_what_they_reported() -> None:
    lines = {"p1": "+8613800000001", "p2": "+8613800000002"}
    log: dict[str, list[dict[str, Any]]] = {
        "relations": [
            {"subject": f"line:{line}", "other": f"person:{who}", "role": "user", "at": 0}
            for who, line in lines.items()
        ],
        "visits": [{"line": line, "host": SITE, "at": 5} for line in lines.values()],
        "reports": [{"report": "J1", "person": "p1", "reported_at": T0 + dt.timedelta(minutes=90), "at": 90}],
        "identifiers": [{"report": "J1", "kind": "domain", "value": SITE, "role": "suspect", "at": 90}],
    }
    alerts, suspects = run(block(log))
    assert suspects.column("subject").to_pylist() == [f"domain:{SITE}"]
    assert alerts.column("person").to_pylist() == ["person:p2"]
