"""From the desk's request to the proposed result: real PostgreSQL, real SIP, the telephony process as it runs."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.desks import Centre
from tests.respond.pbx import PASSWORD, Exchange, exchange
from tests.respond.test_sip import settings

from wuzha.command.public import Actor, Refused
from wuzha.events import clock
from wuzha.respond import contact, dialling, incoming, sign, sip, undo
from wuzha.respond.telephony import Telephony


@pytest.fixture(autouse=True)
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """An exchange is named: the desk dials by it."""
    monkeypatch.setenv("WUZHA_SIP_SERVER", "pbx.test")


@contextmanager
def running(house: Centre, pbx: Exchange, folder: Path) -> Iterator[Telephony]:
    """A telephony process, in a thread of its own."""
    loop, made, up = asyncio.new_event_loop(), list[Telephony](), threading.Event()

    async def work() -> None:
        line = sip.Exchange(settings(pbx, folder))
        await line.open()
        telephony = Telephony(lambda: house.db.connect("web"), line)
        made.append(telephony)
        up.set()
        try:
            await telephony.run()
        finally:
            await line.close()

    thread = threading.Thread(target=lambda: loop.run_until_complete(work()), daemon=True)
    thread.start()
    assert up.wait(60)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(made[0].stop.set)
        thread.join(15)
        loop.close()


@pytest.fixture
def signed(house: Centre, wang: Actor) -> Callable[[str], tuple[int, int]]:
    """An alert of this line that wang has, and the line's subject."""
    house.web.execute("UPDATE users SET extension = '801' WHERE user_id = %s", (wang.user_id,))

    def make(line: str) -> tuple[int, int]:
        alert = house.alert(line=line)
        with house.scope(wang) as conn:
            sign.sign(conn, wang, alert, version=1, key=f"signs-for-{alert}")
            row = conn.execute("SELECT line_id FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert row is not None
        return alert, row[0]

    return make


def asked(house: Centre, wang: Actor, alert: int, line: int, key: str = "dial-click") -> int:
    with house.scope(wang) as conn:
        return dialling.dial(conn, wang, alert, to_id=line, key=key)


def over(house: Centre, wang: Actor, alert: int) -> dict[str, Any]:
    """The call once nothing more comes of it."""
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with house.scope(wang) as conn:
            call = dialling.shown(conn, wang, alert)
        if call is not None and call["state"] in dialling.OVER:
            return call
        time.sleep(0.05)
    raise AssertionError(f"the call goes on: {call}")


def test_a_busy_line_is_proposed_and_recorded_by_one_key(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]], tmp_path: Path
) -> None:
    alert, line = signed("+8613800000486")
    with exchange() as pbx, running(house, pbx, tmp_path):
        number = asked(house, wang, alert, line)
        call = over(house, wang, alert)
        assert (call["state"], call["sip"], call["proposed"]) == ("ended", 486, "busy")
        assert dialling.results(call)[0][0] == "busy"
        assert pbx.references == [f"w{number}"]
    with house.scope(wang) as conn:
        done = contact.contact(
            conn, wang, alert, channel="call", result="busy", version=2, key="confirms-it", to_id=line
        )
        dialling.settle(conn, wang, number, done.contact_id)
        assert dialling.shown(conn, wang, alert) is None
        undo.undo(conn, wang, alert, contact_id=done.contact_id, key="the-wrong-key")  # then it waits again
        again = dialling.shown(conn, wang, alert)
        assert again is not None and again["proposed"] == "busy"
        done = contact.contact(
            conn, wang, alert, channel="call", result="busy", version=4, key="confirms-again", to_id=line
        )
        dialling.settle(conn, wang, number, done.contact_id)
        # The exchange tells later where its recording is.
        told = incoming.Told(call="x1", event="ended", at=clock.now(), reference=f"w{number}", recording="r/7.wav")
        assert incoming.tell(conn, "pbx", house.units["centre"], told) == "new"
        assert incoming.tell(conn, "pbx", house.units["centre"], told) == "known"
        row = conn.execute("SELECT contact_id, recording FROM phone_calls").fetchone()
        assert row == (done.contact_id, "r/7.wav")


