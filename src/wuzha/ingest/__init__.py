"""Reading files and bodies into event tables: readers, column mappings, cleaning, rejects.

Kept true here: rows in = accepted + rejected + duplicates + merged; what is written conforms to its table's schema.
A part is imported when it is first asked for: reading files takes a second to import, and many a process reads none.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import books as books
    from . import filling as filling
    from . import grids as grids
    from .body import CONTENT_TYPES, JSON_LINES, BodyError, BodyTooLarge, UnknownContentType, gunzip, rows_from_body
    from .gathering import Guide
    from .importing import KINDS, ImportFailed, Summary, WrongUse, import_files, total_bytes
    from .mapping import Mapping, MappingError
    from .pairing import pair

__all__ = [
    "CONTENT_TYPES",
    "JSON_LINES",
    "KINDS",
    "BodyError",
    "BodyTooLarge",
    "Guide",
    "ImportFailed",
    "Mapping",
    "MappingError",
    "Summary",
    "UnknownContentType",
    "WrongUse",
    "gunzip",
    "import_files",
    "pair",
    "rows_from_body",
    "total_bytes",
]

_PARTS = {
    "body": ("CONTENT_TYPES", "JSON_LINES", "BodyError", "BodyTooLarge", "UnknownContentType", "gunzip",
             "rows_from_body"),
    "gathering": ("Guide",),
    "importing": ("KINDS", "ImportFailed", "Summary", "WrongUse", "import_files", "total_bytes"),
    "mapping": ("Mapping", "MappingError"),
    "pairing": ("pair",),
}  # fmt: skip
#: Modules that are reached by their name in the package.
_MODULES = ("books", "filling", "grids")
_PART_OF = {name: part for part, names in _PARTS.items() for name in names}


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    if name not in _PART_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_PART_OF[name]}", __name__), name)
