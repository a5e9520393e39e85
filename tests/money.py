"""A centre that pursues money: who reports, who seals, what banks answer. For the tests of cases, orders and pages."""

from __future__ import annotations

import itertools
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from tests.desks import Centre

from wuzha.cases import answers, command, rounds
from wuzha.cases.reports import Loss, Report, Taken
from wuzha.command.public import Actor, machine
from wuzha.events import clock
from wuzha.orders import answering, drafting, sealing, states
from wuzha.orders.answering import Answer
from wuzha.store import keys, sources

VICTIM, FIRST = "6222020200001111", "6228480402560001"
BANK = "示例银行"
_numbers = itertools.count(1)


@dataclass
class Chase:
    """A case under way; ``at`` is when the victim paid, ``now`` the moment that the test has reached."""

    house: Centre
    officer: Actor
    at: datetime = field(default_factory=lambda: clock.now() - timedelta(minutes=20))
    case_id: int = 0
    elapsed: timedelta = timedelta(minutes=20)

    @property
    def now(self) -> datetime:
        return self.at + self.elapsed

    def key(self) -> str:
        return f"chase-key-{next(_numbers):05d}"

    def report(self, *, amount_fen: int = 5_000_000, payee: str = FIRST, account: str = VICTIM, minutes: int = 0,
               key: str | None = None, **changes: Any) -> Taken:  # fmt: skip
        """A verified report at the counter, with the signed application; ``changes`` of the Report."""
        told = Report(
            losses=(
                Loss(payee=payee, amount_fen=amount_fen, at=self.at + timedelta(minutes=minutes), account=account,
                     payee_name="陈某", payee_bank=BANK, account_bank="甲银行"),
            ),
            **{"name": "张小兰", "id_no": "350203196205041234", "line": "13812341234",
               "scam_type": "authority",
               "verified_how": "当面核验身份证", "application_ref": "申请〔2026〕1号", "undisputed": True} | changes,
        )  # fmt: skip
        with self.house.scope(self.officer, now=self.now) as conn:
            taken = command.report(conn, self.officer, told, key=key or self.key(), now=self.now)
        self.case_id = self.case_id or taken.case_id
        return taken

    def orders(self, *states_: str, kind: str | None = None) -> list[dict[str, Any]]:
        """The case's orders by kind and state."""
        with self.house.scope(self.officer, now=self.now) as conn:
            every = states.of_case(conn, self.case_id, now=self.now)
        return [o for o in every if (not states_ or o["state"] in states_) and (kind is None or o["kind"] == kind)]

    def order(self, kind: str, account: str) -> dict[str, Any]:
        """The newest order of a kind on an account."""
        return [o for o in self.orders(kind=kind) if o["account"] == account][-1]

    def seal(self, who: Actor, *ids: int, key: str | None = None) -> Any:
        """One press for all that are drafted, or for these."""
        wanted = ids or [o["order_id"] for o in self.orders("drafted")]
        with self.house.scope(who, now=self.now) as conn:
            return command.seal(conn, who, self.case_id, list(wanted), key=key or self.key(), now=self.now)

    def enter(self, order_id: int, number: str | None = None) -> None:
        """The order stands in its channel."""
        with self.house.scope(self.officer, now=self.now) as conn:
            answering.entered(conn, self.officer, order_id, external_no=number or f"ZF{order_id:06d}", key=self.key(),
                              now=self.now)  # fmt: skip

    def answer(
        self, order: dict[str, Any], rows: list[dict[str, Any]] | None = None, *, done_fen: int | None = None,
        said: Answer | None = None, as_of: datetime | None = None, failed: str = "", key: str | None = None,
        **more: Any,
    ) -> answers.Took:  # fmt: skip
        """A bank's answer: rows of (payer, payee, fen, minutes after the theft), or what it holds, or why not."""
        if order["state"] == "sealed":
            self.enter(order["order_id"])
        bank = machine(self.house.units["centre"], "source:bank-a")
        statement = None
        if rows is not None:
            statement = answers.from_rows(
                rows, account=order["account"], source="bank-a", as_of=as_of or self.now, **more
            )
        with self.house.scope(self.officer, now=self.now) as conn:
            return answers.take(
                conn, bank, order["order_id"],
                answer=said or Answer(executed_at=None if failed else self.now, done_fen=done_fen, failed_code=failed),
                statement=statement, key=key or self.key(), now=self.now,
            )  # fmt: skip

    def round(self, later: timedelta = timedelta(0)) -> dict[str, int]:
        """The machine's rounds, as they are made so much later."""
        self.elapsed += later
        return rounds.go_round(self.house.web, now=self.now)

    def filed(self) -> None:
        """The case is filed, so that a freeze may follow."""
        with self.house.scope(self.officer, now=self.now) as conn:
            for to in ("accepted", "filed"):
                command.move(conn, self.officer, self.case_id, to=to, key=self.key(), now=self.now)

    def frozen(self, keeper: Actor, account: str, fen: int = 4_000_000) -> dict[str, Any]:
        """A freeze on an account, drafted, approved by another and sealed; not answered yet."""
        chief = self.house.officer(f"chief{next(_numbers)}", "长官", "commander")
        subject = self.order("query", account)["account_id"]
        with self.house.scope(self.officer, now=self.now) as conn:
            done = drafting.draft(conn, self.officer, self.case_id, drafting.Draft(
                kind="freeze", account_id=subject, level=1, reason="立案后冻结", amount_fen=fen, months=6,
            ), key=self.key(), now=self.now)  # fmt: skip
        freeze = int(done.detail["order"])
        with self.house.scope(chief, now=self.now) as conn:
            sealing.approve(conn, chief, freeze, key=self.key(), now=self.now)
        self.seal(keeper, freeze)
        return self.order("freeze", account)

    def moved(self, payer: str | None, payee: str | None, fen: int, minutes: float, **more: Any) -> dict[str, Any]:
        """A row of a bank's answer."""
        at = self.at + timedelta(minutes=minutes)
        return {"ts": at.isoformat(), "payer": payer, "payee": payee, "amount_fen": fen, **more}


