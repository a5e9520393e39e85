"""Evidence meets on the person: lines and warnings join, provisional persons become real, alerts end and reopen."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from tests import eventlog
from tests.detect.chronicle import book
from tests.eventlog import T0, block

from wuzha import detect
from wuzha.events.subjects import person_of_id

LINE = "+8613800000001"
URGENT = {"level_upstream": "urgent", "scam_type": "loan"}


def run(log: Any, cuts: list[int] | None = None, *, save: bool = False) -> tuple[Any, Any]:
    """Alerts and suspects, by rules under which every warning raises an alert."""
    return eventlog.run(log, cuts, save=save, book=book())


def _warn(at: float, i: int, **more: object) -> dict[str, object]:
    return {"at": at, "event_id": f"w{i}", **URGENT, **more}


def test_warnings_of_several_feeds_meet_on_one_person() -> None:
    log = block(
        {
            "relations": [
                {"at": 0, "subject": f"line:{LINE}", "other": "person:p1", "role": "user"},
                {"at": 0, "subject": "account:6222", "other": "person:p1", "role": "holder"},
            ],
            "warnings": [_warn(10, 1, victim_line=LINE), _warn(20, 2, victim_account="6222", source="bank")],
        }
    )
    alerts, _ = run(log)
    (alert,) = alerts.to_pylist()
    assert alert["person"] == "person:p1"
    assert alert["warnings"] == ["bank/w2", "s/w1"]


def test_the_user_of_a_line_comes_before_its_registrant() -> None:
    log = block(
        {
            "relations": [
                {"at": 0, "subject": f"line:{LINE}", "other": "person:owner", "role": "registrant"},
                {"at": 0, "event_id": "r2", "subject": f"line:{LINE}", "other": "person:user", "role": "user"},
            ],
            "warnings": [_warn(10, 1, victim_line=LINE), _warn(11, 2, victim_line=LINE)],
        }
    )
    alerts, _ = run(log)
    assert alerts.column("person").to_pylist() == ["person:user"]


def test_an_unknown_line_has_a_provisional_person_who_becomes_the_real_one() -> None:
    warnings = [_warn(10, 1, victim_line=LINE), _warn(20, 2, victim_line=LINE)]
    alerts, _ = run(block({"warnings": warnings}))
    assert alerts.column("person").to_pylist() == [f"person:line:{LINE}"]
    relation = {"at": 60, "subject": f"line:{LINE}", "other": "person:p1", "role": "user"}
    alerts, _ = run(block({"warnings": warnings, "relations": [relation]}))
    (alert,) = alerts.to_pylist()
    assert alert["person"] == "person:p1"
    assert len(alert["warnings"]) == 2 and len(alert["evidence"]) >= 2
    assert alert["raised_at"] == T0.replace(minute=10)


def test_a_closed_alert_ends_and_later_evidence_opens_the_next() -> None:
    engine = detect.Engine(book())
    opened = engine.feed(block({"warnings": [_warn(10, 1, victim_line=LINE)]}))
    assert [a.episode for a in opened.alerts] == [1]
    person = opened.alerts[0].person
    known = T0.replace(hour=2)
    engine.feed(
        block({"findings": [{"ts": known, "subject": f"person:{person}", "kind": "alert_closed", "known_at": known}]})
    )
    later = engine.feed(block({"warnings": [_warn(3 * 1440, 2, victim_line=LINE)]}))
    assert [a.episode for a in later.alerts] == [2]


def test_counterparts_of_a_new_suspect_get_evidence_dated_to_their_own_call() -> None:
    caller = "+8613900000099"
    calls = [{"at": 30, "caller": caller, "callee": LINE, "duration_s": 600}]
    reports = [{"at": 400, "report": "r1", "reported_at": T0.replace(hour=7)}]
    named = [{"at": 400, "report": "r1", "kind": "line", "value": caller, "role": "suspect"}]
    warnings = [_warn(35, 1, victim_line=LINE)]
    alerts, suspects = run(block({"calls": calls, "reports": reports, "identifiers": named, "warnings": warnings}))
    assert suspects.column("subject").to_pylist() == [f"line:{caller}"]
    (alert,) = alerts.to_pylist()
    talk = [e for e in alert["evidence"] if e["rule"] == "suspect_talk"]
    assert talk and talk[0]["at"] == T0.replace(minute=30)
    assert talk[0]["event_ids"][0] == "s/calls-0"


def test_two_words_for_one_person_count_an_event_once() -> None:
    words = [
        {"at": 0, "event_id": f"r{i}", "subject": f"line:{LINE}", "other": "person:p1", "role": role}
        for i, role in enumerate(("registrant", "user"))
    ]
    engine = detect.Engine(book())
    engine.feed(block({"relations": words, "warnings": [_warn(10, 1, victim_line=LINE)]}))
    figures = engine.figures("person:p1")
    assert figures is not None and figures["warnings_7d"] == 1


def test_a_registrant_is_not_shown_what_the_user_of_the_line_did() -> None:
    words = [
        {"at": 0, "event_id": "r1", "subject": f"line:{LINE}", "other": "person:owner", "role": "registrant"},
        {"at": 0, "event_id": "r2", "subject": f"line:{LINE}", "other": "person:user", "role": "user"},
        {"at": 0, "event_id": "r3", "subject": "account:6222", "other": "person:owner", "role": "holder"},
    ]
    warnings = [_warn(10, 1, victim_line=LINE), _warn(20, 2, victim_account="6222")]
    alerts, _ = run(block({"relations": words, "warnings": warnings}))
    cited = {a["person"]: {i for e in a["evidence"] for i in e["event_ids"]} for a in alerts.to_pylist()}
    assert cited == {"person:owner": {"s/w2"}, "person:user": {"s/w1"}}


def test_a_warning_with_an_unknown_identity_number_has_a_person_with_an_alert() -> None:
    number = "350203199001011234"
    warnings = [_warn(10, 1, victim_id=number), _warn(20, 2, victim_id=number.lower(), source="bank")]
    log = block({"warnings": warnings})
    alerts, _ = run(log)
    (alert,) = alerts.to_pylist()
    assert alert["person"] == f"person:{person_of_id(number)}" and number not in str(alert)
    assert alert["warnings"] == ["bank/w2", "s/w1"]
    assert detect.Engine(book()).feed(log).counts["unjoined"] == 0


def test_what_stood_on_a_number_goes_to_its_person_once_the_register_names_them() -> None:
    number = "350203199001011234"
    warnings = [_warn(10, 1, victim_id=number), _warn(90, 2, victim_id=number)]
    register = [{"at": 60, "person": "p1", "id": number}]
    alerts, _ = run(block({"warnings": warnings, "persons": register}))
    (alert,) = alerts.to_pylist()
    assert alert["person"] == "person:p1" and len(alert["warnings"]) == 2
    assert alert["raised_at"] == T0.replace(minute=10)


def test_a_warning_with_a_name_only_has_a_person_of_its_own() -> None:
    log = block({"warnings": [_warn(10, 1, victim_name="王小明"), _warn(20, 2, victim_name="王小明")]})
    alerts, _ = run(log)
    assert [len(a["warnings"]) for a in alerts.to_pylist()] == [1, 1]
    assert all(a["person"].startswith("person:warning-") and "王小明" not in str(a) for a in alerts.to_pylist())
    again, _ = run(log, [1], save=True)
    assert again.to_pylist() == alerts.to_pylist()


def test_a_line_that_the_number_comes_with_decides() -> None:
    warnings = [_warn(10, 1, victim_line=LINE), _warn(20, 2, victim_line=LINE, victim_id="350203199001011234")]
    alerts, _ = run(block({"warnings": warnings}))
    (alert,) = alerts.to_pylist()
    assert alert["person"] == f"person:line:{LINE}" and len(alert["warnings"]) == 2


def test_a_warning_about_nobody_is_counted() -> None:
    engine = detect.Engine(book())
    assert engine.feed(block({"warnings": [_warn(10, 1, suspect_line=LINE)]})).counts["unjoined"] == 1


def _twins(*words: tuple[float, str]) -> dict[str, list[dict[str, object]]]:
    """Two persons with a warning each, and what is said of the two later."""
    said = [
        {"at": at, "event_id": f"t{i}", "subject": "person:p1", "other": "person:p2", "role": role}
        for i, (at, role) in enumerate(words)
    ]
    return {
        "relations": [
            {"at": 0, "event_id": "r1", "subject": f"line:{LINE}", "other": "person:p1", "role": "user"},
            {"at": 0, "event_id": "r2", "subject": "account:6222", "other": "person:p2", "role": "holder"},
            *said,
        ],
        "warnings": [_warn(10, 1, victim_line=LINE), _warn(20, 2, victim_account="6222")],
    }


def test_merging_carries_evidence_and_alert_along() -> None:
    alerts, _ = run(block(_twins((60, "same_person"))))
    (alert,) = alerts.to_pylist()
    assert alert["warnings"] == ["s/w1", "s/w2"]
    assert {i for e in alert["evidence"] for i in e["event_ids"]} >= {"s/w1", "s/w2"}
    assert alert["raised_at"] == T0.replace(minute=10)


def test_splitting_gives_each_its_own_back() -> None:
    """As if they had never been one: the alert, when it was raised, how high, and what stands on it."""
    apart = run(block(_twins()))[0].to_pylist()
    assert len(apart) == 2
    assert run(block(_twins((60, "same_person"), (90, "not_same_person"))))[0].to_pylist() == apart


def test_merging_again_after_a_split_holds() -> None:
    once = run(block(_twins((60, "same_person"))))[0].to_pylist()
    log = block(_twins((60, "same_person"), (90, "not_same_person"), (120, "same_person")))
    assert run(log)[0].to_pylist() == once
    assert once[0]["warnings"] == ["s/w1", "s/w2"]


_WORDS = ("same_person", "not_same_person", "same_person", "not_same_person")


@pytest.mark.parametrize("words", [1, 2, 3, 4])
def test_joined_and_parted_persons_are_the_same_however_the_log_is_cut(words: int) -> None:
    log = block(_twins(*((60 + 30 * i, word) for i, word in enumerate(_WORDS[:words]))))
    whole = run(log)[0].to_pylist()
    for cuts in ([len(log) - 1], list(range(1, len(log)))):
        assert run(log, cuts, save=True)[0].to_pylist() == whole


def test_who_keeps_an_alert_while_part_of_it_goes_still_has_it() -> None:
    """Two lines of one unknown owner's circle: the evidence of one goes to its owner, the alert of the other stays."""
    other = "+8613800000002"
    log = block(
        {
            "relations": [
                {"at": 0, "event_id": "a", "subject": f"line:{LINE}", "other": "person:p1", "role": "user"},
                {"at": 0, "event_id": "b", "subject": f"line:{other}", "other": "person:p1", "role": "registrant"},
                {"at": 1600, "event_id": "c", "subject": f"line:{other}", "other": "person:p2", "role": "user"},
            ],
            "warnings": [_warn(10, 1, victim_line=LINE), _warn(1500, 2, victim_line=other)],
        }
    )
    alone = [
        run(block({"warnings": [w], "relations": [{"at": 0, "subject": f"line:{s}", "other": p, "role": "user"}]}))[0]
        for w, s, p in (
            (_warn(10, 1, victim_line=LINE), LINE, "person:p1"),
            (_warn(1500, 2, victim_line=other), other, "person:p2"),
        )
    ]
    keys = ("person", "warnings", "raised_at", "high_at", "level", "episode")
    wanted = [{k: row[k] for k in keys} for table in alone for row in table.to_pylist()]
    for cuts in ([], list(range(1, len(log)))):
        got = run(log, cuts, save=True)[0].to_pylist()
        assert [{k: row[k] for k in keys} for row in got] == wanted


