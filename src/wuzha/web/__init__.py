"""The pages: server-rendered, live by server-sent events, complete without scripts for every step that counts.

Kept true here: a page only reads and renders; every change goes through a desk's command. ``create`` is the entry point
``web`` of the group ``wuzha.faces``.
"""

from typing import Any


def create(pool: Any) -> Any:
    """The pages' ASGI application over a pool of connections as wuzha_web (see `wuzha.web.app.create`)."""
    from .app import create as build

    return build(pool)
