"""Set-up: what is done is skipped, what was cut off is done again, and what goes wrong is said in words."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
from pathlib import Path

import bootstrap
import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project of two steps in an empty folder with blanks and Chinese in its name."""
    root = tmp_path / "项目 a"
    root.mkdir()
    monkeypatch.setattr(bootstrap, "ROOT", root)
    monkeypatch.setattr(bootstrap, "VENV", root / ".venv")
    monkeypatch.setattr(bootstrap, "STAMPS", root / ".venv" / ".stamps")
    monkeypatch.setattr(bootstrap, "PYTHON", root / ".venv" / "bin" / "python")
    return root


def test_a_step_is_done_once_and_again_when_what_it_is_made_from_changes(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "lock.txt").write_text("one")
    done: list[str] = []
    steps = (
        bootstrap.Step("first", "First", lambda: done.append("first")),
        bootstrap.Step("second", "Second", lambda: done.append("second"), ("lock.txt",)),
    )
    monkeypatch.setattr(bootstrap, "GOALS", {"run": steps})
    bootstrap.set_up("run")
    assert done == ["first", "second"]
    assert "[1/2] First" in capsys.readouterr().out
    bootstrap.set_up("run")
    assert done == ["first", "second"]
    assert capsys.readouterr().out == ""
    (place / "lock.txt").write_text("two")
    bootstrap.set_up("run")
    assert done == ["first", "second", "second"]


def test_a_step_that_was_cut_off_is_done_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[int] = []

    def work() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise KeyboardInterrupt

    monkeypatch.setattr(bootstrap, "GOALS", {"run": (bootstrap.Step("first", "First", work),)})
    with pytest.raises(KeyboardInterrupt):
        bootstrap.set_up("run")
    bootstrap.set_up("run")
    assert len(calls) == 2


def test_an_output_that_was_removed_is_made_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    output = place / "output"
    step = bootstrap.Step("first", "First", lambda: output.touch(), present=output.exists)
    monkeypatch.setattr(bootstrap, "GOALS", {"run": (step,)})
    bootstrap.set_up("run")
    output.unlink()
    bootstrap.set_up("run")
    assert output.exists()


def test_an_environment_that_was_moved_or_damaged_is_made_anew(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    step = bootstrap.VENV_STEP
    monkeypatch.setattr(bootstrap, "GOALS", {"run": (step,)})
    bootstrap.set_up("run")
    assert step.done()
    moved = place.with_name("另一处")
    place.rename(moved)
    for name, path in {"ROOT": "", "VENV": ".venv", "STAMPS": ".venv/.stamps", "PYTHON": ".venv/bin/python"}.items():
        monkeypatch.setattr(bootstrap, name, moved / path)
    assert not step.done()
    (moved / ".venv" / "left").touch()
    bootstrap.set_up("run")
    assert step.done() and not (moved / ".venv" / "left").exists()
    (moved / ".venv" / "bin" / "python").unlink()
    assert not step.done()


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("OSError: [Errno 28] No space left on device", "The disk is full"),
        ("tcp connect error: Connection refused (os error 111)", "No package index could be reached"),
        ("dns error: failed to lookup address information", "No package index could be reached"),
        ("npm error code EAI_AGAIN", "No package index could be reached"),
        ("invalid peer certificate: UnknownIssuer", "certificate that this machine does not trust"),
        ("THESE PACKAGES DO NOT MATCH THE HASHES", "differs from the locked hash"),
        ("npm error code EINTEGRITY", "differs from the locked hash"),
        ("error: Permission denied (os error 13)", "cannot be written by this user"),
    ],
)
def test_a_known_failure_tells_what_to_do(place: Path, said: str, words: str) -> None:
    with pytest.raises(bootstrap.SetupError) as raised:
        bootstrap.call([sys.executable, "-c", f"import sys; sys.exit({said!r})"])
    assert said in str(raised.value)
    assert words in str(raised.value)


def test_too_little_disk_is_said_before_anything_is_fetched(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bootstrap, "free_space", lambda: 5_000_000)
    fetched: list[int] = []
    step = bootstrap.Step("run", "Fetching", lambda: fetched.append(1), needs=1e9)
    monkeypatch.setattr(bootstrap, "GOALS", {"run": (step,)})
    with pytest.raises(bootstrap.SetupError, match=r"needs 1\.0 GB, 5 MB are free"):
        bootstrap.set_up("run")
    assert not fetched


def test_an_old_python_is_told_so_and_can_read_that_far() -> None:
    source = (ROOT / "bootstrap.py").read_text("utf-8")
    ast.parse(source, feature_version=(3, 8))
    code = "import sys; sys.version_info = (3, 9, 2, 'final', 0); exec(open('bootstrap.py', encoding='utf-8').read())"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("Wuzha needs Python 3.11 or newer;")


@pytest.mark.skipif(shutil.which("make") is None, reason="no make here")
def test_make_says_what_it_lacks_and_takes_any_new_enough_python(tmp_path: Path) -> None:
    def fake(name: str, status: int) -> None:
        (tmp_path / name).write_text(f"#!/bin/sh\nexit {status}\n")
        (tmp_path / name).chmod(0o755)

    def make() -> subprocess.CompletedProcess[str]:
        env = {k: v for k, v in os.environ.items() if k not in ("PYTHON", "MAKEFLAGS", "MAKELEVEL")}
        command = [str(shutil.which("make")), "-n", "assets"]
        return subprocess.run(
            command, cwd=ROOT, env=env | {"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
        )

    fake("python3", 1)
    done = make()
    assert done.returncode == 2
    assert "Wuzha needs Python 3.11 or newer" in done.stderr
    fake("python3.12", 0)
    done = make()
    assert done.returncode == 0
    assert done.stdout.startswith('"python3.12" bootstrap.py run')


def test_the_package_index_of_pip_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if not bootstrap.has_pip(sys.executable):
        pytest.skip("no pip in this environment")
    monkeypatch.setattr(bootstrap, "PYTHON", Path(sys.executable))
    config = tmp_path / "pip.conf"
    config.write_text("[global]\nindex-url = http://mirror.example/simple\nextra-index-url =\n  http://a\n  http://b\n")
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    env |= {"PIP_CONFIG_FILE": str(config), "HOME": str(tmp_path), "XDG_CONFIG_HOME": str(tmp_path)}
    found = bootstrap.pip_index(env)
    assert found["UV_DEFAULT_INDEX"] == "http://mirror.example/simple"
    assert found["UV_INDEX"] == "http://a http://b"
    assert bootstrap.pip_index(env | {"UV_DEFAULT_INDEX": "http://own"}) == {}
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv" / "uv.toml").touch()
    assert bootstrap.pip_index(env) == {}
