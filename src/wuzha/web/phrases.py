"""The words: what is said for each scam type, which versions turned people, and proposals that wait for a second; and
the state of mind on an alert, which chooses among them."""

from __future__ import annotations

from functools import partial
from typing import Any

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.command.public import Refused, require
from wuzha.events.scam_types import scam_types
from wuzha.respond import mind, phrase_book
from wuzha.respond.phrases import LANGUAGES, shipped

from . import alert
from .context import Context, attempt, posted, signed_in

router = APIRouter()

COMMON = "common"


def groups() -> list[str]:
    """The files of words: what holds for all, then the scam types that have one, in their own order."""
    named = {entry.partition(":")[0] for entry in shipped().texts}
    return [COMMON, *(code for code in scam_types() if code in named)]


def label(entry: str) -> list[str]:
    """The catalogue keys whose words name an entry: ``loan:next.act`` → what comes next, stage act."""
    part = entry.partition(":")[2].split(".")
    if part[0] == "mind":
        keys = [f"mind.{part[1]}", f"phrase.{part[2]}"]
        return [*keys, f"phrase.{part[3]}"] if len(part) > 3 else keys
    if part[0] == "kin":
        return ["phrase.kin", f"phrase.kin_{part[1]}"]
    if part[0] in ("next", "answer"):
        return [f"phrase.{part[0]}", f"stage.{part[1]}"]
    if part[0] == "turn":
        return ["phrase.turn", f"mind.{part[1]}"]
    return [f"phrase.{p}" for p in part]


def _show(ctx: Context, group: str, *, said: Refused | None = None, status: int = 200) -> Response:
    require(ctx.actor, "desk.read")
    if group not in groups():
        raise Refused("not_found")
    with ctx.db() as conn:
        own = phrase_book.own_texts(conn)
        counts = phrase_book.counts(conn)
        waiting = phrase_book.waiting(conn)
        every = {e: phrase_book.history(conn, e) for e in shipped().texts if e.partition(":")[0] == group}
    rows: list[dict[str, Any]] = []
    for entry, past in every.items():
        base = shipped().texts[entry]
        now = own.get(entry, base)
        versions: list[dict[str, Any]] = [
            {"version": 0, "zh": base.zh, "en": base.en, "proposer": None, "decider": None, "decided_at": None}
        ]
        versions += [p for p in reversed(past) if p["state"] == "accepted"]
        for v in versions:
            v["used"], v["turned"] = counts.get((entry, v["version"]), (0, 0))
        rows.append(
            {
                "entry": entry, "label": label(entry), "now": now, "versions": versions[::-1],
                "used": versions[-1]["used"], "turned": versions[-1]["turned"],
                "wishes": [p for p in past if p["state"] == "proposed"], "past": [p for p in past if p["decided_at"]],
            }
        )  # fmt: skip
    texts = {**shipped().texts, **own}
    return ctx.page(
        "phrases.html", status=status, group=group, groups=groups(), rows=rows, waiting=waiting, texts=texts,
        label=label, said=said, form=ctx.form, languages=LANGUAGES, me=ctx.actor.user_id, may=ctx.actor.may,
    )  # fmt: skip


@router.get("/phrases")
def page(ctx: Context = Depends(signed_in), group: str = COMMON) -> Response:
    """One file of words with its counts, and what waits for a second person."""
    return _show(ctx, group)


@router.post("/phrases")
def propose(ctx: Context = Depends(posted)) -> Response:
    """Propose a text for one entry."""
    f = ctx.form
    entry = f.get("entry", "")
    group = entry.partition(":")[0]
    return attempt(ctx, lambda conn: phrase_book.propose(
        conn, ctx.actor, entry, zh=f.get("zh", ""), en=f.get("en", ""), why=f.get("why", ""),
    ), shown=partial(_show, group=group if group in groups() else COMMON), to=f"/phrases?group={group}")  # fmt: skip


@router.post("/phrases/{phrase_id}")
def decide(phrase_id: int, ctx: Context = Depends(posted)) -> Response:
    """Accept, refuse or withdraw a proposal."""
    f = ctx.form
    group = f.get("group", COMMON) if f.get("group") in groups() else COMMON

    def work(conn: psycopg.Connection[Any]) -> None:
        if f.get("do") == "withdraw":
            phrase_book.withdraw(conn, ctx.actor, phrase_id)
        else:
            phrase_book.decide(conn, ctx.actor, phrase_id, accept=f.get("do") == "accept", why=f.get("why", ""))

    return attempt(ctx, work, shown=partial(_show, group=group), to=f"/phrases?group={group}")


@router.post("/alerts/{alert_id}/mind")
def state_of_mind(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """The person's state of mind, as the officer hears it."""
    return alert.step(ctx, alert_id, lambda conn: mind.set_mind(
        conn, ctx.actor, alert_id, mind=ctx.form.get("mind", ""), version=alert.whole(ctx, "version"),
        key=ctx.form.get("click", "") + ctx.form.get("mind", "")))  # fmt: skip
