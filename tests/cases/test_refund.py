"""A refund from the freeze to the last receipt: who may do what, when, and what never happens."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from tests.desks import Centre
from tests.money import FIRST, VICTIM
from tests.refunds import ONWARD, SECOND_VICTIM, Refunding, frozen

from wuzha.cases import money
from wuzha.cases.refund import hearing, opening
from wuzha.cases.refund.hearing import Application
from wuzha.command.public import Refused
from wuzha.events import clock, workdays


def test_the_main_path_ends_with_the_last_receipt(going: Refunding) -> None:
    going.start()
    r = going.read()
    assert (r["plan"]["way"], r["plan"]["balance_fen"], going.shares()) == (
        "pro_rata",
        3_000_000,
        [1_800_000, 1_200_000],
    )
    assert r["state"] == "to_notice"
    going.notice()
    for report in going.victims():
        going.apply(report)
    assert going.state() == "noticed"
    going.later(days=31)
    assert going.state() == "to_ask"
    going.ask()
    assert [(w.state, w.party) for w in going.read()["waits"]] == [("asked", "approver")]
    going.answer()
    going.decide()
    assert going.read()["decision"]["decision_no"].startswith("city刑返字〔")
    going.send()
    r = going.read()
    assert r["state"] == "sent" and [p["amount_fen"] for p in r["payments"]] == [1_800_000, 1_200_000]
    for payment in r["payments"]:
        going.receipt(payment)
    r = going.read()
    assert (r["state"], r["closed_how"]) == ("completed", "completed")
    assert sum(p["paid_fen"] for p in r["payments"]) + r["plan"]["stays_fen"] == r["plan"]["balance_fen"]


def test_each_way_of_the_law_is_found(house: Centre) -> None:
    wang = house.officer("wang", "王敏", "dissuader")
    known = frozen(house, wang, rows=[
        (VICTIM, FIRST, 3_000_000, 0, {"payee_balance_fen": 3_000_000}),
        (SECOND_VICTIM, FIRST, 2_000_000, 1, {"payee_balance_fen": 5_000_000}),
        (FIRST, ONWARD, 2_000_000, 3, {"payer_balance_fen": 3_000_000}),
    ])  # fmt: skip
    known.start()
    told = known.read()
    assert (told["plan"]["way"], known.shares()) == ("timestamps", [1_000_000, 2_000_000])
    assert "notice" not in {w.act for w in told["waits"]}  # only what is shared is noticed
    with known.scope(wang) as conn:
        opening.again(conn, wang, known.refund_id, because="rule", words="证据表明逆向", rule="lifo", key=known.key(),
                      now=known.now)  # fmt: skip
    told = known.read()
    assert (told["plan"]["rule"], known.shares(), told["round"]) == ("lifo", [3_000_000, 0], 2)
    assert [r["ended_at"] is not None for r in told["rounds"]] == [True, False]


def test_a_single_payment_goes_by_the_county_where_property_is_clear(house: Centre) -> None:
    wang = house.officer("wang", "王敏", "dissuader")
    one = frozen(house, wang, second=False, rows=[(VICTIM, FIRST, 3_000_000, 0, {})])
    one.start(procedure="clear")
    assert one.read()["plan"]["way"] == "single" and one.shares() == [3_000_000]
    one.apply(one.victims()[0])
    one.ask()
    one.answer(one.chief)
    one.decide()
    assert one.read()["asked"]["level"] == "county"


def test_pro_rata_is_not_for_the_clear_procedure(going: Refunding) -> None:
    going.start(procedure="clear")
    going.notice()
    going.apply(going.victims()[0])
    going.later(days=32)
    with pytest.raises(Refused, match="refund_against"):
        going.ask()
    assert going.state() == "procedure"
    with going.scope(going.wang) as conn:
        opening.again(conn, going.wang, going.refund_id, because="rule", words="改走专门程序", procedure="special",
                      key=going.key(), now=going.now)  # fmt: skip
    assert going.state() == "to_notice"


def test_who_may_not_approve(going: Refunding, superuser: Any) -> None:
    both = going.house.officer("both", "双职", "dissuader", "commander", unit="city")
    going.start()
    going.notice()
    for report in going.victims():
        going.apply(report)
    going.later(days=32)
    going.ask(both)
    with pytest.raises(Refused, match="refund_level"):
        going.answer(going.chief)  # the county's chief, for the city's decision
    with pytest.raises(Refused, match="order_own"):
        going.answer(both)
    with pytest.raises(Refused, match="forbidden"):
        going.answer(going.sun)
    with pytest.raises(Refused, match="no_words"):
        going.answer(granted=False)
    # Past the code, as the database's own superuser: the same holds.
    for column, value in (("decided_unit", going.house.units["centre"]), ("decided_by", both.user_id)):
        values = {"decided_unit": going.house.units["city"], "decided_by": going.city.user_id} | {column: value}
        with pytest.raises(psycopg.errors.CheckViolation):
            superuser.execute(
                "UPDATE wuzha.refund_approvals SET granted = true, decided_at = %s, decided_by = %s, decided_unit = %s",
                (going.now, values["decided_by"], values["decided_unit"]),
            )
    going.answer(granted=False, words="补充流水")
    assert going.state() == "returned"
    going.ask()
    going.answer()
    assert going.state() == "approved"


def test_nothing_is_approved_before_its_notice_is_over(going: Refunding, superuser: Any) -> None:
    going.start()
    going.notice()
    going.apply(going.victims()[0])
    ends = going.read()["notice"]["ends_at"].astimezone(clock.zone())
    posted = going.now.astimezone(clock.zone())
    assert (ends.date() - posted.date()).days == 31 and (ends.hour, ends.minute) == (0, 0)
    going.later(days=29)
    with pytest.raises(Refused, match="refund_against"):
        going.ask()
    with pytest.raises(psycopg.errors.CheckViolation):
        superuser.execute("UPDATE wuzha.refund_notices SET ends_at = posted_at + interval '29 days'")


def test_an_objection_is_decided_and_one_that_is_right_wants_a_new_plan(going: Refunding) -> None:
    going.start()
    going.notice()
    going.apply(going.victims()[0])
    with going.scope(going.wang) as conn:
        hearing.object_(conn, going.wang, going.refund_id, who="holder", words="这是我的货款", name="陈某",
                        key=going.key(), now=going.now)  # fmt: skip
    going.later(days=32)
    assert going.state() == "objected"
    with pytest.raises(Refused, match="refund_against"):
        going.ask()
    objection = going.read()["objections"][0]
    assert objection["name"] == "陈某"
    with going.scope(going.wang) as conn:
        hearing.settle(conn, going.wang, objection["objection_id"], upheld=True, reason="合同属实", key=going.key(),
                       now=going.now)  # fmt: skip
    assert going.state() == "upheld"
    with pytest.raises(Refused, match="refund_against"):
        going.ask()
    with going.scope(going.wang) as conn:
        opening.again(conn, going.wang, going.refund_id, because="objection", words="扣除货款", key=going.key(),
                      now=going.now)  # fmt: skip
    told = going.read()
    assert (told["state"], told["round"], told["notice"]) == ("to_notice", 2, None)


def test_a_new_victim_reopens_with_a_new_notice(going: Refunding) -> None:
    going.start()
    going.notice()
    for report in going.victims():
        going.apply(report)
    going.later(days=32)
    going.ask()
    going.answer()
    assert going.state() == "approved"
    going.joins()
    told = going.read()
    assert (told["round"], told["state"], told["plan"]["because"]) == (2, "to_notice", "new_report")
    assert sum(going.shares()) == 3_000_000 and len(going.shares()) == 3
    with pytest.raises(Refused, match="refund_not_now"):
        going.decide()  # the approval was of the old plan
    assert {v["application"] is not None for v in told["victims"]} == {True, False}  # who has applied need not again


def test_after_the_decision_a_new_victim_waits_for_a_new_procedure(going: Refunding) -> None:
    going.start()
    going.paid()
    assert going.state() == "completed"
    going.joins()
    assert going.read()["round"] == 1
    with pytest.raises(Refused, match="refund_frozen"):
        going.start()  # nothing is left in the freeze


def test_another_organs_file_is_waited_for_and_seen_by_that_organ_only(going: Refunding) -> None:
    house = going.house
    far = house.officer("far", "外地", "station", unit="east")
    south = house.officer("south", "旁人", "station", unit="south")
    going.start()
    going.notice()
    for report in going.victims():
        going.apply(report)
    with going.scope(going.wang) as conn:
        hearing.ask_file(conn, going.wang, going.refund_id, going.victims()[1], organ="东街派出所",
                         case_no="A东2026001", key=going.key(), now=going.now)  # fmt: skip
    going.later(days=32)
    assert [(w.state, w.party) for w in going.read()["waits"]] == [("handover", "organ")]
    with going.scope(far) as conn:
        (asked,) = hearing.asked_of_us(conn, far)
        assert asked["case_no"] == "A东2026001"
        assert conn.execute("SELECT count(*) FROM refunds").fetchone() == (0,)
        hearing.send_file(conn, far, asked["handover_id"], ref="移〔2026〕3号", now=going.now)
    with going.scope(south) as conn:
        assert hearing.asked_of_us(conn, south) == []
        with pytest.raises(Refused, match="not_found"):
            hearing.send_file(conn, south, asked["handover_id"], ref="x", now=going.now)
    assert [w.state for w in going.read()["waits"]] == ["handed"]
    with going.scope(going.wang) as conn:
        hearing.receive_file(conn, going.wang, asked["handover_id"], ref="收3", key=going.key(), now=going.now)
    assert going.state() == "to_ask"


def test_money_goes_back_where_it_came_from_and_elsewhere_only_with_a_reason(going: Refunding) -> None:
    going.start()
    first, second = going.victims()
    with pytest.raises(Refused, match="no_words"):
        going.apply(first, account="6222029999999999")
    going.apply(first)
    going.notice()
    going.later(days=32)
    going.ask()
    going.answer()
    going.decide()
    going.send()
    told = going.read()
    (payment,) = told["payments"]  # the second has not applied: theirs stays frozen
    assert (payment["account"], payment["other_why"]) == (VICTIM, None)
    assert {w.state for w in told["waits"]} == {"sent", "to_apply"}
    going.receipt(payment, paid_fen=0, number="", failed_code="closed")
    assert going.state() == "failed"
    application = told["applications"][0]["application_id"]
    with going.scope(going.wang) as conn:
        hearing.redirect(conn, going.wang, application, Application(ref="", account="6222029999999999", bank="丙银行",
                         why="原账户已销户"), key=going.key(), now=going.now)  # fmt: skip
    going.send(payment["share_id"])
    again = going.read()["payments"][-1]
    assert (again["account"], again["other_why"], again["amount_fen"]) == (
        "6222029999999999",
        "原账户已销户",
        1_800_000,
    )
    going.receipt(again, paid_fen=1_000_000, failed_code="no_balance")
    going.send(payment["share_id"])
    rest = going.read()["payments"][-1]
    assert rest["amount_fen"] == 800_000
    going.receipt(rest)
    going.apply(second)
    going.send()
    going.receipt(going.read()["payments"][-1])
    assert going.state() == "completed"


def test_the_banks_term_is_three_working_days(going: Refunding) -> None:
    going.start()
    going.decided()
    going.send()
    told = going.read()
    assert {p["due_at"] for p in told["payments"]} == {workdays.due(going.now, 3).at}
    assert not told["waits"][0].late(going.now)
    going.later(days=12)
    assert going.read()["waits"][0].late(going.now)


def test_a_freeze_that_lapses_stops_the_refund(going: Refunding) -> None:
    going.start()
    going.notice()
    going.apply(going.victims()[0])
    going.later(days=170)
    assert "freeze_ends" in {w.state for w in going.read()["waits"]}
    going.later(days=30)
    assert going.state() == "unfrozen"
    with pytest.raises(Refused, match="refund_against"):
        going.ask()
    with going.scope(going.wang) as conn:
        opening.stop(conn, going.wang, going.refund_id, why="冻结到期", key=going.key(), now=going.now)
    assert going.state() == "stopped"


def test_what_came_back_otherwise_is_not_given_twice(going: Refunding) -> None:
    going.start()
    loss = going.read()["shares"][0]["loss_id"]
    with going.scope(going.wang) as conn:
        opening.credit(conn, going.wang, loss, amount_fen=1_000_000, why="平台垫付", key=going.key(), now=going.now)
    assert going.state() == "changed"
    with pytest.raises(Refused, match="refund_changed"):
        going.notice()
    with going.scope(going.wang) as conn:
        opening.again(
            conn, going.wang, going.refund_id, because="facts", words="垫付扣除", key=going.key(), now=going.now
        )
    assert going.shares() == [1_500_000, 1_500_000]
    with pytest.raises(Refused, match="refund_amount"), going.scope(going.wang) as conn:
        opening.credit(conn, going.wang, loss, amount_fen=2_000_001, why="x", key=going.key(), now=going.now)


def test_a_paid_share_leaves_the_freeze_and_nothing_is_found_over_held(going: Refunding) -> None:
    going.start()
    going.decided()
    going.send()
    going.receipt(going.read()["payments"][0])
    told = going.read()
    assert told["frozen"].balance_fen == 1_200_000
    with going.scope(going.wang) as conn:
        assert money.read(conn, going.wang, going.chase.case_id, now=going.now).over == []


def test_the_money_page_counts_what_was_given_back(going: Refunding) -> None:
    going.start()
    going.paid()
    with going.scope(going.wang) as conn:
        bar = dict(money.read(conn, going.wang, going.chase.case_id, now=going.now).bar)
    assert bar["returned"] == 3_000_000 and bar["frozen"] == 0 and sum(bar.values()) == 5_000_000
