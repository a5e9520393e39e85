"""The analyst's workbench: accounts out of banks' statements, their habits, what they share, a report with its rows."""

from .books import Books
from .card import Card, Measure, card
from .cites import Cite, Cites
from .flow import Flow, flow
from .paper import report
from .passing import Passing, passings
from .shared import Shared, shared
from .thresholds import Thresholds, load, shipped

__all__ = [
    "Books",
    "Card",
    "Cite",
    "Cites",
    "Flow",
    "Measure",
    "Passing",
    "Shared",
    "Thresholds",
    "card",
    "flow",
    "load",
    "passings",
    "report",
    "shared",
    "shipped",
]
