"""One clock: the wall, or a replayed city's."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from wuzha.events.clock import Clock, parse


def test_without_a_setting_it_is_the_wall_clock():
    assert abs(parse("").now() - datetime.now(UTC)) < timedelta(seconds=5)


def test_a_scaled_clock_runs_on_from_its_anchor():
    anchor = datetime(2026, 3, 2, tzinfo=UTC)
    clock = Clock(anchor=anchor, wall=time.time() - 10, speed=20)
    assert timedelta(seconds=200) <= clock.now() - anchor < timedelta(seconds=300)
    assert parse(str(clock)) == clock


@pytest.mark.parametrize(
    "text", ["now", "2026-03-02T08:00:00@1*2", "2026-03-02T08:00:00+08:00@x*2", "2026-03-02T08:00:00+08:00@1"]
)
def test_a_malformed_setting_is_refused(text):
    with pytest.raises(ValueError, match="WUZHA_CLOCK"):
        parse(text)
