"""A server's children: started in order, restarted when they die, stopped in reverse; none outlives its parent.

Kept true here: a child is ended by the kernel when its parent dies, however it dies; a child that fails is
started again, later each time; a stop is asked for first (SIGTERM) and forced only after its time; what steps back
(`step_back`) takes no time that another process of the machine could use.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

_PR_SET_PDEATHSIG = 1
#: Opened once: a forked process must not wait for the loader's lock.
_LIBC = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
#: Niceness of what nobody waits for: a tenth of what others get, where all want the processor.
_BEHIND = 10
_BACKOFF = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
#: A child that has run this long has recovered: its next failure starts the waiting anew.
_SETTLED_S = 30.0


def die_with_parent(number: int = signal.SIGKILL) -> None:
    """Ask the kernel to send this process ``number`` when its parent dies. Linux only; elsewhere it does nothing."""
    if _LIBC is not None:
        _LIBC.prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def step_back(*, session: bool = True) -> None:
    """From now on this thread has the processor when others want it little. Where the kernel shares time out among
    sessions (autogroup), niceness counts within a session only: with ``session`` the whole of this one steps back,
    where this process leads it."""
    os.nice(_BEHIND)
    if session and os.getsid(0) == os.getpid():
        with suppress(OSError):  # a kernel that does not share out so
            Path("/proc/self/autogroup").write_text(str(_BEHIND))


@dataclass
class Child:
    """One supervised process and how it has fared. ``stop_s`` is how long it may take to stop, ``death`` the signal
    that the kernel sends it when the parent dies; 0: none, it looks after that itself. ``behind``: from its first
    moment it gives way to all others, while it loads what it needs too."""

    name: str
    command: Sequence[str]
    environment: Mapping[str, str]
    stop_s: float = 8.0
    death: int = signal.SIGKILL
    behind: bool = False
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    due: float = 0.0
    restarts: int = 0

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.process is not None and self.process.poll() is None


def _before_exec(parent: int, death: int, behind: bool) -> Callable[[], None]:
    def prepare() -> None:
        die_with_parent(death)
        if behind:
            step_back()
        if os.getppid() != parent:  # it died between fork and the call above
            os._exit(1)

    return prepare


@dataclass
class Supervisor:
    """Children by order of start. ``say`` gets one line for people about each thing that happens."""

    say: Callable[[str], None]
    children: list[Child] = field(default_factory=list)

    def start(self, child: Child) -> None:
        """Start ``child`` and watch it from now on."""
        self._spawn(child)
        self.children.append(child)

    def _spawn(self, child: Child) -> None:
        # A session of its own: Ctrl-C in the terminal reaches the parent alone, which stops things in order.
        child.process = subprocess.Popen(
            list(child.command), env=dict(child.environment), stdin=subprocess.DEVNULL, stdout=sys.stderr.fileno(),
            start_new_session=True, preexec_fn=_before_exec(os.getpid(), child.death, child.behind),
        )  # fmt: skip
        child.started = time.monotonic()

    def tend(self) -> None:
        """Look once: what has died is started again when its waiting time is over."""
        now = time.monotonic()
        for child in self.children:
            if child.alive:
                continue
            if child.process is not None:
                code = child.process.returncode
                if now - child.started > _SETTLED_S:
                    child.failures = 0
                wait = _BACKOFF[min(child.failures, len(_BACKOFF) - 1)]
                child.failures += 1
                child.due = now + wait
                child.process = None
                self.say(f"{child.name} stopped ({_how(code)}); starting it again in {wait:g} s")
            if now >= child.due:
                child.restarts += 1
                self._spawn(child)

    def stop(self, *, together: bool = False) -> None:
        """Stop every child, the last started first, or all at once; returns when none is left."""
        for child in self.children if together else ():
            if child.alive and child.process is not None:
                child.process.terminate()
        for child in reversed(self.children):
            process = child.process
            if process is None or process.poll() is not None:
                continue
            process.terminate()
            try:
                process.wait(child.stop_s)
            except subprocess.TimeoutExpired:
                self.say(f"{child.name} did not stop within {child.stop_s:g} s; killing it")
                process.kill()
                process.wait()
        self.children.clear()


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
