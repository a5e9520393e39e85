"""Click-to-dial against a real SIP server over loopback: what the exchange answers is what the desk is told."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

import pytest
from tests.apart import apart
from tests.certificates import certificate
from tests.respond.pbx import PASSWORD, Exchange, exchange

from wuzha.respond import sip
from wuzha.respond.ladder import ladder


def settings(pbx: Exchange, tmp_path: Path, **changes: Any) -> sip.Settings:
    word = tmp_path / "sip-password"
    word.write_text(changes.pop("word", PASSWORD) + "\n")
    word.chmod(0o600)
    values = {"server": pbx.address, "transport": pbx.transport, "domain": "pbx.test", "password_file": word,
              "silent_s": 2.0, "officer_s": 1.0, "person_s": 1.0}  # fmt: skip
    return sip.Settings(**{**values, **changes})


def made(
    pbx: Exchange, tmp_path: Path, *calls: tuple[str, str], **changes: Any
) -> tuple[list[sip.Ending], list[list[str]]]:
    """Calls made at once, and the states that each was told."""

    async def run() -> tuple[list[sip.Ending], list[list[str]]]:
        line = sip.Exchange(settings(pbx, tmp_path, **changes))
        await line.open()
        told: list[list[str]] = [[] for _ in calls]
        try:
            ends = await asyncio.gather(*(
                line.call(ext, number, reference=f"w{i}", tell=lambda s, _c, _f, i=i: told[i].append(s))
                for i, (ext, number) in enumerate(calls)
            ))  # fmt: skip
            await asyncio.sleep(0.1)
            return ends, told
        finally:
            await line.close()

    return apart(lambda: asyncio.run(run()))


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_the_extension_is_rung_and_sent_to_the_number(tmp_path: Path, transport: str) -> None:
    with exchange(transport=transport) as pbx:
        (ending,), (told,) = made(pbx, tmp_path, ("801", "+8613800000200"))
        assert (ending.state, ending.status) == ("talking", 200)
        assert told == ["officer", "dialling", "ringing"]
        assert pbx.dialled == [("801", "13800000200")]
        assert pbx.references == ["w0"]
        assert pbx.seen.count("BYE") == 1 and pbx.calls == 0  # our leg is gone


def test_over_tls_the_exchange_must_prove_who_it_is(tmp_path: Path) -> None:
    own = certificate(tmp_path)
    with exchange(transport="tls", certificate=own, refer_challenge=True) as pbx:
        (ending,), (told,) = made(pbx, tmp_path, ("801", "+8613800000200"), authority=own.authority)
        assert (ending.state, ending.status) == ("talking", 200) and told == ["officer", "dialling", "ringing"]
        assert pbx.dialled == [("801", "13800000200")] and pbx.calls == 0
        pbx.seen.clear()
        with pytest.raises(ssl.SSLCertVerificationError):  # an authority that this machine does not trust
            made(pbx, tmp_path, ("801", "+8613800000200"))
        assert apart(lambda: asyncio.run(sip.check(settings(pbx, tmp_path, authority=own.authority)))) is None
        assert "certificate" in str(apart(lambda: asyncio.run(sip.check(settings(pbx, tmp_path)))))
    (tmp_path / "other").mkdir()
    other = certificate(tmp_path / "other", ip="127.0.0.9", name="elsewhere")
    with exchange(transport="tls", certificate=other) as pbx, pytest.raises(ssl.SSLCertVerificationError):
        made(pbx, tmp_path, ("801", "+8613800000200"), authority=other.authority)
    assert pbx.seen == []


@pytest.mark.parametrize(
    ("number", "status", "result"),
    [
        ("486", 486, "busy"), ("600", 600, "busy"), ("603", 603, "refused"), ("480", 480, "no_answer"),
        ("408", 408, "no_answer"), ("404", 404, "empty_number"), ("604", 604, "empty_number"), ("503", 503, None),
    ],
)  # fmt: skip
def test_each_answer_proposes_its_result(tmp_path: Path, number: str, status: int, result: str | None) -> None:
    with exchange() as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", f"+8613800000{number}"))
        assert (ending.state, ending.status) == ("ended", status)
        assert ladder().answer(status).result == result
        assert pbx.calls == 0


def test_a_forwarded_call_says_so(tmp_path: Path) -> None:
    with exchange() as pbx:
        ends, _ = made(pbx, tmp_path, ("801", "+8613800000181"), ("802", "+8613800000182"))
        assert [(e.state, e.status, e.forwarded) for e in ends] == [("talking", 200, True), ("ended", 486, True)]


@pytest.mark.parametrize(
    ("extension", "why"),
    [("803", "officer_busy"), ("804", "officer_no_answer"), ("805", "officer_refused"), ("999", "officer_refused")],
)
def test_an_officer_who_does_not_lift(tmp_path: Path, extension: str, why: str) -> None:
    with exchange() as pbx:
        (ending,), _ = made(pbx, tmp_path, (extension, "+8613800000200"))
        assert (ending.state, ending.why) == ("failed", why)
        assert pbx.dialled == []  # nobody's telephone rang
        assert pbx.calls == 0


def test_lifted_in_the_moment_of_the_cancel_is_hung_up(tmp_path: Path) -> None:
    with exchange(lift_after_s=0.15) as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", "+8613800000200"), officer_s=0.1)
        assert ending.why == "officer_no_answer"
        assert pbx.dialled == []
        assert pbx.calls == 0


def test_an_exchange_that_says_nothing_ends_the_call_in_its_time(tmp_path: Path) -> None:
    with exchange(deaf=True) as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", "+8613800000200"), silent_s=0.7)
        assert (ending.state, ending.why) == ("failed", "no_exchange")


def test_a_number_that_rings_for_ever_ends_unknown(tmp_path: Path) -> None:
    with exchange() as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", "+8613800000000"), person_s=0.4)
        assert (ending.state, ending.why) == ("unknown", "no_word")
        assert pbx.calls == 0


def test_lost_packets_are_sent_again(tmp_path: Path) -> None:
    with exchange(drop=1) as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", "+8613800000486"))
        assert (ending.state, ending.status) == ("ended", 486)


@pytest.mark.parametrize("transport", ["udp", "tcp"])
def test_a_refer_may_need_admission_too(tmp_path: Path, transport: str) -> None:
    with exchange(refer_challenge=True, transport=transport) as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", "+8613800000603"))
        assert (ending.state, ending.status) == ("ended", 603)


def test_a_wrong_password_is_told_as_that(tmp_path: Path) -> None:
    with exchange() as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", "+8613800000200"), word="wrong")
        assert (ending.state, ending.why) == ("failed", "not_admitted")


def test_an_officer_who_hangs_up_leaves_an_unknown_end(tmp_path: Path) -> None:
    with exchange(hang_up=True) as pbx:
        (ending,), _ = made(pbx, tmp_path, ("801", "+8613800000200"))
        assert (ending.state, ending.why) == ("unknown", "officer_hung_up")


def test_many_calls_at_once_keep_their_own_answers(tmp_path: Path) -> None:
    numbers = ["486", "603", "404", "200", "480", "600"]
    with exchange() as pbx:
        ends, _ = made(pbx, tmp_path, *((("801", "802")[i % 2], f"+8613800000{n}") for i, n in enumerate(numbers)))
        assert [e.status for e in ends] == [int(n) for n in numbers]
        assert sorted(pbx.references) == [f"w{i}" for i in range(len(numbers))]


def test_an_exchange_is_asked_whether_it_is_there(tmp_path: Path) -> None:
    with exchange() as pbx:
        assert apart(lambda: asyncio.run(sip.check(settings(pbx, tmp_path)))) is None
        pbx.deaf = True
        deaf = settings(pbx, tmp_path, silent_s=0.3)
        assert apart(lambda: asyncio.run(sip.check(deaf))) == "no answer within 0.3 s"


@pytest.mark.parametrize(
    ("line", "changes", "dialled"),
    [
        ("+8613812341234", {}, "13812341234"),
        ("+8613812341234", {"prefix": "9"}, "913812341234"),
        ("+862166668888", {}, "02166668888"),
        ("+85221234567", {}, "0085221234567"),
        ("cn-short:96110", {"prefix": "9"}, "96110"),
        ("+8613812341234", {"number_form": "e164"}, "+8613812341234"),
    ],
)
def test_numbers_are_dialled_as_the_exchange_wants_them(line: str, changes: dict[str, Any], dialled: str) -> None:
    assert sip.Settings(server="pbx", **changes).digits(line) == dialled


def test_a_password_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("secret")
    word.chmod(0o644)
    with pytest.raises(ValueError, match="chmod 600"):
        sip.Settings(server="pbx", password_file=word).password()
    with pytest.raises(ValueError, match="No such file"):
        sip.Settings(server="pbx", password_file=tmp_path / "none").password()
