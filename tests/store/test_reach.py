"""Who reaches a file that another has taken in, and what hangs on it; who may end a grant, set a clock, take a phone.

Every table that hangs on an alert is found in the catalogue of the database and gets a row, so that a table that is
added later is proven with the others.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.desks import Centre, centre

from wuzha.store import Connection, Database, transaction
from wuzha.store import search as store_search

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)
#: What hangs on what hangs on an alert.
BELOW = {
    "evidence_events": "evidence_id", "evidence_marks": "evidence_id", "feedback_steps": "warning_id",
    "measure_notices": "measure_id", "release_requests": "measure_id", "robot_results": "row_id",
}  # fmt: skip
#: Never shown on a page: the machine reads them.
UNSHOWN = {"visit_marks"}
_VALUES: dict[str, Any] = {
    "bigint": 1, "integer": 1, "smallint": 1, "double precision": 1.0, "text": "x", "boolean": True, "jsonb": "{}",
    "timestamp with time zone": NOW, "date": NOW.date(), "bytea": b"x", "interval": timedelta(1), "text[]": [],
    "bigint[]": [],
}  # fmt: skip
_COLUMNS = """
SELECT c.relname, a.attname, format_type(a.atttypid, NULL),
       (SELECT f.confrelid::regclass::text FROM pg_constraint f WHERE f.conrelid = c.oid AND f.contype = 'f'
           AND f.conkey = ARRAY[a.attnum]) AS parent, a.attnotnull, a.atthasdef OR a.attidentity <> '' AS filled
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'wuzha'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped
"""


@pytest.fixture
def desk(db: Database, engine: Connection, web: Connection) -> Centre:
    """Two centres side by side, and a third that has nothing to do with either."""
    made = centre(db, engine, web)
    for code in ("far", "third"):
        made.unit(code, code, "county")
    return made


def merged(desk: Centre) -> tuple[int, int]:
    """A file of the far centre that another of it has taken in, which ours has taken in: (first, ours)."""
    ours = desk.alert("张小兰")
    between = desk.alert("李四", unit="far")
    first = desk.alert("赵六", unit="far", line="+8613900009999")
    for gone, into in ((between, ours), (first, between)):
        desk.engine.execute(
            "UPDATE alerts SET merged_into = %s, state = 'closed', closed_at = %s WHERE alert_id = %s",
            (into, NOW, gone),
        )
    return first, ours


def hang(desk: Centre, alert: int, unit: int, user: int) -> dict[str, int]:
    """A row in every table that hangs on an alert, written past all rules but the columns' types: table -> level."""
    person = desk.subject("person", "someone")
    told = {"alerts": alert, "users": user, "units": unit, "subjects": person, "sources": "x"}
    tables: dict[str, list[tuple[Any, ...]]] = {}
    made: dict[str, int] = {}
    with desk.db.connect("super") as su:
        for row in su.execute(_COLUMNS).fetchall():
            tables.setdefault(row[0], []).append(row)
        su.execute("SET session_replication_role = replica")
        checks = su.execute(
            "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c'"
            " AND connamespace = 'wuzha'::regnamespace"
        ).fetchall()
        for table, name in checks:
            su.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"')  # type: ignore[arg-type]
        on_alert = [t for t, columns in sorted(tables.items()) if any(c[1] == "alert_id" for c in columns)]
        for level, table in [*((1, t) for t in on_alert if t != "alerts"), *((2, t) for t in BELOW)]:
            values: dict[str, Any] = {}
            for _, column, kind, parent, wanted, filled in tables[table]:
                parent = (parent or "").removeprefix("wuzha.")
                if column == "alert_id":
                    values[column] = alert
                elif level == 2 and column == BELOW[table]:
                    key = next(c[1] for c in tables[parent] if c[5] and c[1].endswith("_id"))
                    values[column] = su.execute(f"SELECT max({key}) FROM wuzha.{parent}").fetchone()[0]  # type: ignore[arg-type,index]
                elif wanted and not filled:
                    values[column] = told.get(parent, _VALUES[kind])
            su.execute(
                f"INSERT INTO wuzha.{table} ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})",  # type: ignore[arg-type]
                list(values.values()),
            )
            made[table] = level
    return made


