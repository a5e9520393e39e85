"""Days and times that people write into an address or a form: a calendar's ends, and what is no day at all."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import ROLES
from wuzha.events import clock

ODD = ("9999-12-31", "0001-01-01", "2026-02-30", "今天", "")


@pytest.mark.parametrize("day", ODD)
def test_a_day_that_no_calendar_has_opens_a_page_all_the_same(
    house: Centre, officer: Callable[..., Any], day: str
) -> None:
    house.officer("all", "全", *ROLES)
    who = officer("all")
    for path in (f"/duty?week={day}", f"/lookback?day={day}"):
        assert who.get(path).status_code == 200, path


@pytest.mark.parametrize("day", ODD)
def test_no_shift_is_put_on_another_day_than_the_one_written(
    house: Centre, officer: Callable[..., Any], day: str
) -> None:
    user = house.officer("all", "全", *ROLES).user_id
    answer = officer("all").post("/duty/shifts", {"user": user, "day": day, "from": "08:00", "to": "20:00", "days": 31})
    assert answer.status_code == 409
    assert house.web.execute("SELECT count(*) FROM shifts").fetchone() == (0,)


@pytest.mark.parametrize("day", ODD[:4])
def test_a_basis_ends_on_a_day_or_is_refused(house: Centre, officer: Callable[..., Any], day: str) -> None:
    house.officer("all", "全", *ROLES)
    answer = officer("all").post(
        "/admin/sources",
        {"name": "a", "title": "a", "role": "telecom", "basis": "order", "purpose": "x", "retention_days": 30,
         "table": "warnings", "basis_until": day},
    )  # fmt: skip
    assert answer.status_code == 409


def test_days_and_times_as_people_write_them() -> None:
    assert str(clock.day_of(" 2026-03-02 ")) == "2026-03-02"
    assert [clock.day_of(day) for day in ODD] == [None] * 5
    at = clock.time_of("2026-03-02T08:00")
    assert at is not None and at.isoformat() == "2026-03-02T08:00:00+08:00"
    assert [clock.time_of(t) for t in ("9999-12-31T23:59", "0001-01-01T00:00", "25:00", "")] == [None] * 4
