"""Evidence meets on the person: lines and warnings join, provisional persons become real ones, alerts end and reopen."""

from __future__ import annotations

from tests.eventlog import T0, block, run

from wuzha import detect

LINE = "+8613800000001"
URGENT = {"level_upstream": "urgent", "scam_type": "loan"}


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
    engine = detect.Engine()
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
