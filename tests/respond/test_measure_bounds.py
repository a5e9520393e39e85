"""What bounds police measures beyond one file: other units, a closed file, facts that have grown old."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.desks import Centre
from tests.respond.test_measures import Case, H

from wuzha.command.public import Refused
from wuzha.respond import measures, sign


def test_units_side_by_side_cannot_loop_a_police_measure_without_knowing(house: Centre) -> None:
    case = Case(house)
    case.do(measures.approve, case.draft(), by=case.chen)
    house.unit("other", "邻区反诈中心", "county")
    li = house.officer("li", "李", "dissuader", unit="other")
    theirs = house.alert(unit="other", person=(case.person, case.line), episode=2)
    case.do(sign.sign, theirs, version=1, by=li)
    with pytest.raises(Refused, match="measure_elsewhere"):
        case.do(measures.draft, theirs, case.wish(), version=2, by=li)
    case.now += timedelta(days=40)
    case.do(measures.draft, theirs, case.wish(), version=2, by=li)


def test_nothing_is_decided_on_a_closed_file_or_on_facts_of_yesterday(house: Centre) -> None:
    case = Case(house)
    stale = case.draft()
    case.now += 25 * H
    with pytest.raises(Refused, match="measure_stale"):
        case.do(measures.approve, stale, by=case.chen)
    case.do(measures.decline, stale, why="情况已变，请按现在的情况申请", by=case.chen)
    fresh = case.draft()
    house.engine.execute("UPDATE alerts SET state = 'closed', closed_at = now() WHERE alert_id = %s", [case.alert])
    with pytest.raises(Refused, match="closed"):
        case.do(measures.approve, fresh, by=case.chen)
