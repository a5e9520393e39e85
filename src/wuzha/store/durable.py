"""Files that are whole or not there.

Kept true here: a file appears under its name only with all its bytes on the disk; whoever looks sees the former one or
the new one, also after a power cut.
"""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from pathlib import Path


def write(path: Path, data: bytes, *, mode: int = 0o644) -> None:
    """Write ``data`` beside ``path``, sync it, move it there, sync the folder. OSError leaves nothing behind."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        handle = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        try:
            left = memoryview(data)
            while left:
                left = left[os.write(handle, left) :]
            os.fsync(handle)
        finally:
            os.close(handle)
        os.replace(beside, path)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise
    sync_folder(path.parent)


def sync_folder(path: Path) -> None:
    """The folder's names are on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
