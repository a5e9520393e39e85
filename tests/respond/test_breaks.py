"""What goes round a rule: kin by another rung, a file that another has taken in, work that is listed twice."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused, machine
from wuzha.events import clock
from wuzha.respond import (
    contact,
    dialling,
    followups,
    group_text,
    outcome,
    overflow,
    reopen,
    safety,
    sign,
    step,
    transfers,
    waves,
)
from wuzha.store import transaction


def version(house: Centre, alert: int) -> int:
    row = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row is not None
    return int(row[0])


def person_of(house: Centre, alert: int) -> int:
    row = house.engine.execute("SELECT person_id FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row is not None
    return int(row[0])


def mother_of(house: Centre, alert: int) -> int:
    """The line of the person's mother."""
    mother, line = house.person("李母", line="+8613800000486")
    house.relate(person_of(house, alert), mother, "mother")
    assert line is not None
    return line


@pytest.mark.parametrize("rung", ["dial", "contact", "own_phone", "sms"])
def test_a_line_of_kin_is_kin_by_whatever_rung_it_is_called(
    house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch, rung: str
) -> None:
    monkeypatch.setenv("WUZHA_SIP_SERVER", "127.0.0.1:1")
    house.web.execute("UPDATE users SET extension = '801' WHERE user_id = %s", (wang.user_id,))
    alert = house.alert(scam_type="romance")
    line = mother_of(house, alert)
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=1, key=f"signs-for-{alert}")
    results = {"contact": ("call", "told_other"), "own_phone": ("own_phone", "no_answer"), "sms": ("sms", "sent")}
    with pytest.raises(Refused, match="kin_forbidden"), house.scope(wang) as conn:
        if rung == "dial":
            dialling.dial(conn, wang, alert, to_id=line, channel="call", key="to-her-mother")
        else:
            channel, result = results[rung]
            contact.contact(
                conn, wang, alert, channel=channel, result=result, to_id=line, version=version(house, alert),
                key="to-her-mother",
            )  # fmt: skip


def test_what_a_file_has_taken_in_forbids_kin_as_its_own_does(house: Centre, wang: Actor) -> None:
    for how in ("flag", "type"):
        living = house.alert()
        old = house.alert(scam_type="romance" if how == "type" else "authority")
        if how == "flag":
            with house.scope(wang) as conn:
                safety.flag(conn, wang, old, code="family_violence", key=f"flag-{old}-click")
        house.engine.execute(
            "UPDATE alerts SET merged_into = %s, state = 'closed', closed_at = now() WHERE alert_id = %s", (living, old)
        )
        with house.scope(wang) as conn:
            rule = safety.kin_rule(conn, step.lock(conn, living))
        assert rule.forbidden == how


def closed(house: Centre, wang: Actor, alert: int, *, listed: bool = False) -> None:
    def do(verb: Callable[..., Any], key: str, **values: Any) -> None:
        with house.scope(wang) as conn:
            verb(conn, wang, alert, version=version(house, alert), key=f"{key}-{alert}-click", **values)

    do(sign.sign, "sign")
    if listed:
        do(contact.contact, "robot", channel="robot", result="listed")
    do(contact.contact, "call", channel="call", result="self")
    do(outcome.outcome, "outcome", code="dissuaded", amount_fen=100)
    do(outcome.close, "close")


def test_who_has_paid_again_is_told_where_another_file_has_taken_theirs_in(house: Centre, wang: Actor) -> None:
    for state in ("new", "closed"):
        old, living = house.alert(), house.alert()
        closed(house, wang, old)
        if state == "closed":
            closed(house, wang, living)
        house.engine.execute("UPDATE alerts SET merged_into = %s WHERE alert_id = %s", (living, old))
        with house.scope(wang) as conn:
            first = followups.of_alert(conn, old)[0]
        later = clock.now() + timedelta(hours=25)
        with house.scope(wang, now=later) as conn:
            followups.answer(conn, wang, first["followup_id"], code="paid_again", key=f"paid-again-{old}", now=later)
        row = house.engine.execute("SELECT state FROM alerts WHERE alert_id = %s", (living,)).fetchone()
        assert row == ("new",)
        kinds = {r[0] for r in house.engine.execute("SELECT kind FROM contacts WHERE alert_id = %s", (living,))}
        assert "followup_paid_again" in kinds


