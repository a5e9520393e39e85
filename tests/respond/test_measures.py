"""Protective measures: the order of bases, 48 hours and no more, two officers, a living amount, an end to each."""

from __future__ import annotations

import io
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import psycopg
import pytest
from tests.desks import Centre

from wuzha.command.public import Actor, Refused, machine
from wuzha.events import clock
from wuzha.respond import measure_law, measure_list, measures, notice, outcome, releases, rounds, sign
from wuzha.respond.measures import Wish

H = timedelta(hours=1)
REASON = "本人称马上把积蓄转到安全账户，劝阻无效"
WHY_SELF = "本人深信不疑，当面拒绝签同意书"
WHY_BANK = "银行回复未达到其处置标准"


class Case:
    """A signed alert of a person with a line and an account, a dissuader who has it and a commander who decides."""

    def __init__(self, house: Centre) -> None:
        self.house = house
        self.wang = house.officer("wang", "王敏", "dissuader")
        self.chen = house.officer("chen", "陈立", "commander")
        self.alert = house.alert("张小兰", level="urgent", stage="pay")
        person, self.line = house.engine.execute(
            "SELECT person_id, line_id FROM alerts WHERE alert_id = %s", (self.alert,)
        ).fetchone() or (0, 0)
        self.person = person
        self.account = house.subject("account", "6222021234567890128")
        house.relate(person, self.account, "holder")
        self.now = clock.now()
        self.n = 0
        self.do(sign.sign, self.alert, version=self.version())

    def version(self) -> int:
        row = self.house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (self.alert,)).fetchone()
        assert row is not None
        return int(row[0])

    def do(self, verb: Callable[..., Any], *args: Any, by: Actor | None = None, **values: Any) -> Any:
        """One step in a transaction of its own, at the case's time."""
        actor = by or self.wang
        self.n += 1
        values.setdefault("key", f"click-{self.n:06d}")
        with self.house.scope(actor, now=self.now) as conn:
            return verb(conn, actor, *args, now=self.now, **values)

    def wish(self, **values: Any) -> Wish:
        made: dict[str, Any] = {
            "kind": "outgoing_stop", "basis": "police", "target_id": self.account, "hours": 48, "reason": REASON,
            "living_fen": 50_000, "living_per": "day", "why_not_self": WHY_SELF, "why_not_bank": WHY_BANK, **values,
        }  # fmt: skip
        return Wish(**made)

    def draft(self, **values: Any) -> int:
        """The number of a new request."""
        self.do(measures.draft, self.alert, self.wish(**values), version=self.version())
        return self.newest()

    def newest(self) -> int:
        row = self.house.engine.execute("SELECT 1").fetchone()
        assert row
        with self.house.scope(self.wang) as conn:
            found = conn.execute("SELECT max(measure_id) FROM measures").fetchone()
        assert found is not None
        return int(found[0])

    def force(self, **values: Any) -> int:
        """A measure in force."""
        number = self.draft(**values)
        if self.state(number) == "draft":
            self.do(measures.approve, number, by=self.chen)
        self.do(measures.sent, number, external_no="止付20261123-7781")
        self.do(measures.in_force, number, receipt="行内回执 8812")
        return number

    def row(self, number: int, at: datetime | None = None) -> dict[str, Any]:
        with self.house.scope(self.wang) as conn:
            return measure_list.one(conn, self.wang, number, now=at or self.now)

    def state(self, number: int, at: datetime | None = None) -> str:
        return str(self.row(number, at)["state"])

    def refused(self, verb: Callable[..., Any], *args: Any, **values: Any) -> str:
        with pytest.raises(Refused) as caught:
            self.do(verb, *args, **values)
        return caught.value.reason

    def refused_wish(self, **values: Any) -> str:
        return self.refused(measures.draft, self.alert, self.wish(**values), version=self.version())


@pytest.fixture
def case(house: Centre) -> Case:
    return Case(house)


