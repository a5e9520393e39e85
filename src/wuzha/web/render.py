"""Templates: autoescaped, strict about what is missing, and with words from the catalogue only.

Kept true here: a page carries headers that allow no script but our files, no frame and no other host; a page of a
person's data is never kept by a cache.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from functools import lru_cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any

import jinja2
from fastapi import Request
from fastapi.responses import HTMLResponse, Response
from markupsafe import Markup

from wuzha.events import clock, money
from wuzha.events.scam_types import parent
from wuzha.respond import tiers

from . import catalogue, masks, reasons, words

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; font-src 'self'; "
        "connect-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "X-Frame-Options": "DENY",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}
LEVEL_MARKS = {"urgent": "◆", "high": "▲", "medium": "●", "low": "○"}


@lru_cache(maxsize=1)
def environment() -> jinja2.Environment:
    """The templates of this package."""
    env = jinja2.Environment(
        loader=jinja2.PackageLoader("wuzha.web"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    env.filters.update(told_by=told_by, entries=words.entries)
    env.globals.update(mark=LEVEL_MARKS, static=static, scam_parent=parent)
    return env


def told_by(warnings: list[dict[str, Any]] | None, language: str) -> list[tuple[str, int]]:
    """Who warned, with the level that they gave, each once with how often, in the order of the first."""
    told = Counter(
        f"{w['issued_by']} {_code('level', w['level'], language=language) if w['level'] else ''}".strip()
        for w in warnings or ()
    )
    return list(told.items())


@lru_cache(maxsize=64)
def static(name: str) -> str:
    """The address of a static file, with its time in it, so that browsers may keep it for long."""
    path = Path(str(files(__package__))) / "static" / name
    return f"/static/{name}?v={int(path.stat().st_mtime)}" if path.is_file() else f"/static/{name}"


@lru_cache(maxsize=1)
def vendored() -> Mapping[str, bool]:
    """Which of the built libraries stand beside us; a page asks only for those."""
    folder = Path(str(files(__package__))) / "static" / "vendor"
    return {name: (folder / name).is_file() for name in ("tabler.min.css", "htmx.min.js", "codemirror.js")}


def fragment(template: str, *, language: str, now: Any, **values: Any) -> Markup:
    """A template's text for one reader at one time."""
    t = partial(_translate, language=language)
    return Markup(
        environment()
        .get_template(template)
        .render(
            t=t,
            code=partial(_code, language=language),
            language=language,
            now=now,
            vendored=vendored(),
            yuan=partial(words.yuan, language=language),
            yuan_full=lambda fen: "" if fen is None else f"¥{money.yuan(fen)}",
            duration=partial(words.duration, language=language),
            countdown=partial(words.countdown, language=language),
            moment=partial(words.moment, now=now),
            full=words.full,
            age_band=partial(words.age_band, now=now),
            left=partial(tiers.left, now=now),
            waited=partial(tiers.waited, now=now),
            sentence=partial(reasons.sentence, language=language),
            masked=masks.MASKED,
            speed=clock.clock().speed,
            **values,
        )
    )


def page(request: Request, template: str, *, language: str, status: int = 200, **values: Any) -> Response:
    """A whole page."""
    now = values.pop("now", None) or clock.now()
    values.setdefault("actor", None)
    values.setdefault("csrf", "")
    values.setdefault("said", None)
    return HTMLResponse(
        fragment(template, language=language, now=now, path=request.url.path, query=request.url.query, **values),
        status_code=status,
        headers={"Cache-Control": "no-store"},
    )


def _translate(key: str, *, language: str, **values: object) -> str:
    return catalogue.translate(key, language, **values)


def _code(kind: str, value: str | None, *, language: str) -> str:
    """Words of a code that comes from data; the code itself where the catalogue does not know it, — for none."""
    if not value:
        return "—"
    key = f"{kind}.{value}"
    return catalogue.translate(key, language) if catalogue.known(key) else value
