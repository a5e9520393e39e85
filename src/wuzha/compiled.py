"""Where Numba keeps the compiled kernels, and when they are thrown away.

Numba looks only at the file that a function stands in. A kernel that calls another file's kernel would keep the old one
compiled in, so a package's sources are judged together (`refresh`), before any of them is loaded.

Kept true: compiled code is loaded only from folders that nobody but this user (or root, who installed the package) can
write to, since loading it runs it. The places, in this order: ``NUMBA_CACHE_DIR`` where it is set; ``__pycache__``
beside the sources where that can be written (a work tree, a user's own installation); the user's cache folder, one for
each version; a new folder for this process alone, which costs the compiling each time.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import stat
import tempfile
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path


def place_cache(version: str) -> None:
    """Chooses the folder before Numba is imported; called when ``wuzha`` is."""
    if "NUMBA_CACHE_DIR" in os.environ or os.access(Path(__file__).parent, os.W_OK):
        return
    folder = _users_folder(version)
    os.environ["NUMBA_CACHE_DIR"] = folder or tempfile.mkdtemp(prefix="wuzha-numba-")


def _users_folder(version: str) -> str | None:
    """The user's cache folder if it can be made and only this user can write it, else None."""
    home = os.environ.get("XDG_CACHE_HOME") or (os.environ.get("HOME") and f"{os.environ['HOME']}/.cache")
    if not home or not os.path.isabs(home):
        return None
    folder = Path(home) / "wuzha" / "numba" / version
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = folder.stat()
    except OSError:
        return None
    writable_by_others = about.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    if about.st_uid != os.geteuid() or writable_by_others or not os.access(folder, os.W_OK):
        return None
    return str(folder)


def refresh(here: Path, sources: Iterable[Path]) -> None:
    """Drop the compiled kernels of the package in the folder ``here`` that come of other sources than these. That holds
    wherever Numba keeps them: beside the sources, or in the folder of ``NUMBA_CACHE_DIR``. A read-only installation is
    left as it is."""
    from numba.core import config
    from numba.core.caching import UserProvidedCacheLocator

    cache = here / "__pycache__"
    if folder := getattr(config, "CACHE_DIR", ""):
        place = UserProvidedCacheLocator.get_suitable_cache_subpath(str(here / "kernels.py"))  # type: ignore[no-untyped-call]
        cache = Path(folder) / place
    mark = cache / "kernels.stamp"
    with suppress(OSError):
        digest = hashlib.sha256(importlib.metadata.version("numba").encode())
        for path in sorted(sources):
            digest.update(path.name.encode() + path.read_bytes())
        now = digest.hexdigest()
        if mark.is_file() and mark.read_text() == now:
            return
        for old in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
            old.unlink(missing_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"kernels.stamp.{os.getpid()}"
        fresh.write_text(now)
        fresh.replace(mark)
