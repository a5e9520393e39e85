"""Reading a request's body without trusting it.

Kept true here: neither what is sent nor what it inflates to is ever held beyond its limit; a body that would be is
answered with 413 before it is whole.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterator

from fastapi import Request

from wuzha.ingest import CONTENT_TYPES

from .problems import Problem


def content_type(request: Request) -> str:
    """The body's type, one of `wuzha.ingest.CONTENT_TYPES`. 415 where it is none that is read."""
    sent = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if sent in CONTENT_TYPES:
        return sent
    raise Problem(
        415, "unreadable_type", "Content type is none that is read / 不支持的内容类型",
        f"got {sent[:100] or 'none'}; send one of {', '.join(CONTENT_TYPES)}",
    )  # fmt: skip


async def read(request: Request, *, limit: int, inflated: int) -> bytes:
    """The body, gunzipped where ``Content-Encoding: gzip``. 413 beyond either limit, 400 where gzip is broken, 415
    for another encoding."""
    encoding = request.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("identity", "", "gzip", "x-gzip"):
        raise Problem(415, "unreadable_encoding", "Only gzip is read / 仅支持gzip压缩", f"got {encoding[:100]}")
    declared = request.headers.get("content-length", "")
    if declared.isascii() and declared.isdigit() and int(declared) > limit:
        raise too_large(limit)
    if encoding in ("gzip", "x-gzip"):
        return await _gunzip(request.stream(), limit, inflated)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise too_large(limit)
    return bytes(body)


async def _gunzip(stream: AsyncIterator[bytes], limit: int, inflated: int) -> bytes:
    """Members of a gzip body one after the other, each inflated only as far as the limit."""
    taken, out = 0, bytearray()
    inflater = zlib.decompressobj(wbits=31)
    begun = False
    try:
        async for chunk in stream:
            taken += len(chunk)
            if taken > limit:
                raise too_large(limit)
            rest = chunk
            while rest:
                begun = True
                # One byte more than allowed, so that reaching the limit and passing it are told apart.
                out += inflater.decompress(rest, max_length=inflated - len(out) + 1)
                if len(out) > inflated:
                    raise too_large(inflated)
                rest = inflater.unconsumed_tail or inflater.unused_data
                if inflater.eof:
                    inflater, begun = zlib.decompressobj(wbits=31), False
    except zlib.error as error:
        raise Problem(400, "broken_gzip", "The gzip body is broken / gzip内容损坏", str(error)) from error
    if begun:
        raise Problem(400, "broken_gzip", "The gzip body is cut off / gzip内容不完整")
    return bytes(out)


def too_large(limit: int) -> Problem:
    """413 with what is allowed."""
    return Problem(
        413, "too_large", "The body is too large / 内容过大", f"at most {limit:,} bytes; send several smaller batches"
    )
