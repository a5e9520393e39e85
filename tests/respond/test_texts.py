"""Texts over a real SMPP connection: what was asked for goes once, and what became of it stands on the ladder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from tests import desks
from tests.respond.duty import column
from tests.respond.smsc import Centre, centre

from wuzha.command.public import Actor, Refused
from wuzha.respond import sign, smpp, texting, texts
from wuzha.store import transaction

WORDS = "【反诈中心】请不要转账，核实请自己拨打96110。"


@pytest.fixture
def desk(house: desks.Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch) -> tuple[desks.Centre, Actor]:
    monkeypatch.setenv("WUZHA_SMPP_SERVER", "named")
    return house, wang


def signed(house: desks.Centre, wang: Actor) -> int:
    alert = house.alert()
    with house.scope(wang) as conn:
        sign.sign(conn, wang, alert, version=column(house, alert, "version"), key=f"sign-{alert}-key")
    return alert


def send(house: desks.Centre, wang: Actor, alert: int, *, key: str = "press-one-key", flash: bool = True,
         words: str = WORDS) -> int:  # fmt: skip
    with house.scope(wang) as conn:
        return texts.send(
            conn, wang, alert, words=words, flash=flash, version=column(house, alert, "version"), key=key
        )  # fmt: skip


def steps(house: desks.Centre, alert: int) -> list[str]:
    rows = house.engine.execute(
        "SELECT code FROM contacts WHERE alert_id = %s AND kind = 'sms' ORDER BY contact_id", (alert,)
    )
    return [r[0] for r in rows]


def _state(house: desks.Centre, text: int) -> str:
    with transaction(house.web, unit=house.units["centre"]) as conn:
        return str(conn.execute("SELECT state FROM text_messages WHERE text_id = %s", (text,)).fetchone()[0])  # type: ignore[index]


@pytest.fixture
def line(desk: tuple[desks.Centre, Actor], tmp_path: Path) -> Iterator[Callable[[Centre], texting.Texting]]:
    made: list[texting.Texting] = []

    def joined(smsc: Centre, word: str = "open") -> texting.Texting:
        file = tmp_path / "word"
        file.write_text(word)
        file.chmod(0o600)
        made.append(texting.Texting(
            desk[0].web, texting.Settings(server=smsc.address, password_file=file, timeout_s=5)
        ))  # fmt: skip
        return made[-1]

    yield joined
    for one in made:
        one.leave()


def until(line: texting.Texting, done: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not done():
        assert time.monotonic() < end
        line.look()


def test_a_flash_message_goes_and_its_receipt_stands_on_the_ladder(desk, line) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    alert = signed(house, wang)
    with centre() as smsc:
        text, talk = send(house, wang, alert), line(smsc)
        assert send(house, wang, alert) == text, "the press heard twice"
        until(talk, lambda: _state(house, text) == "delivered")
        talk.look()
        assert len(smsc.texts) == 1 and smsc.thanked == 1
        one = smsc.texts[0]
        assert one.flash and one.words == WORDS and one.sender == "96110" and one.receipt == 1
        assert one.to.startswith("861") and one.to.isdigit()
        smsc.receipt(one.number, one.to, "DELIVRD")
        until(talk, lambda: smsc.thanked == 2)
    assert steps(house, alert) == ["sent", "delivered"]
    found = house.engine.execute("SELECT state, contacted_at FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert found is not None and found[0] == "contacting" and found[1] is not None


@pytest.mark.parametrize("tlv", [False, True])
def test_a_long_text_goes_whole_and_one_not_delivered_says_so(desk, line, tlv: bool) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    alert = signed(house, wang)
    words = WORDS * 6
    with centre(tlv=tlv) as smsc:
        house_line = house.engine.execute(
            "SELECT value FROM subjects WHERE subject_id = (SELECT line_id FROM alerts WHERE alert_id = %s)", (alert,)
        ).fetchone()[0]
        smsc.state[house_line[-4:]] = "UNDELIV"
        text, talk = send(house, wang, alert, flash=False, words=words), line(smsc)
        until(talk, lambda: _state(house, text) == "undelivered")
        assert [(t.words, t.flash) for t in smsc.texts] == [(words, False)]
    assert steps(house, alert) == ["sent", "undelivered"]


def test_a_gateway_that_is_full_gets_it_later_and_one_that_refuses_is_told(desk, line) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    first, second = signed(house, wang), signed(house, wang)
    numbers = {
        a: house.engine.execute(
            "SELECT value FROM subjects WHERE subject_id = (SELECT line_id FROM alerts WHERE alert_id = %s)", (a,)
        ).fetchone()[0][-4:]
        for a in (first, second)
    }
    with centre(status={numbers[first]: [0x58, 0x14], numbers[second]: [0xB]}) as smsc:
        one, two = send(house, wang, first, key="press-first"), send(house, wang, second, key="press-second")
        talk = line(smsc)
        until(talk, lambda: _state(house, one) == "delivered" and _state(house, two) == "refused")
    assert steps(house, first) == ["sent", "delivered"] and steps(house, second) == ["undelivered"]


def test_a_text_of_which_nobody_knows_is_never_sent_again(desk, line) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    alert, other = signed(house, wang), signed(house, wang)
    with centre(hang_up=1) as smsc:
        text, talk = send(house, wang, alert), line(smsc)
        with pytest.raises(smpp.Lost):
            talk.look()
        assert _state(house, text) == "unknown" and len(smsc.texts) == 1
        died = send(house, wang, other, key="press-other")
        with transaction(house.web, unit=house.units["centre"]) as conn:
            assert texts.take(conn, texts.clock.now()) is not None  # a process that dies here …
        talk = line(smsc)
        for _ in range(3):
            talk.look()
        assert _state(house, died) == "unknown" and len(smsc.texts) == 1
        smsc.receipt(smsc.texts[0].number, "8613800000000", "DELIVRD")  # number never heard: answered, nothing more
        until(talk, lambda: smsc.thanked == 1)
    assert steps(house, alert) == [] == steps(house, other)


def test_nothing_with_a_link_and_nothing_without_a_gateway_leaves(desk, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    alert = signed(house, wang)
    for words, reason in (("请看 www.example.com", "link_in_text"), (" ", "no_words"), ("请" * 301, "text_long")):
        with pytest.raises(Refused) as refused:
            send(house, wang, alert, words=words)
        assert refused.value.reason == reason
    monkeypatch.delenv("WUZHA_SMPP_SERVER")
    with pytest.raises(Refused) as refused:
        send(house, wang, alert)
    assert refused.value.reason == "no_gateway"
    with transaction(house.web, unit=house.units["centre"]) as conn:
        assert conn.execute("SELECT count(*) FROM text_messages").fetchone() == (0,)


def test_a_wrong_password_is_told_as_that(desk, line) -> None:  # type: ignore[no-untyped-def]
    with centre() as smsc, pytest.raises(smpp.Refused, match="0x0000000E"):
        line(smsc, "closed").look()
