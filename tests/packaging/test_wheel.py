"""What is installed from the wheel: the pages' files are in it, and neither Node nor a network is needed."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ("htmx.min.js", "tabler.min.css", "codemirror.js", "codemirror-hint.js", "LICENSES.txt")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not (ROOT / "src/wuzha/web/static/vendor/LICENSES.txt").is_file():
        pytest.skip("the pages' files are not built: make assets")
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_wheel_holds_the_built_pages_and_all_data_files(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {f"wuzha/web/static/vendor/{name}" for name in VENDOR} <= names
    tracked = subprocess.run(
        ["git", "ls-files", "src/wuzha"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.split()
    assert {p.removeprefix("src/") for p in tracked if (ROOT / p).is_file()} <= names
    stray = [n for n in names if n.endswith((".nbi", ".nbc", ".pyc", ".map")) or "node_modules" in n]
    assert not stray


def test_wheel_runs_without_node_and_reads_its_own_files(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    code = f"""
import wuzha
from importlib.resources import files
from pathlib import Path
print(Path(wuzha.__file__).is_relative_to({str(tmp_path)!r}))
print(all((files("wuzha") / "web" / "static" / "vendor" / n).is_file() for n in {VENDOR!r}))
from wuzha.cli.main import run
import sys; sys.argv = ["wuzha", "--version"]; run()
"""
    env = {"PATH": "/nonexistent", "PYTHONPATH": str(tmp_path / "site"), "HOME": "/nonexistent"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[:3] == ["True", "True", "wuzha"]


@pytest.mark.soak
def test_archive_installs_without_a_network(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "packaging/wheelhouse.py", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and any(
        w in done.stdout.lower() for w in ("connection", "resolution", "no matching distribution")
    ):
        pytest.skip("the wheels cannot be fetched here")
    assert done.returncode == 0, done.stdout + done.stderr
    with tarfile.open(next(tmp_path.glob("*.tar"))) as tar:
        tar.extractall(tmp_path, filter="data")
    folder = next(p for p in tmp_path.iterdir() if p.is_dir())
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=folder, check=True)
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "opt")], check=True)
    python = tmp_path / "opt" / "bin" / "python"
    env = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_", "PYTHON"))}
    # A proxy that nobody listens at: whatever would go out fails.
    env |= {"HTTPS_PROXY": "http://127.0.0.1:9", "HTTP_PROXY": "http://127.0.0.1:9", "PIP_CONFIG_FILE": os.devnull}
    install = ["-m", "pip", "install", "-q", "--no-index", "--find-links", "wheels", "--require-hashes"]
    subprocess.run([str(python), *install, "-r", "requirements.txt"], cwd=folder, env=env, check=True)
    shown = subprocess.run(
        [str(tmp_path / "opt/bin/wuzha"), "--help"], env=env, capture_output=True, text=True, check=True
    )
    assert "Wuzha" in shown.stdout
