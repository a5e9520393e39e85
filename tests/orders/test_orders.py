"""Orders: what must never be is refused by the database, not only by code; the law's bounds hold whoever presses."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import psycopg
import pytest
from tests.desks import Centre
from tests.money import BANK, FIRST, VICTIM, Chase

from wuzha.cases import command, flow, reports
from wuzha.command.public import Actor, Refused
from wuzha.orders import answering, drafting, guard, radar, releasing, sealing, states, terms
from wuzha.orders.drafting import Draft

SECOND = "6217001234560002"


def reasons(chase: Chase, order: dict[str, Any]) -> list[str]:
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        every = states.of_case(conn, chase.case_id, now=chase.now)
        held = flow.follow(flow.read(conn, chase.case_id), until=chase.now).held()
        known = guard.facts(conn, {"case_id": chase.case_id, "state": order["case_state"]}, every, held, now=chase.now)
        stops = sealing.account_stops(conn, order["account_id"])
        return [r.code for r in guard.against(known, order, stops, now=chase.now)]


def test_a_citizens_web_report_only_drafts(chase: Chase, sun: Actor) -> None:
    chase.report(channel="web", account="", verified_how="自称本人", application_ref="x", undisputed=True)
    stop = chase.order("stop", FIRST)
    assert reasons(chase, stop) == ["needs_verified", "needs_account", "needs_application", "needs_undisputed"]
    with pytest.raises(Refused, match="orders_none"):
        chase.seal(sun)
    with chase.house.scope(chase.officer) as conn:
        (report,) = conn.execute("SELECT report_id FROM case_reports").fetchone() or (0,)
        reports.verify(conn, chase.officer, report, how="回拨核实", key=chase.key())
        reports.debited(conn, chase.officer, report, account=VICTIM, key=chase.key())
        reports.apply(conn, chase.officer, report, ref="申请9号", key=chase.key())
    assert reasons(chase, stop) == ["needs_undisputed"]
    with chase.house.scope(chase.officer) as conn:
        reports.dispute(conn, chase.officer, report, is_one=True, why="货款纠纷", key=chase.key())
    assert reasons(chase, stop) == ["needs_undisputed"]
    with chase.house.scope(chase.officer) as conn:
        reports.dispute(conn, chase.officer, report, is_one=False, why="", key=chase.key())
    assert reasons(chase, stop) == []
    assert len(chase.seal(sun).detail["sealed"]) == 2


def test_nothing_counts_as_sent_without_a_number(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    order = chase.order("stop", FIRST)["order_id"]
    for change in (
        "entered_at = now()", "entered_at = now(), external_no = ' '", "accepted_at = now(), receipt = 'r'",
        "answered_at = now(), executed_at = now(), done_fen = 1, ends_at = now() + interval '1 hour'",
        "turn = 3", "sealed_by = NULL", "amount_fen = 1",
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.CheckViolation), chase.house.scope(sun) as conn:
            conn.execute(f"UPDATE orders SET {change} WHERE order_id = %s", (order,))
    with pytest.raises(Refused, match="order_number"):
        chase.enter(order, " ")
    with pytest.raises(Refused, match="order_not_now"), chase.house.scope(sun) as conn:
        answering.accepted(conn, sun, order, receipt="r", key=chase.key())
    chase.enter(order, "ZF1")
    assert chase.order("stop", FIRST)["state"] == "entered"


def test_a_stop_runs_48_hours_from_its_execution_and_ends_by_itself(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("stop", FIRST), done_fen=4_000_000)
    order = chase.order("stop", FIRST)
    assert order["ends_at"] == order["executed_at"] + timedelta(hours=48) and order["in_force"]
    with chase.house.scope(sun) as conn:
        later = states.one(conn, sun, order["order_id"], now=order["ends_at"])
        soon = radar.radar(conn, sun, which="expiring", now=order["ends_at"] - timedelta(hours=11))
    assert later["state"] == "expired" and not later["in_force"]
    assert [o["order_id"] for o in soon] == [order["order_id"]]


def test_an_account_is_stopped_twice_at_the_most_whoever_asks(house: Centre, sun: Actor, chase: Chase) -> None:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("stop", FIRST), done_fen=4_000_000)
    other = Chase(house, house.officer("li", "李", "dissuader", unit="east"))
    keeper = house.officer("seal2", "章", "sealer", unit="east")
    other.report(id_no="", line="13900000001")  # another unit, the same account
    assert other.case_id != chase.case_id and other.order("stop", FIRST)["turn"] is None
    other.seal(keeper)
    assert other.order("stop", FIRST)["turn"] == 2
    third = Chase(house, house.officer("zhou", "周", "dissuader", unit="south"))
    third.report(id_no="", line="13900000002")
    assert "stop_times" in reasons(third, third.order("stop", FIRST))
    with pytest.raises(psycopg.errors.UniqueViolation), house.scope(keeper) as conn:
        conn.execute("UPDATE orders SET turn = 1 WHERE kind = 'stop' AND turn IS NULL")
        conn.execute(
            "INSERT INTO orders (case_id, kind, account_id, channel, level, amount_fen, law_from, turn, reason,"
            " drafted_at, sealed_at, sealed_by) SELECT case_id, kind, account_id, channel, 1, 1, law_from, 2, 'x',"
            " now(), now(), %s FROM orders WHERE kind = 'stop' LIMIT 1",
            (keeper.user_id,),
        )


def test_two_officers_at_once_order_once(house: Centre, chase: Chase, sun: Actor) -> None:
    """Two connections press at the same moment: each order is sealed once, by one of them."""
    chase.report()
    second = house.officer("sun2", "孙二", "sealer")
    ids = [o["order_id"] for o in chase.orders("drafted")]
    start, became = threading.Barrier(2), []

    def press(who: Actor) -> None:
        with house.db.connect("web") as conn:
            start.wait()
            try:
                with house.scope(who, conn, now=chase.now):
                    done = command.seal(conn, who, chase.case_id, ids, key=f"press-by-{who.login}", now=chase.now)
                became.append(len(done.detail["sealed"]))
            except Refused as refused:
                became.append(refused.reason)

    threads = [threading.Thread(target=press, args=(who,)) for who in (sun, second)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert sorted(map(str, became)) == ["2", "orders_sealed"]
    assert house.engine.execute("SELECT count(*) FROM audit WHERE action = 'case.order_sealed'").fetchone() == (2,)


def test_two_units_at_once_stop_an_account_each_once(house: Centre, chase: Chase, sun: Actor) -> None:
    """The account's next turn is taken by one; the other is told, and nothing of theirs is sealed."""
    chase.report()
    other = Chase(house, house.officer("li", "李", "dissuader", unit="east"))
    keeper = house.officer("seal2", "章", "sealer", unit="east")
    other.report(id_no="", line="13900000001")
    start, became = threading.Barrier(2), []

    def press(mine: Chase, who: Actor, stop: int) -> None:
        with house.db.connect("web") as conn:
            try:
                with house.scope(who, conn, now=mine.now):
                    conn.execute("SELECT 1")
                    start.wait()
                    command.seal(conn, who, mine.case_id, [stop], key=f"press-by-{who.login}", now=mine.now)
                became.append("sealed")
            except Refused as refused:
                became.append(refused.reason)

    both = [(mine, who, mine.order("stop", FIRST)["order_id"]) for mine, who in ((chase, sun), (other, keeper))]
    threads = [threading.Thread(target=press, args=one) for one in both]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    turns = house.db.connect("super").execute("SELECT turn FROM wuzha.orders WHERE sealed_at IS NOT NULL").fetchall()
    assert sorted(turns) == [(n + 1,) for n in range(became.count("sealed"))]
    assert set(became) <= {"sealed", "order_elsewhere"} and "sealed" in became


