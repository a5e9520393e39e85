"""The alert: what do I say? Its page, and every step that an officer takes on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

import psycopg
from fastapi import APIRouter, Depends
from fastapi.responses import RedirectResponse, Response

from wuzha.command.public import Refused
from wuzha.events import clock, money
from wuzha.respond import (
    contact,
    dialling,
    dispatch,
    file,
    merged,
    outcome,
    phrase_book,
    reveal,
    sign,
    tiers,
    undo,
    visits,
    waves,
)
from wuzha.respond.codes import codes, tries
from wuzha.respond.file_number import file_number
from wuzha.respond.mind import mind_of
from wuzha.respond.next_step import next_step, standing
from wuzha.respond.phrases import MINDS, phrases

from . import catalogue, duty_panel, phone_panel, protect, timeline, words
from .context import Context, attempt, posted, signed_in
from .masks import Sight

router = APIRouter()

T = TypeVar("T")

#: Results that put the person's line among the lost ones for the ladder's colours.
_GOOD = frozenset({"self", "met", "told_other", "delivered", "bank_holds", "dispatched", "asked"})


def show(ctx: Context, alert_id: int, *, said: Refused | None = None, status: int = 200) -> Response:
    """The page of an alert as this officer may see it."""
    now = clock.now()
    with ctx.db() as conn:
        found = file.read(conn, ctx.actor, alert_id, now=now)
        until = reveal.revealed_until(conn, ctx.actor, alert_id, now=now)
        last = undo.undoable(conn, ctx.actor, alert_id, now=now)
        own = phrase_book.own_texts(conn)
        held_by = waves.of_alert(conn, alert_id)
        more = protect.values(conn, found, now=now)
        duty = duty_panel.of_file(conn, ctx.actor, found, now=now)
        phone = phone_panel.of_file(conn, ctx, found, now=now)
        at_door = visits.of_file(conn, alert_id)
    alert = found.alert
    names = [alert["name"], *(k["name"] for k in found.kin)]
    sight = Sight(open=until is not None, names=tuple(n for n in names if n))
    say = partial(catalogue.translate, language=ctx.language)
    span = ctx.request.query_params.get("span", "all")
    line = timeline.draw(
        found, sight, now=now, span=span, say=say, money=partial(words.yuan, language=ctx.language)
    )  # fmt: skip
    proposed = next_step(found, ctx.actor)
    talk = phrases(
        alert["scam_type"], alert["stage"], mind_of(alert, found.contacts), ctx.language, unit=ctx.actor.unit_name,
        number=file_number(alert_id).replace(" ", "\N{NO-BREAK SPACE}"),
        discreet=bool(found.kin_rule.forbidden), own=own,
    )  # fmt: skip
    rungs: dict[str, list[dict[str, Any]]] = {}
    for done in standing(found):
        rungs.setdefault(done["kind"], []).append(done)
    return ctx.page(
        "alert.html", status=status, now=now, file=found, alert=alert, sight=sight, until=until, undoable=last,
        undo_s=tiers.left(last["until"], now) if last else 0, line=line, span=span, spans=timeline.SPANS, step=proposed,
        talk=talk, said_words=phrase_book.packed(talk.said), minds=MINDS, number=file_number(alert_id),
        waves=held_by, rungs=rungs, tries_of=tries, codes=codes(), good=_GOOD, said=said,
        words_of=timeline.words_of, say=say,
        mine=alert["signed_by"] == ctx.actor.user_id and alert["state"] != "closed", may=ctx.actor.may,
        duty=duty, phone=phone, visit_results=dispatch.RESULTS, visit_records=at_door, **more,
    )  # fmt: skip


def step(
    ctx: Context,
    alert_id: int,
    work: Callable[[psycopg.Connection[Any]], T],
    *,
    to: str | Callable[[T], str | Response] | None = None,
) -> Response:
    """A step on a file, then back to its page or on to ``to``. Refused: the page with what happened on top; nothing was
    changed, and what was typed comes back with it."""
    return attempt(ctx, work, shown=partial(show, alert_id=alert_id), to=to or f"/alerts/{alert_id}")


def back(alert_id: int) -> Response:
    """To the page of a file."""
    return RedirectResponse(f"/alerts/{alert_id}", status_code=303)


def whole(ctx: Context, name: str) -> int:
    """A whole number of the form. Refused("changed") where it is none: the page is not ours or very old."""
    try:
        return int(ctx.form[name])
    except (KeyError, ValueError) as error:
        raise Refused("changed") from error


def _amount(ctx: Context) -> int | None:
    text = ctx.form.get("amount", "").strip()
    if not text:
        return None
    try:
        return money.parse_yuan(text)
    except ValueError as error:
        raise Refused("amount") from error


@router.get("/alerts/{alert_id}")
def alert(alert_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """The file; of an alert that another has taken in, that one's."""
    with ctx.db() as conn:
        living = merged.living(conn, alert_id)
    return back(living) if living != alert_id else show(ctx, alert_id)


@router.post("/alerts/{alert_id}/sign")
def sign_for(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Sign for it."""
    return step(ctx, alert_id, lambda conn: sign.sign(
        conn, ctx.actor, alert_id, version=whole(ctx, "version"), key=ctx.form.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/take-over")
def take_over(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Take it over from the officer who has it."""
    return step(ctx, alert_id, lambda conn: sign.take_over(
        conn, ctx.actor, alert_id, version=whole(ctx, "version"), key=ctx.form.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/contacts")
def contacts(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Record a try to reach the person."""
    form = ctx.form

    def work(conn: psycopg.Connection[Any]) -> None:
        done = contact.contact(
            conn, ctx.actor, alert_id, channel=form.get("channel", ""), result=form.get("result", ""),
            version=whole(ctx, "version"), key=form.get("click", ""), to_id=phone_panel.whole(form.get("to", "")),
            words=form.get("words"), reason=form.get("reason"), said=form.get("said", ""),
        )  # fmt: skip
        if (call := phone_panel.whole(form.get("call", ""))) is not None:
            dialling.settle(conn, ctx.actor, call, done.contact_id)

    return step(ctx, alert_id, work)


@router.post("/alerts/{alert_id}/outcome")
def set_outcome(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Record the outcome."""
    return step(ctx, alert_id, lambda conn: outcome.outcome(
        conn, ctx.actor, alert_id, code=ctx.form.get("code", ""), version=whole(ctx, "version"),
        key=ctx.form.get("click", ""), amount_fen=_amount(ctx), words=ctx.form.get("words")))  # fmt: skip


@router.post("/alerts/{alert_id}/close")
def close(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Close it."""
    return step(ctx, alert_id, lambda conn: outcome.close(
        conn, ctx.actor, alert_id, version=whole(ctx, "version"), key=ctx.form.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/undo")
def take_back(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Take the last step back."""
    return step(ctx, alert_id, lambda conn: undo.undo(
        conn, ctx.actor, alert_id, contact_id=whole(ctx, "contact"), key=ctx.form.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/notes")
def notes(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Add a note."""
    return step(ctx, alert_id, lambda conn: contact.note(
        conn, ctx.actor, alert_id, words=ctx.form.get("words", ""), key=ctx.form.get("click", "")))  # fmt: skip


@router.post("/alerts/{alert_id}/reveal")
def open_file(alert_id: int, ctx: Context = Depends(posted)) -> Response:
    """Show names and numbers to this officer, for a purpose."""
    return step(ctx, alert_id, lambda conn: reveal.reveal(
        conn, ctx.actor, alert_id, purpose=ctx.form.get("purpose", ""), words=ctx.form.get("words", "")))  # fmt: skip
