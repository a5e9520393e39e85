"""The platform is reconciled by itself once a day, for each unit with what it sees, and says when it could not be."""

from __future__ import annotations

from datetime import datetime, time, timedelta
from typing import Any

from tests.desks import Centre
from tests.money import FIRST, Chase

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.orders import daily, reconcile, tells
from wuzha.orders.law import law

DAY = timedelta(days=1)


def at_hour(chase: Chase, hour: float, days: int = 1) -> None:
    """So many days later, at this hour of the deployment's zone."""
    day = (chase.now + days * DAY).astimezone(clock.zone()).date()
    chase.elapsed = datetime.combine(day, time(), clock.zone()) + timedelta(hours=hour) - chase.at


def days(chase: Chase, who: Actor) -> list[dict[str, Any]]:
    with chase.house.scope(who, now=chase.now) as conn:
        return daily.days(conn)


def told(chase: Chase, who: Actor) -> list[tuple[str, dict[str, Any]]]:
    with chase.house.scope(who, now=chase.now) as conn:
        return [(t["kind"], t["detail"]) for t in tells.unseen(conn, who) if t["order_id"] is None]


def export(chase: Chase, who: Actor, *rows: str) -> None:
    data = "\n".join(["业务申请编号,内部编号,业务类型,账号,状态", *rows]).encode()
    with chase.house.scope(who, now=chase.now) as conn:
        reconcile.take(conn, who, "export.csv", data, now=chase.now)


def test_once_a_day_after_its_hour_and_what_differs_is_told(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    stop, query = chase.order("stop", FIRST)["order_id"], chase.order("query", FIRST)["order_id"]
    at_hour(chase, law(chase.now).reconcile_hour - 0.5)
    assert chase.round()["reconcile"] == 0 and days(chase, sun) == []
    export(chase, sun, f"ZF1,{stop},紧急止付,{FIRST},已受理", "ZF9,,止付,6222999900001234,成功")
    at_hour(chase, law(chase.now).reconcile_hour + 0.5, days=0)
    assert [chase.round()["reconcile"] for _ in range(3)] == [1, 0, 0]
    (one,) = days(chase, sun)
    assert (one["there"], one["here"], one["late"], one["stale"]) == (1, 0, 1, False)  # ZF9; the query is not entered
    assert told(chase, sun) == [("reconciled", {"there": 1, "here": 0, "late": 1})] and query


def test_a_day_without_an_export_says_that_nothing_could_be_compared(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    at_hour(chase, 10)
    chase.round()
    assert days(chase, sun)[0]["stale"] and told(chase, sun)[0][0] == "not_compared"
    export(chase, sun, f"ZF1,,紧急止付,{FIRST},已受理")
    at_hour(chase, 10, days=3)  # the export has grown old meanwhile
    chase.round()
    assert [d["stale"] for d in days(chase, sun)] == [True, True]


def test_each_unit_is_reconciled_with_what_it_sees(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    east = Chase(house, house.officer("li", "李", "dissuader", unit="east"), at=chase.at)
    keeper = house.officer("seal2", "章", "sealer", unit="east")
    east.report(payee="6217001234560002", id_no="", line="13900000001")
    east.seal(keeper)
    at_hour(chase, 10)
    east.elapsed = chase.elapsed
    assert chase.round()["reconcile"] == 2
    assert sorted((d["unit_name"], d["late"]) for d in days(chase, sun)) == [("东街派出所", 2), ("示例区反诈中心", 4)]
    assert [d["unit_name"] for d in days(east, keeper)] == ["东街派出所"]


def test_where_nothing_was_sent_nothing_is_reconciled(chase: Chase, sun: Actor) -> None:
    chase.report()
    at_hour(chase, 10)
    assert chase.round()["reconcile"] == 0 and days(chase, sun) == []
