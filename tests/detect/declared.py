"""What declared figures mean, in plain Python: a figure is a sum over a list of events; and what numbers look like.

Kept true here: nothing of this knows cells, arrays or kernels; the stored hash of a subject is shared with the engine,
since a sketch of 64 bits is made of it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from wuzha.detect.encode import key_hash
from wuzha.detect.rulebook import Feature

MINUTE = 60_000_000
BUCKET = 10 * MINUTE
DAY = 86_400_000_000
PLANS = ("", "mobile", "fixed", "hotel", "iot", "child_watch", "voip", "service")
KINDS = ("", "personal", "corporate", "merchant", "payment", "wallet", "loan")
RANK = {"user": 4, "holder": 3, "registrant": 2}
NEVER, EVER = -(2**62), 2**62
SUSPECT = {"line": "scam_line", "account": "mule_account", "domain": "scam_domain", "app": "scam_app"}


@dataclass(frozen=True)
class Seen:
    """One thing that a subject did or met."""

    type: str
    side: str
    flags: frozenset[str]
    ts: int
    value: int
    other: str


def matches(f: Feature, e: Seen) -> bool:
    """Whether the feature counts the event."""
    if not any(of.partition(".")[0] == e.type and (of.partition(".")[2] or "out") == e.side for of in f.of):
        return False
    return all((w[1:] not in e.flags) if w.startswith("!") else (w in e.flags) for w in f.where)


def sketch(others: set[str]) -> float:
    """Linear counting over 64 bits of the golden-ratio hash of each counterpart."""
    k = len({(key_hash(o) * 0x9E3779B97F4A7C15 % 2**64) >> 58 for o in others})
    return 300.0 if k == 64 else float(round(-64 * math.log(1 - k / 64)))


def figure(f: Feature, events: list[tuple[Seen, int]], as_of: int, register: dict[str, float | None]) -> float | None:
    """The figure of a declared base feature over a subject's (or a person's) events; None is null.

    A window reaches back from the bucket of ``as_of``: ``skip`` buckets are left out, then ``window`` are counted. With
    each event stands the newest one of the subject that it is of, which too must not have left it behind.
    """
    if f.op == "register":
        return register[f.attribute]
    now, first, end = as_of // BUCKET, f.skip_min // 10, (f.skip_min + f.window_min) // 10
    inside = [
        e
        for e, newest in events
        if matches(f, e) and first <= now - e.ts // BUCKET < end and newest // BUCKET - e.ts // BUCKET < end
    ]
    if f.op == "count":
        return float(len(inside))
    if f.op == "sum":
        return float(sum(e.value for e in inside))
    if f.op == "distinct":
        return sketch({e.other for e in inside})
    if f.op == "days":
        return float(len({e.ts // DAY for e in inside}))
    if not inside:
        return None
    if f.op == "max":
        return float(max(e.value for e in inside))
    edge = min(e.ts for e in inside) if f.op == "since_first" else max(e.ts for e in inside)
    return float((as_of - edge) // MINUTE)


def formula(text: str, values: dict[str, float | None]) -> float | None:
    """A formula of + − * / and COALESCE over figures; null and division by zero give null."""

    names = {k: math.nan if v is None else v for k, v in values.items()}
    names["COALESCE"] = lambda *xs: next((x for x in xs if not math.isnan(x)), math.nan)  # type: ignore[assignment]
    try:
        out = eval(text, {"__builtins__": {}}, names)
    except ZeroDivisionError:
        return None
    return None if math.isnan(out) else float(out)


@dataclass
class Thing:
    """A subject: what it did, what is registered of it, whose it is."""

    events: list[Seen] = field(default_factory=list)
    first: int | None = None
    last: int | None = None
    opened: int | None = None
    active: int | None = None
    plan: int = 0
    place: str | None = None
    users: int = 0
    device: str | None = None
    suspect: bool = False
    registered: bool = False
    words: list[tuple[int, int, int, int, str]] = field(default_factory=list)  # rank, confidence, begin, end, person
    dealt: list[tuple[str, str, int, int]] = field(default_factory=list)  # counterpart, met type, ts, value

    def touched(self, ts: int) -> None:
        self.first = ts if self.first is None else min(self.first, ts)
        self.last = ts if self.last is None else max(self.last, ts)

    def word(self, ts: int) -> tuple[int, int, int, int, str] | None:
        """The word that decides whose it is: user before holder before registrant, surer, newer; the latest said."""
        best = None
        for w in self.words:
            if w[2] <= ts < w[3] and (best is None or w[:3] >= best[:3]):
                best = w
        return best

    def attributes(self, as_of: int | None, owns: bool) -> dict[str, float | None]:
        """What is no window: of its register, of its suspicion, and how long it has been seen."""
        seen = None if as_of is None or self.first is None else as_of - self.first
        return {
            "age_days": None if self.opened is None or as_of is None else float((as_of - self.opened) // DAY),
            "silent_days": None
            if self.active is None or self.first is None
            else float((self.first - self.active) // DAY),
            "plan": float(self.plan) if self.plan else None,
            "users": float(self.users),
            "known_minutes": None if seen is None else float(seen // MINUTE),
            "suspect": float(self.suspect),
            "suspect_confirmed": float(self.suspect),
            "owns_suspect": float(owns),
            "young_subject": float(as_of is None or (seen is not None and seen < 3 * DAY)),
        }


def foreign(line: str) -> bool:
    return line.startswith("line:+") and not line.startswith("line:+86")


def service(line: str) -> bool:
    return line.startswith(("line:cn-short:", "line:alpha:", "line:+86400", "line:+86800"))


def disguised(raw: str | None, line: str) -> bool:
    """Digits as sent that play an office, or a foreign number shown as a national one."""
    if raw is None:
        return False
    tail = raw.startswith(("+", "00")) and raw.endswith(("110", "96110", "95588"))
    return tail or (foreign(line) and not raw.startswith(("+", "00")))
