"""Results in one transaction: whole or not at all, never the desk's columns, never twice; and what leaves a holder."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.api.conftest import Opened, opened, sender  # noqa: F401 - fixtures

from wuzha import detect
from wuzha.live import forward, lease, leaving, results
from wuzha.live.cited import Cited
from wuzha.live.lease import LeaseLost
from wuzha.live.subjects import Numbers, Units, first_unit
from wuzha.store import Connection, Database
from wuzha.store import log as store_log

from .rows import START, calls, table

RULE = next(iter(detect.shipped().rules.values()))


def alert(person: str = "p1", **changes: Any) -> detect.Alert:
    values = {
        "person": person, "episode": 1, "line": "+8613800138000", "account": None, "device": None, "place": "350203",
        "raised_at": START, "high_at": None, "last_evidence_at": START, "level": "medium", "scam_type": "authority",
        "stage": "trust", "score": 3.0, "typology": "authority", "amount_fen": 100, "interdict": False, **changes,
    }  # fmt: skip
    return detect.Alert(**values)


def evidence(person: str = "p1", minute: int = 0, **changes: Any) -> detect.Evidence:
    values = {
        "person": person, "episode": 1, "rule": RULE.id, "version": RULE.version,
        "at": START + timedelta(minutes=minute),
        "weight": 2.0, "typology": "authority", "stage": "trust", "args": dict.fromkeys(RULE.args, 1.0),
        "events": ((1 << 20) | minute,), **changes,
    }  # fmt: skip
    return detect.Evidence(**values)


def found(*parts: Any) -> results.Found:
    changes = detect.Changes()
    for part in parts:
        name = {"Alert": "alerts", "Evidence": "evidence", "JoinedWarning": "warnings", "Move": "moves"}[
            type(part).__name__
        ]
        getattr(changes, name).append(part)
    out = results.Found()
    out.add(changes)
    return out


class Desk:
    """A database with a log of fifty calls, and a lease on it."""

    def __init__(self, db: Database, conn: Connection, tmp_path: Path, outward: str | None = None) -> None:
        with db.connect("web") as web:
            first_unit(web, "反诈中心")
            batch = store_log.Batch(table="calls", rows=calls(50), source="carrier", basis="holder_own")
            store_log.append(web, batch)
        held = lease.take(conn, 0, lease.worker_name(), 600)
        assert held is not None
        self.conn, self.lease, self.at = conn, held, 0
        self.scribe = results.Scribe(
            numbers=Numbers(), units=Units(), cited=Cited(tmp_path), outward=outward, outward_rank=1
        )

    def write(self, *parts: Any) -> int:
        self.at += 1
        return results.write(self.conn, self.lease, self.at, found(*parts), self.scribe)

    def take(self, changes: detect.Changes) -> int:
        self.at += 1
        out = results.Found()
        out.add(changes)
        return results.write(self.conn, self.lease, self.at, out, self.scribe)

    def ask(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        return self.conn.execute(query, list(values)).fetchall()


@pytest.fixture
def desk(db: Database, engine: Connection, tmp_path: Path) -> Desk:
    return Desk(db, engine, tmp_path)


def test_the_same_results_twice_change_nothing(desk: Desk) -> None:
    desk.write(alert(), evidence(), evidence(minute=1))
    before = desk.ask("SELECT level_at, committed_at, level FROM wuzha.alerts")
    desk.write(alert(), evidence(), evidence(minute=1))
    assert desk.ask("SELECT level_at, committed_at, level FROM wuzha.alerts") == before
    assert desk.ask("SELECT count(*) FROM wuzha.evidence") == [(2,)]
    assert desk.ask("SELECT event_id, event->>'caller', event ? 'source' FROM wuzha.evidence_events ORDER BY 1") == [
        ("c0", "+85251234567", False), ("c1", "+85251234567", False),
    ]  # fmt: skip


def test_a_rise_moves_level_at_and_leaves_the_desks_columns(desk: Desk, db: Database) -> None:
    desk.write(alert(), evidence())
    (first,) = desk.ask("SELECT level_at FROM wuzha.alerts")
    with db.connect("super") as root:
        root.execute("UPDATE wuzha.alerts SET state = 'signed', signed_at = now(), line_id = person_id, version = 7")
    desk.write(alert(level="urgent", high_at=START, line="+8613900139000"))
    rows = desk.ask("SELECT level_at > %s, level_rank, state, version, line_id = person_id FROM wuzha.alerts", first[0])
    assert rows == [(True, 3, "signed", 7, True)], "the line that the desk chose stays"


def test_a_stale_epoch_writes_nothing(desk: Desk) -> None:
    desk.conn.execute("UPDATE wuzha.partitions SET epoch = epoch + 1")
    with pytest.raises(LeaseLost):
        desk.write(alert(), evidence())
    assert desk.ask("SELECT count(*) FROM wuzha.alerts") == [(0,)]
    assert desk.ask("SELECT count(*) FROM wuzha.subjects") == [(0,)]
    assert desk.ask("SELECT position FROM wuzha.partitions") == [(0,)]


def test_evidence_without_an_alert_undoes_the_whole_transaction(desk: Desk) -> None:
    with pytest.raises(ValueError, match="no alert"):
        desk.write(alert("p1"), evidence("p2"))
    assert desk.ask("SELECT count(*) FROM wuzha.alerts") == [(0,)]
    desk.write(alert("p1"), evidence("p1"))
    assert desk.ask("SELECT count(*) FROM wuzha.alerts") == [(1,)], "numbers that were rolled back are not used again"


def test_an_alert_goes_along_with_its_person(desk: Desk) -> None:
    provisional = "line:+8613800138000"
    desk.write(alert(provisional), evidence(provisional))
    (before,) = desk.ask("SELECT alert_id FROM wuzha.alerts")
    move = detect.Move(source=provisional, target="p1", at=START)
    desk.write(move, alert("p1", level="high"), evidence("p1"), evidence("p1", 5))
    assert desk.ask(
        "SELECT a.alert_id, s.value, a.level FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id"
    ) == [(before[0], "p1", "high")]
    assert desk.ask("SELECT count(*), count(withdrawn_at) FROM wuzha.evidence") == [(2, 0)]
    assert desk.ask("SELECT action FROM wuzha.audit") == [("alert.carried",)]


def test_two_alerts_of_one_person_become_one_that_the_other_names(desk: Desk) -> None:
    provisional = "line:+8613800138000"
    desk.write(alert(provisional), evidence(provisional))
    desk.write(alert("p1"), evidence("p1", 7))
    desk.write(detect.Move(source=provisional, target="p1", at=START), alert("p1", level="high"), evidence("p1"))
    rows = desk.ask(
        "SELECT s.value, a.state, m.value FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id"
        " LEFT JOIN wuzha.alerts b ON b.alert_id = a.merged_into"
        " LEFT JOIN wuzha.subjects m ON m.subject_id = b.person_id"
        " ORDER BY 1"
    )
    assert rows == [(provisional, "closed", "p1"), ("p1", "new", None)]
    assert desk.ask("SELECT count(*) FILTER (WHERE withdrawn_at IS NULL), count(*) FROM wuzha.evidence") == [(2, 3)]


def test_part_of_the_evidence_may_be_anothers(desk: Desk) -> None:
    desk.write(alert("p1"), evidence("p1"), evidence("p1", 9))
    desk.write(detect.Move(source="p1", target="p2", at=START), alert("p2"), evidence("p2", 9), alert("p1"))
    rows = desk.ask(
        "SELECT s.value, count(*) FILTER (WHERE e.withdrawn_at IS NULL), max(e.withdrawn_why) FROM wuzha.evidence e"
        " JOIN wuzha.alerts a USING (alert_id) JOIN wuzha.subjects s ON s.subject_id = a.person_id"
        " GROUP BY 1 ORDER BY 1"
    )
    assert rows == [("p1", 1, "moved"), ("p2", 1, None)]


def test_persons_joined_by_mistake_get_their_own_alerts_back(desk: Desk) -> None:
    desk.write(alert("p1"), evidence("p1"))
    desk.write(alert("p2"), evidence("p2", 7))
    # one person after all …
    joined = detect.Changes(
        moves=[detect.Move(source="p2", target="p1", at=START)], withdrawn=[("p2", 1)], restated=[("p1", 1)],
        alerts=[alert("p1", level="high")], evidence=[evidence("p1"), evidence("p1", 7)],
    )  # fmt: skip
    desk.take(joined)
    stands = (
        "SELECT s.value, a.state, a.level, a.merged_into IS NULL,"
        " (SELECT count(*) FROM wuzha.evidence e WHERE e.alert_id = a.alert_id AND e.withdrawn_at IS NULL)"
        " FROM wuzha.alerts a JOIN wuzha.subjects s ON s.subject_id = a.person_id ORDER BY 1"
    )
    assert desk.ask(stands) == [("p1", "new", "high", True, 2), ("p2", "closed", "medium", False, 0)]
    # … or not
    parted = detect.Changes(
        moves=[detect.Move(source="p1", target="p2", at=START)], restated=[("p1", 1), ("p2", 1)],
        alerts=[alert("p1"), alert("p2")], evidence=[evidence("p1"), evidence("p2", 7)],
    )  # fmt: skip
    desk.take(parted)
    assert desk.ask(stands) == [("p1", "new", "medium", True, 1), ("p2", "new", "medium", True, 1)]
    desk.take(parted)
    assert desk.ask(stands) == [("p1", "new", "medium", True, 1), ("p2", "new", "medium", True, 1)]


def test_an_alert_taken_back_without_a_successor_keeps_nothing_that_speaks(desk: Desk) -> None:
    desk.write(alert("p1"), evidence("p1"), evidence("p1", 3))
    desk.take(detect.Changes(withdrawn=[("p1", 1)]))
    assert desk.ask("SELECT count(*), count(withdrawn_at) FROM wuzha.evidence") == [(2, 2)]
    assert desk.ask("SELECT state FROM wuzha.alerts") == [("new",)]
    assert desk.ask("SELECT action FROM wuzha.audit") == [("alert.taken_back",)]


# ---------------------------------------------------------------- what leaves


def test_a_warning_leaves_for_an_alert_and_for_each_rise(db: Database, engine: Connection, tmp_path: Path) -> None:
    desk = Desk(db, engine, tmp_path, outward=forward.RECIPIENT)
    desk.write(alert(level="low"), evidence())
    assert forward.pending(engine) == [], "weak hints stay"
    desk.write(alert(level="medium"))
    desk.write(alert(level="medium", score=4.0))
    desk.write(alert(level="urgent"), evidence(minute=3))
    bodies = [body for _, body in forward.pending(engine)]
    assert [b["level_upstream"] for b in bodies] == ["medium", "urgent"]
    assert len({b["event_id"] for b in bodies}) == 2
    assert bodies[1]["victim_line"] == "+8613800138000" and bodies[1]["reasons"]
    assert {"caller", "callee", "events"}.isdisjoint(bodies[1]), "no raw rows"
    assert bodies[0]["event_id"] == leaving.number("p1", 1, 1)


def test_the_centre_counts_each_warning_once_and_names_leave_with_the_receipt(
    db: Database, engine: Connection, tmp_path: Path, make_db: Any, request: pytest.FixtureRequest
) -> None:
    desk = Desk(db, engine, tmp_path, outward=forward.RECIPIENT)
    desk.conn.execute("INSERT INTO wuzha.subjects (kind, value) VALUES ('person', 'p1')")
    desk.conn.execute(
        "INSERT INTO wuzha.persons (person_id, name, id_no)"
        " SELECT subject_id, '张三', '350203199001010011' FROM wuzha.subjects"
    )
    desk.write(alert(level="high"), evidence())
    rows = forward.pending(engine)
    assert rows[0][1]["victim_name"] == "张三"
    key = request.getfixturevalue("sender")("city-holder", role="holder", basis="warning", tables=["warnings"])
    client: httpx.Client = request.getfixturevalue("opened")()
    client.headers["Authorization"] = key
    # The receipt of the first sending is lost; the second says that it is there already.
    assert forward.send(client, rows) == {rows[0][0]: "position 2"}
    said = forward.send(client, rows)
    assert said == {rows[0][0]: "already there"}
    forward.receipt(engine, said)
    assert forward.pending(engine) == []
    (body,) = engine.execute("SELECT body FROM wuzha.outbox").fetchone() or ({},)
    assert {"victim_name", "victim_id"}.isdisjoint(body) and "victim_line" in body


def test_a_closed_door_leaves_the_warnings_waiting(db: Database, engine: Connection, tmp_path: Path) -> None:
    desk = Desk(db, engine, tmp_path, outward=forward.RECIPIENT)
    desk.write(alert(level="high"), evidence())
    key_file = tmp_path / "key"
    key_file.write_text("wrong")
    away = forward.Forwarder(lambda: db.connect("engine"), "http://127.0.0.1:9", key_file)
    away.start()
    away.wake()
    away.stop()
    assert len(forward.pending(engine)) == 1


def test_units_answer_by_the_longest_prefix_else_the_root(db: Database, engine: Connection) -> None:
    with db.connect("web") as web:
        first_unit(web, "反诈中心")
        web.execute(
            "INSERT INTO wuzha.units (code, name, kind, parent_id, place) SELECT c, c, k, unit_id, p FROM wuzha.units,"
            " (VALUES ('a', 'county', '3502'), ('b', 'station', '350203'), ('bank', 'bank', '350211')) AS v (c, k, p)"
        )
    units = Units()
    named = dict(engine.execute("SELECT unit_id, code FROM wuzha.units").fetchall())
    asked = ("350203", "350206", "110000", None, "350211")
    assert [named[units.answering(engine, p)] for p in asked] == ["b", "a", "root", "root", "a"]


def test_registers_fill_the_vault_and_a_null_takes_nothing_away(desk: Desk) -> None:
    first = table("persons", [{"event_id": "1", "ts": START, "person": "p1", "name": "张三", "gender": "male"}])
    second = table("persons", [{"event_id": "2", "ts": START, "person": "p1", "id": "350203199001010011"}])
    for rows in (first, second):
        given = results.Found(registers=[("persons", rows)])
        desk.at += 1
        results.write(desk.conn, desk.lease, desk.at, given, desk.scribe)
    assert desk.ask("SELECT name, id_no, gender FROM wuzha.persons") == [("张三", "350203199001010011", "male")]


@pytest.mark.parametrize(
    ("seen", "home", "at"),
    [
        ("350200", "350203", "350203"),
        (None, "350203", "350203"),
        ("110100", "350203", "110100"),
        ("350200", None, "350200"),
        (None, None, None),
    ],
)
def test_the_vault_makes_the_place_exact_within_the_city_that_events_speak_of(
    seen: str | None, home: str | None, at: str | None
) -> None:
    assert results.nearest(seen, home) == at


def test_an_alert_goes_to_the_unit_of_its_persons_county_until_an_officer_has_signed(desk: Desk, db: Database) -> None:
    with db.connect("web") as web:
        web.execute(
            "INSERT INTO wuzha.units (code, name, kind, parent_id, place) SELECT c, c, 'station', unit_id, c"
            " FROM wuzha.units, (VALUES ('350203'), ('350206')) AS v (c)"
        )
    unit = "SELECT n.code FROM wuzha.alerts a JOIN wuzha.units n USING (unit_id)"
    desk.write(alert(place="350200"))
    assert desk.ask(unit) == [("root",)]

    def moves_to(place: str, event_id: str) -> None:
        rows = table("persons", [{"event_id": event_id, "ts": START, "person": "p1", "place": place}])
        given = found(alert(place="350200"))
        given.registers.append(("persons", rows))
        desk.at += 1
        results.write(desk.conn, desk.lease, desk.at, given, desk.scribe)

    moves_to("350206", "1")
    assert desk.ask(unit) == [("350206",)]
    desk.conn.execute("UPDATE wuzha.alerts SET state = 'signed'")
    moves_to("350203", "2")
    assert desk.ask(unit) == [("350206",)]
