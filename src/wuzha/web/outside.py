"""What the pages outside the police network share: the reader's language, and serving until the end.

Kept true here: such a server has a database of its own and no more connections than it is given; where that cannot be
opened it ends with the reason.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from fastapi import FastAPI, Request
from psycopg_pool import ConnectionPool

from wuzha.live.listening import stay
from wuzha.live.logs import configure
from wuzha.live.settings import Settings, settings
from wuzha.store import opened
from wuzha.store.embedded import ServerError


def language(request: Request) -> str:
    """``?en`` and ``?zh`` choose; else the browser's wish, Chinese where it has none of ours."""
    if request.url.query in ("en", "zh"):
        return request.url.query
    return "en" if request.headers.get("accept-language", "").lower().startswith("en") else "zh"


def serve(name: str, create: Callable[[ConnectionPool[Any], Settings], FastAPI], *, connections: int) -> None:
    """Serve at the host and port of the command line until SIGTERM, as the process ``name``."""
    try:
        host, port = sys.argv[1], int(sys.argv[2])
        configure(name)
        with opened(upgrade=False) as db:
            pool = db.pool("web", max_size=connections)
            try:
                stay(create(pool, settings()), host, port)
            finally:
                pool.close()
    except ServerError as error:
        sys.exit(str(error))