def chased(house: Centre, wang: Actor) -> Chase:
    """A case whose money has been followed to the third layer, with orders in every state: for pages."""
    keeper = house.officer("keeper", "孙正", "sealer")
    chase = Chase(house, wang)
    second, third = "6217001234560002", "6216600000000003"
    chase.report(words="对方自称公安，让我转到6228480402560001")
    chase.seal(keeper)
    chase.answer(chase.order("query", FIRST), [
        chase.moved(VICTIM, FIRST, 5_000_000, 0), chase.moved("6222000000000011", FIRST, 900_000, -30, memo="货款"),
        chase.moved(FIRST, second, 3_000_000, 3), chase.moved(FIRST, third, 1_200_000, 4, payee_bank="乙银行"),
        chase.moved(FIRST, None, 100_000, 5, cash=True, channel="atm", place="广西南宁"),
    ])  # fmt: skip
    chase.answer(chase.order("stop", FIRST), done_fen=600_000)
    chase.seal(keeper, chase.order("query", second)["order_id"], chase.order("stop", third)["order_id"])
    chase.answer(chase.order("query", second), [chase.moved(second, VICTIM, 10_000, 6)])
    chase.answer(chase.order("stop", third), failed="name")
    return chase


def bank_key(house: Centre, name: str = "bank-a", title: str = BANK, **changes: Any) -> str:
    """A registered bank; returns the header of its key."""
    values = {
        "title": title, "role": "bank", "basis": "case_query", "basis_ref": "协查〔2026〕1号", "purpose": "答复查询",
        "retention_days": 90, "tables": ["transfers"], "basis_until": clock.now() + timedelta(days=90), **changes,
    }  # fmt: skip
    return "Bearer " + keys.issue(house.web, sources.register(house.web, name=name, **values)).key  # type: ignore[arg-type]
