"""``wuzha doctor`` looks for the message gateway: named or not, there or not, its password's file closed or not;
it never logs in."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.respond.smsc import centre

from wuzha.cli import doctor_lines


def look() -> tuple[str, str]:
    """State and words of the one finding."""
    (found,) = doctor_lines.texts()
    assert found.state == "ok" or found.mend
    return found.state, found.words


def test_the_gateway_is_looked_for_and_nobody_logs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WUZHA_SMPP_SERVER", raising=False)
    assert look() == ("ok", "by hand; no message gateway is named")
    with centre() as smsc:
        monkeypatch.setenv("WUZHA_SMPP_SERVER", smsc.address)
        address = smsc.address
        assert look() == ("ok", f"the message gateway {address} is reached; we enter as wuzha without a password")
        assert smsc.binds == 0
    state, words = look()
    assert state == "warn" and words.startswith(f"the message gateway {address}: ")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WUZHA_SMPP_SERVER", "smsc:27x75", "'smsc:27x75' is no host:port"),
        ("WUZHA_SMPP_SENDER", "police", "WUZHA_SMPP_SENDER: "),
        ("WUZHA_SMPP_TIMEOUT_S", "0", "WUZHA_SMPP_TIMEOUT_S: Input should be greater than 0"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv("WUZHA_SMPP_SERVER", "127.0.0.1")
    monkeypatch.setenv(name, value)
    state, told = look()
    assert state == "fail" and told.startswith(words)


def test_an_open_password_file_is_named_and_its_word_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("a-secret-word")
    word.chmod(0o644)
    monkeypatch.setenv("WUZHA_SMPP_SERVER", "127.0.0.1")
    monkeypatch.setenv("WUZHA_SMPP_PASSWORD_FILE", str(word))
    state, words = look()
    assert state == "fail" and "chmod 600" in words and "a-secret-word" not in words