def test_a_file_opened_again_that_stands_listed_does_not_stop_overflow(house: Centre, wang: Actor) -> None:
    alert = house.alert(level="low")
    closed(house, wang, alert, listed=True)
    boss = house.officer("boss", "长官", "commander")
    with house.scope(boss) as conn:
        overflow.set_route(conn, boss, house.units["centre"], [], automatic=True)
    with house.scope(wang) as conn:
        reopen.reopen(conn, wang, step.lock(conn, alert), key="opened-again", at=clock.now())
    unit = house.units["centre"]
    with transaction(house.web, unit=unit, user=None) as conn:
        assert overflow.round(conn, machine(unit, "test"), clock.now() + timedelta(days=1)) == 1


def test_a_group_text_with_a_long_key_stands_on_everybodys_file(house: Centre, wang: Actor) -> None:
    now = clock.now()
    ids = [house.alert() for _ in range(2)]
    for alert in ids:
        house.evidence(alert, "suspect_site", {}, at=now, events=[("visits", now, {"host": "bad.top"})])
    with house.scope(wang) as conn:
        wave = waves.make(conn, wang, mark="site:bad.top", title="假网站", key="click-one")
    for key in ("k" * 61, ""):
        with pytest.raises(Refused, match="no_key"), house.scope(wang) as conn:
            group_text.send(conn, wang, wave, purpose="dissuade", key=key)
    with house.scope(wang) as conn:
        group_text.send(conn, wang, wave, purpose="dissuade", key="k" * 60)
        told = conn.execute("SELECT alert_id FROM contacts WHERE kind = 'sms' ORDER BY 1").fetchall()
    assert told == [(a,) for a in ids]


def test_a_file_closed_while_it_was_offered_can_be_given_again_once_it_is_open(house: Centre, wang: Actor) -> None:
    alert = house.alert()
    zhou = house.officer("zhou", "周", "station", unit="east")

    def do(actor: Actor, verb: Callable[..., Any], key: str, **values: Any) -> None:
        with house.scope(actor) as conn:
            verb(conn, actor, alert, key=f"{key}-click", **values)

    def give(key: str) -> None:
        do(wang, transfers.offer, key, to_unit=house.units["east"], reason="住在东街", version=version(house, alert))

    do(wang, sign.sign, "signs", version=1)
    give("gives")
    do(wang, outcome.outcome, "outcome", code="not_reached", version=version(house, alert))
    do(wang, outcome.close, "closes", version=version(house, alert))
    with pytest.raises(Refused, match="closed"):
        do(zhou, transfers.sign_for, "signs-for")
    with house.scope(wang) as conn:
        reopen.reopen(conn, wang, step.lock(conn, alert), key="opened-again", at=clock.now())
    do(zhou, sign.sign, "signs-anew", version=version(house, alert))
    with house.scope(zhou) as conn:
        transfers.offer(
            conn, zhou, alert, to_unit=house.units["centre"], reason="户籍在城里", version=version(house, alert),
            key="gives-anew",
        )  # fmt: skip
        states = conn.execute("SELECT state FROM transfers WHERE alert_id = %s ORDER BY 1", (alert,)).fetchall()
    assert states == [("offered",), ("recalled",)]


def test_a_wave_without_a_key_is_refused(house: Centre, wang: Actor) -> None:
    with pytest.raises(Refused, match="no_key"), house.scope(wang) as conn:
        waves.make(conn, wang, mark="site:bad.top", title="假网站", key="")
