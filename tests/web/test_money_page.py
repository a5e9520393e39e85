"""The money page and the pages of cases and orders, without a browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.desks import Centre
from tests.money import FIRST, VICTIM, Chase

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.orders import recall, resolution
from wuzha.orders.answering import Answer

SECOND = "6217001234560002"


@pytest.fixture
def sun(house: Centre) -> Actor:
    return house.officer("sun", "孙正", "sealer")


@pytest.fixture
def chase(house: Centre, wang: Actor) -> Chase:
    return Chase(house, wang)


def form(**changes: str) -> dict[str, str]:
    at = clock.now().astimezone(clock.zone()) - timedelta(minutes=12)
    return {
        "payee": FIRST, "amount": "50000", "at": f"{at:%Y-%m-%dT%H:%M:%S}", "payee_name": "陈某",
        "payee_bank": "示例银行",
        "account": VICTIM, "name": "张小兰", "line": "13812341234", "channel": "counter", "scam_type": "authority",
        "verified_how": "当面核验", "application": "申请1号", "undisputed": "1",
    } | changes  # fmt: skip


def test_the_short_form_makes_the_case_and_its_drafts(
    house: Centre, wang: Actor, sun: Actor, officer: Callable[..., Any]
) -> None:
    her = officer("wang")
    assert her.get("/cases/new").status_code == 200
    answer = her.post("/cases", form())
    assert answer.status_code == 303 and re.fullmatch(r"/cases/\d+/money", answer.headers["location"])
    page = her.get(answer.headers["location"]).text
    assert page.count('class="is-ready"') == 2 and FIRST not in page and "6228****0001" in page
    assert 'data-key="s"' not in page  # a dissuader has no seal
    keeper = officer("sun")
    page = keeper.get(answer.headers["location"]).text
    ids = re.search(r'name="orders" value="([\d,]+)"', page)
    assert ids is not None
    case = answer.headers["location"].removesuffix("/money")
    sent = keeper.post(f"{case}/seal", {"orders": ids[1]})
    assert sent.status_code == 303 and sent.headers["location"].endswith("sent=2")
    # The second press does nothing twice: the same click, and another one.
    assert keeper.post(f"{case}/seal", {"orders": ids[1]}).headers["location"].endswith("sent=2")
    again = keeper.post(f"{case}/seal", {"orders": ids[1]}, click="another-click-1")
    assert again.status_code == 409 and "没有重复签发" in again.text
    rows = house.engine.execute("SELECT count(*) FROM audit WHERE action = 'case.order_sealed'").fetchone()
    assert rows == (2,)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"amount": "-5"}, "金额看不懂"), ({"amount": "二百"}, "金额看不懂"),
        ({"payee": "=HYPERLINK(1)"}, "收款账户看不懂"),
        ({"at": "9999-01-01T00:00:00"}, "转账时间"), ({"at": ""}, "转账时间"), ({"payee": VICTIM}, "与收款账户相同"),
        ({"line": "12"}, "号码"),
    ],
)  # fmt: skip
def test_a_form_that_cannot_be_is_refused_and_kept(
    wang: Actor, officer: Callable[..., Any], superuser: Any, changes: dict[str, str], says: str
) -> None:
    her = officer("wang")
    answer = her.post("/cases", form(**changes))
    assert answer.status_code == 409 and says in answer.text and 'value="陈某"' in answer.text
    assert superuser.execute("SELECT count(*) FROM wuzha.cases").fetchone() == (0,)


def test_the_page_grows_with_an_answer_and_the_slider_goes_back(
    house: Centre, chase: Chase, sun: Actor, officer: Callable[..., Any]
) -> None:
    chase.report()
    chase.seal(sun)
    rows = [chase.moved(None, FIRST, 5_000_000, 0), chase.moved(FIRST, SECOND, 3_000_000, 3),
            chase.moved(FIRST, None, 200_000, 9, cash=True, channel="atm", place="广西南宁")]  # fmt: skip
    chase.answer(chase.order("query", FIRST), rows)
    her = officer("wang")
    page = her.get(f"/cases/{chase.case_id}/money").text
    assert "第 2 层" in page and "6217****0002" in page and "取现" in page and "广西南宁" in page
    early = her.get(f"/cases/{chase.case_id}/money/part?at=60").text
    assert "第 2 层" not in early.split('class="panel to-send"')[0] and "回放" in early
    parts = re.findall(r'<dd class="v num-l" title="¥([\d,.]+)">', page)
    assert sum(round(float(p.replace(",", "")) * 100) for p in parts) == 5_000_000


def test_an_order_is_copied_entered_answered_by_hand(
    house: Centre, chase: Chase, sun: Actor, officer: Callable[..., Any]
) -> None:
    chase.report()
    chase.seal(sun)
    order = chase.order("stop", FIRST)["order_id"]
    her = officer("wang")
    assert FIRST not in her.get(f"/orders/{order}").text
    her.post(f"/cases/{chase.case_id}/reveal", {"purpose": "order", "back": f"/orders/{order}"})
    page = her.get(f"/orders/{order}").text
    assert FIRST in page and "50000.00" in page and "陈某" in page
    assert her.post(f"/orders/{order}/entered", {"number": " "}).status_code == 409
    assert her.post(f"/orders/{order}/entered", {"number": "ZF2026001"}).status_code == 303
    assert her.post(f"/orders/{order}/accepted", {"number": "回执1"}).status_code == 303
    assert her.post(f"/orders/{order}/done", {"amount": "48000"}).status_code == 303
    page = her.get(f"/orders/{order}").text
    assert "已止付" in page and chase.order("stop", FIRST)["done_fen"] == 4_800_000
    notice = her.post(f"/orders/{order}/notice.docx")
    assert notice.status_code == 200 and notice.content[:2] == b"PK"


def test_another_unit_sees_nothing_of_a_case(house: Centre, chase: Chase, officer: Callable[..., Any]) -> None:
    chase.report()
    house.officer("far", "远", "dissuader", unit="east")
    far = officer("far")
    case, order = chase.case_id, chase.orders()[0]["order_id"]
    for path in (f"/cases/{case}", f"/cases/{case}/money", f"/orders/{order}"):
        assert far.get(path).status_code == 404
    assert chase.case_id and "Acentre" not in far.get("/cases").text


def test_several_transfers_stand_on_one_form_and_make_one_case(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    her = officer("wang")
    more = her.post("/cases", form(more="1"))
    assert more.status_code == 200 and more.text.count('name="payee"') == 2 and FIRST in more.text  # nothing is lost
    first = form()
    second = {**dict.fromkeys(("payee_name", "payee_bank", "account", "account_bank"), ""), "payee": SECOND,
              "amount": "1234.56", "at": first["at"]}  # fmt: skip
    empty = dict.fromkeys(second, "")
    several: dict[str, Any] = {**first, **{k: [first.get(k, ""), second[k], empty[k]] for k in second}}
    for _ in range(2):  # the same click again
        answer = her.post("/cases", several)
        assert answer.status_code == 303, answer.text
    rows = (
        house.db.connect("super")
        .execute("SELECT case_id, report_id, amount_fen FROM wuzha.case_losses ORDER BY loss_id")
        .fetchall()
    )
    assert [r[2] for r in rows] == [5_000_000, 123_456] and len({r[:2] for r in rows}) == 1
    bad = her.post("/cases", several | {"amount": ["50000", "很多", ""]}, click="another-click-2")
    assert bad.status_code == 409 and bad.text.count('name="payee"') == 2 and "很多" in bad.text


def test_a_partner_unit_looks_at_a_shared_case_and_is_offered_nothing_to_do(
    house: Centre, wang: Actor, chase: Chase, officer: Callable[..., Any]
) -> None:
    house.unit("far", "邻区反诈中心", "county")
    house.officer("zhou", "周", "dissuader", "sealer", "commander", unit="far")
    chase.report()
    partner, own = officer("zhou"), officer("wang")
    case = f"/cases/{chase.case_id}"
    paths = (case, f"{case}/money", f"/orders/{chase.order('stop', FIRST)['order_id']}")
    assert [partner.get(path).status_code for path in paths] == [404, 404, 404]
    until = (clock.now() + timedelta(days=3)).astimezone(clock.zone())
    share = {"unit": str(house.units["far"]), "reason": "串并侦查", "until": f"{until:%Y-%m-%dT%H:%M}"}
    assert own.post(f"{case}/grants", share | {"until": ""}).status_code == 409
    assert own.post(f"{case}/grants", share).status_code == 303
    assert "邻区反诈中心" in own.get(case).text and partner.get("/cases").text.count(case) >= 1
    for path in paths:
        acts = re.findall(r'<form[^>]* action="([^"]+)"', partner.get(path).text.split('id="main"')[1])
        assert set(acts) <= {f"{case}/reveal"}, path
    assert partner.post(f"{case}/move", {"to": "withdrawn", "words": "x"}).status_code == 404
    end = re.search(rf'action="({case}/grants/\d+/end)"', own.get(case).text)
    assert end is not None and own.post(end[1]).status_code == 303
    assert partner.get(case).status_code == 404


def test_a_bank_without_an_interface_is_asked_and_answers_by_iso_20022_files(
    chase: Chase, sun: Actor, officer: Callable[..., Any]
) -> None:
    chase.report()
    chase.seal(sun)
    order = chase.order("stop", FIRST)
    path, her = f"/orders/{order['order_id']}", officer("wang")
    assert her.post(f"{path}/camt056.xml").status_code == 409  # nobody has said what for
    her.post(f"/cases/{chase.case_id}/reveal", {"purpose": "order", "back": path})
    asked = recall.read(her.post(f"{path}/camt056.xml").content)
    assert asked.account == FIRST

    def lay(data: bytes) -> Any:
        form = {"csrf": her.csrf, "click": "click-camt-1"}
        return her.client.post(f"{path}/camt029", data=form, files={"file": ("answer.xml", data, "text/xml")})

    wrong = lay(b"<!DOCTYPE x [<!ENTITY a 'b'>]><x>&a;</x>")
    assert wrong.status_code == 409 and "不合 ISO 20022" in wrong.text
    said = resolution.xml(
        message_id="BK1", case_id=asked.case_id, recall_id=asked.message_id, bank="示例银行", unit="示例区反诈中心",
        answer=Answer(executed_at=clock.now(), done_fen=4_000_000), at=clock.now(), partial=True,
    )  # fmt: skip
    assert [lay(said).status_code for _ in range(2)] == [303, 303]
    assert "4.00万元" in her.get("/orders?state=all").text and "已止付" in her.get(path).text


def test_a_freeze_waits_its_turn_and_what_is_unrelated_is_let_go_by_hand(
    house: Centre, chase: Chase, sun: Actor, officer: Callable[..., Any]
) -> None:
    chase.report()
    chase.filed()
    freeze = chase.frozen(sun, FIRST)["order_id"]
    chase.enter(freeze)
    path, her = f"/orders/{freeze}", officer("wang")
    assert her.post(f"{path}/queued", {"words": " ", "at": ""}).status_code == 409
    assert her.post(f"{path}/queued", {"words": "乙市公安局", "at": "", "amount": "30000"}).status_code == 303
    assert "乙市公安局" in her.get("/orders?state=queued").text and "轮候冻结" in her.get(path).text
    assert her.post(f"{path}/done", {"amount": "30000"}).status_code == 303  # its bank says that its turn has come
    assert "银行确认" in her.get(path).text
    assert her.post(f"{path}/unrelated", {"words": "", "amount": ""}).status_code == 409
    assert her.post(f"{path}/unrelated", {"words": "货款", "amount": "99999"}).status_code == 409
    assert her.post(f"{path}/unrelated", {"words": "货款", "amount": "10000"}).status_code == 303
    assert "查明无关" in her.get("/orders?state=release").text
    assert [(o["kind"], o["amount_fen"]) for o in chase.orders("drafted", kind="release")] == [("release", 1_000_000)]
