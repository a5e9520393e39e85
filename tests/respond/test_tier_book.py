"""The table of clocks at a page: validated, by two persons, on record, in force without a restart."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import rounds, tier_book, tiers


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WUZHA_HOME", str(tmp_path))
    return tmp_path


@pytest.fixture
def chief(house: Centre) -> Actor:
    return house.officer("chief", "陈立", "commander")


@pytest.fixture
def admin(house: Centre) -> Actor:
    return house.officer("admin", "管理员", "admin")


def faster() -> str:
    return tier_book.text_now().replace("sign_s = 60", "sign_s = 45", 1)


def propose(house: Centre, actor: Actor, text: str, why: str = "夜间人手足") -> int:
    with house.scope(actor) as conn:
        return tier_book.propose(conn, actor, text, why=why)


def decide(house: Centre, actor: Actor, number: int, *, accept: bool = True) -> None:
    with house.scope(actor) as conn:
        tier_book.decide(conn, actor, number, accept=accept)


def refused(house: Centre, actor: Actor, verb: Callable[..., Any], *args: Any, **values: Any) -> str:
    with house.scope(actor) as conn, pytest.raises(Refused) as caught:
        verb(conn, actor, *args, **values)
    return caught.value.reason


def test_one_writes_another_puts_in_force_and_the_desk_takes_it_up(
    house: Centre, admin: Actor, chief: Actor, home: Path
) -> None:
    now = clock.now()
    rounds.go_round(house.web, now=now)
    alert = house.alert(level="urgent", now=now, ago=timedelta(0))
    number = propose(house, admin, faster())
    assert tiers.tiers(now).levels["urgent"].sign_s == 60, "nothing holds before another has decided"
    assert refused(house, admin, tier_book.decide, number, accept=True) == "tiers_own"
    decide(house, chief, number)
    assert (home / "tiers.toml").read_text("utf-8").count("sign_s = 45") == 1
    assert tiers.tiers(now).levels["urgent"].sign_s == 45, "this process reads it without a restart"
    rounds.go_round(house.web, now=now)
    with house.scope(chief) as conn:
        row = conn.execute("SELECT escalate_at FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        told = [a for (a,) in conn.execute("SELECT action FROM audit WHERE action LIKE 'clocks.%' ORDER BY audit_id")]
        (kept,) = tier_book.texts(conn, chief)
    assert row == (now + timedelta(seconds=45),), "and so does the database"
    assert told[-3:] == ["clocks.proposed", "clocks.accepted", "clocks.in_force"]
    assert (kept["writer"], kept["decider"], kept["why"], kept["accepted"]) == ("管理员", "陈立", "夜间人手足", True)
    assert refused(house, chief, tier_book.decide, number, accept=True) == "not_found", "decided once"


def test_what_is_wrong_is_told_with_its_line_and_leaves_the_file_alone(
    house: Centre, admin: Actor, wang: Actor, home: Path
) -> None:
    bad = faster().replace("sign_s = 45", "sign_s = 4500")
    with house.scope(admin) as conn, pytest.raises(Refused, match="tiers_wrong") as wrong:
        tier_book.propose(conn, admin, bad, why="x")
    assert "tiers.toml:" in str(wrong.value.values["why"])
    assert refused(house, admin, tier_book.propose, tier_book.text_now(), why="x") == "tiers_same"
    assert refused(house, admin, tier_book.propose, faster(), why=" ") == "no_words"
    assert refused(house, wang, tier_book.propose, faster(), why="x") == "forbidden"
    assert not (home / "tiers.toml").exists()


def test_a_table_written_on_another_one_than_now_holds_is_refused_and_a_hand_in_the_file_is_told(
    house: Centre, admin: Actor, chief: Actor, home: Path
) -> None:
    first = propose(house, admin, faster())
    second = propose(house, admin, faster().replace("unit_after = 0.5", "unit_after = 0.25"))
    decide(house, chief, first)
    assert refused(house, chief, tier_book.decide, second, accept=True) == "tiers_changed"
    decide(house, admin, second, accept=False)
    with house.scope(chief) as conn:
        rows = tier_book.texts(conn, chief)
    assert [r["accepted"] for r in rows] == [False, True] and not tier_book.by_hand(rows)
    file = home / "tiers.toml"
    file.write_text(file.read_text("utf-8").replace("sign_s = 45", "sign_s = 50"), "utf-8")
    assert tier_book.by_hand(rows)
