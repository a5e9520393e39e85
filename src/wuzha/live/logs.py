"""Logs of a server's processes: one JSON object a line on standard error, without personal data."""

from __future__ import annotations

import logging
import os
import sys

import structlog

from wuzha.events import clock


def configure(process: str) -> None:
    """Set structured logging up for this process. ``WUZHA_LOG_LEVEL``: debug, info (default), warning, error."""
    level = logging.getLevelNamesMapping().get(os.environ.get("WUZHA_LOG_LEVEL", "info").upper(), logging.INFO)
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            lambda _, __, event: {"at": clock.now().isoformat(timespec="milliseconds"), **event},
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(process=process, pid=os.getpid())
