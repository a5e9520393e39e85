"""Pursuit: drafts at once, answers in any order, drafts on; the machine sends nothing and nothing is sent twice."""

from __future__ import annotations

import itertools
from datetime import timedelta

import pytest
from tests.desks import Centre
from tests.money import FIRST, VICTIM, Chase

from wuzha.cases import flow, money
from wuzha.command.public import Actor, Refused

SECOND, THIRD, FOURTH = "6217001234560002", "6216600000000003", "6230580000000004"


def test_a_report_drafts_the_stop_and_the_query_at_once(chase: Chase) -> None:
    taken = chase.report()
    assert not taken.joined and taken.case_no.startswith("Acentre")
    assert [(o["kind"], o["account"], o["amount_fen"], o["state"]) for o in chase.orders()] == [
        ("query", FIRST, None, "drafted"), ("stop", FIRST, 5_000_000, "drafted"),
    ]  # fmt: skip
    assert {o["drafted_by"] for o in chase.orders()} == {None}


def test_a_report_sent_twice_stands_once(chase: Chase) -> None:
    first = chase.report(number="R-1", key="the-same-click")
    for key in ("the-same-click", "another-click"):
        again = chase.report(number="R-1", key=key)
        assert again.repeated and again.report_id == first.report_id
    assert len(chase.orders()) == 2


def chased(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("query", FIRST), [
        chase.moved(None, FIRST, 5_000_000, 0), chase.moved(FIRST, SECOND, 3_000_000, 3, payee_bank="乙银行"),
        chase.moved(FIRST, THIRD, 1_500_000, 4),
    ])  # fmt: skip


def test_an_answer_extends_the_trace_and_drafts_on(chase: Chase, sun: Actor) -> None:
    chased(chase, sun)
    drafts = {(o["kind"], o["account"]): o for o in chase.orders("drafted")}
    assert drafts.keys() == {(k, a) for k in ("query", "stop") for a in (SECOND, THIRD)}
    assert (drafts["stop", SECOND]["amount_fen"], drafts["stop", SECOND]["level"]) == (3_000_000, 2)
    assert drafts["stop", SECOND]["bank"] == "乙银行"
    # The first account's own stop is under way and stays as it was sealed.
    assert chase.order("stop", FIRST)["amount_fen"] == 5_000_000


def test_drafts_follow_the_money_and_go_with_it(chase: Chase, sun: Actor) -> None:
    chased(chase, sun)
    chase.seal(sun, chase.order("query", SECOND)["order_id"])
    chase.answer(chase.order("query", SECOND), [chase.moved(SECOND, FOURTH, 3_000_000, 9)])
    assert [o["account"] for o in chase.orders("drafted", kind="stop")] == [THIRD, FOURTH]
    with chase.house.scope(sun) as conn:
        why = conn.execute("SELECT dropped_why, dropped_by FROM orders WHERE dropped_at IS NOT NULL").fetchall()
    assert why == [("moved_on", None)]


def test_the_order_in_which_answers_come_changes_nothing(house: Centre, sun: Actor) -> None:
    """Every order of the same three answers ends with the same accounts, figures and drafts."""
    ends = set()
    for n, order in enumerate(itertools.permutations(range(3))):
        officer = house.officer(f"officer{n}", "官", "dissuader")
        chase = Chase(house, officer)
        a, b, c = (f"62284804025{n:02d}{i:04d}" for i in range(3))
        chase.report(payee=a, number=f"N{n}", line=f"1391234{n:04d}", id_no="")
        with house.scope(officer) as conn:
            for account in (b, c):  # asked by hand, before the trace knows of them
                from wuzha.cases import accounts
                from wuzha.orders import drafting

                number = accounts.met(conn, chase.case_id, account, role="met")
                drafting.draft(conn, officer, chase.case_id, drafting.Draft(
                    kind="query", account_id=number, level=2, reason="先问"), key=chase.key())  # fmt: skip
        chase.seal(sun, *[o["order_id"] for o in chase.orders("drafted", kind="query")])
        said = {
            a: [chase.moved(None, a, 5_000_000, 0), chase.moved(a, b, 4_000_000, 2)],
            b: [chase.moved(a, b, 4_000_000, 2), chase.moved(b, c, 2_500_000, 5)],
            c: [chase.moved(b, c, 2_500_000, 5), chase.moved(c, None, 1_000_000, 8, cash=True, channel="atm")],
        }
        for i in order:
            account = (a, b, c)[i]
            chase.answer(chase.order("query", account), said[account])
        with house.scope(officer) as conn:
            known = flow.follow(flow.read(conn, chase.case_id), until=chase.now)
        at = {a: "a", b: "b", c: "c"}
        ends.add((
            tuple((at[x.account], x.level, x.received_fen, x.held_fen) for x in known.nodes),
            tuple(sorted(known.totals.items())),
            tuple(sorted((at[o["account"]], o["amount_fen"]) for o in chase.orders("drafted", kind="stop"))),
        ))  # fmt: skip
    assert len(ends) == 1, ends
    nodes, totals, _ = ends.pop()
    assert [(n[0], n[3]) for n in nodes] == [("a", 1_000_000), ("b", 1_500_000), ("c", 1_500_000)]
    assert dict(totals) == {"stolen_fen": 5_000_000, "held_fen": 4_000_000, "exited_fen": 1_000_000, "unknown_fen": 0}


