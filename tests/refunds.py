"""A county below its city with a frozen account: for the tests of refunds and their pages."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.desks import Centre
from tests.money import BANK, FIRST, VICTIM, Chase

from wuzha.cases import reports
from wuzha.cases.refund import book, deciding, hearing, opening, paying
from wuzha.cases.refund.hearing import Application
from wuzha.cases.refund.paying import Receipt
from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.orders import drafting, sealing
from wuzha.orders.drafting import Draft
from wuzha.orders.step import Done

SECOND_VICTIM, ONWARD = "6222020200002222", "6217001234560002"
DAY = timedelta(days=1)


@dataclass
class Refunding:
    """A refund under way; ``now`` is the moment that the test has reached."""

    house: Centre
    chase: Chase
    wang: Actor
    sun: Actor
    chief: Actor
    city: Actor
    now: datetime
    refund_id: int = 0
    account_id: int = 0
    codes: dict[int, str] = field(default_factory=dict)

    def later(self, **span: float) -> None:
        """Time passes."""
        self.now += timedelta(**span)

    def scope(self, who: Actor) -> Any:
        """The officer's transaction at this moment."""
        return self.house.scope(who, now=self.now)

    def key(self) -> str:
        return self.chase.key()

    def read(self, who: Actor | None = None) -> dict[str, Any]:
        """The refund as it stands."""
        with self.scope(who or self.wang) as conn:
            return book.one(conn, who or self.wang, self.refund_id, now=self.now)

    def state(self) -> str:
        return str(self.read()["state"])

    def victims(self) -> list[int]:
        """Reports by number."""
        return [v["report_id"] for v in self.read()["victims"]]

    def shares(self) -> list[int]:
        return [v["share_fen"] for v in self.read()["victims"]]

    # ------------------------------------------------------------ steps

    def start(self, who: Actor | None = None, **changes: Any) -> Done:
        who = who or self.wang
        with self.scope(who) as conn:
            done = opening.start(conn, who, self.chase.case_id, self.account_id, now=self.now,
                                 **{"key": self.key()} | changes)  # fmt: skip
        self.refund_id = int(done.detail["refund"])
        return done

    def apply(self, report_id: int, **changes: Any) -> None:
        with self.scope(self.wang) as conn:
            told = Application(**{"ref": f"返申{report_id}"} | changes)
            made = hearing.apply(conn, self.wang, self.refund_id, report_id, told, key=self.key(), now=self.now)
        assert made.code is not None
        self.codes[report_id] = made.code

    def notice(self) -> None:
        with self.scope(self.wang) as conn:
            hearing.notice(conn, self.wang, self.refund_id, place="市局网站", key=self.key(), now=self.now)

    def notice_over(self) -> None:
        """The notice hung for its time before this moment, which is now: pages and doors read the clock itself."""
        self.now = clock.now()
        with self.house.db.connect("super") as su:
            su.execute(
                "UPDATE wuzha.refund_notices SET posted_at = posted_at - interval '40 days', ends_at = %s", (self.now,)
            )

    def ask(self, who: Actor | None = None) -> Done:
        who = who or self.wang
        with self.scope(who) as conn:
            return deciding.ask(conn, who, self.refund_id, key=self.key(), now=self.now)

    def answer(self, who: Actor | None = None, *, granted: bool = True, words: str = "", key: str = "") -> Done:
        who = who or self.city
        with self.scope(who) as conn:
            return deciding.answer(conn, who, self.refund_id, granted=granted, words=words, key=key or self.key(),
                                   now=self.now)  # fmt: skip

    def decide(self, who: Actor | None = None) -> Done:
        who = who or self.sun
        with self.scope(who) as conn:
            return deciding.decide(conn, who, self.refund_id, key=self.key(), now=self.now)

    def send(self, *shares: int, key: str = "") -> Done:
        with self.scope(self.sun) as conn:
            return paying.send(conn, self.sun, self.refund_id, shares=shares, key=key or self.key(), now=self.now)

    def receipt(self, payment: dict[str, Any], *, key: str = "", **changes: Any) -> Done:
        told = Receipt(**{"paid_fen": payment["amount_fen"], "number": f"HZ{payment['payment_id']}"} | changes)
        with self.scope(self.wang) as conn:
            return paying.answered(conn, self.wang, payment["payment_id"], told, key=key or self.key(), now=self.now)

    def approved(self, *, today: bool = False) -> None:
        """All that comes before the decision; ``today``: the notice is put back instead of waited for."""
        for report in self.victims():
            self.apply(report)
        if self.read()["plan"]["way"] == "pro_rata":
            self.notice()
            if today:
                self.notice_over()
            else:
                self.later(days=32)
        self.ask()
        self.answer()

    def decided(self, *, today: bool = False) -> None:
        self.approved(today=today)
        self.decide()

    def paid(self) -> None:
        """To the last receipt."""
        self.decided()
        self.send()
        for payment in self.read()["payments"]:
            self.receipt(payment)

    def joins(self, account: str = "6222020200003333", amount_fen: int = 1_000_000) -> int:
        """Another victim reports a loss to the frozen account, from before the freeze; their report."""
        taken = self.chase.report(amount_fen=amount_fen, account=account, minutes=1, name="赵三", id_no="",
                                  line="13900000003")  # fmt: skip
        return taken.report_id


