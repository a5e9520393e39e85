"""A body is never held beyond its limits, and what is broken is the sender's error."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest
from fastapi import Request
from tests.apart import apart

from wuzha.api import body
from wuzha.api.problems import Problem


def request(content: bytes, *, chunk: int = 1000, **headers: str) -> Request:
    parts = [content[i : i + chunk] for i in range(0, len(content), chunk)] or [b""]

    async def receive() -> dict[str, object]:
        return {"type": "http.request", "body": parts.pop(0), "more_body": bool(parts)}

    named = [(k.replace("_", "-").encode(), v.encode()) for k, v in headers.items()]
    return Request({"type": "http", "headers": named, "method": "POST", "path": "/"}, receive)


def read(content: bytes, *, limit: int = 10_000, inflated: int = 100_000, chunk: int = 1000, **headers: str) -> bytes:
    sent = request(content, chunk=chunk, **headers)
    return apart(lambda: asyncio.run(body.read(sent, limit=limit, inflated=inflated)))


def status(content: bytes, **options: object) -> int:
    with pytest.raises(Problem) as stopped:
        read(content, **options)  # type: ignore[arg-type]
    return stopped.value.status


@pytest.mark.parametrize("chunk", [1, 7, 1000])
def test_plain_and_gzip_bodies_read_the_same(chunk: int) -> None:
    words = bytes(range(256)) * 8
    assert read(words, chunk=chunk) == words
    assert read(gzip.compress(words), chunk=chunk, content_encoding="gzip") == words
    two = gzip.compress(words[:100]) + gzip.compress(words[100:])
    assert read(two, chunk=chunk, content_encoding="gzip") == words, "a gzip body may have members"


def test_a_body_beyond_the_limit_is_413_with_or_without_its_length_said() -> None:
    assert status(b"x" * 10_001) == 413
    assert status(b"", content_length="999999999999") == 413
    assert read(b"x" * 10_000) == b"x" * 10_000


def test_a_bomb_is_413_before_it_is_inflated() -> None:
    bomb = gzip.compress(b"\0" * 5_000_000)
    assert len(bomb) < 10_000
    assert status(bomb, content_encoding="gzip") == 413
    whole = gzip.compress(b"\0" * 100_000)
    assert len(read(whole, content_encoding="gzip")) == 100_000


@pytest.mark.parametrize("cut", [1, 5, 12, -1])
def test_a_gzip_body_cut_off_or_broken_is_400(cut: int) -> None:
    assert status(gzip.compress(b"some words")[:cut], content_encoding="gzip") == 400
    assert status(b"no gzip at all", content_encoding="gzip") == 400
    assert status(zlib.compress(b"another wrapping"), content_encoding="gzip") == 400


def test_only_gzip_is_an_encoding() -> None:
    assert status(b"x", content_encoding="br") == 415


def test_an_unknown_type_is_415_and_says_what_is_read() -> None:
    with pytest.raises(Problem) as stopped:
        body.content_type(request(b"", content_type="application/x-yaml"))
    assert stopped.value.status == 415 and "ndjson" in (stopped.value.detail or "")
    assert body.content_type(request(b"", content_type="Application/X-NDJSON; charset=utf-8")) == "application/x-ndjson"
