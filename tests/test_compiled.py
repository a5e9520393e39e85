"""Compiled code is kept where only this user, or root, can write; and an installation that cannot be written works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CODE = """
import os, wuzha
print(os.environ.get("NUMBA_CACHE_DIR", ""))
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The root of the package, alone, where nobody may write."""
    package = tmp_path / "site" / "wuzha"
    package.mkdir(parents=True)
    for name in ("__init__.py", "compiled.py"):
        shutil.copy(ROOT / "src" / "wuzha" / name, package)
    return package


def place(package: Path, **env: str) -> str:
    # Root may write everywhere, so the question itself is answered with no.
    code = "import os; real = os.access\n"
    code += f"os.access = lambda p, m: False if str(p) == {str(package)!r} else real(p, m)\n{CODE}"
    command = [sys.executable, "-c", code]
    given = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package.parent), **env}
    return subprocess.run(command, env=given, capture_output=True, text=True, check=True).stdout.strip()


def test_a_writable_installation_keeps_it_beside_the_sources(installed: Path) -> None:
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(installed.parent)}
    done = subprocess.run([sys.executable, "-c", CODE], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


def test_what_the_user_says_counts(installed: Path) -> None:
    assert place(installed, NUMBA_CACHE_DIR="/somewhere") == "/somewhere"


def test_else_it_is_the_user_s_cache_folder_closed_to_others(installed: Path, tmp_path: Path) -> None:
    folder = Path(place(installed, HOME=str(tmp_path / "home")))
    assert folder.is_relative_to(tmp_path / "home" / ".cache" / "wuzha" / "numba")
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_folder_that_others_can_write_is_not_used(installed: Path, tmp_path: Path) -> None:
    folder = Path(place(installed, HOME=str(tmp_path / "home")))
    folder.chmod(0o777)
    assert Path(place(installed, HOME=str(tmp_path / "home"))) != folder


@pytest.mark.parametrize("home", ["", "relative/home", "/proc/nonexistent"])
def test_without_a_home_a_folder_of_its_own_is_made(installed: Path, home: str) -> None:
    folder = Path(place(installed, HOME=home))
    assert folder.is_dir() and folder.name.startswith("wuzha-numba-")
    assert folder.stat().st_mode & 0o077 == 0
    folder.rmdir()
