"""Where Numba keeps the compiled kernels.

Kept true: compiled code is loaded only from folders that nobody but this user (or root, who installed the package) can
write to, since loading it runs it. The places, in this order: ``NUMBA_CACHE_DIR`` where it is set; ``__pycache__``
beside the sources where that can be written (a work tree, a user's own installation); the user's cache folder, one for
each version; a new folder for this process alone, which costs the compiling each time.
"""

from __future__ import annotations

import os
import stat
import tempfile
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
