"""Following stolen money from account to account, to the fen."""

from .follow import HUB_NEIGHBOURS, POLICIES, Policy, Result, Theft, Tracer
from .index import Index
from .rows import read

__all__ = ["HUB_NEIGHBOURS", "POLICIES", "Index", "Policy", "Result", "Theft", "Tracer", "read"]
