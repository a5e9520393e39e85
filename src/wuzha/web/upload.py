"""A file that an officer drops on a page.

Kept true here: it is really from one of our pages, as every form is (`context.posted`); no more of it is held than the
limit, whatever a browser says or sends; it has a name and bytes, and nothing else of it is believed.
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


@dataclass(frozen=True, kw_only=True)
class Dropped:
    """The context with its form, and the file; ``data`` is empty where none was chosen."""

    ctx: Context
    name: str
    data: bytes


async def dropped(request: Request, ctx: Context = Depends(signed_in)) -> Dropped:
    """Dependency of a POST that carries a file in the field ``file``. Refused("book_too_large") beyond the limit."""
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "multipart/form-data":
        raise BadForm
    too_large = False

    async def chunks() -> AsyncGenerator[bytes, None]:
        nonlocal too_large
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > LIMIT + _BESIDE:
                too_large = True
                if size > _DRAINED:
                    return
                continue
            yield chunk

    try:
        parts = await MultiPartParser(request.headers, chunks(), max_files=1, max_fields=20).parse()
    except (MultiPartException, KeyError, ValueError) as error:
        if too_large:
            raise Refused("book_too_large", limit=LIMIT // 1024 // 1024) from error
        raise BadForm from error
    try:
        if too_large:
            raise Refused("book_too_large", limit=LIMIT // 1024 // 1024)
        form = {name: value.replace("\x00", "") for name, value in parts.multi_items() if isinstance(value, str)}
        sent = form.get("csrf", "") or request.headers.get("x-csrf", "")
        if not same_site(request) or not secrets.compare_digest(sent.encode(), ctx.session.csrf.encode()):
            raise BadForm
        ctx.form = form
        file = parts.get("file")
        if not isinstance(file, UploadFile):
            return Dropped(ctx=ctx, name="", data=b"")
        return Dropped(ctx=ctx, name=(file.filename or "").replace("\x00", ""), data=await file.read())
    finally:
        await parts.close()
