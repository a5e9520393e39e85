"""Where a refund stands: who waits on whom, since when, until when, and what is to be done next.

Kept true here: a state is computed on reading from the records alone; every open refund waits on somebody named; what
stands against an approval is told as a code with its figures; the first wait is the one that holds up all the rest.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from .law import law_of

#: A freeze that ends so soon is to be renewed, whatever else is waited for.
RENEW = timedelta(days=15)
#: Parties that somebody may wait on.
PARTIES = ("desk", "victim", "organ", "public", "approver", "sealer", "bank", "nobody")


@dataclass(frozen=True, kw_only=True)
class Wait:
    """One thing that is waited for. ``state``: its code (words ``refund_state.<code>``); ``act``: the next best action,
    empty where only time or somebody outside can move it; ``due``: when it is late."""

    state: str
    party: str
    since: datetime
    due: datetime | None = None
    act: str = ""
    n: int = 0

    def late(self, now: datetime) -> bool:
        """Whether its time is over and somebody should have done it."""
        return self.due is not None and self.due <= now and self.party != "public"


@dataclass(frozen=True, kw_only=True)
class Against:
    """Why an approval may not be asked for or given now (words ``refund_against.<code>``)."""

    code: str
    values: dict[str, Any] = field(default_factory=dict)


def waits(r: dict[str, Any], now: datetime) -> list[Wait]:
    """What a refund waits for, the most pressing first; never empty. ``r`` as `book` joins it."""
    if r["closed_at"] is not None:
        return [Wait(state=r["closed_how"], party="nobody", since=r["closed_at"])]
    found = list(_paying(r) if r["decision"] is not None else _deciding(r, now))
    held = r["frozen"]
    if held is not None and held.ends_at <= now + RENEW:
        found.insert(1, Wait(state="freeze_ends", party="desk", since=held.since, due=held.ends_at, act="renew"))
    return found


def _paying(r: dict[str, Any]) -> Iterator[Wait]:
    decided = r["decision"]["decided_at"]
    sent = [p for s in r["shares"] for p in s["payments"] if p["answered_at"] is None]
    todo = [s for s in r["shares"] if s["share_fen"] > s["paid_fen"] and all(p["answered_at"] for p in s["payments"])]
    applied = {a["report_id"] for a in r["applications"]}
    fresh = [s for s in todo if s["report_id"] in applied and not s["payments"]]
    again = [s for s in todo if s["payments"]]
    if again:
        since = max(p["answered_at"] for s in again for p in s["payments"])
        yield Wait(state="failed", party="desk", since=since, act="pay", n=len(again))
    if fresh:
        yield Wait(state="decided", party="sealer", since=decided, act="pay", n=len(fresh))
    if sent:
        yield Wait(state="sent", party="bank", since=min(p["sent_at"] for p in sent),
                   due=min(p["due_at"] for p in sent), act="answer", n=len(sent))  # fmt: skip
    unapplied = {s["report_id"] for s in todo} - applied
    if unapplied:
        yield Wait(state="to_apply", party="victim", since=decided, act="apply", n=len(unapplied))
    if not (again or fresh or sent or unapplied):
        yield Wait(state="paid", party="desk", since=decided, act="close")


def _deciding(r: dict[str, Any], now: datetime) -> Iterator[Wait]:
    plan, asked = r["plan"], r["asked"]
    assert plan is not None
    made = plan["made_at"]
    if r["frozen"] is None:
        yield Wait(state="unfrozen", party="desk", since=now, due=now, act="stop")
    if r["changed"]:
        yield Wait(state="changed", party="desk", since=made, act="again")
    if asked is not None and asked["granted"]:
        yield Wait(state="approved", party="sealer", since=asked["decided_at"], act="decide")
        return
    if asked is not None and asked["granted"] is None:
        yield Wait(state="asked", party="approver", since=asked["asked_at"], act="approve")
        return
    if not plan["returned_fen"]:
        yield Wait(state="nothing", party="desk", since=made, act="stop")
        return
    right = [o for o in r["objections"] if o["upheld"] and o["round"] == r["round"]]
    if right:
        yield Wait(state="upheld", party="desk", since=max(o["decided_at"] for o in right), act="again", n=len(right))
    open_ = [o for o in r["objections"] if o["decided_at"] is None]
    if open_:
        yield Wait(state="objected", party="desk", since=min(o["raised_at"] for o in open_), act="object", n=len(open_))
    table = law_of(r["law_from"])
    if plan["way"] not in table.procedure[r["procedure"]].ways:
        yield Wait(state="procedure", party="desk", since=made, act="again")
    needs = plan["way"] in table.notice_ways
    if needs and r["notice"] is None:
        yield Wait(state="to_notice", party="desk", since=made, act="notice")
    getting = [v for v in r["victims"] if v["share_fen"]]
    unverified = [v for v in getting if v["verified_at"] is None or v.get("dispute") != "no"]
    if unverified:
        yield Wait(state="unverified", party="desk", since=made, act="verify", n=len(unverified))
    organs = [h for h in r["handovers"] if h["received_at"] is None]
    if organs:
        gone = [h for h in organs if h["sent_at"] is not None]
        yield Wait(state="handed" if gone else "handover", party="desk" if gone else "organ",
                   since=min(h["sent_at"] or h["asked_at"] for h in organs), act="receive", n=len(organs))  # fmt: skip
    missing = [v for v in getting if v["application"] is None]
    if missing and len(missing) == len(getting):
        yield Wait(state="to_apply", party="victim", since=made, act="apply", n=len(missing))
    if needs and r["notice"] is not None and r["notice"]["ends_at"] > now:
        yield Wait(state="noticed", party="public", since=r["notice"]["posted_at"], due=r["notice"]["ends_at"])
    if not against(r, now):
        back = asked is not None
        yield Wait(state="returned" if back else "to_ask", party="desk",
                   since=asked["decided_at"] if asked is not None else _ready(r), act="ask")  # fmt: skip
    elif r["case_state"] != "filed":
        yield Wait(state="unfiled", party="desk", since=made, act="file")


def _ready(r: dict[str, Any]) -> datetime:
    """When the last thing fell into place before an approval could be asked for."""
    times = [r["plan"]["made_at"], *(a["applied_at"] for a in r["applications"]),
             *(h["received_at"] for h in r["handovers"]), *(o["decided_at"] for o in r["objections"])]  # fmt: skip
    if r["notice"] is not None:
        times.append(r["notice"]["ends_at"])
    latest: datetime = max(t for t in times if t is not None)
    return latest


def against(r: dict[str, Any], now: datetime) -> list[Against]:
    """Why the plan in force may not be approved now; nothing where it may."""
    plan, found = r["plan"], []
    if r["closed_at"] is not None or plan is None:
        return [Against(code="closed")]
    table = law_of(r["law_from"])
    if r["frozen"] is None:
        found.append(Against(code="unfrozen"))
    if r["changed"]:
        found.append(Against(code="changed"))
    if not plan["returned_fen"]:
        found.append(Against(code="nothing"))
    if r["case_state"] != "filed":
        found.append(Against(code="unfiled"))
    if plan["way"] != "nobody" and plan["way"] not in table.procedure[r["procedure"]].ways:
        found.append(Against(code="procedure"))
    if plan["way"] in table.notice_ways:
        if r["notice"] is None:
            found.append(Against(code="to_notice", values={"days": table.notice_days}))
        elif r["notice"]["ends_at"] > now:
            found.append(Against(code="noticed"))
    if n := sum(o["decided_at"] is None for o in r["objections"]):
        found.append(Against(code="objected", values={"n": n}))
    if n := sum(bool(o["upheld"]) and o["round"] == r["round"] for o in r["objections"]):
        found.append(Against(code="upheld", values={"n": n}))
    getting = [v for v in r["victims"] if v["share_fen"]]
    if n := sum(v["verified_at"] is None or v.get("dispute") != "no" for v in getting):
        found.append(Against(code="unverified", values={"n": n}))
    if n := sum(h["received_at"] is None for h in r["handovers"]):
        found.append(Against(code="handover", values={"n": n}))
    if getting and not any(v["application"] for v in getting):
        found.append(Against(code="to_apply"))
    return found
