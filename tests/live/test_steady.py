"""A clock that jumps ends nobody's retention."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st
from tests.store.rows import batch

from wuzha.events import clock
from wuzha.live import keeping
from wuzha.live.settings import Settings
from wuzha.live.steady import NAME, Steady
from wuzha.store import Connection
from wuzha.store import log as store_log

NOW = datetime(2026, 3, 2, 8, tzinfo=UTC)
HOUR = timedelta(hours=1)


def walk(steady: Steady, begin: datetime, hours: int) -> bool:
    """The clock goes on by itself; whether it is believed at the end."""
    believed = True
    for hour in range(hours):
        believed = steady.sees(begin + hour * HOUR)
    return believed


def test_a_clock_that_goes_on_is_believed_from_the_first_moment(tmp_path: Path) -> None:
    steady = Steady(tmp_path)
    assert steady.sees(NOW) and walk(steady, NOW, 60)


@pytest.mark.parametrize("jump", [timedelta(days=365), timedelta(days=-365), timedelta(hours=7)])
@pytest.mark.parametrize("off", [False, True])
def test_one_that_jumps_is_believed_after_a_day(tmp_path: Path, jump: timedelta, off: bool) -> None:
    steady = Steady(tmp_path)
    assert steady.sees(NOW)
    if off:  # the server was stopped meanwhile
        steady = Steady(tmp_path)
    assert not steady.sees(NOW + jump)
    assert not Steady(tmp_path).sees(NOW + jump + HOUR)  # a restart does not make it believed
    assert not walk(steady, NOW + jump, 24) and walk(steady, NOW + jump + 24 * HOUR, 1)


@given(st.lists(st.integers(-2000, 2000), max_size=12))
@examples(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_believed_is_only_what_followed_on_for_a_day(tmp_path: Path, hours: list[int]) -> None:
    (tmp_path / NAME).unlink(missing_ok=True)
    steady, at = Steady(tmp_path), NOW
    steady.sees(at)
    since_jump: timedelta | None = None
    for step in hours:
        before, at = at, at + step * HOUR
        believed = steady.sees(at)
        if abs(at - before) > 6 * HOUR:
            since_jump = timedelta(0)
        elif since_jump is not None:
            since_jump += at - before
        assert believed == (since_jump is None or since_jump >= 24 * HOUR)


def test_nothing_is_trimmed_by_a_clock_that_is_not_believed(engine: Connection, tmp_path: Path) -> None:
    store_log.append(engine, batch(["a"]))
    engine.execute("INSERT INTO wuzha.partitions (partition, position, snapshot_position) VALUES (0, 1, 1)")
    given_ = Settings(home=tmp_path, seal_s=1, log_keep_s=60)
    ahead = clock.now() + timedelta(days=365)
    keeping.keep(engine, given_, ahead, expire=True, delete=False)
    assert engine.execute("SELECT count(*) FROM wuzha.log").fetchone() == (1,)
    keeping.keep(engine, given_, ahead, expire=True)
    assert engine.execute("SELECT count(*) FROM wuzha.log").fetchone() == (0,)