def test_a_police_measure_from_request_to_its_end_and_never_in_force_before_its_receipt(case: Case) -> None:
    number = case.draft()
    assert case.state(number) == "draft"
    assert case.refused(measures.sent, number, external_no="1") == "measure_state"
    case.now += H
    case.do(measures.approve, number, by=case.chen)
    decided = case.now
    assert case.state(number) == "approved"
    assert case.refused(measures.in_force, number, receipt="回执") == "measure_state"
    assert case.refused(measures.sent, number, external_no="  ") == "measure_number"
    case.do(measures.sent, number, external_no="止付20261123-7781")
    assert case.state(number) == "sent"
    assert case.refused(measures.in_force, number, receipt=" ") == "measure_number"
    case.now += H
    case.do(measures.in_force, number, receipt="行内回执 8812", began_at=case.now - H / 2)
    assert case.state(number) == "in_force"
    end = decided + 48 * H
    assert case.state(number, end - timedelta(microseconds=1)) == "in_force"
    assert case.state(number, end) == "ended"
    row = case.row(number, end + 24 * H)
    assert row["days"] == pytest.approx((end - row["began_at"]) / timedelta(days=1))


def test_what_was_never_receipted_was_never_in_force(case: Case) -> None:
    number = case.draft()
    case.do(measures.approve, number, by=case.chen)
    case.do(measures.sent, number, external_no="止付1")
    end = case.now + 48 * H
    assert case.state(number, end) == "lapsed"
    assert case.row(number, end)["days"] == 0
    case.now = end
    assert case.refused(measures.in_force, number, receipt="迟到的回执") == "measure_state"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hours": 49}, "measure_term"),
        ({"hours": 0}, "measure_term"),
        ({"reason": "危险"}, "measure_reason"),
        ({"why_not_self": ""}, "measure_why_self"),
        ({"why_not_bank": " 、。 "}, "measure_why_bank"),
        ({"living_fen": None}, "measure_living"),
        ({"living_fen": 0}, "measure_living"),
        ({"living_fen": -5}, "measure_living"),
        ({"living_per": "year"}, "measure_living"),
        ({"kind": "prison"}, "measure_kind"),
        ({"basis": "own_act"}, "measure_basis"),
        ({"kind": "line_suspension"}, "measure_target"),
        ({"basis": "consent", "consent_ref": ""}, "measure_consent"),
        ({"basis": "bank_duty", "why_not_self": ""}, "measure_why_self"),
        ({"basis": "bank_duty", "hours": 73}, "measure_term"),
        ({"renews": 999999}, "measure_renew"),
    ],
)
def test_what_may_not_be_asked_for_is_refused(case: Case, change: dict[str, Any], reason: str) -> None:
    assert case.refused_wish(**change) == reason


def test_the_line_and_account_must_be_the_persons_own(case: Case) -> None:
    kin, kin_line = case.house.person("张丽", line="+8613966216621")
    case.house.relate(case.person, kin, "child")
    assert case.refused_wish(target_id=case.house.subject("account", "6217001111111111111")) == "measure_target"
    assert case.refused_wish(kind="line_suspension", target_id=kin_line) == "measure_target"


def test_the_requester_never_decides_and_only_a_named_approver_does(case: Case) -> None:
    number = case.draft()
    assert case.refused(measures.approve, number) == "forbidden"
    case.do(sign.take_over, case.alert, by=case.chen, version=case.version())
    case.do(measures.draft, case.alert, case.wish(kind="transfer_limit"), by=case.chen, version=case.version())
    own = case.newest()
    assert case.refused(measures.approve, own, by=case.chen) == "measure_own"
    other = case.house.officer("hu", "胡安", "commander")
    case.do(measures.decline, own, by=other, why="可由银行核实，不必限制")
    assert case.state(own) == "declined"
    assert case.refused(measures.approve, own, by=other) == "measure_state"


