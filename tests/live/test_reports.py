"""Reports reach the desk with the position that was reached: once, without their words, in the right unit."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from wuzha.live import results
from wuzha.live.lease import LeaseLost
from wuzha.store import Connection, Database
from wuzha.store import log as store_log

from .rows import START, table
from .test_results import Desk, alert
from .test_worker import follow, settings


@pytest.fixture
def desk(db: Database, engine: Connection, tmp_path: Path) -> Desk:
    return Desk(db, engine, tmp_path)


def reports(*rows: dict[str, Any]) -> Any:
    known = {"ts": START, "reported_at": START + timedelta(hours=1), "scam_type": "loan", "narrative": "张小兰被骗两万"}
    return table("reports", [{"event_id": f"r{i}", "report": f"J{i}", **known, **r} for i, r in enumerate(rows)], "110")


def identifiers(*rows: dict[str, Any]) -> Any:
    return table(
        "identifiers", [{"event_id": f"i{i}", "ts": START, "report": "J0", **r} for i, r in enumerate(rows)], "110"
    )


def write(desk: Desk, *tables: tuple[str, Any], **parts: Any) -> None:
    out = results.Found()
    for part in parts.get("alerts", ()):
        out.alerts[part.person, part.episode] = part
    out.registers += tables
    desk.at += 1
    results.write(desk.conn, desk.lease, desk.at, out, desk.scribe)


def test_a_report_stands_once_however_often_it_is_written_and_without_its_words(desk: Desk) -> None:
    rows = ("reports", reports({"person": "p1", "loss_fen": 200}, {"person": None, "loss_fen": None}))
    named = ("identifiers", identifiers({"kind": "line", "value": "+8613800138000", "role": "victim"},
                                        {"kind": "nonsense", "value": "x", "role": "suspect"}))  # fmt: skip
    write(desk, rows, named)
    before = desk.ask("SELECT * FROM wuzha.reports ORDER BY 1")
    write(desk, rows, named)
    assert desk.ask("SELECT * FROM wuzha.reports ORDER BY 1") == before
    stand = desk.ask(
        "SELECT report, loss_fen, s.value, scam_type FROM wuzha.reports"
        " LEFT JOIN wuzha.subjects s ON s.subject_id = person_id ORDER BY 1"
    )
    assert stand == [("J0", 200, "p1", "loan"), ("J1", None, None, "loan")]
    assert "张小兰" not in str(before)
    assert desk.ask("SELECT s.value, role FROM wuzha.report_identifiers JOIN wuzha.subjects s USING (subject_id)") == [
        ("+8613800138000", "victim")
    ]


def test_an_identifier_that_comes_later_says_that_the_report_has_changed(desk: Desk) -> None:
    write(desk, ("reports", reports({"person": "p1"})))
    (first,) = desk.ask("SELECT changed_at FROM wuzha.reports")
    write(desk, ("identifiers", identifiers({"kind": "account", "value": "6222021234567890128", "role": "payee"})))
    (second,) = desk.ask("SELECT changed_at FROM wuzha.reports")
    assert second > first


def test_a_report_belongs_to_the_unit_of_its_persons_alert_or_of_where_they_live(desk: Desk, db: Database) -> None:
    with db.connect("web") as web:
        (root,) = web.execute("SELECT unit_id FROM wuzha.units").fetchone() or (0,)
        for place in ("350203", "350206"):
            web.execute(
                "INSERT INTO wuzha.units (code, name, kind, parent_id, place) VALUES (%s, %s, 'county', %s, %s)",
                (place, place, root, place),
            )
    persons = table("persons", [{"event_id": "v", "ts": START, "person": "p2", "place": "350206001"}], "register")
    write(
        desk, ("persons", persons), ("reports", reports({"person": "p1"}, {"person": "p2"}, {"person": None})),
        alerts=[alert("p1", place="350203")],
    )  # fmt: skip
    assert desk.ask("SELECT report, n.code FROM wuzha.reports JOIN wuzha.units n USING (unit_id) ORDER BY 1") == [
        ("J0", "350203"), ("J1", "350206"), ("J2", "root"),
    ]  # fmt: skip


def test_a_stale_epoch_writes_no_report(desk: Desk) -> None:
    desk.conn.execute("UPDATE wuzha.partitions SET epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        write(desk, ("reports", reports({"person": "p1"})))
    assert desk.ask("SELECT count(*) FROM wuzha.reports") == [(0,)]


def test_the_worker_tells_the_desk_of_the_reports_in_the_log(db: Database, engine: Connection, tmp_path: Path) -> None:
    from wuzha.live.subjects import first_unit

    with db.connect("web") as web:
        first_unit(web, "反诈中心")
        told = reports({"person": "p1", "loss_fen": 5})
        named = identifiers({"kind": "line", "value": "+8613800138000", "role": "victim"})
        store_log.append(
            web,
            [
                store_log.Batch(table=name, rows=rows, source="110", basis="own_report")
                for name, rows in (("reports", told), ("identifiers", named))
            ],
        )
    follow(db, settings(tmp_path), 2)
    rows = engine.execute(
        "SELECT r.report, r.loss_fen, i.role FROM wuzha.reports r"
        " JOIN wuzha.report_identifiers i USING (source, report)"
    ).fetchall()
    assert rows == [("J0", 5, "victim")]
