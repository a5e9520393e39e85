"""The chance of reaching: the hour turns the order of work, a unit's own calls teach it, a table stands in for few."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, machine
from wuzha.events.datafile import DataFileError
from wuzha.respond import queue, reach, tiers
from wuzha.store import transaction

#: Ten in the morning, seven in the evening and half past eleven at night in Shanghai.
DAY = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
EVENING = datetime(2026, 3, 2, 11, 0, tzinfo=UTC)
NIGHT = datetime(2026, 3, 2, 15, 30, tzinfo=UTC)


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reach, "_turned", {})


def turn(house: Centre, at: datetime) -> int:
    unit = house.units["centre"]
    with transaction(house.web, unit=unit, now=at) as conn:
        n = reach.turn(conn, machine(unit, "reach"), at)
        while tiers.put_in_force(conn, machine(unit, "clocks"), at):
            pass
        return n


def order(house: Centre, actor: Actor, now: datetime) -> list[int]:
    with house.scope(actor, now=now) as conn:
        return [row["alert_id"] for row in queue.rows(conn, actor, queue.Filters(), now=now)[0]]


def pair(house: Centre, at: datetime, **columns: object) -> tuple[int, int]:
    """Two alerts of one level at one moment: of somebody of eighty, and of somebody of forty."""
    old = house.alert("老", level="medium", now=at, ago=timedelta(0), vault={"born": date(1946, 1, 1)}, **columns)
    working = house.alert("中", level="medium", now=at, ago=timedelta(0), vault={"born": date(1986, 1, 1)}, **columns)
    return old, working


def test_by_day_the_old_come_first_and_in_the_evening_those_who_work(house: Centre, wang: Actor) -> None:
    old, working = pair(house, DAY)
    assert turn(house, DAY) > 0
    assert order(house, wang, DAY) == [old, working]
    assert turn(house, DAY + timedelta(hours=1)) == 0, "the hour has not turned"
    assert turn(house, EVENING) > 0
    assert order(house, wang, EVENING) == [working, old]
    fresh = house.alert("新", level="medium", now=DAY, ago=timedelta(0), vault={"born": date(1946, 1, 1)})
    assert order(house, wang, EVENING) == [working, old, fresh], "a new one takes its place by the hour that now is"


def test_it_moves_an_alert_by_a_quarter_of_its_time_at_most_and_never_over_a_worse_danger(
    house: Centre, wang: Actor
) -> None:
    old, working = pair(house, NIGHT)
    urgent = house.alert("急", level="urgent", now=NIGHT, ago=timedelta(0), vault={"born": date(1930, 1, 1)})
    rich = house.alert("富", level="medium", now=NIGHT, ago=timedelta(0), amount_fen=10**9)
    turn(house, NIGHT)
    assert order(house, wang, NIGHT) == [urgent, rich, working, old]
    rows = dict(house.engine.execute("SELECT alert_id, rank_at FROM alerts").fetchall())
    due, quarter = NIGHT + timedelta(minutes=30), timedelta(minutes=7.5)
    for alert in (old, working):
        assert due - quarter <= rows[alert] <= due + quarter


def test_many_calls_of_the_unit_replace_the_table_and_a_few_move_it_a_little(house: Centre, wang: Actor) -> None:
    old, working = pair(house, DAY)
    called = house.alert("旧", now=DAY - timedelta(days=3), ago=timedelta(0), vault={"born": date(1946, 1, 1)})

    def calls(n: int, code: str) -> None:
        with house.scope(wang) as conn:
            conn.execute(
                "INSERT INTO contacts (alert_id, at, user_id, kind, code, key, before)"
                " SELECT %s, %s, %s, 'call', %s, %s || g || '-key', '{}' FROM generate_series(1, %s) g",
                (called, DAY - timedelta(days=1), wang.user_id, code, f"{code}-", n),
            )

    calls(2, "no_answer")
    turn(house, DAY)
    assert [a for a in order(house, wang, DAY) if a != called] == [old, working], "two calls teach little"
    calls(300, "refused")
    reach._turned.clear()  # the next turn of the hour
    turn(house, DAY + timedelta(minutes=1))
    with house.scope(wang) as conn:
        learned = conn.execute("SELECT from_age, band, tries, reached, chance FROM reach_learned").fetchall()
    assert learned == [(60, "day", 302, 0, pytest.approx(0.09))]
    assert [a for a in order(house, wang, DAY) if a != called] == [working, old], (
        "nobody of that age answers here by day"
    )


def test_parts_of_the_day_by_the_deployments_zone() -> None:
    table = reach.reach()
    at = [datetime(2026, 3, 2, h, 59, tzinfo=UTC) for h in (0, 9, 10, 14, 15, 23)]  # 8, 17, 18, 22, 23, 7 there
    assert [table.band(one) for one in at] == ["day", "day", "evening", "evening", "night", "night"]


GOOD = """[learn]
days = 60
weight = 40
[[band]]
code = "day"
from = 8
[[age]]
from_age = -1
chance = { day = 0.5 }
[[age]]
from_age = 0
chance = { day = 0.5 }
"""


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("days = 60", "days = 0"), ("weight = 40", 'weight = "x"'), ("from = 8", "from = 24"),
        ("from_age = 0", "from_age = 1"), ("{ day = 0.5 }", "{ day = 1.5 }"), ("{ day = 0.5 }", "{ noon = 0.5 }"),
        ('code = "day"', ""), ("[learn]", "[other]\nx = 1\n[learn]"),
    ],
)  # fmt: skip
def test_a_mistake_in_the_table_is_told(old: str, new: str) -> None:
    assert reach.read(GOOD).weight == 40
    with pytest.raises(DataFileError, match=r"reach\.toml"):
        reach.read(GOOD.replace(old, new, 1))
