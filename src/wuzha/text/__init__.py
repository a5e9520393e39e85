"""Words: links, numbers and app names in a message, and which of the eight 凡是 it hits. Tables in, tables out.

The patterns are data (``fanshi.toml``). A trained model fills ``text_p_scam`` and ``text_type`` in the same columns.
"""

from .annotate import annotate
from .extract import Found, extract
from .patterns import Patterns, load, shipped

__all__ = ["Found", "Patterns", "annotate", "extract", "load", "shipped"]
