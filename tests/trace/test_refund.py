"""A frozen balance is shared out to the fen, by the first way of the law that holds."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.trace.rows import T0, pay, table

from wuzha.trace import Index, Theft, Tracer
from wuzha.trace.refund import Loss, Plan, plan, pro_rata

SECOND = 1_000_000


def loss(victim: str, second: int, fen: int, outstanding: int | None = None) -> Loss:
    theft = Theft(account=f"account:{victim}", at=T0 + second * SECOND, amount_fen=fen)
    return Loss(theft=theft, outstanding_fen=fen if outstanding is None else outstanding)


def shared(rows: list[dict[str, Any]], balance: int, losses: list[Loss], **more: Any) -> Plan:
    tracer = Tracer(Index.of(table(rows)))
    return plan(tracer, "account:m", balance, losses, until=T0 + 10**6 * SECOND, **more)


def shares(told: Plan) -> list[int]:
    return [s.share_fen for s in told.shares]


def test_one_payment_of_one_victim_goes_back_directly() -> None:
    told = shared([pay(1, "v", "m", 100), pay(2, "m", "x", 30)], 70, [loss("v", 0, 100)])
    assert (told.way, shares(told), told.stays_fen, told.receipts) == ("single", [70], 0, 1)


def test_one_payment_goes_back_over_two_accounts() -> None:
    rows = [pay(1, "v", "a", 100, payee_balance_fen=100), pay(2, "a", "m", 100, payer_balance_fen=0)]
    told = shared(rows, 100, [loss("v", 0, 100)])
    assert (told.way, shares(told)) == ("single", [100])


def balanced(second: int, payer: str, fen: int, balance: int) -> dict[str, Any]:
    return pay(second, payer, "m", fen, payee_balance_fen=balance)


ROWS = [
    balanced(1, "v", 100, 100), balanced(2, "w", 50, 150),
    pay(3, "m", "x", 120, payer_balance_fen=30),
]  # fmt: skip
LOSSES = [loss("v", 0, 100), loss("w", 0, 50)]


@pytest.mark.parametrize(("rule", "expected"), [("fifo", [0, 30]), ("lifo", [30, 0])])
def test_times_tell_whose_it_is_by_the_rule_that_is_named(rule: str, expected: list[int]) -> None:
    told = shared(ROWS, 30, LOSSES, rule=rule)
    assert (told.way, shares(told), told.rule) == ("timestamps", expected, rule)
    assert told.not_by == (("single", "receipts", 2),)


def test_what_is_the_accounts_own_stays_frozen() -> None:
    rows = [balanced(1, "v", 100, 100), balanced(2, "honest", 40, 140)]
    told = shared(rows, 140, [loss("v", 0, 100)])
    assert (told.way, shares(told), told.stays_fen) == ("timestamps", [100], 40)


def test_an_opening_that_is_not_known_shares_pro_rata() -> None:
    rows = [pay(1, "v", "m", 100), pay(2, "w", "m", 50), pay(3, "m", "x", 120)]
    told = shared(rows, 31, LOSSES)
    assert (told.way, shares(told)) == ("pro_rata", [21, 10])  # 20⅔ and 10⅓
    # a larger opening would have paid the 120: then all 150 might lie there still, and not 30
    assert ("timestamps", "opening", 120) in told.not_by


def test_one_second_that_nothing_orders_shares_pro_rata() -> None:
    rows = [pay(1, "v", "m", 100), pay(1, "w", "m", 100), pay(1, "m", "x", 100)]
    told = shared(rows, 100, [loss("v", 0, 100), loss("w", 0, 100)], rule="lifo")
    assert (told.way, shares(told)) == ("pro_rata", [50, 50])
    assert ("timestamps", "ties", 3) in told.not_by


def test_a_balance_below_what_times_say_shares_pro_rata() -> None:
    rows = [balanced(1, "v", 100, 100), balanced(2, "w", 50, 150)]
    told = shared(rows, 75, LOSSES)
    assert (told.way, shares(told)) == ("pro_rata", [50, 25])
    assert told.not_by[-1] == ("timestamps", "balance", 75)


def test_who_has_been_given_back_by_another_way_gets_only_the_rest() -> None:
    told = shared(ROWS, 30, [loss("v", 0, 100, 20), loss("w", 0, 50, 10)], rule="fifo")
    assert (told.way, shares(told), told.stays_fen) == ("timestamps", [0, 10], 20)


def test_nobodys_money_stays() -> None:
    told = shared([pay(1, "honest", "m", 100), pay(1, "v", "q", 100)], 100, [loss("v", 0, 100)])
    assert (told.way, shares(told), told.stays_fen) == ("nobody", [0], 100)


def test_a_victim_whose_money_never_came_gets_nothing() -> None:
    rows = [pay(1, "v", "m", 100), pay(2, "w", "m", 100), pay(3, "u", "q", 500), pay(4, "m", "x", 50)]
    told = shared(rows, 100, [loss("v", 0, 100), loss("w", 0, 100), loss("u", 0, 500)])
    assert (told.way, shares(told)) == ("pro_rata", [50, 50, 0])


def test_a_new_victim_is_a_new_plan() -> None:
    rows = [pay(1, "v", "m", 100), pay(2, "w", "m", 100), pay(3, "m", "x", 100)]
    before = shared(rows, 100, [loss("v", 0, 100)])
    after = shared(rows, 100, [loss("v", 0, 100), loss("w", 0, 100)])
    assert shares(before) == [100] and shares(after) == [50, 50]


@pytest.mark.parametrize(
    ("balance", "losses", "rule", "words"),
    [(1, [], "fifo", "no losses"), (-1, LOSSES, "fifo", "no frozen balance"), (1, LOSSES, "haircut", "ordering rule"),
     (1, [loss("v", 0, 100, 101)], "fifo", "outstanding"), (10**30, LOSSES, "fifo", "no frozen balance")],
)  # fmt: skip
def test_what_cannot_be_is_refused(balance: int, losses: list[Loss], rule: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        shared(ROWS, balance, losses, rule=rule)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=12), st.data())
def test_pro_rata_sums_and_is_within_a_fen_of_the_exact_part(weights: list[int], data: st.DataObject) -> None:
    fen = data.draw(st.integers(0, sum(weights)))
    told = pro_rata(fen, weights, range(len(weights)))
    assert sum(told) == (fen if sum(weights) else 0)
    for share, weight in zip(told, weights, strict=True):
        assert 0 <= share <= weight
        assert not sum(weights) or abs(share - Fraction(fen * weight, sum(weights))) < 1


transfers = st.lists(
    st.tuples(st.integers(1, 12), st.sampled_from("vwab"), st.sampled_from("abmx"), st.integers(1, 60)),
    min_size=1, max_size=14,
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(transfers, st.integers(0, 150), st.sampled_from(["fifo", "lifo"]))
def test_any_plan_sums_to_the_balance_and_gives_nobody_too_much(
    moves: list[tuple[int, str, str, int]], balance: int, rule: str
) -> None:
    rows = [pay(second, a, b, fen) for second, a, b, fen in moves if a != b]
    told = shared(rows, balance, LOSSES, rule=rule)
    assert told.returned_fen + told.stays_fen == balance
    for share, one in zip(told.shares, LOSSES, strict=True):
        assert 0 <= share.share_fen <= one.outstanding_fen
        assert share.came or not share.share_fen
    tracer = Tracer(Index.of(table(rows)))
    thefts = [one.theft for one in LOSSES]
    for account in "abmxvw":
        held = tracer.held_for(f"account:{account}", thefts, policy=told.rule)
        whole = tracer.follow(thefts, policy=told.rule).accounts
        assert sum(held) == sum(a["held_fen"] for a in whole if a["account"] == f"account:{account}")


def test_a_victim_of_several_thefts_weighs_with_their_sum() -> None:
    """By theft the remainders would go otherwise; by victim, w and v are shared first, then each one's thefts."""
    rows = [pay(1, "v", "m", 1), pay(2, "v", "m", 1), pay(3, "w", "m", 1), pay(4, "m", "x", 1)]
    mine = [loss("v", 0, 1), loss("v", 2, 1), loss("w", 3, 1)]
    whose = [
        Loss(theft=x.theft, outstanding_fen=x.outstanding_fen, victim=name) for x, name in zip(mine, "vvw", strict=True)
    ]
    told = shared(rows, 2, whose)
    assert told.way == "pro_rata" and sum(shares(told)) == 2
    assert (sum(shares(told)[:2]), shares(told)[2]) == (1, 1)  # 4⁄3 and 2⁄3 of a fen


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("uvw"), st.integers(1, 10**9)), min_size=1, max_size=8), st.integers(0, 10**10)
)
def test_shares_of_victims_sum_and_stay_within_a_fen(lost: list[tuple[str, int]], balance: int) -> None:
    rows = [pay(2 * i + 1, who, "m", fen) for i, (who, fen) in enumerate(lost)] + [pay(99, "honest", "m", 1)]
    asked = [
        Loss(theft=Theft(account=f"account:{who}", at=T0 + 2 * i * SECOND, amount_fen=fen), outstanding_fen=fen,
             victim=who)
        for i, (who, fen) in enumerate(lost)
    ]  # fmt: skip
    told = shared(rows, balance, asked)
    assert told.returned_fen + told.stays_fen == balance
    if told.way != "pro_rata":
        return
    whole = sum(fen for _, fen in lost)
    given_ = min(balance, whole)
    assert told.returned_fen == given_
    for who in {who for who, _ in lost}:
        mine = sum(s.share_fen for s, x in zip(told.shares, asked, strict=True) if x.victim == who)
        owed = sum(fen for name, fen in lost if name == who)
        assert abs(mine - Fraction(given_ * owed, whole)) < 1
