"""``wuzha serve --role phone``: a whole server of its own, without an engine and without a desk."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx

from wuzha.store import zone_keys


def test_the_phones_server_starts_answers_beats_and_stops(enterable_tmp: Path, tmp_path: Path) -> None:
    home = enterable_tmp / "phone-home"
    zone_keys.make(home, "phone")
    (tmp_path / "card").write_text(zone_keys.make(tmp_path / "centre", "centre").card.text())
    there, back = tmp_path / "there", tmp_path / "back"
    there.mkdir()
    back.mkdir()
    zone_keys.trust(home, tmp_path / "card", inbox=there, outbox=back)
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    command = [sys.executable, "-m", "wuzha", "serve", "--role", "phone", "--data", str(home), "--port", str(port)]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WUZHA_D")}
    with (tmp_path / "log").open("w+") as log, subprocess.Popen(command, stderr=log, env=environment) as server:
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=5) as client:
                until = time.monotonic() + 120
                while time.monotonic() < until:
                    assert server.poll() is None, (tmp_path / "log").read_text()
                    try:
                        if client.get("/v1/ready").status_code == 200:
                            break
                    except httpx.HTTPError:
                        time.sleep(0.2)
                assert client.get("/door").headers["location"] == "/door/login"
                assert "配对码" in client.get("/door/login").text
                worker = client.get("/door-worker.js")
                assert worker.headers["content-type"].startswith("text/javascript") and "KEPT = [" in worker.text
                for closed in ("/desk", "/verify", "/v1/events/warnings"):
                    assert client.get(closed).status_code == 404
                while not (back / "beat.wzx").exists() and time.monotonic() < until:
                    time.sleep(0.2)
                assert (back / "beat.wzx").exists()
        finally:
            server.send_signal(signal.SIGINT)
            assert server.wait(60) == 0
