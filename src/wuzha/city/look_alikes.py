"""Innocent behaviour that looks like a scam."""

from __future__ import annotations

from .stage import Stage


def resemble(stage: Stage) -> None:
    """All look-alikes."""
