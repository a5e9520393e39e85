"""Windows and counterparts of subjects that have long been quiet leave memory for a file, and come back when touched.

Kept true here: nothing that the engine reads changes. Regions of an arena move, their records do not, and no record
refers to a place in them but their subject's. The regions of the quiet come to stand together, and a file is mapped at
their addresses: the system drops its pages where memory is short, reads them again where somebody asks, and gives
whoever writes to one a copy in memory. So it does not matter who is quiet, or for how long. What stays in memory of
everybody is the subject's own record, key, words on its owner, and evidence.

The file has no name: it ends with the process, and a snapshot holds everything as before.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from . import layout
from .layout import Array, State

if TYPE_CHECKING:
    from .engine import Engine

_FIXED = 0x10
_PAGE = mmap.PAGESIZE
#: Regions written or copied at a time.
_CHUNK = 1 << 16


@dataclass(frozen=True, kw_only=True)
class _Arena:
    """Regions of 1 << class records, one a subject: where their begin and class stand, and which are free."""

    name: str
    begin: str
    size: str
    free: str


_ARENAS = (
    _Arena(name="cells", begin="cells", size="cells_class", free="free_cells"),
    _Arena(name="contacts", begin="ring", size="ring_class", free="free_contacts"),
)


def newest(engine: Engine) -> int:
    """Time of the newest event that the engine has read, µs."""
    return int(engine._state.watermark[31])


def quiet(engine: Engine, before: int) -> int:
    """Bytes of windows and counterparts of those without an event since ``before`` (µs)."""
    records = engine._state.subjects[: engine.n_subjects]
    idle = records["last_ts"] < before
    return sum(
        int((1 << records[a.size][idle & (records[a.begin] >= 0)].astype(np.int64)).sum())
        * getattr(engine._state, a.name).itemsize
        for a in _ARENAS
    )


def cool(engine: Engine, before: int, folder: Path) -> int:
    """Put the windows and counterparts of those without an event since ``before`` (µs) into a file in ``folder``. How
    many bytes left; 0 where there are too few to matter. OSError where the file cannot be written: nothing has changed.

    Not while the engine reads, or is asked.
    """
    if sys.platform != "linux":
        return 0
    gone = 0
    for arena in _ARENAS:
        engine._state, bytes_gone = _cooled(engine._state, arena, before, folder)
        gone += bytes_gone
    return gone


def _cooled(state: State, arena: _Arena, before: int, folder: Path) -> tuple[State, int]:
    n = layout.used(state, "subjects")
    records = state.subjects[:n]
    old: Array = getattr(state, arena.name)
    has = np.flatnonzero(records[arena.begin] >= 0)
    idle = records["last_ts"][has] < before
    cold, hot = has[idle], has[~idle]
    cold = cold[np.argsort(records["last_ts"][cold], kind="stable")]
    n_cold = int(_sizes(records, arena, cold).sum())
    a_page = int(np.lcm(old.itemsize, _PAGE)) // old.itemsize
    away = -(-n_cold // a_page) * a_page
    n_hot = int(_sizes(records, arena, hot).sum())
    used = away + n_hot
    if n_cold * old.itemsize < layout.RESERVED:
        return state, 0
    new = layout.room(max(used + used // 4, 1024), old.dtype)
    with tempfile.TemporaryFile(dir=folder) as file:
        for _, regions in _regions(records, arena, cold, old):
            regions.tofile(file)
        file.truncate(away * old.itemsize)
        file.flush()
        _map(new, file.fileno(), away * old.itemsize)
    at = away
    for _, regions in _regions(records, arena, hot, old):
        new[at : at + len(regions)] = regions
        at += len(regions)
    for order, first in ((cold, 0), (hot, away)):
        sizes = _sizes(records, arena, order)
        records[arena.begin][order] = first + np.cumsum(sizes) - sizes
    getattr(state, arena.free)[:] = -1
    state.n[layout.COUNTER[arena.name]] = used
    return state._replace(**{arena.name: new}), away * old.itemsize


def _sizes(records: Array, arena: _Arena, order: Array) -> Array:
    sizes: Array = 1 << records[arena.size][order].astype(np.int64)
    return sizes


def _regions(records: Array, arena: _Arena, order: Array, old: Array) -> Any:
    """(subjects, their regions one after the other), some subjects at a time."""
    for low in range(0, len(order), _CHUNK):
        some = order[low : low + _CHUNK]
        sizes = _sizes(records, arena, some)
        begins = records[arena.begin][some].astype(np.int64)
        within = np.arange(int(sizes.sum())) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        yield some, old[np.repeat(begins, sizes) + within]


def _map(array: Array, file: int, length: int) -> None:
    """Let the first ``length`` bytes of the file stand where the array begins; its own memory there is given back."""
    address = array.ctypes.data
    if address % _PAGE:
        raise OSError(0, "the arena does not begin with a page")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
    got = libc.mmap(address, length, mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE | _FIXED, file, 0)
    if got != address:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
