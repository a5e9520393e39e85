"""The unified event: one vocabulary of types, sides and flags for everything that a subject sees or does.

Kept true here: an event's *code* (type, side, ten flags) says all that features ask of it besides its time, value and
counterpart. Features, encoder and kernels name codes only through this module.
"""

from __future__ import annotations

#: Tables in the order in which events of one instant are read: by name.
TABLES = (
    "accounts", "app_events", "calls", "cash", "findings", "identifiers", "lines", "lodging", "messages", "persons",
    "purchases", "relations", "reports", "shipments", "transfers", "visits", "warnings",
)  # fmt: skip
TABLE = {name: i for i, name in enumerate(TABLES)}
(
    T_ACCOUNTS, T_APP_EVENTS, T_CALLS, T_CASH, T_FINDINGS, T_IDENTIFIERS, T_LINES, T_LODGING, T_MESSAGES, T_PERSONS,
    T_PURCHASES, T_RELATIONS, T_REPORTS, T_SHIPMENTS, T_TRANSFERS, T_VISITS, T_WARNINGS,
) = range(17)  # fmt: skip

#: Subject kinds that hold state; ``id`` stands for an identity number's hash, which joins and is never shown.
KINDS = ("none", "person", "line", "account", "device", "domain", "app", "id", "report", "other")
KIND = {name: i for i, name in enumerate(KINDS)}
K_NONE, K_PERSON, K_LINE, K_ACCOUNT, K_DEVICE, K_DOMAIN, K_APP, K_ID, K_REPORT, K_OTHER = range(10)
#: Kinds that rules may speak of.
JUDGED = ("person", "line", "account", "device", "domain", "app")

#: Suspect typologies' flags on what a person met, in bit order.
SUSPECTS = ("scam_line", "voip_line", "watch_line", "mule_account", "scam_domain", "scam_app")

_CALL = ("foreign", "stranger", "fresh", "disguised", "ring", "brief", "long", "forwarded", "service", "voip")
_MESSAGE = ("foreign", "stranger", "fresh", "disguised", "scam", "hint1", "hint2", "hint4", "hint8", "service")
_APP = ("rare", "first", "new", "bank")
_TRANSFER = ("stranger", "fresh", "young", "drains", "tiny", "loan", "corporate", "own", "merchant", "large")
_MET = (*SUSPECTS, "named")
_WARNING = ("level1", "level2", "hint1", "hint2", "hint4", "hint8", "paying")

#: Types by name, each with the names of its flags. Side 0 is who acts, side 1 the counterpart.
TYPES: dict[str, tuple[str, ...]] = {
    "none": (),
    "call": _CALL,
    "message": _MESSAGE,
    "visit": ("rare", "first", "new"),
    "install": _APP,
    "open": _APP,
    "screen_share": _APP,
    "remote_control": _APP,
    "meeting_join": _APP,
    "nfc_relay": _APP,
    "transfer": _TRANSFER,
    "cash": ("withdrawal", "large"),
    "purchase": ("gold", "large"),
    "shipment": ("ride", "far"),
    "lodging": ("home",),
    "warning": _WARNING,
    "met_call": _MET,
    "met_message": _MET,
    "met_visit": _MET,
    "met_app": _MET,
    "met_paid": _MET,
    "met_credit": _MET,
    "named": ("report", "upstream", "officer", "paid"),
    "device": ("new", "away"),
    "report": (),
    "chat": _MESSAGE,
}
TYPE = {name: i for i, name in enumerate(TYPES)}
(
    Y_NONE, Y_CALL, Y_MESSAGE, Y_VISIT, Y_INSTALL, Y_OPEN, Y_SCREEN_SHARE, Y_REMOTE, Y_MEETING, Y_NFC, Y_TRANSFER,
    Y_CASH, Y_PURCHASE, Y_SHIPMENT, Y_LODGING, Y_WARNING, Y_MET_CALL, Y_MET_MESSAGE, Y_MET_VISIT, Y_MET_APP,
    Y_MET_PAID, Y_MET_CREDIT, Y_NAMED, Y_DEVICE, Y_REPORT, Y_CHAT,
) = range(26)  # fmt: skip
SIDE_BIT, TYPE_SHIFT = 10, 11
N_CODES = 32 << TYPE_SHIFT
SIDES = {"out": 0, "in": 1}


def flag(type_name: str, name: str) -> int:
    """Mask of one flag. ValueError names the flags that the type has."""
    names = TYPES[type_name]
    if name not in names:
        raise ValueError(f"{type_name} has no flag {name!r}; it has {', '.join(names) or 'none'}")
    return 1 << names.index(name)


#: Parents of scam types in the order of their four-bit hint; 0 is "no hint".
HINTS = (
    "", "task_rebate", "customer_service", "investment", "loan", "credit_record", "shopping", "authority",
    "boss_acquaintance", "game_trade", "romance", "net_black", "army_purchase", "other",
)  # fmt: skip
HINT = {name: i for i, name in enumerate(HINTS)}

MINUTE_US = 60_000_000
#: Width of a bucket of event time.
BUCKET_US = 10 * MINUTE_US
DAY_US = 86400 * 1_000_000
#: Within this time of the first contact a counterpart is a stranger, and a suspect's counterparts are told.
STRANGER_US = 72 * 3600 * 1_000_000
#: Both sides' reports of one call or transfer lie at most this far apart.
PAIRING_US = 5 * MINUTE_US
NEVER = -(2**62)
EVER = 2**62
