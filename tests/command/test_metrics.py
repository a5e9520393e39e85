"""Figures: one definition, rows that agree with the number, nothing over nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from tests.desks import Centre
from tests.furnished import furnish

from wuzha.command import metrics
from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import contact, outcome, rounds, sign


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
    assert t["avoided"] == 3_500_000 and t["lost"] is None and t["stopped"] is None
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


def closed(house: Centre, wang: Actor, alert: int, code: str, at: datetime) -> None:
    """The file of ``alert`` signed for, reached and closed at ``at``, by the desk's own steps."""
    for n, (verb, values) in enumerate(
        (
            (sign.sign, {}), (contact.contact, {"channel": "call", "result": "self"}),
            (outcome.outcome, {"code": code}), (outcome.close, {}),
        )
    ):  # fmt: skip
        row = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert row is not None
        with house.scope(wang, now=at) as conn:
            verb(conn, wang, alert, version=row[0], key=f"close-{alert}-{n}", now=at, **values)  # type: ignore[operator]


@pytest.mark.parametrize(
    ("days", "claimed_name", "name"),
    [(7, "claimed_a_week_ago", "verified"), (30, "claimed_a_month_ago", "verified_a_month")],
)
def test_a_claim_is_verified_once_its_days_are_over_and_a_file_opened_again_stays_a_claim(
    house: Centre, wang: Actor, days: int, claimed_name: str, name: str
) -> None:
    now = clock.now()
    start, end = metrics.day(now)
    claimed = start - timedelta(days=days) + (end - start) / 2

    def figure(which: str) -> float | int | None:
        with house.scope(wang) as conn:
            return metrics.figure(conn, which, start, end)

    def raised(person: tuple[int, int] | None = None, **columns: Any) -> int:
        return house.alert(now=claimed - timedelta(days=1), **columns, **({"person": person} if person else {}))

    closed(house, wang, house.alert(), "dissuaded", now)
    assert figure(name) is None, "of today's claims nothing is known yet"
    files = [raised() for _ in range(4)]
    for alert in files:
        closed(house, wang, alert, "dissuaded", claimed)
    assert (figure(claimed_name), figure(name)) == (4, 1.0)

    def person(alert: int) -> tuple[int, int]:
        row = house.engine.execute("SELECT person_id, line_id FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert row is not None
        return row[0], row[1]

    closed(house, wang, raised(person(files[0]), episode=2), "deceived", claimed + timedelta(days=days - 4))
    assert figure(name) == 0.75

    def report(alert: int, at: datetime, n: int) -> None:
        house.engine.execute(
            "INSERT INTO reports (source, event_id, report, ts, reported_at, person_id, unit_id, loss_fen, changed_at)"
            " VALUES ('110', %s, %s, %s, %s, %s, %s, 100, %s)",
            (f"e{n}", f"J{n}", at, at, person(alert)[0], house.units["centre"], at),
        )
        rounds.go_round(house.web, now=now)

    report(files[1], claimed + timedelta(days=days, seconds=1), 1)
    assert figure(name) == 0.75, "a loss after the days is no longer this claim's"
    report(files[2], claimed + timedelta(days=days), 2)
    assert (figure(claimed_name), figure(name)) == (4, 0.5), "the file was opened again; the claim stays claimed"
    state = house.engine.execute("SELECT state FROM alerts WHERE alert_id = %s", (files[2],)).fetchone()
    assert state == ("new",)


def test_people_who_lost_money_after_a_warning_are_counted_once(house: Centre, wang: Actor) -> None:
    now = clock.now()
    warned = house.alert(now=now, ago=timedelta(hours=1))
    row = house.engine.execute("SELECT person_id FROM alerts WHERE alert_id = %s", (warned,)).fetchone()
    assert row is not None
    stranger, _ = house.person("无")
    for n, (person, fen) in enumerate(((row[0], 5), (row[0], 6), (stranger, 7), (row[0], 0))):
        house.engine.execute(
            "INSERT INTO reports (source, event_id, report, ts, reported_at, person_id, unit_id, loss_fen, changed_at)"
            " VALUES ('110', %s, %s, %s, %s, %s, %s, %s, %s)",
            (f"e{n}", f"J{n}", now, now, person, house.units["centre"], fen, now),
        )
    rounds.go_round(house.web, now=now)
    with house.scope(wang) as conn:
        start, end = now - timedelta(minutes=1), now + timedelta(minutes=1)
        assert metrics.figure(conn, "warned_lost", start, end) == 1
        assert [r["alert_id"] for r in metrics.rows(conn, wang, "warned_lost", start, end)] == [warned]


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
