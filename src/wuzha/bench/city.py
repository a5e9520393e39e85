"""``wuzha bench city``: a city to Parquet with labels. No rival: no public generator makes these tables."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from .machine import machine, timed


def run(*, people: int, days: int, seed: int) -> dict[str, Any]:
    """Generate a city with the ``wuzha`` command of this Python, as a user would, start-up included.

    Returns ``{people, days, events, seconds, command_seconds, events_per_s, machine}``; ``seconds`` is what the command
    says, ``command_seconds`` the whole process.
    """
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        command = [
            sys.executable, "-m", "wuzha", "city", "generate", "--people", str(people), "--days", str(days),
            "--seed", str(seed), "--out", str(Path(folder) / "city"), "--json",
        ]  # fmt: skip
        whole, done = timed(lambda: subprocess.run(command, check=True, capture_output=True, text=True))
    made = json.loads(done.stdout)
    return {
        "people": people,
        "days": days,
        "events": made["events"],
        "seconds": made["seconds"],
        "command_seconds": round(whole, 2),
        "events_per_s": round(made["events"] / whole),
        "machine": machine(),
    }