def test_the_machine_neither_asks_nor_decides_and_no_round_touches_a_measure(case: Case) -> None:
    robot = machine(case.house.units["centre"], "measures")
    assert case.refused(measures.draft, case.alert, case.wish(), by=robot, version=case.version()) == "forbidden"
    number = case.force()
    assert case.refused(measures.approve, number, by=robot) == "forbidden"
    with case.house.scope(case.wang) as conn:
        before = conn.execute("SELECT * FROM measures ORDER BY 1").fetchall()
    for later in (1, 47, 48, 49, 24 * 31):
        rounds.go_round(case.house.web, now=case.now + later * H)
    with case.house.scope(case.wang) as conn:
        assert conn.execute("SELECT * FROM measures ORDER BY 1").fetchall() == before
    assert case.state(number, case.now + 48 * H) == "ended"


def test_each_renewal_is_a_new_decision_with_a_fresh_reason_and_the_sum_of_days_stands_beside_it(case: Case) -> None:
    first = case.force()
    assert case.refused_wish() == "measure_must_renew"
    case.now += 40 * H
    assert case.refused_wish(renews=first) == "measure_same_reason"
    assert (
        case.refused_wish(renews=first, reason="本人称马上把积蓄转到“安全账户”，劝阻无效！ ") == "measure_same_reason"
    )
    second = case.draft(renews=first, reason="骗子今早又来电，本人仍要转账")
    assert case.state(second) == "draft", "a renewal is not in force because the former one was"
    assert case.state(first, case.now + 8 * H) == "ended"
    case.do(measures.approve, second, by=case.chen)
    case.do(measures.sent, second, external_no="止付2")
    case.do(measures.in_force, second, receipt="回执2")
    assert case.row(second)["ends_at"] == case.now + 48 * H, "never more than 48 hours ahead"
    assert case.refused_wish(renews=first, reason="第三个理由写在这里") == "measure_renew"
    assert case.refused_wish(renews=second, reason=REASON) == "measure_same_reason", "nor an older one again"
    end = case.now + 48 * H
    row = case.row(second, end)
    assert row["decisions"] == 2
    assert row["days"] == pytest.approx(88 / 24, abs=0.01), "hours that both cover count once"
    case.now = end + timedelta(days=20)
    assert case.refused_wish(reason="过了二十天另起一个理由") == "measure_must_renew"
    case.now = end + timedelta(days=31)
    assert case.draft(reason="一个月后又发生新的险情") > second


def test_withdrawn_consent_ends_it_at_once(case: Case) -> None:
    number = case.force(basis="consent", consent_ref="同意书 2026-118", why_not_self="", why_not_bank="", hours=720)
    case.now += H
    case.do(releases.release, number, words="本人来电撤回")
    assert case.state(number) == "released"
    row = case.row(number)
    assert (row["release_code"], row["over_at"]) == ("withdrawn", case.now)
    assert case.state(number, case.now - timedelta(seconds=1)) == "in_force"
    assert case.refused(releases.release, number) == "measure_state"
    case.do(releases.lifted, number, receipt="已恢复 339")
    assert case.row(number)["lift_receipt"] == "已恢复 339"


def test_a_request_for_release_of_what_rests_on_consent_releases_by_itself(case: Case) -> None:
    number = case.force(basis="consent", consent_ref="同意书 2026-118", hours=720)
    case.do(releases.ask, number, asked_by="person", words="我要恢复转账")
    assert case.state(number) == "released"
    assert case.row(number)["request_id"] is None, "nothing is left to answer"


def test_a_denied_request_leaves_the_measure_to_its_end_and_may_be_asked_again(case: Case) -> None:
    number = case.force()
    case.do(releases.ask, number, asked_by="person", words="要用钱")
    case.do(releases.answer, number, upheld=False, words="对方账户已确认为涉诈账户", by=case.chen)
    assert case.state(number) == "in_force"
    case.do(releases.ask, number, asked_by="person", words="再次申请")
    assert case.state(number, case.now + 48 * H) == "ended"


