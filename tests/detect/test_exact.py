"""What comes out depends on the log alone: not on how it was cut, nor on how often the state was saved and restored."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.detect.chronicle import chronicle, outcome

_QUIET = (HealthCheck.too_slow,)


def _cuts(n: int, seed: int) -> list[int]:
    return random.Random(seed).sample(range(1, n), min(8, n - 1))


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=_QUIET)
@given(seed=st.integers(0, 10**6), how=st.integers(0, 10**6))
def test_a_log_cut_anywhere_and_saved_there_gives_the_same(seed: int, how: int) -> None:
    log = chronicle(seed)
    whole = outcome(log, [])
    assert outcome(log, _cuts(len(log), how), save=True) == whole
    assert outcome(log, list(range(1, len(log)))) == whole


@pytest.mark.parametrize("seed", [1, 2])
def test_saved_and_restored_after_every_event(seed: int) -> None:
    log = chronicle(seed, 60)
    whole = outcome(log, [])
    assert whole[0], "a log without alerts proves nothing"
    assert outcome(log, list(range(1, len(log))), save=True) == whole


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(60))
def test_many_longer_logs(seed: int) -> None:
    log = chronicle(10_000 + seed, 700)
    whole = outcome(log, [])
    assert outcome(log, _cuts(len(log), seed), save=True) == whole
    assert outcome(log, list(range(1, len(log)))) == whole
