"""Orders: the radar of all cases; one order with its copy card and its next step; its paper."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from fastapi import APIRouter, Depends
from fastapi.responses import Response

from wuzha.cases import answers, command, flow, granting, listing, resolutions, reveal
from wuzha.command.public import Refused, require
from wuzha.events import clock
from wuzha.orders import answering, drafting, guard, paper, platform, radar, recall, releasing, sealing, states, tells
from wuzha.orders.answering import FAILED, Answer
from wuzha.orders.law import law_of
from wuzha.orders.step import lock, record

from .cases import fen, number
from .context import Context, attempt, posted, signed_in
from .masks import Sight
from .upload import Dropped, dropped
from .workbooks import attachment

router = APIRouter()

WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"


def _radar(
    ctx: Context, *, state: str = "open", after: str = "", said: Refused | None = None, status: int = 200
) -> Response:
    which = state if state in radar.LISTS else "open"
    now = clock.now()
    with ctx.db() as conn:
        rows = radar.radar(conn, ctx.actor, which=which, after=number(after), now=now)
        told = tells.unseen(conn, ctx.actor)
    more = which == "all" and len(rows) > states.PAGE
    return ctx.page(
        "orders.html", status=status, said=said, rows=rows[: states.PAGE], more=more, asked=which, after=after, now=now,
        tells=told, may_see=not ctx.actor.may.isdisjoint({"cases.write", "orders.enter"}),
    )  # fmt: skip


@router.get("/orders")
def show(state: str = "open", after: str = "", ctx: Context = Depends(signed_in)) -> Response:
    """What waits, what runs out, what waits its turn, what is to be released, or all."""
    return _radar(ctx, state=state, after=after)


@router.post("/orders/tells/{tell_id}")
def told(tell_id: int, ctx: Context = Depends(posted)) -> Response:
    """An officer has seen what was told."""
    return attempt(ctx, lambda conn: tells.seen(conn, ctx.actor, tell_id), shown=_radar, to="/orders")


def _one(ctx: Context, *, order_id: int, said: Refused | None = None, status: int = 200) -> Response:
    now = clock.now()
    with ctx.db() as conn:
        order = states.one(conn, ctx.actor, order_id, now=now)
        until = listing.revealed_until(conn, ctx.actor, order["case_id"], now=now)
        ours = granting.ours(conn, ctx.actor, order["unit_id"])
        against: list[guard.Reason] = []
        if order["state"] == "drafted":
            every = states.of_case(conn, order["case_id"], now=now)
            known = flow.follow(flow.read(conn, order["case_id"]), until=now)
            case = {"case_id": order["case_id"], "state": order["case_state"]}
            facts = guard.facts(conn, case, every, known.held(), now=now)
            against = guard.against(facts, order, sealing.account_stops(conn, order["account_id"]), now=now)
    sight = Sight(open=until is not None, names=(order["holder"],) if order["holder"] else ())
    kind = law_of(order["law_from"]).kind[order["kind"]]
    may = ctx.actor.may if ours else frozenset[str]()  # a case that is shared with us is looked at, and not worked on
    return ctx.page(
        "order.html", status=status, said=said, o=order, now=now, sight=sight, revealed_until=until, may=may,
        purposes=reveal.PURPOSES, card=platform.card(order), against=against, failed=FAILED,
        law=kind.law_zh if ctx.language == "zh" else kind.law_en, enter="orders.enter" in may,
        hide={"account": sight.subject("account", order["account"]), "holder": sight.name(order["holder"])},
        can_approve=bool(kind.approver) and kind.approver in may and order["approved_at"] is None
        and order["drafted_by"] != ctx.actor.user_id,
    )  # fmt: skip


@router.get("/orders/{order_id}")
def one(order_id: int, ctx: Context = Depends(signed_in)) -> Response:
    """The copy card and what comes next."""
    return _one(ctx, order_id=order_id)


@router.post("/orders/{order_id}/notice.docx")
def notice(order_id: int, ctx: Context = Depends(posted)) -> Response:
    """The written notice; it names the holder, so the case must be open to whoever takes it, and its taking is kept."""
    require(ctx.actor, "orders.enter")
    now = clock.now()
    with ctx.db() as conn:
        order = states.one(conn, ctx.actor, order_id, now=now)
        if listing.revealed_until(conn, ctx.actor, order["case_id"], now=now) is None:
            raise Refused("no_purpose")
        made = paper.docx(order)
        record(conn, ctx.actor, lock(conn, order["case_id"]), "paper_taken", at=now, order_id=order_id)
    return attachment(f"{order['kind']}-{order_id}.docx", made, WORD)


@router.post("/orders/{order_id}/camt056.xml")
def recalled(order_id: int, ctx: Context = Depends(posted)) -> Response:
    """The stop as a camt.056, for a bank that speaks ISO 20022; opened and kept as the notice is."""
    require(ctx.actor, "orders.enter")
    now = clock.now()
    with ctx.db() as conn:
        order = states.one(conn, ctx.actor, order_id, now=now)
        if listing.revealed_until(conn, ctx.actor, order["case_id"], now=now) is None:
            raise Refused("no_purpose")
        made = recall.xml(order)
        record(conn, ctx.actor, lock(conn, order["case_id"]), "paper_taken", at=now, order_id=order_id)
    return attachment(f"camt056-{order_id}.xml", made, "application/xml")


@router.post("/orders/{order_id}/camt029")
def resolved(order_id: int, sent: Dropped = Depends(dropped)) -> Response:
    """The bank's camt.029, as a file."""
    ctx = sent.ctx
    require(ctx.actor, "orders.enter")

    def work(conn: Any) -> Any:
        if not sent.data:
            raise Refused("book_empty")
        return resolutions.take(conn, ctx.actor, sent.data, order_id=order_id)

    def shown(ctx: Context, /, *, said: Refused, status: int) -> Response:
        return _one(ctx, order_id=order_id, said=said, status=status)

    return attempt(ctx, work, shown=shown, to=f"/orders/{order_id}")