def test_a_word_on_an_earlier_time_moves_what_was_an_earlier_owner_s() -> None:
    """Both the owner now and the owner then are asked what they have of it."""
    until, begin = T0 + dt.timedelta(minutes=30), T0 + dt.timedelta(minutes=30)
    mine = {"subject": f"line:{LINE}", "role": "user"}
    words = [
        {**mine, "at": 0, "event_id": "a", "other": "person:then", "valid_to": until},
        {**mine, "at": 1, "event_id": "b", "other": "person:now", "valid_from": begin},
        {**mine, "at": 90, "event_id": "c", "other": "person:truly", "valid_to": until, "valid_from": T0},
    ]
    warnings = [_warn(10, 1, victim_line=LINE), _warn(40, 2, victim_line=LINE)]
    alerts = run(block({"relations": words, "warnings": warnings}))[0].to_pylist()
    assert {a["person"]: a["warnings"] for a in alerts} == {"person:truly": ["s/w1"], "person:now": ["s/w2"]}


def _closing(minute: float, person: str, **more: Any) -> dict[str, Any]:
    at = T0 + dt.timedelta(minutes=minute)
    return {"ts": at, "subject": f"person:{person}", "kind": "alert_closed", "known_at": at, **more}


def test_an_alert_that_is_raised_and_closed_in_one_batch_is_told() -> None:
    log = block({"warnings": [_warn(10, 1, victim_line=LINE)], "findings": [_closing(20, f"line:{LINE}")]})
    assert [a.episode for a in detect.Engine(book()).feed(log).alerts] == [1]