def seen(desk: Centre, unit: str, table: str) -> int:
    with transaction(desk.web, unit=desk.units[unit], user=1, now=NOW):
        row = desk.web.execute(f"SELECT count(*) FROM {table}").fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


def test_all_that_hangs_on_a_file_is_seen_with_the_one_that_took_it_in(desk: Centre) -> None:
    first, ours = merged(desk)
    far = desk.officer("far", "远", "dissuader", unit="far")
    desk.evidence(ours, "q", {}, at=NOW)  # so that what is ours is told from what came with the other
    tables = hang(desk, first, desk.units["far"], far.user_id)
    assert len(tables) > 25
    own = {"evidence"}
    for table in tables.keys() - UNSHOWN:
        assert seen(desk, "third", table) == 0, table
        assert seen(desk, "far", table) == 1, table
        assert seen(desk, "centre", table) == (2 if table in own else 1), table
        assert seen(desk, "east", table) == 0, f"{table}: a station below our centre has no part in it"
    with transaction(desk.web, unit=desk.units["centre"], user=1, now=NOW):
        assert desk.web.execute("SELECT alert_id FROM alerts WHERE alert_id = %s FOR UPDATE", (first,)).fetchone()
        names = {r[0] for r in desk.web.execute("SELECT name FROM persons")}
    assert {"张小兰", "赵六"} <= names


def test_it_is_reached_through_a_grant_for_as_long_as_that_holds_and_in_one_direction(desk: Centre) -> None:
    first, ours = merged(desk)
    one = desk.officer("one", "王", "dissuader")
    with desk.scope(one, now=NOW) as conn:
        conn.execute(
            "INSERT INTO grants (table_name, row_id, unit_id, reason, granted_by, granted_at, until)"
            " VALUES ('alerts', %s, %s, 'visit', %s, %s, %s)",
            (ours, desk.units["third"], one.user_id, NOW, NOW + timedelta(hours=1)),
        )

    def reached(unit: str, at: datetime = NOW) -> set[int]:
        with transaction(desk.web, unit=desk.units[unit], user=1, now=at):
            return {r[0] for r in desk.web.execute("SELECT alert_id FROM alerts")}

    assert {first, ours} <= reached("third")
    assert reached("third", NOW + timedelta(hours=2)) == set()
    assert ours not in reached("far"), "who had the old file does not see whose it is now"
    assert reached("east") == set()


def test_a_number_that_only_the_old_file_knew_finds_the_one_that_carries_it_on(desk: Centre) -> None:
    _, ours = merged(desk)
    with transaction(desk.web, unit=desk.units["centre"], user=1, now=NOW):
        assert ours in store_search.alerts(desk.web, "13900009999")
    with transaction(desk.web, unit=desk.units["third"], user=1, now=NOW):
        assert store_search.alerts(desk.web, "13900009999") == []


def test_a_circle_of_files_ends_the_walk(desk: Centre) -> None:
    first, ours = merged(desk)
    desk.engine.execute("UPDATE alerts SET merged_into = %s WHERE alert_id = %s", (first, ours))
    from wuzha.respond import merged as files

    with transaction(desk.web, unit=desk.units["centre"], user=1, now=NOW):
        assert first in files.family(desk.web, ours)
        assert files.living(desk.web, ours) in files.family(desk.web, ours)
    assert seen(desk, "third", "alerts") == 0


# ---------------------------------------------------------------- grants, clocks, phones


def granted(desk: Centre, actor: Any, alert: int, unit: str) -> int:
    with desk.scope(actor, now=NOW) as conn:
        row = conn.execute(
            "INSERT INTO grants (table_name, row_id, unit_id, reason, granted_by, granted_at, until)"
            " VALUES ('alerts', %s, %s, 'visit', %s, %s, %s) RETURNING grant_id",
            (alert, desk.units[unit], actor.user_id, NOW, NOW + timedelta(days=3)),
        ).fetchone()
    assert row is not None
    return int(row[0])


def ended(desk: Centre, actor: Any, grant: int) -> bool:
    with desk.scope(actor, now=NOW) as conn:
        return conn.execute("UPDATE grants SET ended_at = until WHERE grant_id = %s", (grant,)).rowcount == 1


