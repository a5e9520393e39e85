"""Who gets what of a frozen balance: the three ways of the refund rules of 2016, article 8.

Kept true here: what is given back and what stays frozen sum to the balance, to the fen; nobody gets more than they
lost; the first of the three ways that holds is taken, and why an earlier one does not is told.

``single``: one payment came in, and it traces to one victim. ``timestamps``: several came in, and by their times every
stolen fen in the balance is one victim's, whatever is not known. ``pro_rata``: it cannot be told, and each victim whose
money came to the account gets ⌊balance × their loss ÷ all their losses⌋, what is left over by the largest remainder
(then by the earlier theft); what a victim of several thefts gets is parted among those in the same way. Which
money a payment took is told by an ordering rule, ``fifo`` or ``lifo``: the law names none, so it is the deployment's
choice and stands in the plan.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from wuzha.events.money import LIMIT_FEN

from . import layout
from .follow import Theft, Tracer
from .index import View
from .order import TIES

Way = Literal["single", "timestamps", "pro_rata", "nobody"]
Rule = Literal["fifo", "lifo"]
RULES: tuple[Rule, ...] = ("fifo", "lifo")
#: Orders within one second that nothing in the data tells, of `order.TIES`.
_UNSURE = ("rule", "circle")


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What one victim lost by one theft; ``outstanding_fen`` is what of it has not come back by another way. Losses
    of the same ``victim`` are one victim's; None: of somebody of their own."""

    theft: Theft
    outstanding_fen: int
    victim: Hashable | None = None


