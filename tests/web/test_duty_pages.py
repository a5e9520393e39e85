"""Every label of the duty pages and of a file's duty panels is a catalogue entry, in both languages; who may what."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.desks import Centre
from tests.respond.duty import city, do, make_round, sign_in
from tests.web.test_words import EXAMPLES, Labels, patterns

from wuzha.command import shifts
from wuzha.events import clock
from wuzha.respond import dispatch, escalate, locate, overflow, sign, transfers
from wuzha.store import Connection, Database
from wuzha.web import catalogue


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    return city(db, engine, web)


def busy(house: Centre) -> dict[str, int]:
    """A north with everything that duty knows; ids of its files."""
    now = clock.now()
    chief = house.officer("chief", "北长官", "commander", unit="north")
    day = house.officer("day", "王敏", "dissuader", unit="north")
    south = house.officer("south", "南乙", "dissuader", unit="south")
    with house.scope(chief) as conn:
        overflow.set_route(conn, chief, house.units["north"], [], automatic=True)
        for user in (chief, day):
            shifts.add(conn, chief, user_id=user.user_id, starts_at=now - timedelta(hours=2),
                       ends_at=now + timedelta(hours=6), post="1号席")  # fmt: skip
    sign_in(house, day, at=now)
    worked, given, ours = (
        house.alert(name, unit=unit, level="urgent", ago=timedelta(minutes=9))
        for name, unit in (("张小兰", "north"), ("孙悦", "south"), ("何静", "north"))
    )
    for level in ("high", "medium", "low"):
        for _ in range(20):
            house.alert("周敏", unit="north", level=level, ago=timedelta(hours=1))
    at = clock.now()
    do(house, south, sign.sign, given, at=at)
    do(house, south, transfers.offer, given, to_unit=house.units["north"], reason="人现住北区", at=at)
    do(house, chief, sign.sign, worked, at=at)
    do(house, chief, dispatch.send, worked, unit_id=house.units["north"], words="三单元502", at=at)
    do(house, chief, locate.judge, worked, code="other", name="张子", line="13912340000", place="河口", at=at)
    do(house, day, sign.sign, ours, at=at)
    do(house, day, transfers.offer, ours, to_unit=house.units["south"], reason="人在南区", at=at)
    make_round(house, overflow.round, clock.now())
    make_round(house, escalate.round, clock.now())
    robot = house.engine.execute("SELECT alert_id FROM alerts WHERE robot_at IS NOT NULL LIMIT 1").fetchone()
    assert robot is not None
    return {"worked": worked, "given": given, "ours": ours, "robot": robot[0]}


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_label_is_a_catalogue_entry(house: Centre, officer: Callable[..., Any], language: str) -> None:
    ids = busy(house)
    house.web.execute("UPDATE users SET language = %s", (language,))
    chief, day = officer("chief"), officer("day")
    plain, filled = patterns(language)
    strange: list[str] = []
    opened = [(chief, f"/desk{q}") for q in ("", "?scope=late", "?scope=given", "?scope=overflow", "?told=raised")]
    opened += [(chief, p) for p in ("/duty", "/duty/handover", "/duty/overflow", "/duty/visits")]
    opened += [(chief, f"/alerts/{ids[n]}") for n in ("worked", "given", "robot")] + [(day, f"/alerts/{ids['ours']}")]
    for who, path in opened:
        answer = who.get(path)
        assert answer.status_code == 200, path
        labels = Labels()
        labels.feed(answer.text)
        strange += [
            f"{path} <{tag}>: {text}" for tag, text in labels.found
            if text not in plain | EXAMPLES and not filled.fullmatch(text) and re.search(r"\w", text)
            and not text.isdigit()
        ]  # fmt: skip
        assert [word for word in catalogue.forbidden() if word in " ".join(labels.texts)] == [], path
    assert sorted(set(strange)) == []
    assert ("自动外呼" if language == "zh" else "automatic calls") in chief.get("/desk").text


def test_refusals_come_back_on_the_page_and_change_nothing(house: Centre, officer: Callable[..., Any]) -> None:
    ids = busy(house)
    chief, day = officer("chief"), officer("day")
    version = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (ids["worked"],)).fetchone()
    assert version is not None
    for who, path, form, said in (
        (chief, f"/alerts/{ids['worked']}/locate", {"code": "other", "version": version[0]}, "实际使用人"),
        (chief, f"/alerts/{ids['worked']}/transfer", {"to_unit": house.units["south"], "version": 1}, "已刷新"),
        (day, f"/alerts/{ids['worked']}/dispatch", {"station": house.units["river"], "version": 1}, "正在处置"),
        (chief, f"/alerts/{ids['given']}/transfer/return", {"reason": " "}, "理由"),
        (chief, "/duty/shifts", {"user": "1", "day": "2026-01-01", "from": "8点", "to": "20:00"}, "班次起止"),
        (chief, "/duty/routes", {"unit": house.units["north"], "to1": house.units["river"]}, "溢出去向不对"),
        (day, "/duty/handover", {"to": "999", "note": ""}, "接班"),
    ):
        answer = who.post(path, form)
        assert answer.status_code == 409 and said in answer.text, (path, answer.status_code)
    for path, form in (("/duty/shifts", {"user": "1", "day": "2026-01-01", "from": "08:00", "to": "20:00"}),
                       ("/duty/routes", {"unit": house.units["north"]}), ("/duty/copy", {}),
                       (f"/duty/overflow/{ids['robot']}/back", {})):  # fmt: skip
        assert day.post(path, form).status_code == 403, path
    assert chief.post("/duty/shifts/999/remove").status_code == 404
    assert chief.get("/duty?week=nonsense").status_code == 200
