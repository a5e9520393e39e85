"""Snapshots of the engine's state: arrays in one file, with version and checksum.

Kept true here: a file is whole or it is not used. It is written beside its place, made durable, and only then renamed;
a file that fails its checksum, its version or its length is passed over for the one before. `begin` does not stop the
stream: a copy of the process writes, which sees the memory as it was at that moment however it changes afterwards.

Layout: 8 bytes ``WUZHASNP``, u32 format version, u64 length of the body, 32 bytes checksum, the body: u32 length of a
JSON head ``{position, meta, arrays: [{name, dtype, shape, at, n}]}``, the head, the arrays' bytes. Numbers are little
endian. The checksum is the SHA-256 of the SHA-256 of each 64 MiB of the body, so that all processors check at once
(format 1, which is still read: of the whole body).
"""

from __future__ import annotations

import hashlib
import json
import mmap
import os
import signal
import struct
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from .supervise import die_with_parent, step_back

MAGIC = b"WUZHASNP"
FORMAT = 2
#: Bytes of the body that have a checksum of their own.
PART = 1 << 26
_HEAD = struct.Struct("<8sIQ32s")
#: Every array begins at such an address, so that it is used where it stands.
_ALIGNED = 64
#: Older snapshots that stay: one may be damaged, two rarely are.
KEEP = 3
#: Bytes that go to the disk at a time: who commits beside it waits for no more.
_PIECE = 8 << 20


class BadSnapshot(Exception):
    """The file is no whole snapshot of this version; says why."""


@dataclass(frozen=True, kw_only=True)
class Snapshot:
    """State up to and with log ``position``. ``meta`` is the worker's own small state (watermarks)."""

    position: int
    arrays: dict[str, npt.NDArray[Any]]
    meta: dict[str, Any] = field(default_factory=dict)


@dataclass
class Writing:
    """A snapshot that another process is writing."""

    position: int
    path: Path
    pid: int
    begun: float = field(default_factory=time.monotonic)

    def over(self, *, wait: bool = False) -> bool:
        """Whether it stands. OSError where it could not be written; nothing is left of it then."""
        if not self.pid:
            return True
        pid, status = os.waitpid(self.pid, 0 if wait else os.WNOHANG)
        if pid == 0:
            return False
        self.pid = 0
        code = os.waitstatus_to_exitcode(status)
        if code:
            why = os.strerror(code) if code > 0 else f"its writer was ended by signal {-code}"
            raise OSError(max(code, 0), why, str(self.path))
        return True

    def abandon(self) -> None:
        """End it; what it has written is removed by the next one."""
        if self.pid:
            os.kill(self.pid, signal.SIGKILL)
            os.waitpid(self.pid, 0)
            self.pid = 0


def begin(folder: Path, position: int, take: Callable[[], Snapshot], *, floor: int | None = None) -> Writing:
    """Write what ``take`` gives now, beside the stream, and clear away as `write` does. OSError where this process
    cannot be copied."""
    # What the copy needs of libraries that lock is made before: their locks may be held by threads that it has not.
    digest = hashlib.sha256()
    parent, writing = os.getpid(), Writing(position=position, path=path_of(folder, position), pid=0)
    pid = os.fork()
    if pid:
        writing.pid = pid
        return writing
    code = 1
    try:
        die_with_parent()
        os.setsid()
        step_back()
        if os.getppid() == parent:
            write(folder, take(), digest=digest, floor=floor)
            code = 0
    except OSError as error:
        code = min(error.errno or 1, 255)
    finally:
        os._exit(code)  # nothing of the parent is closed, flushed or given back


def path_of(folder: Path, position: int) -> Path:
    """Where the snapshot of a position stands."""
    return folder / f"{position:020d}.snapshot"


