"""Packs everything that a machine without a network needs to install Wuzha: ``make wheelhouse``.

Kept true: the archive holds Wuzha's wheel and every wheel that it runs on, in the locked versions, for the Python and
the platform that this runs on; ``requirements.txt`` in it holds the hash of each, Wuzha's too; ``SHA256SUMS`` covers
every file. Nothing in it needs a compiler, Node or a network.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"

INSTALL = """\
安装 Installing

目标机需要 Python {python}（含 venv）、{platform}。The machine needs Python {python} with venv, on {platform}.

    sha256sum --check --quiet SHA256SUMS
    python3 -m venv /opt/wuzha
    /opt/wuzha/bin/python -m pip install --no-index --find-links wheels --require-hashes -r requirements.txt
    /opt/wuzha/bin/wuzha doctor
"""


class PackError(Exception):
    """The archive cannot be made; the message is for the user."""


def say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def run(*command: str | Path) -> None:
    done = subprocess.run([str(c) for c in command], cwd=ROOT, check=False, capture_output=True, text=True)
    if done.returncode:
        raise PackError((done.stdout + done.stderr).strip())


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def pack(folder: Path, out: Path) -> Path:
    """Fills ``folder`` and writes the archive into ``out``; its path.

    Raises:
        PackError: a wheel cannot be built or fetched.
    """
    wheels = folder / "wheels"
    wheels.mkdir()
    say("[1/3] Building Wuzha's wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", wheels)
    own = next(wheels.glob("wuzha-*.whl"))
    version = own.name.split("-")[1]
    say("[2/3] Fetching the wheels that it runs on")
    lock = ROOT / "requirements" / "run.txt"
    run(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:", "--require-hashes",
        "-r", lock, "-d", wheels)  # fmt: skip
    name = f"wuzha-{version}-offline-{sys.implementation.cache_tag}-{sysconfig.get_platform().replace('-', '_')}"
    (folder / "requirements.txt").write_text(
        lock.read_text("utf-8") + f"wuzha=={version} \\\n    --hash=sha256:{sha256(own)}\n", "utf-8"
    )
    python = f"{sys.version_info[0]}.{sys.version_info[1]}"
    (folder / "INSTALL.txt").write_text(INSTALL.format(python=python, platform=sysconfig.get_platform()), "utf-8")
    (folder / "LICENSE").write_bytes((ROOT / "LICENSE").read_bytes())
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    sums = "".join(f"{sha256(p)}  {p.relative_to(folder)}\n" for p in files)
    (folder / "SHA256SUMS").write_text(sums, "utf-8")
    say(f"[3/3] Packing {len(files)} files")
    out.mkdir(parents=True, exist_ok=True)
    archive = out / f"{name}.tar"
    part = archive.with_suffix(".part")
    with tarfile.open(part, "w") as tar:
        tar.add(folder, arcname=name)
    part.replace(archive)
    return archive


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="wuzha-wheelhouse-") as folder:
        try:
            archive = pack(Path(folder), Path(sys.argv[1]) if len(sys.argv) > 1 else DIST)
        except PackError as error:
            say(f"{error}\n\nNo archive was made.")
            return 1
    say(f"{archive} ({archive.stat().st_size / 1e6:.0f} MB)\nsha256 {sha256(archive)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
