"""The plan of a refund as a paper out of files alone: who gets what of a frozen balance, and why.

Kept true here: the shares on it are the plan's own and sum with what stays to the balance; the ordering rule and the
way are printed; it decides nothing, and says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from wuzha.events.clock import zone
from wuzha.events.money import yuan
from wuzha.trace import Theft
from wuzha.trace.refund import Plan

from . import words
from .word import Sheet


def as_row(made: Plan) -> dict[str, Any]:
    """A plan as the sentences of `words` read it."""
    return {
        "way": made.way, "rule": made.rule, "balance_fen": made.balance_fen, "stays_fen": made.stays_fen,
        "receipts": made.receipts, "not_by": [list(row) for row in made.not_by],
    }  # fmt: skip


def victims(made: Plan, thefts: Sequence[Theft]) -> list[dict[str, Any]]:
    """Each theft's figures and the sentence under them, in the order of the thefts."""
    whole = sum(t.amount_fen for t, s in zip(thefts, made.shares, strict=True) if s.came)
    told = []
    for theft, share in zip(thefts, made.shares, strict=True):
        figures = {
            "account": theft.account, "lost_fen": theft.amount_fen, "came": share.came, "traced_fen": share.traced_fen,
            "share_fen": share.share_fen, "weighed_fen": theft.amount_fen if share.came else 0,
        }  # fmt: skip
        told.append(figures | {"why": words.why_share(as_row(made), figures, whole)})
    return told


def docx(made: Plan, thefts: Sequence[Theft], *, case: str, frozen_at: str) -> bytes:
    """The paper. ``frozen_at``: up to when the money was followed."""
    sheet = Sheet("冻结资金返还方案（测算）")
    sheet.facts(
        [
            ("案件编号", case), ("冻结账户", made.account.removeprefix("account:")), ("冻结时间", frozen_at),
            ("冻结金额", f"{yuan(made.balance_fen)} 元"), ("返还方式", words.way(made.way)),
            ("先后规则", words.rule(made.rule)), ("返还合计", f"{yuan(made.returned_fen)} 元"),
            ("继续冻结", f"{yuan(made.stays_fen)} 元"),
        ]
    )  # fmt: skip
    for text in words.why_plan(as_row(made)):
        sheet.say(text)
    told = victims(made, thefts)
    sheet.table(
        ("转出账户", "被骗（元）", "返还（元）", "理由"),
        [(v["account"].removeprefix("account:"), yuan(v["lost_fen"]), yuan(v["share_fen"]), v["why"]) for v in told],
        right=(1, 2),
    )
    sheet.say(f"本表按流水测算（时区 {zone()}），不是返还决定；返还按规定公告、批准后办理。")
    return sheet.done()
