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
from wuzha.events import clock
from wuzha.respond import group_text, sign, smpp, texting, texts, waves
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
    end = time.monotonic() + 60
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


def waved(house: desks.Centre, wang: Actor, *types: str) -> tuple[int, list[int]]:
    """A wave of people who have visited one site: its number and their files."""
    now = clock.now()
    ids = [house.alert(scam_type=scam_type) for scam_type in types]
    for alert in ids:
        house.evidence(alert, "suspect_site", {}, at=now, events=[("visits", now, {"host": "gov-ga.top"})])
    with house.scope(wang) as conn:
        return waves.make(conn, wang, mark="site:gov-ga.top", title="假公安网站", key="make-wave-key"), ids


def press(house: desks.Centre, wang: Actor, wave: int, key: str) -> int:
    with house.scope(wang) as conn:
        return texts.send_wave(conn, wang, wave, purpose="dissuade", key=key, flash=False)


def queued(house: desks.Centre) -> list[tuple[int, str]]:
    with transaction(house.web, unit=house.units["centre"]) as conn:
        return conn.execute("SELECT alert_id, state FROM text_messages ORDER BY text_id").fetchall()  # type: ignore[return-value]


def test_a_press_texts_everybody_of_a_wave_once(desk) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    wave, ids = waved(house, wang, "authority", "loan", "authority")
    short = house.subject("line", "cn-short:95588")
    house.engine.execute("UPDATE alerts SET line_id = %s WHERE alert_id = %s", (short, ids[2]))  # no text reaches it
    assert press(house, wang, wave, "press-wave-1") == 2
    press(house, wang, wave, "press-wave-1")
    assert queued(house) == [(ids[0], "queued"), (ids[1], "queued")]
    with transaction(house.web, unit=house.units["centre"]) as conn:
        conn.execute("UPDATE alerts SET reached_at = now(), state = 'reached' WHERE alert_id = %s", (ids[0],))
    press(house, wang, wave, "press-wave-2")  # a new press is a new wish, and of whom somebody has reached it is none
    assert [a for a, _ in queued(house)] == [ids[0], ids[1], ids[1]]


def test_a_text_of_a_wave_that_is_refused_for_a_link_stops_them_all(desk, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    wave, _ids = waved(house, wang, "authority", "loan", "romance")
    said = {"general": {"zh": WORDS}, "loan": {"zh": "请看 www.example.com"}}
    monkeypatch.setattr(group_text, "texts", lambda: said)
    with pytest.raises(Refused) as refused:
        press(house, wang, wave, "press-wave-1")
    assert refused.value.reason == "link_in_text" and queued(house) == []
    with house.scope(wang) as conn:
        told = conn.execute("SELECT count(*) FROM audit WHERE action = 'wave.texted'").fetchone()
    assert told == (0,)


def test_a_process_that_dies_amid_a_wave_sends_none_of_it_again(desk, line) -> None:  # type: ignore[no-untyped-def]
    house, wang = desk
    wave, ids = waved(house, wang, "authority", "loan", "romance")
    press(house, wang, wave, "press-wave-1")
    with transaction(house.web, unit=house.units["centre"]) as conn:
        gone = texts.take(conn, clock.now())  # a process that dies here, with one in its hands
    assert gone is not None
    with centre() as smsc:
        talk = line(smsc)
        until(talk, lambda: [s for _, s in queued(house)] == ["unknown", "delivered", "delivered"])
        press(house, wang, wave, "press-wave-1")  # the same press again, after all
        talk.leave()
        talk = line(smsc)  # and another process
        for _ in range(3):
            talk.look()
        assert len(smsc.texts) == 2 and gone.to not in {t.to for t in smsc.texts}
    assert [a for a, _ in queued(house)] == ids
