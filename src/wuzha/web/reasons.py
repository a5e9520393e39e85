"""The sentence of a piece of evidence: the one place where pages ask detect for words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def sentence(rule: str | None, version: int | None, args: Mapping[str, Any] | None, language: str) -> str:
    """A reason in the reader's language; empty where there is no evidence yet."""
    if rule is None:
        return ""
    from wuzha import detect  # takes most of a second, which a server that starts need not wait for

    return detect.reason(rule, version or 0, dict(args or {}), language)
