"""Chromium for the tests that open pages: found here and nowhere else.

Kept true: without a Chromium the browser tests are left out with a message, and nothing else is. Only the standard
library is imported at the top, since set-up asks ``find_chromium`` before anything is installed.
"""

import os
import shutil
import subprocess

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MISSING = (
    "No Chromium here: the browser tests are left out. Install one (Debian: apt-get install chromium) "
    "or name it: WUZHA_CHROMIUM=/path/to/chromium"
)


def find_chromium() -> str | None:
    """Path of a Chromium that starts: ``WUZHA_CHROMIUM``, else the first of ``NAMES`` on PATH, else None."""
    named = os.environ.get("WUZHA_CHROMIUM")
    for name in [named] if named else NAMES:
        path = shutil.which(name)
        # Ubuntu's package is a pointer to a snap, which does not start in a container: so it is asked.
        if path and _answers(path):
            return path
    return None


def _answers(path: str) -> bool:
    try:
        return subprocess.run([path, "--version"], capture_output=True, timeout=30, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False


def launch_options(path: str) -> dict[str, object]:
    """Keyword arguments for Playwright's ``chromium.launch``.

    No sandbox only as root, where Chromium refuses to start with one; no shared memory, which containers keep small.
    """
    arguments = ["--disable-dev-shm-usage", "--disable-gpu"]
    if os.geteuid() == 0:
        arguments.append("--no-sandbox")
    return {"executable_path": path, "headless": True, "args": arguments}
