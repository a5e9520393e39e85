"""What a server's processes spend while a benchmark runs: CPU, memory, bytes written, by what they do.

Kept true here: a process that ends meanwhile is counted with what it had spent when it was last looked at.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

from .serving import called, works_on

_EVERY_S = 0.5


@dataclass(frozen=True, kw_only=True)
class Spent:
    """By process: CPU seconds, bytes of memory at the most, bytes written to disk."""

    cpu_s: dict[str, float]
    memory: dict[str, int]
    written: dict[str, int]


@dataclass
class _Seen:
    name: str
    before: tuple[float, int]
    cpu_s: float = 0.0
    written: int = 0


class Spending:
    """From now on, of every process that works on ``home``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[tuple[int, float], _Seen] = {}
        self._memory: dict[str, int] = {}
        self._look(first=True)

    def watch(self, over: threading.Event) -> None:
        """Look again and again until ``over``."""
        while not over.wait(_EVERY_S):
            self._look()

    def spent(self) -> Spent:
        """So far."""
        self._look()
        cpu_s: defaultdict[str, float] = defaultdict(float)
        written: defaultdict[str, int] = defaultdict(int)
        for seen in self._seen.values():
            cpu_s[seen.name] += seen.cpu_s
            written[seen.name] += seen.written
        return Spent(cpu_s=dict(cpu_s), memory=dict(self._memory), written=dict(written))

    def _look(self, *, first: bool = False) -> None:
        resident: defaultdict[str, int] = defaultdict(int)
        for p in psutil.process_iter():
            try:
                key = (p.pid, p.create_time())
                seen = self._seen.get(key)
                if seen is None:
                    if not works_on(p, self._home):
                        continue
                    seen = self._seen[key] = _Seen(called(p), _figures(p) if first else (0.0, 0))
                cpu_s, written = _figures(p)
                seen.cpu_s, seen.written = cpu_s - seen.before[0], written - seen.before[1]
                resident[seen.name] += p.memory_info().rss - (p.memory_info().shared if seen.name == "database" else 0)
            except psutil.Error:
                continue
        for name, most in resident.items():
            self._memory[name] = max(self._memory.get(name, 0), most)


def _figures(p: psutil.Process) -> tuple[float, int]:
    times = p.cpu_times()
    return times.user + times.system, p.io_counters().write_bytes