def write(
    folder: Path, snapshot: Snapshot, *, digest: Any = None, floor: int | None = None, keep: int | None = KEEP
) -> Path:
    """The durable file of ``snapshot``; older ones beyond ``keep`` are removed, but for the newest at or before
    ``floor``: another partition that has come no further may have to begin there. ``digest``: a fresh SHA-256."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    listed, chunks, at = [], [], 0
    for name, array in snapshot.arrays.items():
        if array.dtype.hasobject:
            raise ValueError(f"snapshot array {name!r} holds Python objects")
        data = np.ascontiguousarray(array)
        chunks.append(memoryview(bytes(-at % _ALIGNED)))
        at += -at % _ALIGNED
        listed.append(
            {"name": name, "dtype": _described(data.dtype), "shape": list(array.shape), "at": at, "n": data.nbytes}
        )
        chunks.append(memoryview(data.reshape(-1).view(np.uint8).data) if data.nbytes else memoryview(b""))
        at += data.nbytes
    head = json.dumps({"position": snapshot.position, "meta": snapshot.meta, "arrays": listed}).encode()
    head += b" " * (-(_HEAD.size + 4 + len(head)) % _ALIGNED)
    begin = struct.pack("<I", len(head)) + head
    checksum = _checksum([memoryview(begin), *chunks], digest or hashlib.sha256())
    path = path_of(folder, snapshot.position)
    temporary = folder / f".{path.name}.{os.getpid()}"
    for left in folder.glob(".*.snapshot.*"):  # of a worker that was killed while it wrote
        left.unlink(missing_ok=True)
    try:
        with temporary.open("wb") as file:
            file.write(_HEAD.pack(MAGIC, FORMAT, len(begin) + at, checksum))
            file.write(begin)
            waiting = 0
            for piece in (chunk[i : i + _PIECE] for chunk in chunks for i in range(0, len(chunk), _PIECE)):
                waiting += file.write(piece)
                if waiting >= _PIECE:
                    file.flush()
                    os.fdatasync(file.fileno())
                    waiting = 0
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)  # a full disk gets its room back
        raise
    sync_folder(folder)
    there = listing(folder)
    needed = next((p for p in there if floor is not None and int(p.stem) <= floor), None)
    for old in [] if keep is None else there[keep:]:
        if old != needed:
            old.unlink(missing_ok=True)
    return path


def listing(folder: Path) -> list[Path]:
    """Snapshot files, the newest position first. Whole or not is for `read` to say."""
    return sorted(folder.glob("*.snapshot"), reverse=True) if folder.is_dir() else []


def read(path: Path) -> Snapshot:
    """The snapshot of a file. BadSnapshot where it is not whole. Its arrays are pages of the file, read where they are
    looked at; what is written to them stays in this process."""
    try:
        with path.open("rb") as file:
            if os.fstat(file.fileno()).st_size < _HEAD.size:
                raise BadSnapshot(f"{path.name}: cut off")
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
    except OSError as error:
        raise BadSnapshot(f"{path.name}: {error.strerror}") from error
    magic, version, length, digest = _HEAD.unpack_from(data)
    if magic != MAGIC or version not in (1, FORMAT):
        raise BadSnapshot(f"{path.name}: another format or version")
    body = memoryview(data)[_HEAD.size :]
    if len(body) != length or _sum_of(body, version) != digest:
        raise BadSnapshot(f"{path.name}: its checksum is wrong")
    (n,) = struct.unpack_from("<I", body)
    head = json.loads(bytes(body[4 : 4 + n]))
    base = 4 + n
    arrays: dict[str, npt.NDArray[Any]] = {}
    for a in head["arrays"]:
        dtype = _dtype(a["dtype"])
        raw = np.frombuffer(body, np.uint8, a["n"], base + a["at"])
        arrays[a["name"]] = raw.view(dtype).reshape(a["shape"]) if a["n"] else np.empty(a["shape"], dtype)
    return Snapshot(position=head["position"], arrays=arrays, meta=head["meta"])


def _checksum(chunks: Iterable[memoryview], fresh: Any) -> bytes:
    """The checksum of a body that comes in ``chunks``. ``fresh``: a SHA-256 that has seen nothing."""
    whole, part, room = fresh.copy(), fresh.copy(), PART
    for chunk in chunks:
        while len(chunk):
            part.update(chunk[:room])
            taken = min(room, len(chunk))
            chunk, room = chunk[taken:], room - taken
            if room == 0:
                whole.update(part.digest())
                part, room = fresh.copy(), PART
    if room < PART:
        whole.update(part.digest())
    return bytes(whole.digest())


def _sum_of(body: memoryview, version: int) -> bytes:
    """The checksum of a whole body, by all processors."""
    if version == 1:
        return hashlib.sha256(body).digest()
    parts = [body[at : at + PART] for at in range(0, len(body), PART)]
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        return hashlib.sha256(b"".join(pool.map(lambda part: hashlib.sha256(part).digest(), parts))).digest()


def _described(dtype: np.dtype[Any]) -> Any:
    """A dtype as JSON. Records keep the very places of their fields: an aligned one has gaps."""
    if dtype.names is None or dtype.fields is None:
        return [dtype.base.str, list(dtype.shape)] if dtype.shape else dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [_described(f[0]) for f in fields],
        "offsets": [f[1] for f in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def _dtype(said: Any) -> np.dtype[Any]:
    if isinstance(said, str):
        return np.dtype(said)
    if isinstance(said, list):
        return np.dtype((np.dtype(said[0]), tuple(said[1])))
    return np.dtype(
        {
            "names": said["names"],
            "formats": [_dtype(f) for f in said["formats"]],
            "offsets": said["offsets"],
            "itemsize": said["itemsize"],
        },
        align=said["aligned"],
    )


def newest(folder: Path, *, not_after: int) -> tuple[Snapshot | None, list[str]]:
    """The newest whole snapshot at or before log position ``not_after``, and why newer ones were passed over."""
    passed: list[str] = []
    for path in listing(folder):
        if int(path.stem) > not_after:
            passed.append(f"{path.name}: ahead of the committed position {not_after}")
            continue
        try:
            return read(path), passed
        except BadSnapshot as error:
            passed.append(str(error))
    return None, passed


def sync_folder(folder: Path) -> None:
    """Make renames in ``folder`` durable."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
