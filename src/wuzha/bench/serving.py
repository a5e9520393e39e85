"""A real ``wuzha serve`` (or another command that serves) in a folder of its own, killed and started again at will.

Kept true here: nothing of it is left, neither process nor folder; a server that does not come up ends the work with
what it said.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil

from wuzha.store import Database, opened
from wuzha.store.settings import Settings

_READY_S = 900.0
#: What a role of the server is called in figures, by what stands in its command line.
PROCESSES = {
    "wuzha.api.app": "doors", "wuzha.api.bank_door": "bank door", "wuzha.live.process": "engine",
    "wuzha.live.keeping": "keeping",
}  # fmt: skip


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def works_on(p: psutil.Process, home: Path) -> bool:
    """Whether a process is one of the server of this data folder."""
    return str(home) in p.cwd() or p.environ().get("WUZHA_HOME") == str(home)


def called(p: psutil.Process) -> str:
    """What a server's process is called: as in `PROCESSES`, database or others."""
    line = p.cmdline()
    if line and "postgres" in line[0]:
        return "database"
    return next((name for module, name in PROCESSES.items() if module in line), "others")


class Served:
    """``home`` is its data folder, whose processes are its own; what it says stands in ``log`` beside it."""

    def __init__(
        self, home: Path, command: Sequence[str], port: int, environment: dict[str, str] | None = None
    ) -> None:
        self.home, self.port = home, port
        self.url = f"http://127.0.0.1:{port}"
        self.log = home.parent / f"{home.name}.log"
        self.process: subprocess.Popen[bytes] | None = None
        self._command = [sys.executable, "-m", "wuzha", *command]
        self._environment = {k: v for k, v in os.environ.items() if not k.startswith("WUZHA_D")} | (environment or {})

    @classmethod
    def role(cls, home: Path, role: str, *more: str, environment: dict[str, str] | None = None) -> Served:
        """``wuzha serve`` in a role, on a free port."""
        port = free_port()
        made = cls(home, ["serve", "--role", role, "--data", str(home), "--port", str(port), *more], port, environment)
        made.url = made.url.replace("http:", "https:") if "--certificate" in more else made.url
        return made

    def start(self) -> None:
        """Start it; `ready` waits."""
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, env=self._environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out,
            )  # fmt: skip

    @property
    def said(self) -> str:
        """All that it has said."""
        return self.log.read_text("utf-8")

    @property
    def running_itself(self) -> subprocess.Popen[bytes]:
        """The parent. RuntimeError where it was never started."""
        if self.process is None:
            raise RuntimeError("it was not started")
        return self.process

    def ready(self, seconds: float = 240.0) -> None:
        """Wait until it is ready. RuntimeError where it ends by itself or takes longer."""
        end = time.monotonic() + seconds
        with httpx.Client(trust_env=False, timeout=5, verify=False) as client:
            while time.monotonic() < end:
                if self.running_itself.poll() is not None:
                    raise RuntimeError(f"it ended by itself: {self.said}")
                with suppress(httpx.HTTPError):
                    if client.get(f"{self.url}/v1/ready").status_code == 200:
                        return
                time.sleep(0.1)
        raise RuntimeError(f"not ready within {seconds:.0f} s: {self.said}")

    def says(self, words: str, seconds: float = 120.0) -> None:
        """Wait until it has said this."""
        end = time.monotonic() + seconds
        while words not in self.said:
            if time.monotonic() > end:
                raise RuntimeError(f"it never said {words!r}: {self.said}")
            time.sleep(0.1)

    def everything(self) -> list[psutil.Process]:
        """The server, its children, and the database's processes of its data folder, wherever they hang."""
        mine, parent = str(self.home), self.running_itself.pid
        found: list[psutil.Process] = []
        for p in psutil.process_iter(["pid", "cmdline", "cwd"]):
            said = " ".join(p.info["cmdline"] or ())
            if p.info["pid"] == parent or (mine in said and "pytest" not in said) or mine in (p.info["cwd"] or ""):
                found.append(p)
                with suppress(psutil.NoSuchProcess):
                    found += p.children(recursive=True)
        return found

    def running(self, there: Sequence[psutil.Process] = ()) -> list[psutil.Process]:
        """Of ``there`` and of what runs now, what is no zombie."""
        found = {*there, *self.everything()}
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def gone(self, there: Sequence[psutil.Process], seconds: float = 120.0) -> None:
        """Wait until nothing of it runs."""
        end = time.monotonic() + seconds
        while left := self.running(there):
            if time.monotonic() > end:
                raise RuntimeError(f"still there: {left}")
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to all of it in one sweep."""
        for p in self.everything():
            with suppress(psutil.NoSuchProcess):
                p.send_signal(signal.SIGKILL)
        self.running_itself.wait()

    def stop(self, number: int = signal.SIGTERM, seconds: float = 120.0) -> float:
        """Ask it to stop; how long it took. A machine that is busy may take its time."""
        begun = time.monotonic()
        self.running_itself.send_signal(number)
        self.running_itself.wait(seconds)
        return time.monotonic() - begun

    def database(self) -> Database:
        """Its database, which runs as long as the server does."""
        with opened(Settings(home=self.home, dsn=None), upgrade=False) as db:
            return db


@contextmanager
def served(role: str, *more: str) -> Iterator[tuple[Database, Path, str]]:
    """A server in ``role`` until the end of the block: its database, its folder, its address. ``more``: options."""
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        Path(folder).chmod(0o711)
        server = Served.role(Path(folder) / "home", role, *more, environment={"WUZHA_LOG_LEVEL": "error"})
        server.start()
        try:
            server.ready(_READY_S)
            with opened(Settings(home=server.home, dsn=None), upgrade=False) as db:
                yield db, server.home, server.url
        finally:
            server.stop(seconds=60)