def test_the_same_rule_speaks_again_once_its_alert_is_closed() -> None:
    """A cool-down keeps one alert short; it never keeps the next one from being raised."""
    warnings = [_warn(10, 1, victim_line=LINE), _warn(30, 2, victim_line=LINE)]
    log = block({"warnings": warnings, "findings": [_closing(20, f"line:{LINE}")]})
    for cuts in ([], [1, 2]):
        alerts = run(log, cuts)[0].to_pylist()
        assert [(a["episode"], a["warnings"]) for a in alerts] == [(1, ["s/w1"]), (2, ["s/w2"])]
        assert all({"told", "warned"} <= {e["rule"] for e in a["evidence"]} for a in alerts)


def test_what_an_alert_was_closed_with_does_not_rise_again_with_another_person() -> None:
    tables = _twins((60, "same_person"))
    tables["findings"] = [_closing(30, "p1")]
    alerts = run(block(tables))[0].to_pylist()
    assert sorted((a["person"], a["episode"], tuple(a["warnings"])) for a in alerts) in (
        [("person:p1", 1, ("s/w1",)), ("person:p1", 2, ("s/w2",))],
        [("person:p1", 1, ("s/w1",)), ("person:p2", 1, ("s/w2",))],
    )


def test_a_report_stays_with_the_person_who_made_it() -> None:
    reports = [{"at": 30, "report": "r1", "person": "p2", "reported_at": T0 + dt.timedelta(minutes=30)}]
    words = [
        {"at": at, "event_id": f"t{at}", "subject": "person:p1", "other": "person:p2", "role": role}
        for at, role in ((10, "same_person"), (60, "not_same_person"))
    ]
    engine = detect.Engine(book())
    engine.feed(block({"reports": reports, "relations": words}))
    figures = {p: engine.figures(f"person:{p}") for p in ("p1", "p2")}
    counts = {p: [v for k, v in (f or {}).items() if "report" in k and v] for p, f in figures.items()}
    assert not counts["p1"] and counts["p2"], figures


def test_evidence_that_no_batch_end_has_seen_is_not_lost() -> None:
    """More evidence in one batch than is weighed at a time."""
    calls = []
    for day in range(12):
        for i in range(12):
            calls.append(
                {"at": day * 1440 + i * 60, "caller": f"+85261{day:02d}{i:04d}", "callee": LINE, "duration_s": 900,
                 "caller_raw": "008613800110"}
            )  # fmt: skip
    warnings = [_warn(60 * 5 * i, i, victim_line=LINE) for i in range(60)]
    log = block({"calls": calls, "warnings": warnings})
    whole = run(log)[0].to_pylist()
    assert sum(len(a["evidence"]) for a in whole) > 64
    assert run(log, list(range(1, len(log), 3)))[0].to_pylist() == whole