def test_a_second_press_sends_nothing_twice(chase: Chase, sun: Actor) -> None:
    chase.report()
    ids = [o["order_id"] for o in chase.orders("drafted")]
    first = chase.seal(sun, *ids, key="the-one-press")
    again = chase.seal(sun, *ids, key="the-one-press")
    assert again.repeated and again.step_id == first.step_id
    with pytest.raises(Refused, match="orders_sealed"):
        chase.seal(sun, *ids)
    assert {o["state"] for o in chase.orders()} == {"sealed"}


def test_only_a_named_officer_with_the_seal_sends(chase: Chase, house: Centre) -> None:
    from wuzha.command.public import machine

    chase.report()
    for who in (chase.officer, house.officer("chief", "长官", "commander"), machine(house.units["centre"], "pursuit")):
        with pytest.raises(Refused, match="forbidden"):
            chase.seal(who)


def test_the_bar_always_sums(chase: Chase, sun: Actor) -> None:
    chased(chase, sun)
    chase.answer(chase.order("stop", FIRST), done_fen=500_000)
    chase.seal(sun, chase.order("query", THIRD)["order_id"])
    chase.answer(chase.order("query", THIRD), [
        chase.moved(THIRD, None, 400_000, 6, cash=True, channel="atm", place="广西南宁"),
        chase.moved(THIRD, "6222020200001111", 100_000, 7),
    ])  # fmt: skip
    with chase.house.scope(sun) as conn:
        for minutes in range(0, 21, 2):
            shown = money.read(conn, sun, chase.case_id, now=chase.now, at=chase.at + timedelta(minutes=minutes))
            assert sum(fen for _, fen in shown.bar) == shown.stolen_fen == 5_000_000
    assert dict(shown.bar) == {
        "held": 4_000_000, "frozen": 500_000, "returned": 100_000, "left": 400_000, "unknown": 0,
    }  # fmt: skip
    assert [(e["kind"], e["place"]) for e in shown.flow.exits] == [("cash", "广西南宁")]


def test_a_payment_that_its_bank_dates_before_the_money_came_is_followed_by_the_balances(
    chase: Chase, sun: Actor
) -> None:
    """Two banks' clocks are a minute apart: what came in is dated after what was paid out of it."""
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("query", FIRST), [
        chase.moved("6222000000000099", FIRST, 1_000, -60, payee_balance_fen=1_000),
        chase.moved(VICTIM, FIRST, 5_000_000, 4, payee_balance_fen=5_001_000),
        chase.moved(FIRST, SECOND, 3_000_000, 3, payer_balance_fen=2_001_000),
    ])  # fmt: skip
    assert chase.order("stop", SECOND)["amount_fen"] == 2_999_000  # what lay there before was paid out first
    with chase.house.scope(sun, now=chase.now) as conn:
        known = flow.follow(flow.read(conn, chase.case_id), until=chase.now)
    into = next(r for r in known.ribbons if r.payee == FIRST)
    assert into.order_by == "clocks" and into.at == chase.at + timedelta(minutes=4)  # told as its bank told it
    assert known.totals["stolen_fen"] == 5_000_000
