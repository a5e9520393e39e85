"""Files that an officer drops on a page.

Kept true here: it is really from one of our pages, as every form is (`context.posted`); no more of it is held than the
limit, whatever a browser says or sends; a file has a name and bytes, and nothing else of it is believed.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncGenerator
from dataclasses import dataclass

from fastapi import Depends, Request
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from wuzha.command.public import Refused
from wuzha.respond.books import LIMIT

from .context import BadForm, Context, same_site, signed_in

#: What the form's other fields and the parts' heads may take beside the file.
_BESIDE = 64 * 1024
#: A browser that is cut off in the middle shows an error of its own: so much of a file that is too large is read on.
_DRAINED = 300 * 1024 * 1024
#: Files that may come at once, and how many times the limit of one they may be together.
MOST_FILES, MOST = 50, 4


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The context with its form, and the file; ``data`` is empty where none was chosen."""

    ctx: Context
    name: str
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Several:
    """The context with its form, and the files (name, bytes)."""

    ctx: Context
    files: list[tuple[str, bytes]]


async def dropped(request: Request, ctx: Context = Depends(signed_in)) -> Dropped:
    """Dependency of a POST that carries a file in the field ``file``. Refused("book_too_large") beyond the limit."""
    files = await _files(request, ctx, limit=LIMIT, most=1)
    name, data = files[0] if files else ("", b"")
    return Dropped(ctx=ctx, name=name, data=data)


async def several(request: Request, ctx: Context = Depends(signed_in)) -> Several:
    """Dependency of a POST that carries files in the field ``file``. Refused("book_too_large") beyond the limit of all
    of them."""
    return Several(ctx=ctx, files=await _files(request, ctx, limit=MOST * LIMIT, most=MOST_FILES))


async def _files(request: Request, ctx: Context, *, limit: int, most: int) -> list[tuple[str, bytes]]:
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise BadForm
    too_large = False

    async def chunks() -> AsyncGenerator[bytes, None]:
        nonlocal too_large
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > limit + _BESIDE:
                too_large = True
                if size > _DRAINED:
                    return
                continue
            yield chunk

    try:
        parts = await MultiPartParser(request.headers, chunks(), max_files=most, max_fields=20).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        if too_large:
            raise Refused("book_too_large", limit=limit // 1024 // 1024) from error
        raise BadForm from error
    try:
        if too_large:
            raise Refused("book_too_large", limit=limit // 1024 // 1024)
        form = {name: value.replace("\x00", "") for name, value in parts.multi_items() if isinstance(value, str)}
        sent = form.get("csrf", "") or request.headers.get("x-csrf", "")
        if not same_site(request) or not secrets.compare_digest(sent.encode(), ctx.session.csrf.encode()):
            raise BadForm
        ctx.form = form
        found = [f for name, f in parts.multi_items() if name == "file" and isinstance(f, UploadFile)]
        return [((f.filename or "").replace("\x00", ""), await f.read()) for f in found]
    finally:
        await parts.close()
