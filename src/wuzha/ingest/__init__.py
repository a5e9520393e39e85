"""Reading files and bodies into event tables: readers, column mappings, cleaning, rejects.

Kept true here: rows in = accepted + rejected + duplicates + merged; what is written conforms to its table's schema.
"""

from .body import CONTENT_TYPES, BodyError, BodyTooLarge, UnknownContentType, gunzip, rows_from_body

__all__ = [
    "CONTENT_TYPES",
    "BodyError",
    "BodyTooLarge",
    "UnknownContentType",
    "gunzip",
    "rows_from_body",
]
