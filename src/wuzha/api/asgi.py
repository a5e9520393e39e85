"""Plain ASGI: a body read without trusting it, and errors as problem+json."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import msgspec

Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
ASGI = Callable[[MutableMapping[str, Any], Receive, Send], Awaitable[None]]
_JSON = msgspec.json.Encoder()


class Refused(Exception):
    """Stop with this problem."""

    def __init__(self, status: int, code: str, title: str, detail: str | None = None) -> None:
        super().__init__(title)
        self.status, self.code, self.title, self.detail = status, code, title, detail


def other_question() -> Refused:
    """409: the key stands for another question."""
    return Refused(
        409,
        "key_used",
        "This key stands for another question / 该幂等键已用于其他请求",
        "a new transfer needs a new key",
    )


async def body(receive: Receive, limit: int) -> bytes:
    out = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise Refused(400, "unreadable", "The body is cut off / 内容不完整")
        out += bytes(message.get("body", b""))
        if len(out) > limit:
            raise Refused(413, "too_large", "The body is too large / 内容过大", f"at most {limit:,} bytes")
        if not message.get("more_body"):
            return out


def problem(refused: Refused) -> bytes:
    return _JSON.encode(
        {
            "type": f"urn:wuzha:{refused.code}", "title": refused.title, "status": refused.status,
            "detail": refused.detail,
        }
    )  # fmt: skip
