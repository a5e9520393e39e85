"""Detection: keyed state → features → rules → typologies → evidence → risk. Blocks of the log in, changes out.

No database, no web, no clock. The same log gives the same results, however it is cut.
"""

from . import kernels as _kernels  # noqa: F401  (before any kernel is imported)
from .changes import Alert, Changes, Evidence, JoinedWarning, Move, Suspect
from .encode import Block, encode
from .engine import Engine
from .merge import merge
from .reasons import reason
from .rulebook import RuleBook, load, shipped

__all__ = [
    "Alert", "Block", "Changes", "Engine", "Evidence", "JoinedWarning", "Move", "RuleBook", "Suspect", "encode", "load",
    "merge", "reason", "shipped",
]  # fmt: skip