def test_a_grant_is_ended_by_who_gave_or_holds_it_and_by_nobody_else(desk: Centre) -> None:
    ours, alert = desk.officer("one", "王", "dissuader"), desk.alert()
    far = desk.officer("far", "远", "dissuader", unit="far")
    third = desk.officer("third", "第三", "dissuader", unit="third")
    to_far, to_third = granted(desk, ours, alert, "far"), granted(desk, ours, alert, "third")
    assert not ended(desk, far, to_third), "one guest does not show the other out"
    assert ended(desk, third, to_third), "who holds it may give it up"
    assert not ended(desk, third, to_far)
    assert ended(desk, ours, to_far)


def test_a_guest_shares_nothing_on_and_gives_itself_no_longer_while(desk: Centre) -> None:
    ours, alert = desk.officer("one", "王", "dissuader"), desk.alert()
    far = desk.officer("far", "远", "dissuader", unit="far")
    granted(desk, ours, alert, "far")
    for unit in ("far", "third"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            granted(desk, far, alert, unit)


def test_grants_of_others_are_not_seen(desk: Centre) -> None:
    granted(desk, desk.officer("one", "王", "dissuader"), desk.alert(), "far")
    assert (seen(desk, "far", "grants"), seen(desk, "centre", "grants"), seen(desk, "third", "grants")) == (1, 1, 0)


def test_clocks_are_set_by_the_machine_alone(desk: Centre) -> None:
    chief = desk.officer("chief", "长官", "commander", "admin")
    change = "UPDATE desk_tiers SET sign = interval '9 days'"
    with desk.scope(chief) as conn:
        assert conn.execute(change).rowcount == 0
        assert conn.execute("SELECT count(*) FROM desk_tiers").fetchone() == (4,)
    with transaction(desk.web, unit=None, user=None):
        assert desk.web.execute(change).rowcount == 0, "nobody at all"
    with transaction(desk.web, unit=desk.units["centre"], user=None):
        assert desk.web.execute(change).rowcount == 4


@pytest.fixture
def phone(desk: Centre) -> int:
    """A phone of an officer of the east station."""
    li = desk.officer("li", "李强", "station", unit="east")
    with desk.scope(li, now=NOW) as conn:
        row = conn.execute(
            "INSERT INTO phones (ref, user_id, unit_id, made_by, made_at, until) VALUES ('r', %s, %s, %s, %s, %s)"
            " RETURNING phone_id",
            (li.user_id, li.unit_id, li.user_id, NOW, NOW),
        ).fetchone()
    assert row is not None
    return int(row[0])


@pytest.mark.parametrize(
    ("role", "unit", "may"),
    [("commander", "centre", True), ("admin", "centre", True), ("commander", "east", True),
     ("dissuader", "centre", False), ("commander", "south", False), ("admin", "far", False)],
)  # fmt: skip
def test_a_phone_is_taken_off_by_its_officer_and_by_who_commands_or_administers_them(
    desk: Centre, phone: int, role: str, unit: str, may: bool
) -> None:
    other = desk.officer("other", "另", role, unit=unit)
    with desk.scope(other, now=NOW) as conn:
        assert (conn.execute("SELECT 1 FROM phones").fetchone() is not None) == may
        changed = conn.execute("UPDATE phones SET revoked_at = %s, revoked_by = %s", (NOW, other.user_id)).rowcount
    assert changed == int(may)


def test_nobody_makes_a_phone_for_another_or_brings_one_back(desk: Centre, phone: int) -> None:
    chief = desk.officer("chief", "长官", "commander", "admin")
    with pytest.raises(psycopg.errors.InsufficientPrivilege), desk.scope(chief, now=NOW) as conn:
        conn.execute(
            "INSERT INTO phones (ref, user_id, unit_id, made_by, made_at, until)"
            " SELECT 's', user_id, unit_id, %s, made_at, until FROM phones",
            (chief.user_id,),
        )
    with desk.scope(chief, now=NOW) as conn:
        conn.execute("UPDATE phones SET revoked_at = %s, revoked_by = %s", (NOW, chief.user_id))
    with pytest.raises(psycopg.errors.InsufficientPrivilege), desk.scope(chief, now=NOW) as conn:
        conn.execute("UPDATE phones SET revoked_at = NULL, revoked_by = NULL")


# ---------------------------------------------------------------- the strictest of an alert's warnings

_times = st.none() | st.integers(0, 5).map(lambda n: NOW + timedelta(minutes=n))
_change = st.tuples(st.sampled_from(["add", "drop", "off", "on", "carry", "clock"]), st.integers(0, 7), _times, _times)


@pytest.fixture
def pair(desk: Centre) -> Iterator[tuple[Centre, int, int]]:
    yield desk, desk.alert(), desk.alert()


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=st.lists(_change, max_size=25))
def test_the_strictest_clock_is_what_a_plain_reading_of_all_warnings_says(
    pair: tuple[Centre, int, int], changes: list[tuple[str, int, Any, Any]]
) -> None:
    desk, one, other = pair
    with desk.db.connect("super") as su:  # no role of ours deletes a warning
        su.execute("SET search_path = wuzha")
        su.execute("DELETE FROM alert_warnings")
        for what, number, sign_by, feedback_by in changes:
            name = f"w{number}"
            values = {"alert": (one, other)[number % 2], "name": name, "s": sign_by, "f": feedback_by, "o": other}
            su.execute(
                {
                    "add": "INSERT INTO alert_warnings (alert_id, source, event_id, ts, sign_by, feedback_by)"
                    " VALUES (%(alert)s, 'u', %(name)s, now(), %(s)s, %(f)s) ON CONFLICT (source, event_id)"
                    " DO UPDATE SET alert_id = EXCLUDED.alert_id",
                    "drop": "DELETE FROM alert_warnings WHERE event_id = %(name)s",
                    "off": "UPDATE alert_warnings SET off_from = alert_id WHERE event_id = %(name)s",
                    "on": "UPDATE alert_warnings SET off_from = NULL WHERE event_id = %(name)s",
                    "carry": "UPDATE alert_warnings SET alert_id = %(o)s WHERE event_id = %(name)s",
                    "clock": "UPDATE alert_warnings SET sign_by = %(s)s, feedback_by = %(f)s WHERE event_id = %(name)s",
                }[what],  # type: ignore[arg-type]
                values,
            )
            wrong = su.execute(
                "SELECT a.alert_id FROM alerts a CROSS JOIN LATERAL (SELECT min(w.sign_by) AS s,"
                "  min(w.feedback_by) AS f FROM alert_warnings w WHERE w.alert_id = a.alert_id"
                "  AND w.off_from IS DISTINCT FROM a.alert_id) least"
                " WHERE (a.own_sign_by, a.own_feedback_by) IS DISTINCT FROM (least.s, least.f)"
            ).fetchall()
            assert wrong == [], what


