"""Reading files and bodies into event tables: readers, column mappings, cleaning, rejects.

Kept true here: rows in = accepted + rejected + duplicates + merged; what is written conforms to its table's schema.
"""

from .body import CONTENT_TYPES, BodyError, BodyTooLarge, UnknownContentType, gunzip, rows_from_body
from .gathering import Guide
from .importing import KINDS, ImportFailed, Summary, WrongUse, import_files, total_bytes
from .mapping import Mapping, MappingError
from .pairing import pair

__all__ = [
    "CONTENT_TYPES",
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
