"""The queue's order, pages, filters and clocks."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.desks import Centre

from wuzha.command.public import Actor
from wuzha.events import LEVELS, clock
from wuzha.respond import queue, tiers

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def ids(house: Centre, actor: Actor, **filters: str) -> list[int]:
    with house.scope(actor) as conn:
        return [row["alert_id"] for row in queue.rows(conn, actor, queue.Filters.of(filters))[0]]


def test_danger_first_then_time_left_then_money(house: Centre, wang: Actor) -> None:
    now = clock.now()
    low_late = house.alert(level="low", ago=timedelta(days=2), now=now)
    high_new = house.alert(level="high", ago=timedelta(seconds=10), now=now)
    high_old = house.alert(level="high", ago=timedelta(minutes=4), now=now)
    urgent = house.alert(level="urgent", ago=timedelta(seconds=5), now=now)
    rich = house.alert(level="medium", ago=timedelta(minutes=1), amount_fen=900, now=now)
    poor = house.alert(level="medium", ago=timedelta(minutes=1), amount_fen=100, now=now)
    assert ids(house, wang) == [urgent, high_old, high_new, rich, poor, low_late]


@given(
    st.lists(
        st.tuples(st.sampled_from(LEVELS), st.integers(0, 5), st.sampled_from([None, 1, 2])), min_size=1, max_size=12
    )
)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_pages_neither_skip_nor_repeat(
    house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch, alerts: list[tuple[str, int, int | None]]
) -> None:
    now = clock.now()
    for level, minutes, fen in alerts:
        house.alert(level=level, ago=timedelta(minutes=minutes), amount_fen=fen, now=now)
    whole = ids(house, wang)
    monkeypatch.setattr(queue, "PAGE", 3)
    paged, f = [], queue.Filters()
    while True:
        with house.scope(wang) as conn:
            rows, after = queue.rows(conn, wang, f)
        paged += [row["alert_id"] for row in rows]
        if not after:
            break
        f = queue.Filters.of({"after": after})
    monkeypatch.setattr(queue, "PAGE", 100)
    assert paged[: len(whole)] == whole or len(paged) > 100
    assert len(paged) == len(set(paged))


def test_filters(house: Centre, wang: Actor) -> None:
    a = house.alert("张小兰", level="urgent", unit="east", line="+8613812341234", scam_type="investment.pig_butchering")
    b = house.alert("李强", level="low", unit="south", scam_type="loan")
    assert ids(house, wang, level="urgent") == [a]
    assert ids(house, wang, type="investment") == [a]
    assert ids(house, wang, unit=str(house.units["south"])) == [b]
    assert ids(house, wang, q="张小兰") == [a]
    assert ids(house, wang, q="13812341") == [a]
    assert ids(house, wang, q="'; DROP TABLE alerts") == []
    assert ids(house, wang, scope="mine") == []
    assert ids(house, wang, state="closed") == []
    assert ids(house, wang, level="nonsense", state="nonsense", type="nonsense", unit="x", after="x") == [a, b]


def test_an_address_says_its_filters_and_reads_them_back() -> None:
    f = queue.Filters(scope="mine", level="high", scam_type="loan", unit=7, state="closed", search="张 &?")
    from urllib.parse import parse_qsl

    assert queue.Filters.of(dict(parse_qsl(f.address()))) == f


def due(house: Centre, wang: Actor, alert: int, now: datetime) -> datetime:
    with house.scope(wang, now=now) as conn:
        row = queue.one(conn, wang, alert, now=now)
    assert row is not None
    return row["due"]


@pytest.mark.parametrize(("level", "seconds"), [("urgent", 60), ("high", 300), ("medium", 1800), ("low", 14400)])
def test_the_tier_is_the_clock_where_no_warning_is_stricter(
    house: Centre, wang: Actor, level: str, seconds: int
) -> None:
    alert = house.alert(level=level, now=NOW, ago=timedelta(0))
    assert due(house, wang, alert, NOW) == NOW + clock.stretch(seconds)


def test_the_strictest_of_tier_and_warnings_governs(house: Centre, wang: Actor) -> None:
    alert = house.alert(level="low", now=NOW, ago=timedelta(0))
    house.warning(alert, sign_by=NOW + timedelta(minutes=30), ts=NOW)
    house.warning(alert, sign_by=NOW + timedelta(minutes=20), feedback_by=NOW + timedelta(hours=1), ts=NOW)
    house.warning(alert, sign_by=NOW + timedelta(days=9), ts=NOW)
    assert due(house, wang, alert, NOW) == NOW + timedelta(minutes=20)


def test_after_signing_the_contacts_clock_runs_and_none_once_closed(house: Centre, wang: Actor) -> None:
    from wuzha.respond import outcome, sign

    alert = house.alert(level="high", now=NOW, ago=timedelta(0))
    with house.scope(wang, now=NOW) as conn:
        sign.sign(conn, wang, alert, version=1, key="sign-click", now=NOW)
    assert due(house, wang, alert, NOW) == NOW + clock.stretch(600)
    with house.scope(wang, now=NOW) as conn:
        outcome.outcome(conn, wang, alert, code="false_alarm", version=2, key="outcome-click", now=NOW)
        outcome.close(conn, wang, alert, version=3, key="close-click", now=NOW)
    assert due(house, wang, alert, NOW) is None


def test_a_replayed_deployment_stretches_tiers_and_shows_the_officers_seconds(
    house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    fast = clock.Clock(anchor=NOW, wall=0.0, speed=20.0)
    monkeypatch.setattr(tiers, "clock", lambda: fast)
    alert = house.alert(level="urgent", now=NOW, ago=timedelta(0))
    end = due(house, wang, alert, NOW)
    assert end == NOW + timedelta(seconds=1200)
    assert tiers.left(end, NOW) == 60
    assert tiers.left(end, NOW + timedelta(seconds=1400)) == -10
    assert tiers.waited(NOW, NOW + timedelta(seconds=200)) == 10


def test_overdue_is_counted_by_time_alone(house: Centre, wang: Actor) -> None:
    house.alert(level="urgent", now=NOW, ago=timedelta(0))
    with house.scope(wang) as conn:
        assert queue.counts(conn, wang, now=NOW + clock.stretch(59))["overdue"] == 0
        assert queue.counts(conn, wang, now=NOW + clock.stretch(61))["overdue"] == 1


def test_the_count_of_overdue_is_that_of_the_rows_in_every_state(house: Centre, wang: Actor) -> None:
    for level in LEVELS:
        for state in ("new", "signed", "contacting", "reached"):
            for own in (None, timedelta(minutes=-1), timedelta(minutes=5)):
                alert = house.alert(level=level, now=NOW, ago=timedelta(0))
                house.engine.execute("UPDATE alerts SET state = %s WHERE alert_id = %s", (state, alert))
                if own is not None:
                    house.warning(alert, sign_by=NOW + own, feedback_by=NOW + 2 * own)
    for seconds in (0, 61, 400, 3000, 90_000):
        now = NOW + clock.stretch(seconds)
        with house.scope(wang) as conn:
            rows, after = queue.rows(conn, wang, queue.Filters(), now=now)
            assert not after
            assert queue.counts(conn, wang, now=now)["overdue"] == sum(row["due"] < now for row in rows)


def test_the_fingerprint_changes_with_every_alert_and_step(house: Centre, wang: Actor) -> None:
    from wuzha.respond import sign

    seen = []

    def look() -> None:
        with house.scope(wang) as conn:
            seen.append(queue.fingerprint(conn))

    look()
    alert = house.alert()
    look()
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key="sign-click")
    look()
    assert len(set(seen)) == 3
