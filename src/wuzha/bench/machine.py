"""What the figures were measured on, and how a piece of work is timed."""

from __future__ import annotations

import os
import platform
import resource
import time
from collections.abc import Callable
from typing import Any

import psutil


def machine() -> dict[str, Any]:
    """Processor, cores, memory and Python of this machine, to stand beside every figure."""
    model = platform.processor()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as info:
            model = next((line.partition(":")[2].strip() for line in info if line.startswith("model name")), model)
    except OSError:
        pass
    return {
        "cpu": model,
        "cores": len(os.sched_getaffinity(0)),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "python": platform.python_version(),
    }


def timed(work: Callable[[], Any]) -> tuple[float, Any]:
    """Wall seconds and result of one run of ``work``."""
    begin = time.perf_counter()
    result = work()
    return time.perf_counter() - begin, result


def peak_memory_mib() -> int:
    """Largest resident size of this process so far, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
