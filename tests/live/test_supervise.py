"""Children: started again when they die, stopped in time, never left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil

from wuzha.live.supervise import Child, Supervisor

SLEEP = [sys.executable, "-c", "import time; time.sleep(60)"]
STUBBORN = [
    sys.executable,
    "-c",
    "import pathlib, signal, sys, time; signal.signal(15, signal.SIG_IGN);"
    " pathlib.Path(sys.argv[1]).touch(); time.sleep(60)",
]


def until(check, seconds: float = 60.0) -> None:  # type: ignore[no-untyped-def]
    end = time.monotonic() + seconds
    while not check():
        assert time.monotonic() < end, "it did not come to pass"
        time.sleep(0.02)


def test_a_dead_child_is_started_again_and_later_each_time() -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    child = Child("child", [sys.executable, "-c", "raise SystemExit(3)"], dict(os.environ))
    supervisor.start(child)

    def tended() -> bool:
        supervisor.tend()
        return child.restarts >= 2

    until(tended)
    supervisor.stop()
    assert "exit code 3" in said[0] and "0.2 s" in said[0] and "0.5 s" in said[1]


def test_stop_asks_first_and_forces_after_its_time(tmp_path: Path) -> None:
    said: list[str] = []
    supervisor = Supervisor(said.append)
    supervisor.start(Child("polite", SLEEP, dict(os.environ)))
    deaf = tmp_path / "deaf"
    stubborn = Child("stubborn", [*STUBBORN, str(deaf)], dict(os.environ), stop_s=0.5)
    supervisor.start(stubborn)
    assert stubborn.process is not None
    process = stubborn.process
    until(deaf.exists)
    supervisor.stop()
    assert process.returncode == -signal.SIGKILL and not supervisor.children


def test_a_child_dies_with_its_parent_even_when_that_is_killed(tmp_path: Path) -> None:
    program = (
        "import os, sys, time\n"
        "from wuzha.live.supervise import Child, Supervisor\n"
        "s = Supervisor(print)\n"
        f"c = Child('c', {SLEEP!r}, dict(os.environ))\n"
        "s.start(c)\n"
        f"open({str(tmp_path / 'pid')!r}, 'w').write(str(c.process.pid))\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program])
    until(lambda: (tmp_path / "pid").exists() and (tmp_path / "pid").read_text())
    child = int((tmp_path / "pid").read_text())
    assert psutil.pid_exists(child)
    parent.kill()
    parent.wait()
    until(lambda: not psutil.pid_exists(child))


def _says(code: str) -> list[str]:
    """What a process of its own session says."""
    return subprocess.run(
        [sys.executable, "-c", f"import os\nfrom wuzha.live import supervise\n{code}"], start_new_session=True,
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()  # fmt: skip


def test_what_steps_back_takes_its_session_along_only_where_it_leads_it() -> None:
    share = "p = '/proc/self/autogroup'\nprint(open(p).read().split()[-1] if os.path.exists(p) else 'none')"
    niceness, shared = _says(f"supervise.step_back()\nprint(os.nice(0))\n{share}")
    assert niceness == "10" and shared in ("10", "none")
    # a thread that steps back alone, and a process that leads no session
    assert _says(f"supervise.step_back(session=False)\nprint(os.nice(0))\n{share}")[1] in ("0", "none")
    copied = f"if os.fork() == 0:\n  supervise.step_back()\n  os._exit(0)\nos.wait()\nprint(os.nice(0))\n{share}"
    assert _says(copied)[0] == "0" and _says(copied)[1] in ("0", "none")


def test_a_child_that_is_put_behind_is_so_from_its_first_moment(tmp_path: Path) -> None:
    supervisor, told = Supervisor(lambda _: None), tmp_path / "told"
    look = "import os, pathlib, sys, time; p = pathlib.Path(sys.argv[1]); n = p.with_name('new')"
    look += "; n.write_text(str(os.nice(0))); n.rename(p); time.sleep(60)"
    supervisor.start(Child("child", [sys.executable, "-c", look, str(told)], dict(os.environ), behind=True))
    until(told.exists)
    supervisor.stop()
    assert told.read_text() == str(min(os.nice(0) + 10, 19))