def test_an_answered_call_proposes_nothing_the_officer_says_who_it_was(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]], tmp_path: Path
) -> None:
    alert, line = signed("+8613800000200")
    with exchange() as pbx, running(house, pbx, tmp_path):
        asked(house, wang, alert, line)
        call = over(house, wang, alert)
    assert (call["state"], call["proposed"], call["forwarded"]) == ("talking", None, False)


def test_a_forwarded_line_is_proposed_as_forwarded_whatever_comes_of_the_call(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]], tmp_path: Path
) -> None:
    alert, line = signed("+8613800000181")
    with exchange() as pbx, running(house, pbx, tmp_path):
        asked(house, wang, alert, line)
        call = over(house, wang, alert)
    assert (call["state"], call["proposed"], call["forwarded"]) == ("talking", "forwarded", True)


def test_of_two_processes_one_makes_the_call(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]], tmp_path: Path
) -> None:
    alert, line = signed("+8613800000603")
    with exchange() as pbx, running(house, pbx, tmp_path), running(house, pbx, tmp_path):
        asked(house, wang, alert, line)
        assert asked(house, wang, alert, line)  # the same click again
        assert over(house, wang, alert)["proposed"] == "refused"
        time.sleep(0.6)
        assert pbx.dialled == [("801", "13800000603")]


def test_a_dead_exchange_holds_up_nobody(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]], tmp_path: Path
) -> None:
    alert, line = signed("+8613800000200")
    with exchange(deaf=True) as pbx, running(house, pbx, tmp_path):
        asked(house, wang, alert, line)
        call = over(house, wang, alert)
    assert (call["state"], call["why"], call["proposed"]) == ("failed", "no_exchange", None)


def test_a_process_that_dies_leaves_a_call_of_which_nobody_knows(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]]
) -> None:
    alert, line = signed("+8613800000200")
    asked(house, wang, alert, line)
    with house.scope(wang) as conn:
        (request,) = dialling.take(conn, "a-process-that-dies", now=clock.now())
        assert dialling.told(conn, "a-process-that-dies", request.call_id, "officer", now=clock.now())
    later = clock.now() + timedelta(seconds=20)
    with house.scope(wang, now=later) as conn:
        assert dialling.take(conn, "another", now=later) == []  # never dialled twice
        assert dialling.lapse(conn, wang, later) == 1
        call = dialling.shown(conn, wang, alert, now=later)
        assert call is not None and (call["state"], call["why"]) == ("unknown", "process_gone")
        # What the dead one would still say comes too late, and another call may be made.
        assert not dialling.told(conn, "a-process-that-dies", request.call_id, "ended", now=later, sip=486)
        assert dialling.dial(conn, wang, alert, to_id=line, key="again-click", now=later) != request.call_id


def test_without_a_telephony_process_the_officer_learns_it_in_time(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]]
) -> None:
    alert, line = signed("+8613800000200")
    asked(house, wang, alert, line)
    with house.scope(wang) as conn, pytest.raises(Refused, match="dialling"):
        dialling.dial(conn, wang, alert, to_id=line, key="a-second-call")
    later = clock.now() + timedelta(seconds=16)
    with house.scope(wang, now=later) as conn:
        assert dialling.take(conn, "late", now=later) == []
        dialling.lapse(conn, wang, later)
        call = dialling.shown(conn, wang, alert, now=later)
    assert call is not None and (call["state"], call["why"]) == ("failed", "nobody_took")