def _time(text: str) -> datetime | None:
    if not text.strip():
        return None
    if (at := clock.time_of(text)) is None:
        raise Refused("order_times")
    return at


def _seal(conn: Any, ctx: Context, order_id: int, key: str) -> Any:
    order = states.one(conn, ctx.actor, order_id, now=clock.now())
    return command.seal(conn, ctx.actor, order["case_id"], [order_id], key=key)


def _answer(conn: Any, ctx: Context, order_id: int, key: str, answer: Answer) -> Any:
    require(ctx.actor, "orders.enter")
    return answers.take(conn, ctx.actor, order_id, answer=answer, key=key)


Act = Callable[[Any, Context, int, str], Any]
#: What can be done with an order: the address's last word -> the step, given the transaction and the form.
ACTS: dict[str, Act] = {
    "seal": _seal,
    "approve": lambda conn, c, n, key: sealing.approve(conn, c.actor, n, key=key),
    "drop": lambda conn, c, n, key: drafting.drop(conn, c.actor, n, why=c.form.get("words", ""), key=key),
    "entered": lambda conn, c, n, key: answering.entered(
        conn, c.actor, n, external_no=c.form.get("number", ""), key=key
    ),
    "accepted": lambda conn, c, n, key: answering.accepted(conn, c.actor, n, receipt=c.form.get("number", ""), key=key),
    "done": lambda conn, c, n, key: _answer(
        conn, c, n, key, Answer(executed_at=_time(c.form.get("at", "")), done_fen=fen(c.form.get("amount", "")))
    ),
    "failed": lambda conn, c, n, key: _answer(
        conn, c, n, key, Answer(failed_code=c.form.get("code") or "-", failed_words=c.form.get("words", ""))
    ),
    "channel": lambda conn, c, n, key: drafting.choose_channel(
        conn, c.actor, n, channel=c.form.get("channel", ""), key=key
    ),
    "queued": lambda conn, c, n, key: _answer(
        conn, c, n, key,
        Answer(queued=True, behind=c.form.get("words", ""), behind_until=_time(c.form.get("at", "")),
               done_fen=fen(c.form.get("amount", ""))),
    ),
    "unrelated": lambda conn, c, n, key: releasing.unrelated(
        conn, c.actor, n, why=c.form.get("words", ""), amount_fen=fen(c.form.get("amount", "")), key=key
    ),
    "renew": lambda conn, c, n, key: releasing.renew(
        conn, c.actor, n, months=number(c.form.get("months", "")) or 0, why=c.form.get("words", ""), key=key
    ),
    "release": lambda conn, c, n, key: releasing.release(conn, c.actor, n, why=c.form.get("words", ""), key=key),
}  # fmt: skip


@router.post("/orders/{order_id}/statement")
def statement(order_id: int, sent: Dropped = Depends(dropped)) -> Response:
    """The bank's own file, as its answer to a query."""
    ctx = sent.ctx
    require(ctx.actor, "orders.enter")
    now = clock.now()

    def work(conn: Any) -> Any:
        if not sent.name or not sent.data:
            raise Refused("book_empty")
        order = states.one(conn, ctx.actor, order_id, now=now)
        if order["kind"] != "query":
            raise Refused("order_not_now")
        rows = answers.from_file(sent.name, sent.data, account=order["account"], source=f"order-{order_id}", as_of=now)
        return answers.take(
            conn, ctx.actor, order_id, answer=Answer(), statement=rows, key=ctx.form.get("click", ""), now=now
        )

    def shown(ctx: Context, /, *, said: Refused, status: int) -> Response:
        return _one(ctx, order_id=order_id, said=said, status=status)

    return attempt(ctx, work, shown=shown, to=lambda took: f"/cases/{took.case_id}/money")


@router.post("/orders/{order_id}/{act}")
def step(order_id: int, act: str, ctx: Context = Depends(posted)) -> Response:
    """One step of an order; back to its page."""
    if act not in ACTS:
        raise Refused("not_found")

    def shown(ctx: Context, /, *, said: Refused, status: int) -> Response:
        return _one(ctx, order_id=order_id, said=said, status=status)

    return attempt(
        ctx, lambda conn: ACTS[act](conn, ctx, order_id, ctx.form.get("click", "")), shown=shown,
        to=f"/orders/{order_id}",
    )  # fmt: skip