@dataclass(frozen=True, kw_only=True)
class Share:
    """What one loss gets. ``traced_fen``: what of the account's money is theirs by time; ``came``: whether any came."""

    share_fen: int
    traced_fen: int
    came: bool


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Shares in the order of the losses. ``not_by``: why an earlier way does not hold, as (way, word, count or fen)."""

    way: Way
    rule: Rule
    account: str
    balance_fen: int
    shares: tuple[Share, ...]
    stays_fen: int
    receipts: int
    not_by: tuple[tuple[Way, str, int], ...]

    @property
    def returned_fen(self) -> int:
        """What all shares sum to."""
        return sum(s.share_fen for s in self.shares)


def plan(
    tracer: Tracer, account: str, balance_fen: int, losses: Sequence[Loss], *, until: int, rule: Rule = "fifo"
) -> Plan:
    """Who gets what of ``balance_fen`` that was frozen on ``account`` at ``until`` (µs).

    ValueError: no losses, a balance or a loss that cannot be, an ordering rule that is none of `RULES`.
    """
    if not losses:
        raise ValueError("no losses: nobody to give anything back to")
    if rule not in RULES:
        raise ValueError(f"ordering rule {rule!r}; it is one of {', '.join(RULES)}")
    if not 0 <= balance_fen <= LIMIT_FEN:
        raise ValueError(f"{balance_fen} fen is no frozen balance")
    for loss in losses:
        if not 0 <= loss.outstanding_fen <= loss.theft.amount_fen:
            raise ValueError(f"of {loss.theft.amount_fen} fen stolen {loss.outstanding_fen} cannot be outstanding")
    thefts = [loss.theft for loss in losses]
    traced = tracer.held_for(account, thefts, policy=rule, until=until)
    # by halves and quarters, since under a rule of order an account on the way may have paid from its own, older money
    came = [n > 0 for n in _came(tracer, account, thefts, until)]
    receipts, tied = _receipts(tracer, account, until)
    not_by: list[tuple[Way, str, int]] = []
    if not any(came):
        shares = [0] * len(losses)
        return _made("nobody", rule, account, balance_fen, losses, shares, traced, came, receipts, not_by)
    if receipts == 1 and sum(came) == 1:
        shares = [min(balance_fen, loss.outstanding_fen) if c else 0 for loss, c in zip(losses, came, strict=True)]
        return _made("single", rule, account, balance_fen, losses, shares, traced, came, receipts, not_by)
    if sum(came) > 1 and receipts == 1:
        not_by.append(("single", "victims", sum(came)))
    else:
        not_by.append(("single", "receipts", receipts))
    doubt, by_rule = _in_doubt(tracer, account, thefts, until, rule)
    tied = max(tied, by_rule)
    if doubt:
        not_by.append(("timestamps", "opening", doubt))
    if tied:
        not_by.append(("timestamps", "ties", tied))
    if sum(traced) > balance_fen:
        not_by.append(("timestamps", "balance", sum(traced) - balance_fen))
    if not any(way == "timestamps" for way, _, _ in not_by):
        shares = [min(n, loss.outstanding_fen) for n, loss in zip(traced, losses, strict=True)]
        return _made("timestamps", rule, account, balance_fen, losses, shares, traced, came, receipts, not_by)
    shares = _by_victim(balance_fen, losses, came)
    return _made("pro_rata", rule, account, balance_fen, losses, shares, traced, came, receipts, not_by)


def pro_rata(fen: int, weights: Sequence[int], order: Sequence[int]) -> list[int]:
    """``fen`` by ``weights``: each floor(fen × weight ÷ sum), and one fen more by the largest remainder, then by
    ``order``. They sum to ``fen``; none is above its weight where ``fen`` ≤ sum of weights. Zeros where all weigh 0."""
    whole = sum(weights)
    if not whole:
        return [0] * len(weights)
    parts = [divmod(fen * w, whole) for w in weights]
    shares = [q for q, _ in parts]
    place = {i: k for k, i in enumerate(order)}
    for i in sorted(range(len(parts)), key=lambda i: (-parts[i][1], place[i]))[: fen - sum(shares)]:
        shares[i] += 1
    return shares


def _by_victim(balance_fen: int, losses: Sequence[Loss], came: Sequence[bool]) -> list[int]:
    """Each victim's part of the balance, and of that each of their losses' part."""
    weights = [loss.outstanding_fen if c else 0 for loss, c in zip(losses, came, strict=True)]
    order = sorted(range(len(losses)), key=lambda i: (losses[i].theft.at, i))
    theirs: dict[Hashable, list[int]] = {}
    for i in order:
        victim = losses[i].victim
        theirs.setdefault(("alone", i) if victim is None else ("victim", victim), []).append(i)
    whole = [sum(weights[i] for i in mine) for mine in theirs.values()]
    shares = [0] * len(losses)
    for mine, fen in zip(
        theirs.values(), pro_rata(min(balance_fen, sum(whole)), whole, range(len(whole))), strict=True
    ):
        for i, part in zip(mine, pro_rata(fen, [weights[i] for i in mine], range(len(mine))), strict=True):
            shares[i] = part
    return shares


def _made(
    way: Way, rule: Rule, account: str, balance_fen: int, losses: Sequence[Loss], shares: list[int],
    traced: list[int], came: list[bool], receipts: int, not_by: list[tuple[Way, str, int]],
) -> Plan:  # fmt: skip
    stays = balance_fen - sum(shares)
    assert stays >= 0 and all(0 <= s <= loss.outstanding_fen for s, loss in zip(shares, losses, strict=True))
    return Plan(
        way=way, rule=rule, account=account, balance_fen=balance_fen, stays_fen=stays, receipts=receipts,
        shares=tuple(
            Share(share_fen=s, traced_fen=t, came=c) for s, t, c in zip(shares, traced, came, strict=True)
        ),
        not_by=tuple(not_by),
    )  # fmt: skip


def _came(tracer: Tracer, account: str, thefts: Sequence[Theft], until: int) -> list[int]:
    """Fen of each theft that ever came to the account, by what one theft alone brings there."""
    out = []
    for theft in thefts:
        alone = tracer.follow([theft], policy="haircut", until=until)
        out.append(sum(a["received_fen"] for a in alone.accounts if a["account"] == account and a["level"] > 0))
    return out


def _in_doubt(tracer: Tracer, account: str, thefts: Sequence[Theft], until: int, rule: Rule) -> tuple[int, int]:
    """On the way to the account and in it: fen that another opening balance would place elsewhere; payments of one
    second that were put in order by rule."""
    way = tracer.follow(thefts, policy=rule, until=until, to=account)
    doubt = sum(a["held_high_fen"] - a["held_low_fen"] for a in way.accounts if a["level"] > 0)
    return doubt, sum(e.get("order_by") in _UNSURE for e in way.edges)


def _receipts(tracer: Tracer, account: str, until: int) -> tuple[int, int]:
    """Payments that came to the account by ``until`` and were not undone; how many of its payments of one second were
    put in order by rule, because nothing in the data tells which came first."""
    with tracer.index.lock:
        view = tracer.index.view()
        number = tracer.index.number(account)
        if number < 0:
            return 0, 0
        last = view.rank_at(until + 1)
        came, went = _sides(view, number)
        came, went = (side[(side["amount"] & layout.VOID) == 0] for side in (came, went))
        ranks = np.concatenate([came["rank"], went["rank"]]).astype(np.int64)
        how = view.ties(ranks[ranks < last])
        return int((came["rank"] < last).sum()), int(np.isin(how, [TIES.index(name) for name in _UNSURE]).sum())


def _sides(view: View, number: int) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """What came to an account and what left it: its part of the base, and its chain through the tail."""
    t = view.transfers
    found = []
    for at, side, head, following, tail in (
        (t.in_at, t.ins, t.head_in, t.next_in, t.tail_in),
        (t.out_at, t.outs, t.head_out, t.next_out, t.tail_out),
    ):
        base = side[at[number] : at[number + 1]] if number + 1 < at.shape[0] else side[:0]
        places = []
        j = int(head[number]) if number < head.shape[0] else -1
        while j >= 0:
            places.append(j)
            j = int(following[j])
        found.append(np.concatenate([base, tail[np.array(places, np.int64)]]))
    return found[0], found[1]