def test_who_may_not_dial(
    house: Centre, wang: Actor, zhao: Actor, signed: Callable[[str], tuple[int, int]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    alert, line = signed("+8613800000200")
    new = house.alert()
    strange = house.subject("line", "+8613999990000")

    def refused(actor: Actor, of: int, to: int) -> str:
        with house.scope(actor) as conn, pytest.raises(Refused) as error:
            dialling.dial(conn, actor, of, to_id=to, key="may-not-click")
        return error.value.reason

    assert refused(zhao, alert, line) == "no_extension"
    house.web.execute("UPDATE users SET extension = '802' WHERE user_id = %s", (zhao.user_id,))
    assert refused(zhao, alert, line) == "taken"
    assert refused(wang, new, line) == "not_signed"
    assert refused(wang, alert, strange) == "unknown_code"
    monkeypatch.delenv("WUZHA_SIP_SERVER")
    assert refused(wang, alert, line) == "no_telephone"


def test_kin_are_dialled_by_the_desks_rule_only(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]]
) -> None:
    alert, _ = signed("+8613800000200")
    mother, line = house.person("李母", line="+8613800000486")
    row = house.engine.execute("SELECT person_id FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row is not None and line is not None
    house.relate(row[0], mother, "mother")
    house.engine.execute("UPDATE alerts SET scam_type = 'romance' WHERE alert_id = %s", (alert,))
    with house.scope(wang) as conn, pytest.raises(Refused, match="kin_forbidden"):
        dialling.dial(conn, wang, alert, to_id=line, channel="kin", key="to-her-mother")
    house.engine.execute("UPDATE alerts SET scam_type = 'authority' WHERE alert_id = %s", (alert,))
    with house.scope(wang) as conn:
        assert dialling.dial(conn, wang, alert, to_id=line, channel="kin", key="to-her-mother")
        (request,) = dialling.take(conn, "telephony", now=clock.now())
    assert request.number == "+8613800000486"


def test_a_process_killed_in_the_middle_of_a_call_and_the_next_one(
    house: Centre, wang: Actor, signed: Callable[[str], tuple[int, int]], tmp_path: Path
) -> None:
    """The very process that a server starts, over its own connection, killed while the telephone rings."""
    alert, line = signed("+8613800000000")
    with exchange() as pbx:
        environment = process_environment(house, pbx, tmp_path)
        first = subprocess.Popen([sys.executable, "-m", "wuzha.respond.telephony"], env=environment)
        try:
            asked(house, wang, alert, line)
            assert _until(lambda: _state(house, wang, alert) == "ringing")
            first.kill()
            assert first.wait(60) != 0
            later = clock.now() + timedelta(seconds=20)
            with house.scope(wang, now=later) as conn:
                assert dialling.lapse(conn, wang, later) == 1
            assert _state(house, wang, alert) == "unknown"
        finally:
            first.kill()
            first.wait(60)
        second = subprocess.Popen([sys.executable, "-m", "wuzha.respond.telephony"], env=environment)
        try:
            with house.scope(wang) as conn:
                dialling.put_away(conn, wang, 1)
            other, busy = signed("+8613800000486")
            asked(house, wang, other, busy, key="after-the-death")
            assert over(house, wang, other)["proposed"] == "busy"
            assert pbx.dialled == [("801", "13800000000"), ("801", "13800000486")]
            second.terminate()
            assert second.wait(60) == 0
        finally:
            second.kill()
            second.wait(60)


def process_environment(house: Centre, pbx: Exchange, folder: Path) -> dict[str, str]:
    """What a telephony process is told: this test's database and exchange."""
    words = folder / "passwords.json"
    words.write_text(json.dumps(dict(house.db.passwords)))
    words.chmod(0o600)
    secret = folder / "sip-password"
    secret.write_text(PASSWORD)
    secret.chmod(0o600)
    place = " ".join(f"{name}={value}" for name, value in house.db.params.items() if name in ("host", "port", "dbname"))
    return {
        **os.environ, "WUZHA_DSN": place, "WUZHA_PASSWORDS": str(words), "WUZHA_HOME": str(folder),
        "WUZHA_SIP_SERVER": pbx.address, "WUZHA_SIP_PASSWORD_FILE": str(secret), "WUZHA_SIP_DOMAIN": "pbx.test",
    }  # fmt: skip


def _state(house: Centre, wang: Actor, alert: int) -> str | None:
    with house.scope(wang) as conn:
        call = dialling.shown(conn, wang, alert)
    return None if call is None else str(call["state"])


def _until(true: Callable[[], bool], seconds: float = 60) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return True
        time.sleep(0.05)
    return False
