"""A whole server in a folder of its own, for as long as a benchmark takes.

Kept true here: nothing of it is left, neither process nor folder; a server that does not come up ends the benchmark.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from wuzha.store import Database, opened
from wuzha.store.settings import Settings

_READY_S = 900.0


@contextmanager
def served(role: str) -> Iterator[tuple[Database, Path, str]]:
    """A server in ``role`` until the end of the block: its database, its folder, its address."""
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        Path(folder).chmod(0o711)
        home, port = Path(folder) / "home", _free_port()
        server = subprocess.Popen(
            [sys.executable, "-m", "wuzha", "serve", "--role", role, "--data", str(home), "--port", str(port)],
            env={**os.environ, "WUZHA_LOG_LEVEL": "error"}, stdout=sys.stderr.fileno(),
        )  # fmt: skip
        try:
            url = f"http://127.0.0.1:{port}"
            _await(server, url)
            with opened(Settings(home=home, dsn=None), upgrade=False) as db:
                yield db, home, url
        finally:
            server.send_signal(signal.SIGTERM)
            server.wait(60)


def _await(server: subprocess.Popen[bytes], url: str) -> None:
    until = time.monotonic() + _READY_S
    with httpx.Client(trust_env=False, timeout=2) as client:
        while time.monotonic() < until:
            if server.poll() is not None:
                raise RuntimeError("the server ended by itself; its words above say why")
            try:
                if client.get(f"{url}/v1/ready").status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.2)
    raise RuntimeError(f"the server was not ready within {_READY_S:.0f} s")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
