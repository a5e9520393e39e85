"""What other desks may use of cases."""

from __future__ import annotations

from .reports import Loss, Report, Taken

__all__ = ["Loss", "Report", "Taken"]
