"""Figures: one definition, rows that agree with the number, nothing over nothing."""

from __future__ import annotations

from datetime import timedelta

import pytest
from tests.desks import Centre
from tests.furnished import furnish

from wuzha.command import metrics
from wuzha.command.public import Actor, Refused
from wuzha.events import clock


@pytest.fixture
def wang(house: Centre) -> Actor:
    return house.officer("wang", "王敏", "dissuader")


def test_over_nothing_a_count_is_nought_and_a_share_sum_or_median_is_unknown(house: Centre, wang: Actor) -> None:
    start, end = metrics.day(clock.now())
    with house.scope(wang) as conn:
        found = {name: metrics.figure(conn, name, start, end) for name in metrics.metrics()}
    for name, metric in metrics.metrics().items():
        assert found[name] == (0 if metric.unit in ("persons", "alerts") else None), name


def test_the_wall_never_shows_two_facts_that_disagree(house: Centre, wang: Actor) -> None:
    zhao = house.officer("zhao", "赵磊", "dissuader")
    furnish(house, wang, zhao)
    now = clock.now() + timedelta(seconds=1)
    with house.scope(wang) as conn:
        wall = metrics.wall(conn, wang, now=now)
        t = wall.today
        start, _ = metrics.day(now)
        counted = {
            name: len(metrics.rows(conn, wang, name, start, now))
            for name in ("alerts", "signed", "reached", "dissuaded")
        }
    assert t["alerts"] >= t["signed"] >= t["located"] >= t["reached"] >= t["dissuaded"]  # type: ignore[operator]
    assert counted == {name: t[name] for name in counted}  # one alert a person here
    assert t["reached_share"] == t["reached"] / t["alerts"]  # type: ignore[operator]
    assert t["avoided"] == 3_500_000 and t["lost"] is None
    assert sum(n for _, n in wall.types) <= t["alerts"]  # type: ignore[operator]
    assert sum(u["alerts"] for u in wall.units) == t["alerts"]
    assert sum(wall.hours["alerts"]) == t["alerts"]


def test_a_figure_counts_only_what_the_scope_shows(house: Centre, wang: Actor) -> None:
    house.alert(unit="east")
    house.alert(unit="south")
    east = house.officer("li", "李", "commander", unit="east")
    start, end = metrics.day(clock.now() + timedelta(seconds=1))
    with house.scope(east) as conn:
        assert metrics.figure(conn, "alerts", start, end) == 1
    with house.scope(wang) as conn:
        assert metrics.figure(conn, "alerts", start, end) == 2
        with pytest.raises(Refused):
            metrics.rows(conn, wang, "nonsense", start, end)


def test_a_claim_is_verified_once_seven_days_are_over(house: Centre, wang: Actor) -> None:
    now = clock.now()
    start, end = metrics.day(now)
    claimed = start - timedelta(days=7) + (end - start) / 2
    good, bad, fresh = house.alert(), house.alert(), house.alert()
    close = "UPDATE alerts SET state = 'closed', outcome = %s, closed_at = %s WHERE alert_id = %s"
    house.web.execute("SELECT set_config('wuzha.unit', %s, false)", (str(wang.unit_id),))
    house.web.execute(close, ("dissuaded", end, fresh))
    with house.scope(wang) as conn:
        assert metrics.figure(conn, "verified", start, end) is None
        conn.execute(close, ("dissuaded", claimed, good))
        conn.execute(close, ("dissuaded", claimed, bad))
        assert metrics.figure(conn, "verified", start, end) == 1.0
    person = house.engine.execute("SELECT person_id, line_id FROM alerts WHERE alert_id = %s", (bad,)).fetchone()
    again = house.alert(person=person, episode=2)
    with house.scope(wang) as conn:
        conn.execute(close, ("deceived", claimed + timedelta(days=3), again))
        assert metrics.figure(conn, "verified", start, end) == 0.5


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('[a]\nzh="a"\nen="a"\nunit="miles"\nwhere="x"\nvalue="y"\nformula={zh="a",en="a"}\n', "unknown unit"),
        ('[a]\nzh="a"\nen="a"\nunit="fen"\nformula={zh="a",en="a"}\n', "either where and value, or of"),
        ('[a]\nzh="a"\nen="a"\nunit="share"\nof=["b","c"]\nformula={zh="a",en="a"}\n', "unknown figure"),
        ('[a]\nzh="a"\n', "\\[a\\]"),
    ],
)  # fmt: skip
def test_a_wrong_definition_is_refused_with_its_name(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        metrics.read(text)
