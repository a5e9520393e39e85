"""A round follows again by itself: when a stop runs out, when an answer grows old, when a bank answers; once each."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from datetime import timedelta
from pathlib import Path

from tests.desks import Centre
from tests.money import FIRST, Chase

from wuzha.cases import command, pursuit, rounds, survival
from wuzha.command.public import Actor
from wuzha.orders import drafting, radar, releasing, tells

SECOND = "6217001234560002"
HOURS = timedelta(hours=1)


def stopped(chase: Chase, sun: Actor, *, held: int = 5_000_000) -> None:
    """The first account is stopped with all that it holds, and its bank has told of it."""
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("query", FIRST), [chase.moved(None, FIRST, 5_000_000, 0, payee_balance_fen=5_000_000)])
    chase.answer(chase.order("stop", FIRST), done_fen=held)


def told(chase: Chase) -> list[str]:
    """What nobody has seen yet of orders; of reconciling, another test tells."""
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        return [t["kind"] for t in tells.unseen(conn, chase.officer) if t["order_id"] is not None]


def test_when_a_stop_runs_out_the_second_is_drafted_by_itself_and_no_third(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun)
    assert chase.orders("drafted") == []
    chase.round(47 * HOURS)
    assert [o["kind"] for o in chase.orders("drafted")] == ["freeze"]  # before its end, while it holds
    assert chase.order("freeze", FIRST)["amount_fen"] == 5_000_000 and chase.order("freeze", FIRST)["months"] == 6
    assert chase.round(2 * HOURS)["pursuit"] == 1
    assert {o["kind"] for o in chase.orders("drafted")} == {"freeze", "query", "stop"}
    assert chase.round()["pursuit"] == 0  # the same moment changes nothing again
    second = chase.order("stop", FIRST)
    assert second["entry_due"] is None  # the half hour is that of the report
    chase.seal(sun, second["order_id"])
    chase.answer(chase.order("stop", FIRST), done_fen=5_000_000)
    assert chase.order("stop", FIRST)["turn"] == 2
    chase.round(49 * HOURS)
    assert "stop" not in {o["kind"] for o in chase.orders("drafted")}  # the law allows two
    assert chase.order("freeze", FIRST)["state"] == "drafted"  # only a freeze goes on
    assert told(chase) == ["stop_ended", "stop_ended"]
    assert FIRST not in str(
        chase.house.db.connect("super").execute("SELECT detail, key FROM wuzha.order_tells").fetchall()
    )


def test_the_machine_seals_nothing_however_long_it_runs(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun)
    for _ in range(12):
        chase.round(13 * HOURS)
    sealed = [o for o in chase.orders() if o["sealed_at"] is not None]
    assert {o["sealed_by"] for o in sealed} == {sun.user_id} and len(sealed) == 2


def test_an_answer_that_grew_old_is_asked_for_again(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun, held=1_000_000)  # four of five lie loose
    assert chase.orders("drafted", kind="query") == []
    stale = survival.stale_at("personal", chase.at, chase.now) - chase.now
    chase.round(stale - timedelta(seconds=5))
    assert chase.orders("drafted", kind="query") == []
    chase.round(timedelta(seconds=10))
    assert [o["account"] for o in chase.orders("drafted", kind="query")] == [FIRST]


def test_a_case_without_anything_to_wait_for_is_left_alone(chase: Chase, sun: Actor) -> None:
    chase.report()
    with chase.house.scope(sun, now=chase.now) as conn:
        (at,) = conn.execute("SELECT pursue_at FROM cases").fetchone() or ("none",)
    assert at is None and chase.round(500 * HOURS)["pursuit"] == 0


def test_what_an_officer_dropped_is_not_drafted_again_until_there_is_news(chase: Chase, sun: Actor) -> None:
    chase.report()
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        drafting.drop(conn, chase.officer, chase.order("stop", FIRST)["order_id"], why="等立案", key=chase.key(),
                      now=chase.now)  # fmt: skip
        command.again(conn, chase.officer, chase.case_id, now=chase.now)
    assert chase.orders("drafted", kind="stop") == []
    chase.elapsed += timedelta(minutes=10)
    chase.report(number="R2", minutes=25, amount_fen=700_000)  # more has come since
    assert [o["amount_fen"] for o in chase.orders("drafted", kind="stop")] == [5_700_000]


def test_a_case_that_cannot_be_followed_is_put_off_and_holds_up_no_other(chase: Chase, sun: Actor, monkeypatch) -> None:  # type: ignore[no-untyped-def]
    chase.report()
    other = Chase(chase.house, chase.officer)
    other.report(payee=SECOND, number="R2", id_no="", line="13900000009")
    with chase.house.scope(sun, now=chase.now) as conn:
        conn.execute("UPDATE cases SET pursue_at = %s", (chase.now,))
    follow = pursuit.pursue

    def broken(conn, case, *, now):  # type: ignore[no-untyped-def]
        if case["case_id"] == chase.case_id:
            raise ValueError("no")
        return follow(conn, case, now=now)

    monkeypatch.setattr(pursuit, "pursue", broken)
    assert chase.round()["pursuit"] == 1
    with chase.house.scope(sun, now=chase.now) as conn:
        moments = dict(conn.execute("SELECT case_id, pursue_at FROM cases").fetchall())
    assert moments == {chase.case_id: chase.now + rounds._PUT_OFF, other.case_id: None}


def test_the_release_clock_runs_from_the_finding_and_not_from_the_draft(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun)
    stop = chase.order("stop", FIRST)
    found = chase.now
    with chase.house.scope(sun, now=found) as conn:
        releasing.unrelated(conn, sun, stop["order_id"], why="货款，已核实", amount_fen=1_500_000, key=chase.key(),
                            now=found)  # fmt: skip
    release = chase.order("release", FIRST)
    assert (release["amount_fen"], release["entry_due"]) == (1_500_000, found + timedelta(days=3))
    with chase.house.scope(sun, now=found) as conn:  # dropped and drafted anew: the clock does not begin again
        drafting.drop(conn, sun, release["order_id"], why="金额有误", key=chase.key(), now=found)
    chase.round(30 * HOURS)
    with chase.house.scope(sun, now=chase.now) as conn:
        releasing.release(conn, sun, stop["order_id"], why="货款，已核实", key=chase.key(), now=chase.now)
        on = radar.radar(conn, sun, which="release", now=chase.now)
    assert chase.order("release", FIRST)["entry_due"] == found + timedelta(days=3)
    assert [(o["order_id"], o["release_due"]) for o in on] == [(stop["order_id"], found + timedelta(days=3))]


def test_an_overdue_release_is_told_once(house: Centre, chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.filed()
    chase.answer(chase.frozen(sun, FIRST), done_fen=4_000_000)
    with house.scope(sun, now=chase.now) as conn:
        releasing.unrelated(conn, sun, chase.order("freeze", FIRST)["order_id"], why="无关", key=chase.key(),
                            now=chase.now)  # fmt: skip
    chase.round(71 * HOURS)
    assert told(chase) == []
    for _ in range(2):
        chase.round(1 * HOURS)
    assert told(chase) == ["release_overdue"]
    with house.scope(sun, now=chase.now) as conn:
        for one in tells.unseen(conn, sun):
            tells.seen(conn, sun, one["tell_id"], now=chase.now)
    assert told(chase) == []


def test_a_release_in_part_lets_go_of_that_part(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun)
    stop = chase.order("stop", FIRST)
    with chase.house.scope(sun, now=chase.now) as conn:
        releasing.unrelated(conn, sun, stop["order_id"], why="无关", amount_fen=1_500_000, key=chase.key(),
                            now=chase.now)  # fmt: skip
    chase.seal(sun, chase.order("release", FIRST)["order_id"])
    chase.answer(chase.order("release", FIRST))
    left = chase.order("stop", FIRST)
    assert left["in_force"] and left["holds_fen"] == 3_500_000 and left["unrelated_at"] is None
    with chase.house.scope(sun, now=chase.now) as conn:
        releasing.release(conn, sun, stop["order_id"], why="余下的也无关", key=chase.key(), now=chase.now)
    chase.seal(sun, chase.order("release", FIRST)["order_id"])
    chase.answer(chase.order("release", FIRST))
    gone = next(o for o in chase.orders() if o["order_id"] == stop["order_id"])
    assert (gone["state"], gone["holds_fen"]) == ("released", 0)


def test_what_the_trace_finds_unrelated_is_drafted_to_be_released_and_taken_back(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun)
    # The bank's later answer: 2,000,000 had left before the stop; no more than 3,000,000 of what is held was stolen.
    query = chase.order("query", FIRST)
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        wish = drafting.Draft(kind="query", account_id=query["account_id"], level=1, reason="补查")
        drafting.draft(conn, chase.officer, chase.case_id, wish, key=chase.key(), now=chase.now)
    chase.seal(sun, chase.order("query", FIRST)["order_id"])
    chase.answer(chase.order("query", FIRST), [chase.moved(FIRST, SECOND, 2_000_000, 2, payer_balance_fen=3_000_000)])
    release = chase.order("release", FIRST)
    assert (release["amount_fen"], release["drafted_by"], release["state"]) == (2_000_000, None, "drafted")
    assert release["entry_due"] == chase.now + timedelta(days=3)
    # Another victim's money turns out to lie there: the machine's own finding goes again.
    chase.report(number="R2", minutes=15, amount_fen=2_500_000, name="另一人", id_no="", line="13900000009", account="")
    assert chase.orders("drafted", kind="release") == [] and chase.order("stop", FIRST)["unrelated_at"] is None


def test_a_case_that_is_withdrawn_lets_go_of_what_it_holds(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun)
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        command.move(conn, chase.officer, chase.case_id, to="withdrawn", words="经济纠纷", key=chase.key(),
                     now=chase.now)  # fmt: skip
    assert [(o["kind"], o["amount_fen"]) for o in chase.orders("drafted")] == [("release", 5_000_000)]
    assert chase.order("release", FIRST)["entry_due"] == chase.now + timedelta(days=3)
    chase.seal(sun, chase.order("release", FIRST)["order_id"])


def test_where_another_case_holds_the_account_a_freeze_is_drafted_to_wait_there(chase: Chase, sun: Actor) -> None:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("stop", FIRST), failed="stopped_before")
    assert [(o["kind"], o["amount_fen"]) for o in chase.orders("drafted")] == [("freeze", 5_000_000)]


def test_the_process_follows_what_is_due_until_it_is_told_to_end(chase: Chase, home: Path) -> None:
    """`wuzha.cases.rounds` as the server starts it, on a database of its own."""
    chase.report()
    house = chase.house
    look = house.db.connect("super")
    look.execute("UPDATE wuzha.cases SET pursue_at = '2026-01-01'")
    words = home / "passwords.json"
    words.write_text(json.dumps(dict(house.db.passwords)))
    words.chmod(0o600)
    place = " ".join(f"{k}={v}" for k, v in house.db.params.items() if k in ("host", "port", "dbname"))
    child = subprocess.Popen(
        [sys.executable, "-m", "wuzha.cases.rounds"],
        env={**os.environ, "WUZHA_DSN": place, "WUZHA_PASSWORDS": str(words), "WUZHA_HOME": str(home)},
    )  # fmt: skip
    try:
        until = time.monotonic() + 60
        while look.execute("SELECT pursue_at IS NULL FROM wuzha.cases").fetchone() != (True,):
            assert child.poll() is None and time.monotonic() < until
            time.sleep(0.2)
        child.terminate()
        assert child.wait(20) == 0
    finally:
        child.kill()


def test_a_release_of_what_ended_meanwhile_is_taken_off_the_list(chase: Chase, sun: Actor) -> None:
    stopped(chase, sun)
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        command.move(conn, chase.officer, chase.case_id, to="withdrawn", words="经济纠纷", key=chase.key(),
                     now=chase.now)  # fmt: skip
    assert len(chase.orders("drafted", kind="release")) == 1
    chase.round(49 * HOURS)
    assert chase.orders("drafted", kind="release") == []


def test_a_first_level_stop_that_is_not_entered_in_time_is_told_once(chase: Chase, sun: Actor) -> None:
    chase.report(reported_at=chase.now)
    chase.round(timedelta(minutes=29))
    assert told(chase) == []
    for _ in range(2):
        chase.round(timedelta(minutes=2))
    assert told(chase) == ["entry_late"]
