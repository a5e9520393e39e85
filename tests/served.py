"""A real ``wuzha serve`` (or another command that serves), killed and started again at will."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import psutil


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


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
        with self.log.open("ab") as out:
            self.process = subprocess.Popen(
                self._command, env=self._environment, start_new_session=True, stdin=subprocess.DEVNULL, stdout=out,
                stderr=out,
            )  # fmt: skip

    @property
    def said(self) -> str:
        return self.log.read_text("utf-8")

    def ready(self, seconds: float = 240.0) -> None:
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            assert self.process is not None and self.process.poll() is None, f"it ended by itself: {self.said}"
            try:
                if httpx.get(f"{self.url}/v1/ready", trust_env=False, timeout=5, verify=False).status_code == 200:
                    return
            except httpx.HTTPError:
                pass
            time.sleep(0.1)
        raise AssertionError(f"not ready: {self.said}")

    def says(self, words: str, seconds: float = 60.0) -> None:
        """Wait until it has said this."""
        end = time.monotonic() + seconds
        while words not in self.said:
            assert time.monotonic() < end, f"it never said {words!r}: {self.said}"
            time.sleep(0.1)

    def everything(self) -> list[psutil.Process]:
        """The server, its children, and the database's processes of its data folder, wherever they hang."""
        assert self.process is not None
        mine = str(self.home)
        found: list[psutil.Process] = []
        for p in psutil.process_iter(["pid", "cmdline", "cwd"]):
            said = " ".join(p.info["cmdline"] or ())
            if (
                p.info["pid"] == self.process.pid
                or (mine in said and "pytest" not in said)
                or mine in (p.info["cwd"] or "")
            ):
                found.append(p)
                with suppress(psutil.NoSuchProcess):
                    found += p.children(recursive=True)
        return found

    def running(self, there: Sequence[psutil.Process] = ()) -> list[psutil.Process]:
        """Of ``there`` and of what runs now, what is no zombie."""
        found = {*there, *self.everything()}
        return [p for p in found if p.is_running() and p.status() != psutil.STATUS_ZOMBIE]

    def gone(self, there: Sequence[psutil.Process], seconds: float = 60.0) -> None:
        """Wait until nothing of it runs."""
        end = time.monotonic() + seconds
        while left := self.running(there):
            assert time.monotonic() < end, left
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL to all of it in one sweep."""
        for p in self.everything():
            with suppress(psutil.NoSuchProcess):
                p.send_signal(signal.SIGKILL)
        assert self.process is not None
        self.process.wait()

    def stop(self, number: int = signal.SIGTERM, seconds: float = 30.0) -> float:
        """Ask it to stop; how long it took."""
        assert self.process is not None
        begun = time.monotonic()
        self.process.send_signal(number)
        self.process.wait(seconds)
        return time.monotonic() - begun


@contextmanager
def folder(enterable_tmp: Path) -> Iterator[Path]:
    """A folder for data folders, which the database's user may pass through."""
    made = enterable_tmp / f"served-{free_port()}"
    made.mkdir(mode=0o711)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@contextmanager
def ended(*served: Served) -> Iterator[None]:
    """Whatever happens, nothing of these is left running."""
    try:
        yield
    finally:
        for one in served:
            if one.process is not None:
                one.kill()
