"""Logs of a server's processes: one JSON object a line on standard error, without personal data."""

from __future__ import annotations

import logging
import os
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from wuzha.events import clock

#: The row that PostgreSQL quotes with its refusal, to the next part of the message or the end of it.
_ROW = re.compile(r"\nDETAIL:.*?(?=\n[A-Z]+: |\n\n|\Z)", re.DOTALL)


def without_rows(_: Any, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The event without the rows that a refusal of the database quotes: they hold names and numbers."""
    return {name: _ROW.sub("", value) if isinstance(value, str) else value for name, value in event.items()}


def configure(process: str) -> None:
    """Set structured logging up for this process. ``WUZHA_LOG_LEVEL``: debug, info (default), warning, error."""
    level = logging.getLevelNamesMapping().get(os.environ.get("WUZHA_LOG_LEVEL", "info").upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            lambda _, __, event: {"at": clock.now().isoformat(timespec="milliseconds"), **event},
            structlog.processors.format_exc_info,
            without_rows,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process, pid=os.getpid())
