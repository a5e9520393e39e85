"""The vocabulary: event tables, subjects, scam types, money, time. The only place that names columns."""

from .app_events import APP_EVENTS
from .bookings import CASH, LODGING, PURCHASES, SHIPMENTS
from .calls import CALLS
from .labels import LABELS
from .messages import MESSAGES
from .registers import ACCOUNTS, LINES, PERSONS
from .relations import RELATIONS
from .reports import FINDINGS, IDENTIFIERS, REPORTS
from .table import Column, Table
from .transfers import TRANSFERS
from .visits import VISITS
from .warnings import WARNINGS

#: Every event table by name, in the order of the reference page.
TABLES: dict[str, Table] = {
    t.name: t
    for t in (
        WARNINGS,
        CALLS,
        MESSAGES,
        VISITS,
        APP_EVENTS,
        TRANSFERS,
        CASH,
        PURCHASES,
        SHIPMENTS,
        LODGING,
        LINES,
        ACCOUNTS,
        PERSONS,
        RELATIONS,
        REPORTS,
        IDENTIFIERS,
        FINDINGS,
        LABELS,
    )
}

#: Bases on which rows may be held; ``holder_own`` only by a holder.
BASES = ("warning", "case_query", "consent", "own_report", "open_data", "holder_own")
#: Tables of raw events of the public: a centre takes them only with a basis and an end date.
RAW_TABLES = (
    "calls", "messages", "visits", "app_events", "transfers", "cash", "purchases", "shipments", "lodging",
)  # fmt: skip
LEVELS = ("urgent", "high", "medium", "low")
STAGES = ("approach", "trust", "act", "pay")

__all__ = ["BASES", "LEVELS", "RAW_TABLES", "STAGES", "TABLES", "Column", "Table"]
