"""Errors as problem+json (RFC 9457): a stable ``type``, a status, words that say what to do.

Kept true here: a client's mistake is never a 5xx, and no answer carries a stack trace or another's data.
"""

from __future__ import annotations

from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException

log = structlog.get_logger(__name__)
MEDIA_TYPE = "application/problem+json"


class ProblemBody(BaseModel):
    """An error as the client reads it."""

    type: str = Field(description="Stable code of the error", examples=["urn:wuzha:bad_key"])
    title: str = Field(examples=["API key unknown or revoked / 密钥无效或已撤销"])
    status: int = Field(examples=[401])
    detail: str | None = Field(None, description="What happened in this request and what to do")


class Problem(Exception):
    """Stop with this answer. ``code`` is stable; ``title`` speaks both languages; ``detail`` is of this request."""

    def __init__(
        self, status: int, code: str, title: str, detail: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(title)
        self.status, self.code, self.title, self.detail, self.headers = status, code, title, detail, headers

    def response(self) -> JSONResponse:
        """The answer itself."""
        return answer(self.status, self.code, self.title, self.detail, self.headers)


def answer(
    status: int, code: str, title: str, detail: str | None = None, headers: dict[str, str] | None = None
) -> JSONResponse:
    """A problem+json answer."""
    body = {"type": f"urn:wuzha:{code}", "title": title, "status": status, "detail": detail}
    return JSONResponse(body, status_code=status, headers=headers, media_type=MEDIA_TYPE)


def disk_full() -> Problem:
    """507: what was sent stays the sender's until there is room."""
    return Problem(
        507, "disk_nearly_full", "The disk is nearly full / 磁盘空间不足",
        "nothing was taken; what was acknowledged is kept; send again when there is room", {"Retry-After": "60"},
    )  # fmt: skip


def documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """OpenAPI ``responses`` for these statuses, each a problem."""
    schema = {"schema": {"$ref": "#/components/schemas/ProblemBody"}}
    return {
        s: {"description": _WORDS.get(s, "Problem"), "model": ProblemBody, "content": {MEDIA_TYPE: schema}}
        for s in statuses
    }


_WORDS = {
    400: "The body cannot be read",
    401: "No key, or one that is unknown or revoked",
    403: "Not allowed for this key",
    404: "There is no such thing",
    405: "Not this method",
    409: "Not possible as things stand",
    413: "The body is too large",
    415: "The body's type is none that is read",
    422: "A parameter is wrong",
    429: "The queue is full; come again after Retry-After seconds",
    503: "Not ready yet",
    507: "The disk is nearly full; nothing was taken",
}


def install(app: FastAPI) -> None:
    """Answer every error of ``app`` below ``/v1`` as a problem."""

    @app.exception_handler(Problem)
    async def _problem(_: Request, error: Problem) -> JSONResponse:
        return error.response()

    @app.exception_handler(RequestValidationError)
    async def _wrong(_: Request, error: RequestValidationError) -> JSONResponse:
        said = "; ".join(f"{'.'.join(str(p) for p in e['loc'][1:])}: {e['msg']}" for e in error.errors())
        return answer(422, "wrong_parameter", "A parameter is wrong / 参数有误", said)

    @app.exception_handler(HTTPException)
    async def _http(_: Request, error: HTTPException) -> JSONResponse:
        return answer(
            error.status_code, f"http_{error.status_code}", str(error.detail), headers=dict(error.headers or {})
        )

    @app.exception_handler(psycopg.OperationalError)
    async def _away(request: Request, error: psycopg.OperationalError) -> JSONResponse:
        log.warning("database away", error=type(error).__name__)
        # Where even its own log finds no room, PostgreSQL stops: then it is the disk that says why it is away.
        if isinstance(error, psycopg.errors.DiskFull) or request.app.state.doors.full():
            return disk_full().response()
        words = "The database does not answer / 数据库无响应"
        return answer(503, "no_database", words, "nothing was taken; send again", {"Retry-After": "2"})

    @app.exception_handler(Exception)
    async def _failed(request: Request, error: Exception) -> JSONResponse:
        log.error("request failed", path=request.url.path, error=type(error).__name__, exc_info=error)
        return answer(500, "failed", "The server failed; nothing was half done / 服务器出错，未留下半成品")
