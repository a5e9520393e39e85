"""What never happens to a refund, whoever presses and however often: held by the code, and by the database past it."""

from __future__ import annotations

import threading
from typing import Any

import psycopg
import pytest
from tests.refunds import DAY, Refunding

from wuzha.cases import granting
from wuzha.cases.refund import book, hearing, paying
from wuzha.command.public import Actor, Refused


def test_the_same_answer_twice_changes_nothing_and_another_is_refused(going: Refunding) -> None:
    going.start()
    going.decided()
    going.send(key="press-send-1")
    assert going.send(key="press-send-1").repeated
    with pytest.raises(Refused, match="refund_not_now"):
        going.send()
    payment = going.read()["payments"][0]
    going.receipt(payment, key="answer-1-key")
    assert going.receipt(payment, key="answer-1-key").repeated
    with pytest.raises(Refused, match="refund_not_now"):
        going.receipt(payment, paid_fen=1)
    with pytest.raises(Refused, match="refund_amount"):
        going.receipt(going.read()["payments"][1], paid_fen=10**9)
    with pytest.raises(Refused, match="order_number"):
        going.receipt(going.read()["payments"][1], number=" ")


def test_two_officers_at_once_pay_once(going: Refunding) -> None:
    """Two connections press at the same moment: one sends, the other finds it sent."""
    going.start()
    going.decided()
    second = going.house.officer("sun2", "孙二", "sealer")
    start, became = threading.Barrier(2), []

    def press(who: Actor) -> None:
        with going.house.db.connect("web") as conn:
            start.wait()
            try:
                with going.house.scope(who, conn, now=going.now):
                    paying.send(conn, who, going.refund_id, key=f"pay-by-{who.login}", now=going.now)
                became.append("sent")
            except Refused as refused:
                became.append(refused.reason)

    threads = [threading.Thread(target=press, args=(who,)) for who in (going.sun, second)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert sorted(became) == ["refund_not_now", "sent"] and len(going.read()["payments"]) == 2


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO refund_decisions (refund_id, round, approval_id, decision_no, decided_at, sealed_by)"
        " SELECT refund_id, round, 999, 'x', now(), opened_by FROM refunds",
        "INSERT INTO refund_payments (share_id, refund_id, round, amount_fen, account_id, channel, sent_at, sent_by,"
        " due_at) SELECT s.share_id, s.refund_id, s.round, 1, l.account_id, 'letter', now(), r.opened_by, now()"
        " FROM refund_shares s JOIN case_losses l USING (loss_id) JOIN refunds r USING (refund_id) LIMIT 1",
        "INSERT INTO refund_shares (refund_id, round, loss_id, report_id, lost_fen, outstanding_fen, traced_fen, came,"
        " share_fen) SELECT refund_id, round, loss_id, report_id, lost_fen, outstanding_fen, 0, true, 1"
        " FROM refund_shares LIMIT 1",
        "UPDATE refund_rounds SET returned_fen = returned_fen - 1", "UPDATE refund_shares SET share_fen = 0",
        "UPDATE refund_approvals SET asked_by = 1", "DELETE FROM refund_rounds", "DELETE FROM refund_payments",
        "INSERT INTO refunds (case_id, order_id, account_id, procedure, law_from, rule, opened_at, opened_by)"
        " SELECT case_id, order_id, account_id, procedure, law_from, rule, opened_at, opened_by FROM refunds",
        "UPDATE refunds SET closed_at = now(), closed_how = 'stopped'",
    ],
)  # fmt: skip
def test_what_must_never_be_the_database_refuses(going: Refunding, statement: str) -> None:
    going.start()
    with (
        pytest.raises((psycopg.errors.IntegrityError, psycopg.errors.InsufficientPrivilege)),
        going.scope(going.sun) as conn,
    ):
        conn.execute(statement)


def test_shares_that_do_not_sum_are_refused_by_the_database(going: Refunding, superuser: Any) -> None:
    going.start()
    superuser.execute("SET search_path = wuzha")
    with pytest.raises(psycopg.errors.CheckViolation, match="do not sum"):
        superuser.execute("UPDATE refund_shares SET share_fen = share_fen - 1")
    going.decided()
    share = going.read()["shares"][0]
    pay = ("INSERT INTO refund_payments (share_id, refund_id, round, amount_fen, account_id, channel, sent_at, sent_by,"
           " due_at, other_why) VALUES (%s, %s, 1, %s, %s, 'letter', now(), %s, now(), %s)")  # fmt: skip
    for amount, account, why in (
        (share["share_fen"] + 1, share["original_id"], None), (1, going.account_id, None),
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.CheckViolation, match="not paid so"):
            superuser.execute(pay, (share["share_id"], going.refund_id, amount, account, going.sun.user_id, why))


def test_a_unit_beside_sees_no_refund(going: Refunding) -> None:
    going.start()
    far = going.house.officer("far", "外", "commander", unit="east")
    with going.scope(far) as conn:
        assert book.every(conn, far, now=going.now) == []
        with pytest.raises(Refused, match="not_found"):
            book.one(conn, far, going.refund_id, now=going.now)
    with going.scope(going.city) as conn:
        assert [r["refund_id"] for r in book.every(conn, going.city, now=going.now)] == [going.refund_id]


def test_a_unit_that_the_case_was_shared_with_looks_and_does_nothing(going: Refunding) -> None:
    going.start()
    far = going.house.officer("far", "外", "commander", unit="east")
    with going.scope(going.wang) as conn:
        granting.grant(conn, going.wang, going.chase.case_id, unit_id=going.house.units["east"], reason="共同侦办",
                       until=going.now + 5 * DAY, key=going.key(), now=going.now)  # fmt: skip
    assert going.read(far)["refund_id"] == going.refund_id
    with pytest.raises(Refused, match="not_found"), going.scope(far) as conn:
        hearing.notice(conn, far, going.refund_id, place="x", key=going.key(), now=going.now)
    for statement in (
        "UPDATE refunds SET rule = 'lifo'", "UPDATE refund_rounds SET ended_at = now()",
        "INSERT INTO refund_notices (refund_id, round, posted_at, posted_by, place, ends_at)"
        " SELECT refund_id, 1, now(), opened_by, 'x', now() + interval '31 days' FROM refunds",
    ):  # fmt: skip
        try:
            with going.scope(far) as conn:
                assert conn.execute(statement).rowcount == 0  # type: ignore[arg-type]
        except psycopg.errors.InsufficientPrivilege:
            pass


def test_the_same_press_opens_once_and_each_step_leaves_its_audit(going: Refunding, superuser: Any) -> None:
    going.start(key="start-press-1")
    assert going.start(key="start-press-1").repeated
    with pytest.raises(Refused, match="refund_open"):
        going.start()
    going.paid()
    kinds = {
        r[0] for r in superuser.execute("SELECT DISTINCT action FROM wuzha.audit WHERE action LIKE 'case.refund%'")
    }
    assert {f"case.refund_{k}" for k in ("opened", "applied", "noticed", "asked", "approved", "decided", "sent", "paid",
                                         "completed")} <= kinds  # fmt: skip
