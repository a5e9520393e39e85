"""What the other desks need of command: who acts, and what their roles let them do.

Kept true here: `MAY` is the only table of rights; a right is asked by `require` before anything is read or written.
"""

from __future__ import annotations

from dataclasses import dataclass, field

ROLES = ("admin", "commander", "dissuader", "station", "analyst", "auditor")

#: What each role may do. A user has the union of their roles.
MAY: dict[str, frozenset[str]] = {
    "admin": frozenset({"wall.read", "units.write", "users.write", "sources.write"}),
    "commander": frozenset(
        {
            "desk.read",
            "desk.act",
            "desk.take_over",
            "reveal",
            "wall.read",
            "audit.read",
            "measure.approve",
            "phrases.review",
            "duty.write",
        }
    ),
    "dissuader": frozenset({"desk.read", "desk.act", "desk.take_over", "reveal", "wall.read", "phrases.review"}),
    "station": frozenset({"desk.read", "desk.act", "reveal", "wall.read"}),
    "analyst": frozenset({"desk.read", "reveal", "wall.read"}),
    "auditor": frozenset({"desk.read", "wall.read", "audit.read"}),
}
#: What runs by itself may move work on, and never open a file's names.
_MACHINE = frozenset({"desk.read", "desk.act", "desk.take_over"})
ACTS = frozenset().union(*MAY.values())


class Refused(Exception):
    """A command was refused and nothing was changed.

    ``reason`` is a stable code whose sentence stands in the catalogue as ``refused.<reason>``; ``args`` fill it.
    """

    def __init__(self, reason: str, **values: object) -> None:
        super().__init__(reason)
        self.reason = reason
        self.values: dict[str, object] = values


@dataclass(frozen=True, kw_only=True)
class Actor:
    """The officer who acts: their user, unit (the scope of every transaction), roles and language.

    ``user_id`` 0 is the machine (`machine`), which has no roles.
    """

    user_id: int
    unit_id: int
    login: str
    name: str
    roles: frozenset[str]
    language: str = "zh"
    badge_no: str | None = None
    unit_name: str = ""
    must_change: bool = False
    may: frozenset[str] = field(default=frozenset())

    def __post_init__(self) -> None:
        unknown = self.roles - MAY.keys()
        if unknown:
            raise ValueError(f"unknown roles {', '.join(sorted(unknown))}")
        object.__setattr__(self, "may", frozenset().union(*(MAY[r] for r in self.roles)))


def machine(unit_id: int, what: str) -> Actor:
    """The machine itself, acting in a unit's scope; ``what`` says which part of it, for the audit."""
    actor = Actor(user_id=0, unit_id=unit_id, login=f"machine:{what}", name="", roles=frozenset())
    object.__setattr__(actor, "may", _MACHINE)
    return actor


def require(actor: Actor, act: str) -> None:
    """Refused("forbidden") where none of the actor's roles may do ``act``. ValueError where nobody knows the act."""
    if act not in ACTS:
        raise ValueError(f"unknown act {act!r}")
    if act not in actor.may:
        raise Refused("forbidden", act=act)
