"""Requests for release: answered the same day, and before whom they stand where nobody answers."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from tests.desks import Centre
from tests.respond.test_measures import Case, H

from wuzha.command.public import Actor
from wuzha.respond import releases, rounds


@pytest.fixture
def case(house: Centre) -> Case:
    return Case(house)


def test_a_request_is_answered_the_same_day_goes_up_when_late_and_releases_where_upheld(case: Case) -> None:
    zone = ZoneInfo("Asia/Shanghai")
    case.now = datetime(2026, 11, 23, 9, 0, tzinfo=zone)
    number = case.force()
    case.do(releases.ask, number, asked_by="person", words="这是给孩子交学费的钱")
    row = case.row(number)
    assert row["answer_by"] == datetime(2026, 11, 24, 0, 0, tzinfo=zone)
    assert case.refused(releases.ask, number, asked_by="agent", words="催") == "release_open"
    web = case.house.web
    assert rounds.go_round(web, now=case.now + timedelta(hours=3, minutes=59))["release"] == 0
    assert rounds.go_round(web, now=case.now + 4 * H)["release"] == 1
    assert rounds.go_round(web, now=case.now + 5 * H)["release"] == 0, "once"
    assert case.row(number)["escalated_at"] == case.now + 4 * H
    assert case.state(number, case.now + 5 * H) == "in_force", "nobody has answered: a round decides nothing"
    assert case.refused(releases.answer, number, upheld=False, words="还不行") == "forbidden"
    assert case.refused(releases.answer, number, upheld=False, words=" ", by=case.chen) == "no_words"
    case.now += 5 * H
    case.do(releases.answer, number, upheld=True, words="学校账户核实无误")
    assert case.state(number) == "released"
    assert case.row(number)["release_code"] == "upheld"
    assert case.refused(releases.answer, number, upheld=True, words="") == "release_answered"


def test_a_request_late_at_night_goes_up_at_the_end_of_its_day(case: Case) -> None:
    case.now = datetime(2026, 11, 23, 23, 30, tzinfo=ZoneInfo("Asia/Shanghai"))
    number = case.force()
    case.do(releases.ask, number, asked_by="person", words="要付房租")
    assert rounds.go_round(case.house.web, now=case.now + timedelta(minutes=29))["release"] == 0
    assert rounds.go_round(case.house.web, now=case.now + timedelta(minutes=30))["release"] == 1


def test_a_late_request_stands_before_the_officer_the_commander_and_with_its_day_the_unit_above(case: Case) -> None:
    house = case.house
    north = house.officer("north", "北区指挥", "commander", unit="east")
    case.now = datetime(2026, 11, 23, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
    with house.scope(case.chen) as conn:
        conn.execute("UPDATE alerts SET unit_id = %s WHERE alert_id = %s", (house.units["east"], case.alert))
    number = case.force()
    case.do(releases.ask, number, asked_by="person", words="孩子的学费")

    def told(at: datetime, *who: Actor) -> list[tuple[int, int]]:
        found = []
        for one in who:
            with house.scope(one, now=at) as conn:
                found.append(tuple(releases.waiting(conn, one).values()))
        return found

    everybody = (case.wang, north, case.chen)  # who has the file; the unit's commander; the commander above
    assert told(case.now, *everybody) == [(1, 0), (0, 0), (0, 0)]
    assert rounds.go_round(house.web, now=case.now + 4 * H)["release"] == 1
    assert told(case.now + 4 * H, *everybody) == [(1, 1), (0, 1), (0, 0)]
    midnight = datetime(2026, 11, 24, 0, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
    assert rounds.go_round(house.web, now=midnight - timedelta(seconds=1))["release"] == 0
    assert rounds.go_round(house.web, now=midnight)["release"] == 1
    assert rounds.go_round(house.web, now=midnight + 30 * H)["release"] == 0, "each rung once"
    assert told(midnight, *everybody) == [(1, 1), (0, 1), (0, 1)]
    assert case.row(number)["raised_name"] and case.row(number)["raised_at"] == midnight
    case.now = midnight
    case.do(releases.answer, number, upheld=True, words="核实无误", by=case.chen)
    assert told(midnight, *everybody) == [(0, 0)] * 3


def test_where_nobody_decides_in_the_unit_a_late_request_goes_up_at_once(case: Case) -> None:
    case.now = datetime(2026, 11, 23, 9, 0, tzinfo=ZoneInfo("Asia/Shanghai"))
    number = case.force()
    with case.house.scope(case.chen) as conn:
        conn.execute("UPDATE alerts SET unit_id = %s WHERE alert_id = %s", (case.house.units["east"], case.alert))
    case.do(releases.ask, number, asked_by="person", words="要交房租")
    assert rounds.go_round(case.house.web, now=case.now + 4 * H)["release"] == 1
    with case.house.scope(case.chen, now=case.now + 4 * H) as conn:
        assert releases.waiting(conn, case.chen) == {"open": 0, "late": 1}
