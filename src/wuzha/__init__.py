"""Wuzha (无诈): an open anti-fraud operations platform.

The packages form floors; a package imports only from floors above its own (``docs/house.md``):

``events`` · ``ingest detect text`` · ``store`` · ``live`` · ``respond command`` ·
``api web cli`` · ``city`` · ``bench``.
"""

from .compiled import place_cache

__version__ = "0.1.0"

place_cache(__version__)
