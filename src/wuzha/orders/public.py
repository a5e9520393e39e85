"""What the other desks may use of orders: drafting, what stands, the steps that a case's own steps share."""

from __future__ import annotations

from .answering import Answer, accepted, answered, entered
from .daily import due as tell_due
from .daily import reconciled as reconcile_daily
from .drafting import Draft, draft, member_of, revise, withdraw, write
from .guard import Facts, Reason, against, cautions, facts
from .law import Law, law, law_of
from .queueing import round as give_turns
from .recall import case_id
from .releasing import found, related
from .resolution import read as read_resolution
from .sealing import account_stops, seal
from .states import UNDER_WAY, holds, in_force, of_case, one
from .step import Done, lock, record, repeated

__all__ = [
    "UNDER_WAY",
    "Answer",
    "Done",
    "Draft",
    "Facts",
    "Law",
    "Reason",
    "accepted",
    "account_stops",
    "against",
    "answered",
    "case_id",
    "cautions",
    "draft",
    "entered",
    "facts",
    "found",
    "give_turns",
    "holds",
    "in_force",
    "law",
    "law_of",
    "lock",
    "member_of",
    "of_case",
    "one",
    "read_resolution",
    "reconcile_daily",
    "record",
    "related",
    "repeated",
    "revise",
    "seal",
    "tell_due",
    "withdraw",
    "write",
]
