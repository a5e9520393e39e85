"""``wuzha doctor`` asks the exchange: named or not, there or not, its password's file closed or not."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from tests.respond.pbx import exchange

_LOOK = (
    "from wuzha.cli import doctor_lines; (found,) = doctor_lines.telephone();"
    " print(found.state, found.words, sep='\\n')"
)


def look() -> tuple[str, str]:
    """What the command finds, in a process of its own as it always is: it starts an event loop."""
    told = subprocess.run([sys.executable, "-c", _LOOK], capture_output=True, text=True, check=True, timeout=60)
    state, words = told.stdout.strip().split("\n", 1)
    return state, words


def test_the_exchange_is_asked(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WUZHA_SIP_SERVER", raising=False)
    assert look() == ("ok", "by hand; no exchange is named")
    with exchange() as pbx:
        monkeypatch.setenv("WUZHA_SIP_SERVER", pbx.address)
        assert look() == ("ok", f"the exchange {pbx.address} over udp answers; we enter as wuzha without a password")
        pbx.deaf = True
        monkeypatch.setenv("WUZHA_SIP_SILENT_S", "0.3")
        assert look() == ("warn", f"the exchange {pbx.address} over udp: no answer within 0.3 s")


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("WUZHA_SIP_SERVER", "pbx:50x60", "'pbx:50x60' is no host:port"),
        ("WUZHA_SIP_TRANSPORT", "smoke", "WUZHA_SIP_TRANSPORT: Input should be 'udp', 'tcp' or 'tls'"),
        ("WUZHA_SIP_PERSON_S", "-1", "WUZHA_SIP_PERSON_S: Input should be greater than 0"),
    ],
)
def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, name: str, value: str, words: str) -> None:
    monkeypatch.setenv("WUZHA_SIP_SERVER", "127.0.0.1")
    monkeypatch.setenv(name, value)
    assert look() == ("fail", words)


def test_an_open_password_file_is_named_and_its_word_is_not(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    word = tmp_path / "word"
    word.write_text("a-secret-word")
    word.chmod(0o644)
    monkeypatch.setenv("WUZHA_SIP_SERVER", "127.0.0.1")
    monkeypatch.setenv("WUZHA_SIP_PASSWORD_FILE", str(word))
    state, words = look()
    assert state == "fail" and "chmod 600" in words and "a-secret-word" not in words
