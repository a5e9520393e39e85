"""What a server spends while a benchmark runs: CPU and memory of its processes, by what they do, and bytes to the disk.

Kept true here: a process that ends meanwhile is counted with what it had spent when it was last looked at. Bytes are
counted by the disk: a process is charged by the kernel for a whole folio (up to 2 MiB) where it has changed a line.
"""

from __future__ import annotations

import os
import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

from .serving import called, works_on

_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Spent:
    """By process: CPU seconds, bytes of memory at the most. ``written``: bytes that the disk was given, by whomever;
    None where ``home`` is on none."""

    cpu_s: dict[str, float]
    memory: dict[str, int]
    written: int | None


@dataclass
class _Seen:
    name: str
    before: float
    cpu_s: float = 0.0


class Spending:
    """From now on, of every process that works on ``home``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[tuple[int, float], _Seen] = {}
        self._memory: dict[str, int] = {}
        self._look(first=True)
        os.sync()  # what is not on the disk yet is not of this time
        self._before = _written(home)

    def watch(self, over: threading.Event) -> None:
        """Look again and again until ``over``."""
        while not over.wait(_EVERY_S):
            self._look()

    def spent(self) -> Spent:
        """So far; what waits to go to the disk goes now."""
        self._look()
        cpu_s: defaultdict[str, float] = defaultdict(float)
        for seen in self._seen.values():
            cpu_s[seen.name] += seen.cpu_s
        os.sync()
        after = _written(self._home)
        written = None if after is None or self._before is None else after - self._before
        return Spent(cpu_s=dict(cpu_s), memory=dict(self._memory), written=written)

    def _look(self, *, first: bool = False) -> None:
        resident: defaultdict[str, int] = defaultdict(int)
        for p in psutil.process_iter():
            try:
                key = (p.pid, p.create_time())
                seen = self._seen.get(key)
                if seen is None:
                    if not works_on(p, self._home):
                        continue
                    seen = self._seen[key] = _Seen(called(p), _cpu_s(p) if first else 0.0)
                seen.cpu_s = _cpu_s(p) - seen.before
                resident[seen.name] += p.memory_info().rss - (p.memory_info().shared if seen.name == "database" else 0)
            except psutil.Error:
                continue
        for name, most in resident.items():
            self._memory[name] = max(self._memory.get(name, 0), most)


def _cpu_s(p: psutil.Process) -> float:
    times = p.cpu_times()
    return float(times.user + times.system)


def _written(home: Path) -> int | None:
    """Bytes that the disk which holds ``home`` has been given since the machine's start."""
    device = os.stat(home).st_dev
    try:
        told = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text()
    except OSError:
        return None
    return int(told.split()[6]) * 512
