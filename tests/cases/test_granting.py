"""A case shared with a partner unit: sight, for a reason, until an end; held by the database itself."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest
from tests.desks import Centre
from tests.money import FIRST, VICTIM, Chase

from wuzha.cases import granting, listing, reports, reveal, rounds
from wuzha.cases import money as figures
from wuzha.command.public import Actor, Refused, machine
from wuzha.orders import states

DAY = timedelta(days=1)


@pytest.fixture
def east(chase: Chase, house: Centre) -> Chase:
    """A case of the eastern station."""
    mine = Chase(house, house.officer("li", "李", "dissuader", unit="east"))
    mine.report()
    return mine


@pytest.fixture
def partner(house: Centre) -> Actor:
    return house.officer("zhou", "周", "dissuader", unit="south")


def share(east: Chase, partner: Actor, *, days: int = 7, **more: object) -> None:
    with east.house.scope(east.officer, now=east.now) as conn:
        granting.grant(
            conn, east.officer, east.case_id, unit_id=partner.unit_id, reason="串并侦查", until=east.now + days * DAY,
            key=east.key(), now=east.now, **more,
        )  # type: ignore[arg-type]  # fmt: skip


def sees(east: Chase, who: Actor, *, later: timedelta = timedelta(0)) -> list[int]:
    """Rows of the case that an officer's own connection gives, table by table."""
    tables = ("cases", "case_reports", "case_losses", "case_accounts", "case_steps", "orders")
    with east.house.scope(who, now=east.now + later) as conn:
        return [(conn.execute(f"SELECT count(*) FROM {t}").fetchone() or (0,))[0] for t in tables]


def test_a_partner_sees_the_case_until_the_end_and_nothing_before_or_after(east: Chase, partner: Actor) -> None:
    whole = sees(east, east.officer)
    assert sees(east, partner) == [0] * 6
    share(east, partner)
    whole[4] += 1  # the grant is a step of its own
    assert sees(east, partner) == whole
    assert sees(east, partner, later=7 * DAY) == [0] * 6
    with east.house.scope(partner, now=east.now) as conn:
        assert [c["case_id"] for c in listing.rows(conn, partner)] == [east.case_id]
        assert figures.read(conn, partner, east.case_id, now=east.now).stolen_fen == 5_000_000
        assert {o["account"] for o in states.of_case(conn, east.case_id, now=east.now)} == {FIRST}


def test_a_partner_changes_nothing_of_it(east: Chase, partner: Actor) -> None:
    share(east, partner)
    (report,) = east.house.db.connect("super").execute("SELECT report_id FROM wuzha.case_reports").fetchone() or (0,)
    with pytest.raises(Refused, match="not_found"), east.house.scope(partner, now=east.now) as conn:
        reports.verify(conn, partner, report, how="我来核实", key=east.key(), now=east.now)
    for table, change in (
        ("cases", "state = 'withdrawn'"), ("case_reports", "dispute = 'yes'"),
        ("case_losses", "account_id = NULL"), ("case_accounts", "bank = 'x'"), ("orders", "amount_fen = 1"),
    ):  # fmt: skip
        with east.house.scope(partner, now=east.now) as conn:
            assert conn.execute(f"UPDATE {table} SET {change}").rowcount == 0, table
    for insert in (
        "INSERT INTO case_steps (case_id, at, actor, kind) SELECT case_id, now(), 'x', 'order_sealed' FROM cases",
        "INSERT INTO case_accounts (case_id, account_id, role) SELECT case_id, 1, 'met' FROM cases",
        "INSERT INTO orders (case_id, kind, account_id, channel, level, law_from, reason, drafted_at)"
        " SELECT case_id, 'query', 1, 'platform', 1, '2016-03-18', 'x', now() FROM cases",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege), east.house.scope(partner, now=east.now) as conn:
            conn.execute(insert)


def test_a_partner_opens_the_names_for_a_purpose_and_it_is_kept(east: Chase, partner: Actor) -> None:
    share(east, partner)
    with east.house.scope(partner, now=east.now) as conn:
        reveal.reveal(conn, partner, east.case_id, purpose="trace", now=east.now)
        assert listing.revealed_until(conn, partner, east.case_id, now=east.now) is not None
    with east.house.scope(east.officer, now=east.now) as conn:
        assert listing.steps(conn, east.case_id)[0]["officer"] == "周"


def test_a_partner_does_not_share_it_on_and_a_report_does_not_join_it(east: Chase, partner: Actor) -> None:
    share(east, partner)
    house = east.house
    with pytest.raises(Refused, match="not_found"), house.scope(partner, now=east.now) as conn:
        granting.grant(conn, partner, east.case_id, unit_id=house.units["south"], reason="给自己更久",
                       until=east.now + 30 * DAY, key=east.key(), now=east.now)  # fmt: skip
    with pytest.raises(psycopg.errors.InsufficientPrivilege), house.scope(partner, now=east.now) as conn:
        conn.execute(
            "INSERT INTO grants (table_name, row_id, unit_id, reason, granted_by, granted_at, until)"
            " VALUES ('cases', %s, %s, 'x', %s, now(), now() + interval '1 year')",
            (east.case_id, partner.unit_id, partner.user_id),
        )
    own = Chase(house, partner)
    assert not own.report(id_no="", line="13900000001", account="").joined and own.case_id != east.case_id


def test_a_grant_wants_a_reason_an_end_and_another_unit(east: Chase, partner: Actor) -> None:
    house = east.house
    for changes, why in (
        ({"reason": " "}, "no_words"), ({"until": east.now}, "grant_until"),
        ({"until": east.now + 91 * DAY}, "grant_until"), ({"unit_id": 999}, "not_found"),
        ({"unit_id": house.units["centre"]}, "grant_own"), ({"unit_id": house.units["east"]}, "grant_own"),
    ):  # fmt: skip
        wish = {"unit_id": partner.unit_id, "reason": "串并", "until": east.now + DAY} | changes
        with pytest.raises(Refused, match=why), house.scope(east.officer, now=east.now) as conn:
            granting.grant(conn, east.officer, east.case_id, key=east.key(), now=east.now, **wish)  # type: ignore[arg-type]
    share(east, partner)
    with pytest.raises(Refused, match="grant_stands"):
        share(east, partner)


def test_a_grant_that_is_ended_gives_nothing_from_then_on(east: Chase, partner: Actor) -> None:
    share(east, partner)
    with east.house.scope(east.officer, now=east.now) as conn:
        (one,) = granting.of_case(conn, east.case_id, now=east.now)
        granting.end(conn, east.officer, east.case_id, one["grant_id"], key=east.key(), now=east.now)
    assert sees(east, partner, later=timedelta(seconds=1)) == [0] * 6
    actions = east.house.engine.execute(
        "SELECT action FROM audit WHERE action LIKE 'case.%grant%' ORDER BY 1"
    ).fetchall()
    assert actions == [("case.case_granted",), ("case.grant_ended",)] and VICTIM


def test_the_rounds_of_a_partners_root_leave_the_case_to_its_own(east: Chase) -> None:
    """Two trees in one house: the far one sees the case by its grant, and follows nothing of it."""
    east.house.unit("far", "外地", "county")
    far = east.house.officer("far", "远", "dissuader", unit="far")
    share(east, far)
    with east.house.scope(east.officer, now=east.now) as conn:
        conn.execute("UPDATE cases SET pursue_at = %s", (east.now,))
    assert east.round()["pursuit"] == 1 and east.round()["pursuit"] == 0
    assert rounds.follow_again(east.house.web, machine(far.unit_id, "pursuit"), east.now) == 0
