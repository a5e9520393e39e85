"""The next best step on an alert, from what is known of it: one button, one key, and why.

Kept true here: a step that is proposed is one that the officer may take now; the proposal follows from the file alone,
so two officers who look at one file see one proposal.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from wuzha.command.public import Actor

from . import engaged
from .codes import codes
from .file import File

#: Results after which the person's line need not be tried again.
DEAD = ("empty_number", "suspended", "off", "not_here", "no_such_person")
#: After so many tries without a word the ladder goes on.
TRIES = 2


@dataclass(frozen=True, kw_only=True)
class NextStep:
    """``verb``: what the button does (sign, sign_transfer, take_over, contact, outcome, close, undo, nothing); ``why``:
    a code."""

    verb: str
    why: str
    channel: str | None = None
    kin: dict[str, Any] | None = None
    urgent_visit: bool = False


def standing(file: File) -> list[dict[str, Any]]:
    """The file's steps that were not undone, oldest first."""
    return [c for c in file.contacts if not c["undone"] and c["kind"] != "undo"]


def next_step(file: File, actor: Actor) -> NextStep:
    """What this officer should do now.

    Ladder: the person's own line; at a busy or silent line the kin, urgent ones with a visit beside it; then the visit;
    a message where nothing else is left. Urgent alerts with money about to leave have the bank asked first of all
    after one failed call.
    """
    alert = file.alert
    if alert["state"] == "closed":
        return NextStep(verb="nothing", why="closed")
    if "desk.act" not in actor.may:
        return NextStep(verb="nothing", why="read_only")
    if alert["state"] == "new":
        return NextStep(verb="sign", why="unsigned")
    if alert["offered_at"] is not None and alert["unit_id"] == actor.unit_id and alert["signed_by"] != actor.user_id:
        return NextStep(verb="sign_transfer", why="given")
    if alert["signed_by"] != actor.user_id:
        return NextStep(verb="take_over" if "desk.take_over" in actor.may else "nothing", why="others")
    if alert["outcome"] is not None:
        if codes()["outcome"][alert["outcome"]].final:
            return NextStep(verb="close", why="outcome_known")
        return NextStep(verb="contact", why="visit_again", channel="visit")
    if alert["state"] == "reached":
        return NextStep(verb="outcome", why="reached")
    return _ladder(file)


def _ladder(file: File) -> NextStep:
    steps = standing(file)
    alert = file.alert
    urgent = alert["level"] in ("urgent", "high")
    tried: dict[str, list[str]] = {}
    for step in steps:
        if step["kind"] in codes()["channel"]:
            tried.setdefault(step["kind"], []).append(step["code"] or "")
    calls = tried.get("call", [])
    # Never where it can hurt, and without the person's word only where they cannot be reached or are in danger.
    kin = next((k for k in file.kin if k["line"]), None) if set(file.kin_rule.reasons) - {"consent"} else None
    if not calls and alert["line"]:
        return NextStep(verb="contact", why="call_first", channel="call", urgent_visit=urgent)
    somebody = engaged.held(steps, alert["line_id"])
    if somebody and not {"visit", "grid"} & tried.keys():  # whoever holds the line will not let the call through
        return NextStep(verb="contact", why=f"line_{somebody}", channel="visit")
    busy = calls[-1:] == ["busy"]
    dead = any(result in DEAD for result in calls) or not alert["line"]
    if (busy or dead or len(calls) >= TRIES or urgent) and kin and "kin" not in tried:
        return NextStep(verb="contact", why="busy_kin" if busy else "kin", channel="kin", kin=kin, urgent_visit=urgent)
    if (urgent or dead) and not {"visit", "grid"} & tried.keys():
        return NextStep(verb="contact", why="busy_visit" if busy else "visit", channel="visit")
    if alert["stage"] == "pay" and "bank" not in tried:
        return NextStep(verb="contact", why="bank", channel="bank")
    if not dead and len(calls) < TRIES:
        return NextStep(verb="contact", why="call_again", channel="call")
    if "sms" not in tried and not dead:
        return NextStep(verb="contact", why="sms", channel="sms")
    if not {"visit", "grid"} & tried.keys():
        return NextStep(verb="contact", why="visit", channel="grid" if not urgent else "visit")
    if dead:
        return NextStep(verb="outcome", why="nothing_left")
    return NextStep(verb="contact", why="call_again", channel="call")
