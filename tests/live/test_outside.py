"""Servers outside the police network, keys that come while a server runs, and a data folder that is taken away."""

from __future__ import annotations

import shutil
import ssl
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from tests.certificates import certificate
from tests.served import Served, ended, folder

from wuzha.store import zone_keys


@pytest.fixture
def place(enterable_tmp: Path) -> Iterator[Path]:
    with folder(enterable_tmp) as made:
        yield made


def known(place: Path, name: str) -> Path:
    """A zone that knows a centre which is not there; where its letters to it are laid."""
    zone_keys.make(place / name, name)
    (place / "card").write_text(zone_keys.make(place / "elsewhere", "centre").card.text())
    for way in ("there", "back"):
        (place / way).mkdir()
    zone_keys.trust(place / name, place / "card", inbox=place / "there", outbox=place / "back")
    return place / "back"


def until(path: Path, seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < end, f"{path} never came"
        time.sleep(0.1)


@pytest.mark.parametrize("name", ["public", "phone"])
def test_it_starts_answers_beats_and_stops_without_an_engine_and_without_a_desk(place: Path, name: str) -> None:
    back = known(place, name)
    served = Served.role(place / name, name)
    with ended(served):
        served.start()
        served.ready()
        with httpx.Client(base_url=served.url, timeout=5) as client:
            if name == "public":
                answer = client.post("/verify", data={"code": "1"})
                assert answer.status_code == 200 and "96110" in answer.text
                closed = ("/desk", "/login", "/v1/events/warnings", "/v1/decisions/transfer", "/door")
            else:
                assert client.get("/door").headers["location"] == "/door/login"
                assert "配对码" in client.get("/door/login").text
                worker = client.get("/door-worker.js")
                assert worker.headers["content-type"].startswith("text/javascript") and "KEPT = [" in worker.text
                closed = ("/desk", "/verify", "/v1/events/warnings")
            for path in closed:
                assert client.post(path).status_code in (404, 405)
        until(back / "beat.wzx")
        served.stop()
        assert served.process is not None and served.process.returncode == 0
    assert "Engine" not in served.said and "Rounds" not in served.said and f"role {name}" in served.said


def test_the_phones_pages_over_https_with_a_certificate_of_their_own(place: Path) -> None:
    known(place, "phone")
    own = certificate(place)
    served = Served.role(place / "phone", "phone", "--certificate", str(own.certificate), "--key", str(own.key))
    with ended(served):
        served.start()
        served.ready()
        served.says(f"Ready: https://127.0.0.1:{served.port}/")
        trusting = ssl.create_default_context(cafile=own.authority)
        with httpx.Client(base_url=served.url, timeout=10, verify=trusting, trust_env=False) as client:
            assert client.get("/door").headers["location"] == "/door/login"
            assert "配对码" in client.get("/door/login").text
        served.stop()
        own.key.chmod(0o644)
        served.start()
        served.says("can be read by others")
        assert served.process is not None and served.process.wait(120) == 1
        own.key.chmod(0o600)
        own.key.write_bytes(own.authority.read_bytes())
        served.start()
        served.says("are no certificate and its key")
        assert served.process.wait(120) == 1


def test_a_centre_that_runs_takes_up_its_keys_and_the_zones_that_it_gets_to_know(place: Path) -> None:
    served = Served.role(place / "centre", "centre", environment={"WUZHA_LOG_LEVEL": "error"})
    with ended(served):
        served.start()
        served.ready()
        assert "Exchange" not in served.said
        zone_keys.make(place / "centre", "centre")
        served.says("Exchange: this zone has its keys now")
        (place / "card").write_text(zone_keys.make(place / "elsewhere", "public").card.text())
        for way in ("there", "back"):
            (place / way).mkdir()
        zone_keys.trust(place / "centre", place / "card", inbox=place / "there", outbox=place / "back")
        until(place / "back" / "beat.wzx")
        served.stop()


def test_a_server_whose_folder_is_removed_ends_and_says_why(place: Path) -> None:
    known(place, "public")
    served = Served.role(place / "public", "public")
    with ended(served):
        served.start()
        served.ready()
        there = served.running()
        assert any("postgres" in p.name() for p in there)
        shutil.rmtree(place / "public", ignore_errors=True)
        served.says("was removed or moved while the server ran on it")
        assert served.process is not None
        assert served.process.wait(120) == 1
        served.gone(there)
        assert not (place / "public" / "postgres" / "cluster").exists()
    assert "Traceback" not in served.said
