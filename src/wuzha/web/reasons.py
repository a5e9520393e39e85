"""The sentence of a piece of evidence: the one place where pages ask detect for words."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

from psycopg_pool import ConnectionPool

#: Where the words of the deployment's own rules are read; set by the application.
_pool: ConnectionPool[Any] | None = None
_read_at = 0.0
#: Evidence of a rule that nobody knows any more must not cost a look at the database each time that it is shown.
_AGAIN_S = 2.0


def read_from(pool: ConnectionPool[Any]) -> None:
    """Words that this process lacks are read over this pool from now on."""
    global _pool, _read_at
    _pool, _read_at = pool, 0.0


def sentence(rule: str | None, version: int | None, args: Mapping[str, Any] | None, language: str) -> str:
    """A reason in the reader's language; empty where there is no evidence yet."""
    if rule is None:
        return ""
    from wuzha import detect  # takes most of a second, which a server that starts need not wait for
    from wuzha.detect.reasons import known

    if not known(rule, version or 0):
        _learn()
    return detect.reason(rule, version or 0, dict(args or {}), language)


def _learn() -> None:
    global _read_at
    if _pool is None or _pool.closed or time.monotonic() - _read_at < _AGAIN_S:
        return
    from wuzha.live import rulebooks

    _read_at = time.monotonic()
    with _pool.connection() as conn:
        rulebooks.learn(conn)
