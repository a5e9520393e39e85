"""Compiled kernels are kept on disk between runs; what was compiled from older sources is thrown away.

Numba looks only at the file that a function stands in. A kernel that calls another file's kernel would keep the old one
compiled in, so the sources are judged together here, before any of them is loaded. That holds wherever Numba keeps what
it compiled: beside the sources, or in the folder of ``NUMBA_CACHE_DIR``.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
from contextlib import suppress
from pathlib import Path

from numba.core import config
from numba.core.caching import UserProvidedCacheLocator

#: Sources without kernels that decide what kernels are.
_TAKEN_IN = ("book", "codes", "compiling", "layout")


def _stamp(here: Path) -> str:
    digest = hashlib.sha256(importlib.metadata.version("numba").encode())
    for path in sorted(here.glob("*.py")):
        source = path.read_bytes()
        if path.stem in _TAKEN_IN or b"from .compiling import" in source:
            digest.update(path.name.encode() + source)
    return digest.hexdigest()


def _folder(here: Path) -> Path:
    """Where Numba keeps what it compiles from the sources in ``here``."""
    if not config.CACHE_DIR:
        return here / "__pycache__"
    return Path(config.CACHE_DIR) / UserProvidedCacheLocator.get_suitable_cache_subpath(str(here / "kernels.py"))


def refresh(here: Path) -> None:
    """Drop compiled kernels of other sources than those in ``here``. A read-only installation is left as it is."""
    cache = _folder(here)
    mark = cache / "kernels.stamp"
    with suppress(OSError):
        now = _stamp(here)
        if mark.is_file() and mark.read_text() == now:
            return
        for old in [*cache.glob("*.nbi"), *cache.glob("*.nbc")]:
            old.unlink(missing_ok=True)
        cache.mkdir(parents=True, exist_ok=True)
        fresh = cache / f"kernels.stamp.{os.getpid()}"
        fresh.write_text(now)
        fresh.replace(mark)


refresh(Path(__file__).parent)