def people(house: Centre) -> dict[str, Actor]:
    """The county gets a city above it, and officers of both."""
    house.unit("city", "示例市公安局", "city")
    house.web.execute(
        "UPDATE units SET parent_id = %s WHERE unit_id = %s", (house.units["city"], house.units["centre"])
    )
    return {
        "sun": house.officer("sun", "孙正", "sealer"), "chief": house.officer("chief", "县长官", "commander"),
        "city": house.officer("city", "市长官", "commander", unit="city"),
    }  # fmt: skip


def frozen(
    house: Centre, wang: Actor, *, rows: list[tuple[Any, ...]] | None = None, second: bool = True,
    freeze_fen: int = 3_000_000,
) -> Refunding:  # fmt: skip
    """A filed case whose first account is frozen. Two victims paid 30,000 and 20,000 yuan into it, 20,000 left; no
    balances are known, so that it is shared pro rata. ``rows``: (payer, payee, fen, minutes, more) instead."""
    who = people(house)
    chase = Chase(house, wang)
    chase.report(amount_fen=3_000_000)
    if second:
        chase.report(amount_fen=2_000_000, account=SECOND_VICTIM, minutes=1, name="李强", id_no="",
                     line="13900000002")  # fmt: skip
    chase.seal(who["sun"])
    told = rows if rows is not None else [
        (VICTIM, FIRST, 3_000_000, 0, {}), (SECOND_VICTIM, FIRST, 2_000_000, 1, {}), (FIRST, ONWARD, 2_000_000, 3, {}),
    ]  # fmt: skip
    chase.answer(chase.order("query", FIRST), [chase.moved(a, b, fen, m, **more) for a, b, fen, m, more in told])
    account = chase.order("query", FIRST)["account_id"]
    with house.scope(wang, now=chase.now) as conn:
        for to in ("accepted", "filed"):
            reports.move(conn, wang, chase.case_id, to=to, key=chase.key(), now=chase.now)
        wish = Draft(kind="freeze", account_id=account, level=1, reason="立案后冻结", amount_fen=freeze_fen, months=6)
        drafting.draft(conn, wang, chase.case_id, wish, key=chase.key(), now=chase.now)
    freeze = chase.order("freeze", FIRST)
    with house.scope(who["chief"], now=chase.now) as conn:
        sealing.approve(conn, who["chief"], freeze["order_id"], key=chase.key(), now=chase.now)
    chase.seal(who["sun"], freeze["order_id"])
    chase.answer(chase.order("freeze", FIRST), done_fen=freeze_fen)
    assert chase.order("freeze", FIRST)["bank"] == BANK
    return Refunding(
        house=house, chase=chase, wang=wang, sun=who["sun"], chief=who["chief"], city=who["city"],
        now=chase.now + timedelta(minutes=5), account_id=account,
    )  # fmt: skip
