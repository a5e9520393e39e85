"""Running a server as a user who may nothing else: which user, which folders it can enter, which processes are its own.

Kept true here: nothing is asked of another user's files but whether they are there; a file is written whole, with its
rights from the first byte.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from pathlib import Path
from typing import IO, Any


def environment() -> dict[str, str]:
    """What a program of the server sees of our environment: nothing of it."""
    return {"PATH": "/usr/bin:/bin", "LC_ALL": "C", "TZ": "UTC"}


def as_user(uid: int, gid: int) -> dict[str, Any]:
    """Arguments of `subprocess` that run a program as this user, without groups, its files its own."""
    rights: dict[str, Any] = {"umask": 0o077}
    if os.geteuid() == 0:
        rights |= {"user": uid, "group": gid, "extra_groups": []}
    return rights


def has_account(uid: int) -> bool:
    """Whether a uid stands among the accounts."""
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def some_account() -> int:
    """nobody, or any account but root where there is none."""
    try:
        return pwd.getpwnam("nobody").pw_uid
    except KeyError:
        return next(entry.pw_uid for entry in pwd.getpwall() if entry.pw_uid != 0)


def can_enter(folder: Path, uid: int) -> bool:
    """Whether a user without groups may pass through every folder down to this one."""
    real = folder.resolve()
    for step in (real, *real.parents):
        status = step.stat()
        if not status.st_mode & (0o100 if status.st_uid == uid else 0o001):
            return False
    return True


def postgres_in(cluster: Path) -> set[int]:
    """Live PostgreSQL processes that work in this cluster: they stand in its folder."""
    try:
        here = cluster.stat()
    except FileNotFoundError:
        return set()
    found = set()
    for entry in os.scandir("/proc"):
        if not entry.name.isdigit():
            continue
        try:
            there = os.stat(f"/proc/{entry.name}/cwd")
            if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
                name = Path(f"/proc/{entry.name}/comm").read_text().strip()
                if name == "postgres":
                    found.add(int(entry.name))
        except OSError:  # gone, a zombie, or another user's
            continue
    return found


def open_private(path: Path) -> IO[bytes]:
    """A lock file that no other user can open, and so not hold."""
    return os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "ab")


def short_hash(path: Path) -> str:
    """Twelve characters that stand for a path."""
    return hashlib.sha256(os.fsencode(path)).hexdigest()[:12]


def write_whole(path: Path, text: str, mode: int) -> None:
    """The file is written whole, with its rights from the first byte, and durable."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(handle, "w") as out:
        out.write(text)
        out.flush()
        os.fsync(out.fileno())
    fresh.rename(path)
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