def test_thousands_of_warnings_on_one_person_are_each_looked_up_in_an_index(desk: Centre) -> None:
    alert = desk.alert()
    minutes = random.Random(4).sample(range(100_000), 1500)
    with desk.engine.transaction():
        for n, minute in enumerate(minutes):
            desk.engine.execute(
                "INSERT INTO alert_warnings (alert_id, source, event_id, ts, sign_by, feedback_by)"
                " VALUES (%s, 'u', %s, %s, %s, %s)",
                (alert, f"many{n}", NOW, NOW + timedelta(minutes=minute), NOW + timedelta(minutes=minute + 5)),
            )
    found = desk.engine.execute("SELECT own_sign_by, own_feedback_by FROM alerts WHERE alert_id = %s", (alert,))
    least = NOW + timedelta(minutes=min(minutes))
    assert found.fetchone() == (least, least + timedelta(minutes=5))
    desk.engine.execute("SET enable_seqscan = off")
    plan = "\n".join(
        r[0]
        for r in desk.engine.execute(
            "EXPLAIN SELECT min(sign_by) FROM alert_warnings WHERE alert_id = %s AND sign_by IS NOT NULL"
            " AND off_from IS DISTINCT FROM alert_id",
            (alert,),
        )
    )
    assert "alert_warnings_sign_by" in plan and "Limit" in plan, plan
