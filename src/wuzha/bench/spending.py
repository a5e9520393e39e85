"""What a server's processes spend while a benchmark runs: CPU and memory, by what they do; and what the disk takes.

Kept true here: a process that ends meanwhile is counted with what it had spent when it was last looked at. Bytes are
those that the disk itself counted, whoever wrote them: what the kernel tells of a process counts a whole run of pages
where 8 KiB of it changed, a hundred times too much of what is synced in small pieces.
"""

from __future__ import annotations

import os
import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import psutil

from .serving import called, works_on

_EVERY_S = 0.5
_NEW_S = 2.0


@dataclass(frozen=True, kw_only=True)
class Spent:
    """By process: CPU seconds, bytes of memory at the most. Bytes that the folder's disk took; None: it has none."""

    cpu_s: dict[str, float]
    memory: dict[str, int]
    written: int | None


@dataclass
class _Seen:
    process: psutil.Process
    name: str
    before: float
    cpu_s: float = 0.0


class Spending:
    """From now on, of every process that works on ``home``."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self._seen: dict[int, _Seen] = {}
        self._others: set[int] = set()
        self._memory: dict[str, int] = {}
        self._taken = _taken(home)
        self._look(first=True)

    def watch(self, over: threading.Event) -> None:
        """Look again and again until ``over``."""
        while not over.wait(_EVERY_S):
            self._look()

    def spent(self) -> Spent:
        """So far."""
        self._look()
        cpu_s: defaultdict[str, float] = defaultdict(float)
        for seen in self._seen.values():
            cpu_s[seen.name] += seen.cpu_s
        now = _taken(self._home)
        written = None if now is None or self._taken is None else now - self._taken
        return Spent(cpu_s=dict(cpu_s), memory=dict(self._memory), written=written)

    def _look(self, *, first: bool = False) -> None:
        """Each process is asked once whether it is the server's, since looking takes time from what is measured; one
        that has just begun again, since it may be a copy of its parent still."""
        running = set(psutil.pids())
        self._others &= running
        for pid in running - self._seen.keys() - self._others:
            try:
                p = psutil.Process(pid)
                if works_on(p, self._home):
                    self._seen[pid] = _Seen(p, called(p), _cpu_s(p) if first else 0.0)
                elif time.time() - p.create_time() > _NEW_S:
                    self._others.add(pid)
            except psutil.Error:
                continue
        resident: defaultdict[str, int] = defaultdict(int)
        for pid, seen in self._seen.items():
            try:
                if pid not in running or not seen.process.is_running():
                    continue
                seen.cpu_s = _cpu_s(seen.process) - seen.before
                held = seen.process.memory_info()
                resident[seen.name] += held.rss - (held.shared if seen.name == "database" else 0)
            except psutil.Error:
                continue
        for name, most in resident.items():
            self._memory[name] = max(self._memory.get(name, 0), most)


def _cpu_s(p: psutil.Process) -> float:
    times = p.cpu_times()
    return float(times.user + times.system)


def _taken(folder: Path) -> int | None:
    """Bytes that the disk under ``folder`` has taken since the machine started; None where it stands in memory."""
    device = folder.stat().st_dev
    try:
        told = Path(f"/sys/dev/block/{os.major(device)}:{os.minor(device)}/stat").read_text("ascii")
    except OSError:
        return None
    return int(told.split()[6]) * 512
