"""What the other desks may use of orders: drafting, what stands, the steps that a case's own steps share."""

from __future__ import annotations

from .answering import Answer, answered
from .drafting import Draft, draft, member_of, revise, withdraw, write
from .guard import Facts, Reason, against, cautions, facts
from .law import law, law_of
from .sealing import account_stops, seal
from .states import in_force, of_case, one
from .step import Done, lock, record, repeated

__all__ = [
    "Answer",
    "Done",
    "Draft",
    "Facts",
    "Reason",
    "account_stops",
    "against",
    "answered",
    "cautions",
    "draft",
    "facts",
    "in_force",
    "law",
    "law_of",
    "lock",
    "member_of",
    "of_case",
    "one",
    "record",
    "repeated",
    "revise",
    "seal",
    "withdraw",
    "write",
]