def test_measures_outlive_the_file_and_can_be_released_after_its_close(case: Case) -> None:
    number = case.force()
    case.do(outcome.outcome, case.alert, code="false_alarm", version=case.version())
    case.do(outcome.close, case.alert, version=case.version())
    assert case.refused_wish(renews=number, reason="结案后还想继续限制") == "closed"
    zhao = case.house.officer("zhao", "赵磊", "dissuader")
    case.do(releases.release, number, by=zhao, words="误报，立即解除")
    assert case.state(number) == "released"


def test_the_notice_says_law_reason_term_living_amount_remedy_and_holds_the_form(case: Case) -> None:
    from docx import Document

    number = case.draft()
    with pytest.raises(Refused):
        notice.docx(case.row(number))
    case.do(measures.approve, number, by=case.chen)
    file = Document(io.BytesIO(notice.docx(case.row(number))))
    cells = [c.text for t in file.tables for r in t.rows for c in r.cells]
    words = "\n".join([*(p.text for p in file.paragraphs), *cells])
    for part in (
        "反电信网络诈骗法》第二十条", REASON, "每日 500.00 元", "共 48 小时", "陈立", "王敏", "6222021234567890128",
        "第三十二条第三款", "当日答复", "行政复议", "有效身份证件", "解除保护性措施申请", "送达回执",
        "期限届满自动解除",
    ):  # fmt: skip
        assert part in words, part
    line = case.draft(kind="line_suspension", target_id=case.line, living_fen=None, living_per=None)
    case.do(measures.approve, line, by=case.chen)
    facts = dict(notice.facts(case.row(line), measure_law.law_of(case.row(line)["law_from"])))
    assert facts["保留通信"] == "措施期间，该号码仍可拨打 110、119、120、96110。"


def test_the_order_says_until_when_and_what_must_be_left_to_the_person(case: Case) -> None:
    from docx import Document

    def text(number: int) -> str:
        file = Document(io.BytesIO(notice.order(case.row(number))))
        return "\n".join([*(p.text for p in file.paragraphs), *(c.text for t in file.tables for c in t._cells)])

    number = case.draft()
    with pytest.raises(Refused):
        notice.order(case.row(number))
    case.do(measures.approve, number, by=case.chen)
    words = text(number)
    assert "银行、支付机构：" in words and "每日 500.00 元" in words and "不得延长" in words and "不得办理" in words
    assert REASON not in words, "a bank needs the basis and the term, not what the person told us"
    line = case.draft(kind="data_cut", target_id=case.line, living_fen=None, living_per=None)
    case.do(measures.approve, line, by=case.chen)
    words = text(line)
    assert "电信业务经营者：" in words and "仍须能拨打 110、119、120、96110" in words
    own = case.draft(kind="call_block", basis="own_act", target_id=case.line, living_fen=None, living_per=None)
    with pytest.raises(Refused):
        notice.order(case.row(own))


def test_the_delivery_of_the_notice_is_on_record(case: Case) -> None:
    number = case.draft()
    assert case.refused(releases.serve, number, result="served", way="in_person") == "measure_state"
    case.do(measures.approve, number, by=case.chen)
    assert case.refused(releases.serve, number, result="lost", way="in_person") == "unknown_code"
    case.do(releases.serve, number, result="refused", way="in_person", words="拒绝签字，已当面宣读")
    assert case.row(number)["notice_result"] == "refused"
    case.do(releases.serve, number, result="served", way="electronic")
    assert case.row(number)["notice_result"] == "served"