def test_a_freeze_wants_a_filed_case_and_anothers_approval(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    account = chase.order("stop", FIRST)["account_id"]
    wish = Draft(kind="freeze", account_id=account, level=1, reason="立案后冻结", amount_fen=4_000_000, months=6)
    with house.scope(chase.officer, now=chase.now) as conn:
        drafting.draft(conn, chase.officer, chase.case_id, wish, key=chase.key(), now=chase.now)
    freeze = chase.order("freeze", FIRST)
    assert reasons(chase, freeze) == ["case_state", "approval"]
    with house.scope(chase.officer, now=chase.now) as conn:
        for to in ("accepted", "filed"):
            reports.move(conn, chase.officer, chase.case_id, to=to, key=chase.key(), now=chase.now)
    chief = house.officer("chief", "长官", "commander")
    with pytest.raises(Refused, match="forbidden"), house.scope(sun, now=chase.now) as conn:
        sealing.approve(conn, sun, freeze["order_id"], key=chase.key(), now=chase.now)
    with house.scope(chief, now=chase.now) as conn:
        sealing.approve(conn, chief, freeze["order_id"], key=chase.key(), now=chase.now)
    chase.seal(sun, freeze["order_id"])
    chase.answer(chase.order("freeze", FIRST), done_fen=4_000_000)
    frozen = chase.order("freeze", FIRST)
    assert frozen["in_force"] and frozen["ends_at"] == terms.months_after(frozen["executed_at"], 6)
    assert states.state(frozen, frozen["ends_at"]) == "expired"  # lapses by itself
    assert chase.orders("drafted", kind="stop") == []  # what is frozen needs no stop


def test_a_year_is_the_citys_to_approve_and_nobody_approves_their_own(house: Centre, chase: Chase) -> None:
    chase.report()
    chief = house.officer("chief", "长官", "commander")
    account = chase.order("stop", FIRST)["account_id"]
    with house.scope(chief, now=chase.now) as conn:
        drafting.draft(conn, chief, chase.case_id, Draft(
            kind="freeze", account_id=account, level=1, reason="重大", amount_fen=1, months=12,
        ), key=chase.key(), now=chase.now)  # fmt: skip
    freeze = chase.order("freeze", FIRST)["order_id"]
    with pytest.raises(Refused, match="order_own"), house.scope(chief, now=chase.now) as conn:
        sealing.approve(conn, chief, freeze, key=chase.key(), now=chase.now)
    another = house.officer("chief2", "副长官", "commander")
    with pytest.raises(Refused, match="order_level"), house.scope(another, now=chase.now) as conn:
        sealing.approve(conn, another, freeze, key=chase.key(), now=chase.now)


def test_the_guard_says_why_more_is_not_held_than_was_stolen(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    account = chase.order("stop", FIRST)["account_id"]
    with house.scope(sun, now=chase.now) as conn:
        conn.execute("UPDATE orders SET amount_fen = 5000001 WHERE kind = 'stop'")
    assert reasons(chase, chase.order("stop", FIRST)) == ["over_account", "over_case"]
    with house.scope(sun, now=chase.now) as conn:
        conn.execute("UPDATE orders SET amount_fen = NULL, whole_why = '账户全为赃款' WHERE kind = 'stop'")
    assert reasons(chase, chase.order("stop", FIRST)) == ["whole_first"]
    assert account


def test_a_bank_that_holds_more_is_recorded_as_asked_and_told(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("stop", FIRST), done_fen=9_000_000)
    assert chase.order("stop", FIRST)["done_fen"] == 5_000_000
    over = house.engine.execute("SELECT detail->'over_fen' FROM audit WHERE action = 'case.order_done'").fetchone()
    assert over == (4_000_000,)


def test_an_answer_that_comes_twice_changes_nothing(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    rows = [chase.moved(FIRST, SECOND, 3_000_000, 3)]
    first = chase.answer(chase.order("query", FIRST), rows, key="answer-one")
    again = chase.answer(chase.order("query", FIRST), rows, key="answer-one")
    assert (first.rows, first.repeated) == (1, False) and (again.rows, again.repeated) == (0, True)
    with pytest.raises(Refused, match="order_not_now"):
        chase.answer(chase.order("query", FIRST), rows, key="answer-two")


def test_a_failed_stop_gives_its_turn_back(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("stop", FIRST), failed="name")
    failed = chase.order("stop", FIRST)
    assert failed["state"] == "failed"  # a mismatch is an officer's to look at: the machine does not ask again
    wish = Draft(kind="stop", account_id=failed["account_id"], level=1, reason="户名已核对", amount_fen=5_000_000)
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        drafting.draft(conn, chase.officer, chase.case_id, wish, key=chase.key(), now=chase.now)
    chase.seal(sun, chase.order("stop", FIRST)["order_id"])
    assert chase.order("stop", FIRST)["turn"] == failed["turn"] == 1


def test_a_release_ends_what_it_names(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("stop", FIRST), done_fen=4_000_000)
    stop = chase.order("stop", FIRST)
    with house.scope(sun, now=chase.now) as conn:
        releasing.release(conn, sun, stop["order_id"], why="与案件无关", key=chase.key(), now=chase.now)
    chase.seal(sun, chase.order("release", FIRST)["order_id"])
    chase.answer(chase.order("release", FIRST))
    assert chase.order("stop", FIRST)["state"] in ("released", "drafted")
    with house.scope(sun, now=chase.now) as conn:
        assert states.one(conn, sun, stop["order_id"], now=chase.now)["state"] == "released"


def test_the_duty_to_enter_runs_from_the_report(chase: Chase) -> None:
    chase.report(reported_at=chase.now - timedelta(minutes=10))
    order = chase.order("stop", FIRST)
    assert order["entry_due"] == chase.now + timedelta(minutes=20) and order["bank"] == BANK
    assert chase.order("query", FIRST)["entry_due"] is None


def test_the_same_person_who_reports_again_and_again_is_looked_at_first(house: Centre, chase: Chase) -> None:
    for n in range(3):
        chase.report(number=f"R{n}")
    with house.scope(chase.officer, now=chase.now) as conn:
        every = states.of_case(conn, chase.case_id, now=chase.now)
        known = guard.facts(conn, {"case_id": chase.case_id, "state": "received"}, every, {}, now=chase.now)
    assert [(r.code, r.values["n"]) for r in guard.cautions(known, now=chase.now)] == [("repeat", 3)]


def test_a_freeze_is_renewed_while_it_stands_by_an_order_of_its_own(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    account = chase.order("stop", FIRST)["account_id"]
    chief = house.officer("chief", "长官", "commander")
    wish = Draft(kind="freeze", account_id=account, level=1, reason="立案后冻结", amount_fen=4_000_000, months=6)
    with house.scope(chase.officer, now=chase.now) as conn:
        for to in ("accepted", "filed"):
            reports.move(conn, chase.officer, chase.case_id, to=to, key=chase.key(), now=chase.now)
        drafting.draft(conn, chase.officer, chase.case_id, wish, key=chase.key(), now=chase.now)
    first = chase.order("freeze", FIRST)["order_id"]
    with pytest.raises(Refused, match="order_not_now"), house.scope(chase.officer, now=chase.now) as conn:
        releasing.renew(conn, chase.officer, first, months=6, why="还在侦查", key=chase.key(), now=chase.now)
    with house.scope(chief, now=chase.now) as conn:
        sealing.approve(conn, chief, first, key=chase.key(), now=chase.now)
    chase.seal(sun, first)
    chase.answer(chase.order("freeze", FIRST), done_fen=4_000_000)
    with house.scope(chase.officer, now=chase.now) as conn:
        releasing.renew(conn, chase.officer, first, months=6, why="还在侦查", key=chase.key(), now=chase.now)
    renewal = chase.order("freeze", FIRST)
    assert (renewal["of_order"], renewal["state"]) == (first, "drafted")
    assert reasons(chase, renewal) == ["approval"]  # the first one's money does not count twice


def test_a_channel_is_chosen_before_the_seal_and_not_after(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    stop = chase.order("stop", FIRST)["order_id"]
    with house.scope(sun, now=chase.now) as conn:
        drafting.choose_channel(conn, sun, stop, channel="letter", key=chase.key(), now=chase.now)
    with pytest.raises(Refused, match="order_member"), house.scope(sun, now=chase.now) as conn:
        drafting.choose_channel(conn, sun, stop, channel="api", key=chase.key(), now=chase.now)
    chase.seal(sun)
    assert chase.order("stop", FIRST)["word"] == "order_state.letter.sealed"
    with pytest.raises(Refused, match="order_not_now"), house.scope(sun, now=chase.now) as conn:
        drafting.choose_channel(conn, sun, stop, channel="platform", key=chase.key(), now=chase.now)
