"""The chance that money is still there: it only falls, it believes banks, and it is fitted to what they answered."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.money import FIRST, Chase

from wuzha.cases import fitting, survival
from wuzha.cases.survival import Curve, Stay
from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.events.datafile import DataFileError

NOW = datetime(2026, 3, 2, 9, tzinfo=UTC)
TABLE = survival.read(survival.written({k: Curve(w=0.6, fast_s=360, slow_s=10800) for k in survival.KINDS}))


@given(st.lists(st.floats(0, 1e6), min_size=2, max_size=20))
def test_the_chance_never_rises_with_time(ages: list[float]) -> None:
    chances = [survival.chance("personal", NOW - timedelta(seconds=a), NOW, table=TABLE) for a in sorted(ages)]
    assert all(0 <= b <= a <= 1 for a, b in itertools.pairwise(chances))


def test_what_a_bank_has_told_is_believed() -> None:
    came = NOW - timedelta(minutes=30)
    assert survival.chance("personal", came, NOW, NOW, table=TABLE) == 1.0
    told = survival.chance("personal", came, NOW, NOW - timedelta(minutes=1), table=TABLE)
    assert 1.0 > told > survival.chance("personal", came, NOW, table=TABLE)


def test_a_fit_finds_the_curve_that_made_the_stays() -> None:
    """Four thousand stays drawn from a known curve, a third of them cut short by the bank's answer."""
    draw = np.random.default_rng(7)
    fast = draw.random(4000) < 0.7
    stayed = np.where(fast, draw.exponential(240, 4000), draw.exponential(20_000, 4000))
    cut = np.where(draw.random(4000) < 0.33, draw.exponential(3000, 4000), np.inf)
    seen = [
        Stay(kind="personal", seconds=float(min(a, b)), left=bool(a <= b)) for a, b in zip(stayed, cut, strict=True)
    ]
    found = survival.fit(seen, Curve(w=0.5, fast_s=600, slow_s=9000))
    true = Curve(w=0.7, fast_s=240, slow_s=20_000)
    for t in (60, 300, 1800, 7200, 36_000):
        assert found.at(t) == pytest.approx(true.at(t), abs=0.03)
    assert found.n == 4000


def test_a_few_answers_do_not_overturn_the_curve() -> None:
    before = Curve(w=0.6, fast_s=360, slow_s=10800)
    after = survival.fit([Stay(kind="personal", seconds=5, left=True)] * 3, before)
    assert abs(after.at(600) - before.at(600)) < 0.1
    assert survival.fit([], before) is before


@pytest.mark.parametrize(
    ("was", "now", "says"),
    [("w = 0.6000", "w = 1.6", "between 0 and 1"), ("fast_s = 360.0", "fast_s = 0", "0 < fast_s"),
     ("[kind.wallet]", "[kind.walet]", "unknown kind")],
)  # fmt: skip
def test_a_mistake_in_the_file_is_told_with_its_line(was: str, now: str, says: str) -> None:
    text = survival.written(TABLE).replace(was, now, 1)
    with pytest.raises(DataFileError, match=says) as error:
        survival.read(text)
    assert str(error.value).startswith("survival.toml:")


def test_a_kind_of_which_few_were_seen_keeps_its_shipped_curve_and_says_so() -> None:
    many = [Stay(kind="personal", seconds=20.0 + i, left=True) for i in range(fitting.LEAST)]
    few = [Stay(kind="company", seconds=5, left=True)] * (fitting.LEAST - 1)
    table, shipped = fitting.fitted([*many, *few]), survival.shipped()
    assert table["company"] == shipped["company"] and table["company"].n == 0
    assert table["personal"].n == len(many) and table["personal"].at(600) < shipped["personal"].at(600)
    assert table["unknown"].n == len(many) + len(few)  # whoever's kind nobody has told is like all
    assert survival.read(survival.written(table, NOW))["personal"].n == len(many)


def test_the_curves_are_fitted_by_themselves_once_a_day(
    chase: Chase, sun: Actor, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitting, "LEAST", 3)
    chase.report()
    chase.seal(sun)
    assert survival.fitted_at() is None
    chase.answer(chase.order("query", FIRST), [
        chase.moved(None, FIRST, 5_000_000, 0),
        *(chase.moved(FIRST, f"62170012345600{i:02d}", 500_000, 2 + i, seq=i) for i in range(6)),
    ], account_kind="personal")  # fmt: skip
    night = (chase.now + timedelta(days=1)).astimezone(clock.zone()).replace(hour=3, minute=59)
    chase.elapsed = night - chase.at
    assert chase.round()["survival"] == 0 and not (home / survival.FILE).exists()
    assert chase.round(timedelta(minutes=2))["survival"] == 2  # personal, and unknown
    assert [chase.round(timedelta(hours=h))["survival"] for h in (0, 5)] == [0, 0]
    assert survival.curves()["personal"].n == 7 and survival.curves()["wallet"].n == 0  # six left, one is there yet
    assert chase.round(timedelta(days=1))["survival"] == 2
    (home / survival.FILE).write_text("w = 1", "utf-8")  # somebody's mistake: told, and nothing is overwritten
    assert chase.round(timedelta(days=1)).get("survival", 0) == 0
    assert (home / survival.FILE).read_text("utf-8") == "w = 1"
    assert survival.curves() == survival.shipped()  # and orders go on being ranked