def test_the_database_itself_holds_the_48_hours_and_the_two_officers(case: Case) -> None:
    number = case.draft()

    def tamper(sql: str, *values: Any) -> None:
        with case.house.scope(case.chen) as conn:
            conn.execute(sql, values)

    late = case.now + 49 * H
    for sql, values in (
        ("UPDATE measures SET approved_at = %s, approved_by = requested_by, ends_at = %s WHERE measure_id = %s",
         (case.now, case.now + H, number)),
        ("UPDATE measures SET approved_at = %s, ends_at = %s WHERE measure_id = %s", (case.now, case.now + H, number)),
        ("UPDATE measures SET approved_at = %s, approved_by = %s, ends_at = %s WHERE measure_id = %s",
         (case.now, case.chen.user_id, late, number)),
        ("UPDATE measures SET hours = %s WHERE measure_id = %s", (480, number)),
        ("UPDATE measures SET reason = %s WHERE measure_id = %s", ("x", number)),
        ("DELETE FROM measures WHERE measure_id = %s", (number,)),
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.Error):
            tamper(sql, *values)
    case.do(measures.approve, number, by=case.chen)
    for sql, values in (
        ("UPDATE measures SET ends_at = ends_at + interval '1 second' WHERE measure_id = %s", (number,)),
        ("UPDATE measures SET approved_at = approved_at + interval '1 h', ends_at = ends_at WHERE measure_id = %s",
         (number,)),
        ("UPDATE measures SET began_at = ends_at, receipt = 'x' WHERE measure_id = %s", (number,)),
    ):  # fmt: skip
        with pytest.raises(psycopg.errors.Error):
            tamper(sql, *values)


def test_a_measure_is_seen_with_its_file_and_not_from_outside(case: Case) -> None:
    number = case.force()
    east = case.house.officer("li", "李", "commander", unit="east")
    with case.house.scope(east) as conn:
        assert measure_list.radar(conn, east) == []
        with pytest.raises(Refused):
            releases.release(conn, east, number, key="from-outside", now=case.now)


def test_the_radar_shows_first_what_waits_for_a_decision_and_then_what_ends_first(case: Case) -> None:
    long = case.force(kind="transfer_limit", basis="bank_duty", hours=60)
    short = case.force(hours=12)
    waiting = case.draft(kind="data_cut", target_id=case.line, living_fen=None, living_per=None)
    with case.house.scope(case.chen) as conn:
        seen = [m["measure_id"] for m in measure_list.radar(conn, case.chen, now=case.now)]
        later = [m["measure_id"] for m in measure_list.radar(conn, case.chen, now=case.now + 13 * H)]
        every = [m["measure_id"] for m in measure_list.radar(conn, case.chen, state="all", now=case.now)]
    assert seen == [waiting, short, long]
    assert later == [waiting, long]
    assert every == [waiting, short, long]


def test_a_released_measure_stays_on_the_radar_until_the_bank_has_receipted_it(case: Case) -> None:
    number = case.force()
    case.do(releases.release, number, words="不再需要")
    with case.house.scope(case.chen) as conn:
        assert [m["measure_id"] for m in measure_list.radar(conn, case.chen, now=case.now)] == [number]
    case.do(releases.lifted, number, receipt="已恢复")
    with case.house.scope(case.chen) as conn:
        assert measure_list.radar(conn, case.chen, now=case.now) == []


def test_a_second_click_does_nothing_twice(case: Case) -> None:
    case.do(measures.draft, case.alert, case.wish(), version=case.version(), key="the-same-click")
    again = case.do(measures.draft, case.alert, case.wish(), version=case.version(), key="the-same-click")
    assert again.repeated
    number = case.newest()
    case.do(measures.approve, number, by=case.chen, key="approve-click")
    assert case.do(measures.approve, number, by=case.chen, key="approve-click").repeated
    with case.house.scope(case.wang) as conn:
        row = conn.execute("SELECT count(*) FROM measures").fetchone()
    assert row == (1,)


def test_the_audit_says_which_measure_and_names_nobody(case: Case) -> None:
    number = case.force()
    case.do(releases.release, number, words="张小兰要付房租")
    with case.house.scope(case.chen) as conn:
        rows = conn.execute(
            "SELECT action, detail FROM audit WHERE action LIKE 'alert.measure%' ORDER BY audit_id"
        ).fetchall()
    assert [a for a, _ in rows] == [
        f"alert.measure_{n}" for n in ("drafted", "approved", "sent", "in_force", "released")
    ]
    assert all(detail["measure"] == number for _, detail in rows)
    assert "张小兰" not in str(rows)
