"""The refund desk and a case's refund, without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.desks import Centre
from tests.money import FIRST, VICTIM
from tests.refunds import Refunding, frozen
from tests.web.test_words import Labels, patterns

from wuzha.cases.refund import hearing, opening
from wuzha.command.public import ROLES, Actor
from wuzha.web import catalogue


@pytest.fixture
def going(house: Centre, wang: Actor) -> Refunding:
    return frozen(house, wang)


def test_a_refund_is_opened_applied_for_and_noticed_on_its_page(going: Refunding, officer: Callable[..., Any]) -> None:
    her = officer("wang")
    page = f"/cases/{going.chase.case_id}/refund"
    text = her.get(page).text
    assert "启动返还" in text and FIRST not in text
    start = {"account": str(going.account_id), "procedure": "special", "rule": "fifo"}
    assert her.post(page, start).headers["location"] == page
    again = her.post(page, start, click="another-click-1")
    assert again.status_code == 409 and "已有办理中的返还" in again.text
    text = her.get(page).text
    assert "18,000.00" in text and "12,000.00" in text and "占全部 50,000.00 元的 60.00%" in text
    assert "张小兰" not in text and "张*兰" in text and VICTIM not in text and "先进先出" in text
    assert "按比例返还要先公告 30 日" in text and 'href="#notice"' in text
    going.refund_id = 1
    reports = going.victims()
    made = her.post("/refunds/1/apply", {"report": str(reports[0]), "ref": "返申1"})
    code = re.search(r'class="secret v">([0-9A-Z-]{19})<', made.text)
    assert made.status_code == 200 and code is not None and "返还不收取任何费用" in made.text
    assert code[1] not in her.get(page).text
    assert her.post("/refunds/1/notice", {"words": "市局网站"}).headers["location"] == page
    desk = her.get("/refunds").text
    assert "公告期" in desk and "公告中" in desk and "6228****0001" in desk
    assert her.post("/refunds/1/ask").status_code == 409


def test_papers_leave_only_with_a_purpose_and_are_logged(
    going: Refunding, officer: Callable[..., Any], superuser: Any
) -> None:
    going.start()
    her = officer("wang")
    assert her.post(f"/refunds/{going.refund_id}/paper", {"paper": "flow"}).status_code == 409
    notice = her.post(f"/refunds/{going.refund_id}/paper", {"paper": "notice"})
    assert notice.status_code == 200 and notice.content[:2] == b"PK"  # it is masked
    case = going.chase.case_id
    there = her.post(f"/cases/{case}/reveal", {"purpose": "refund", "back": "refund"})
    assert there.headers["location"] == f"/cases/{case}/refund"
    assert "张小兰" in her.get(f"/cases/{case}/refund").text
    report = str(going.victims()[0])
    for name, more in (("flow", {}), ("flow_xlsx", {}), ("application", {"report": report})):
        made = her.post(f"/refunds/{going.refund_id}/paper", {"paper": name} | more)
        assert made.status_code == 200 and made.content[:2] == b"PK", name
    assert her.post(f"/refunds/{going.refund_id}/paper", {"paper": "decision"}).status_code == 409
    assert her.post(f"/refunds/{going.refund_id}/paper", {"paper": "../x"}).status_code == 404
    rows = superuser.execute("SELECT detail->>'paper' FROM wuzha.audit WHERE action = 'case.paper_taken'").fetchall()
    assert [r[0] for r in rows] == ["notice", "flow", "flow_xlsx", "application"]


def test_each_sees_the_button_that_is_theirs(going: Refunding, officer: Callable[..., Any]) -> None:
    going.start()
    going.notice()
    for report in going.victims():
        going.apply(report)
    going.notice_over()
    page = f"/cases/{going.chase.case_id}/refund"
    her, keeper, chief, city = (officer(name) for name in ("wang", "sun", "chief", "city"))
    assert 'action="/refunds/1/ask"' in her.get(page).text
    assert her.post("/refunds/1/ask").status_code == 303
    assert 'action="/refunds/1/approve"' in city.get(page).text
    for other in (her, keeper, chief):
        assert 'action="/refunds/1/approve"' not in other.get(page).text
    assert chief.post("/refunds/1/approve").status_code == 409 and her.post("/refunds/1/approve").status_code == 403
    assert city.post("/refunds/1/approve").status_code == 303
    assert 'action="/refunds/1/decide"' in keeper.get(page).text
    assert keeper.post("/refunds/1/decide").status_code == 303
    assert 'action="/refunds/1/pay"' in keeper.get(page).text
    assert keeper.post("/refunds/1/pay").status_code == 303
    ids = [p["payment_id"] for p in going.read()["payments"]]
    for payment, amount in zip(ids, ("18000", "12000"), strict=True):
        answer = {"payment": str(payment), "amount": amount, "number": f"HZ{payment}"}
        assert her.post("/refunds/1/answer", answer).status_code == 303
    text = her.get(page).text
    assert "已完成" in text and "已返还" in text
    assert "已完成" in her.get("/refunds?state=closed").text and going.chase.case_id
    assert (
        her.post("/refunds/1/pay").status_code == 403
        and keeper.post("/refunds/1/pay", click="x-click-12").status_code == 409
    )


def test_another_unit_sees_nothing_and_what_cannot_be_is_refused(going: Refunding, officer: Callable[..., Any]) -> None:
    going.start()
    going.house.officer("far", "远", "dissuader", unit="east")
    far = officer("far")
    assert far.get(f"/cases/{going.chase.case_id}/refund").status_code == 404
    assert far.post(f"/refunds/{going.refund_id}/ask").status_code == 404
    assert "没有办理中的返还" in far.get("/refunds").text
    her = officer("wang")
    for act, form, status in (
        ("nothing", {}, 404), ("again", {"because": "x", "words": "x"}, 409),
        ("credit", {"loss": "9", "amount": "1", "words": "x"}, 404),
        ("answer", {"payment": "9"}, 404), ("settle", {"objection": "=1", "words": "x"}, 404),
        ("credit", {"amount": "一元"}, 409),
    ):  # fmt: skip
        assert (
            her.post(f"/refunds/{going.refund_id}/{act}", form, click=f"click-{act}-{status}").status_code == status
        ), act


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_label_in_every_state_is_a_catalogue_entry(
    going: Refunding, officer: Callable[..., Any], language: str
) -> None:
    going.house.officer("all", "全", *ROLES)
    going.house.web.execute("UPDATE users SET language = %s", (language,))
    everyone = officer("all")
    plain, filled = patterns(language)
    page = f"/cases/{going.chase.case_id}/refund"

    def look() -> None:
        for path in (page, "/refunds", "/refunds?state=closed"):
            labels = Labels()
            labels.feed(everyone.get(path).text)
            strange = [
                text for _, text in labels.found
                if text not in plain and not filled.fullmatch(text) and re.search(r"\w", text) and not text.isdigit()
            ]  # fmt: skip
            assert sorted(set(strange)) == [], path
            assert [word for word in catalogue.forbidden() if word in " ".join(labels.texts)] == []

    look()
    going.start()
    look()
    first, second = going.victims()
    going.notice()
    going.apply(first, account="6222029999999999", bank="丙银行", why="原账户已销户", mandate="委托1")
    with going.scope(going.wang) as conn:
        hearing.object_(conn, going.wang, going.refund_id, who="holder", words="是货款", name="陈某", key=going.key(),
                        now=going.now)  # fmt: skip
        hearing.ask_file(conn, going.wang, going.refund_id, second, organ="外地市公安局", case_no="A1", key=going.key(),
                         now=going.now)  # fmt: skip
    look()
    told = going.read()
    with going.scope(going.wang) as conn:
        hearing.settle(conn, going.wang, told["objections"][0]["objection_id"], upheld=False, reason="无证据",
                       key=going.key(), now=going.now)  # fmt: skip
        hearing.receive_file(conn, going.wang, told["handovers"][0]["handover_id"], ref="收1", key=going.key(),
                             now=going.now)  # fmt: skip
    going.later(days=32)
    going.ask()
    going.answer(granted=False, words="补充")
    look()
    going.ask()
    going.answer()
    going.decide()
    going.send()
    look()
    going.receipt(going.read()["payments"][0], paid_fen=1, failed_code="other")
    look()
    with going.scope(going.wang) as conn:
        opening.stop(conn, going.wang, going.refund_id, why="收款账户有误", key=going.key(), now=going.now)
    look()
