"""camt.056 out, camt.029 in: checked against the official schemas, read safely, each once and by its own case."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lxml import etree
from tests.money import BANK, FIRST, Chase

from wuzha.cases import answers, resolutions
from wuzha.command.public import Actor, Refused, machine
from wuzha.orders import camt, recall, resolution
from wuzha.orders.answering import Answer

NS = "urn:iso:std:iso:20022:tech:xsd:camt.029.001.14"


def sealed(chase: Chase, sun: Actor) -> dict[str, Any]:
    chase.report()
    chase.seal(sun)
    return chase.order("stop", FIRST)


def said(order: dict[str, Any], answer: Answer | None, chase: Chase, **changes: Any) -> bytes:
    """A bank's camt.029."""
    values = {
        "message_id": "BK1", "case_id": recall.case_id(order), "recall_id": f"{recall.case_id(order)}-R", "bank": BANK,
        "unit": "示例区反诈中心", "answer": answer, "at": chase.now,
    } | changes  # fmt: skip
    return resolution.xml(**values)


def take(chase: Chase, data: bytes, **more: Any) -> answers.Took:
    bank = machine(chase.house.units["centre"], "source:bank-a")
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        return resolutions.take(conn, bank, data, now=chase.now, **more)


def test_the_recall_says_what_the_order_says_and_is_the_same_each_time(chase: Chase, sun: Actor) -> None:
    order = sealed(chase, sun)
    made = recall.xml(order)
    assert made == recall.xml(order)
    asked = recall.read(made)
    assert (asked.account, asked.holder, asked.transfer_fen, asked.reason) == (FIRST, "陈某", 5_000_000, "FRAD")
    assert asked.case_id == recall.case_id(order) == f"centre-{order['order_id']}"
    assert asked.words[0].endswith("紧急止付 限额50000.00元 48小时") and asked.made_at is not None
    with pytest.raises(Refused, match="camt_order"):
        recall.xml(chase.order("query", FIRST))
    with pytest.raises(Refused, match="order_not_now"):
        recall.xml(order | {"sealed_at": None})


@given(st.text(max_size=200), st.text(max_size=80), st.text(max_size=30))
def test_no_text_of_ours_makes_a_message_that_its_schema_refuses(reason: str, bank: str, holder: str) -> None:
    order = {
        "order_id": 7, "kind": "stop", "sealed_at": camt.moment("2026-03-02T09:00:00+08:00"), "unit_code": "甲",
        "unit_name": bank, "bank": bank, "holder": holder, "account": FIRST, "transfer_fen": 10**12, "amount_fen": 1,
        "transfer_at": camt.moment("2026-03-02T08:00:00+08:00"), "reason": reason,
        "law_from": camt.moment("2025-12-01T00:00:00").date(),  # type: ignore[union-attr]
    }  # fmt: skip
    assert recall.read(recall.xml(order)).transfer_fen == 10**12


def test_a_resolution_becomes_the_orders_answer(chase: Chase, sun: Actor) -> None:
    order = sealed(chase, sun)
    take(chase, said(order, Answer(executed_at=chase.now, done_fen=4_200_000), chase, partial=True))
    done = chase.order("stop", FIRST)
    assert (done["state"], done["done_fen"], done["external_no"]) == ("done", 4_200_000, "BK1")
    assert done["ends_at"] == done["executed_at"] + timedelta(hours=48)


def test_a_refusal_and_a_wait_are_told_as_such(chase: Chase, sun: Actor) -> None:
    order = sealed(chase, sun)
    take(chase, said(order, None, chase, message_id="BK0"))
    assert chase.order("stop", FIRST)["state"] == "accepted"  # pending: the bank has it, and has not answered
    take(chase, said(order, Answer(failed_code="name", failed_words="户名为李某"), chase))
    failed = chase.order("stop", FIRST)
    assert (failed["state"], failed["failed_code"], failed["failed_words"]) == ("failed", "name", "BE01 户名为李某")


def test_the_same_message_again_changes_nothing_and_another_under_its_number_is_refused(
    chase: Chase, sun: Actor
) -> None:
    order = sealed(chase, sun)
    first = said(order, Answer(executed_at=chase.now, done_fen=4_000_000), chase)
    assert [take(chase, first).repeated for _ in range(2)] == [False, True]
    with pytest.raises(Refused, match="camt_repeated"):
        take(chase, said(order, Answer(executed_at=chase.now, done_fen=1), chase))
    with pytest.raises(Refused, match="order_not_now"):
        take(chase, said(order, Answer(executed_at=chase.now, done_fen=1), chase, message_id="BK2"))
    assert chase.order("stop", FIRST)["done_fen"] == 4_000_000


def test_a_resolution_of_anothers_case_is_refused(chase: Chase, sun: Actor) -> None:
    order = sealed(chase, sun)
    answer = Answer(executed_at=chase.now, done_fen=1)
    query = chase.order("query", FIRST)
    for changes in (
        {"case_id": "centre-999999"}, {"case_id": f"another-{order['order_id']}"}, {"case_id": "centre"},
        {"case_id": f"centre-{query['order_id']}"}, {"recall_id": "centre-1-X"},
    ):  # fmt: skip
        with pytest.raises(Refused, match="camt_foreign"):
            take(chase, said(order, answer, chase, **changes))
    with pytest.raises(Refused, match="camt_foreign"):
        take(chase, said(order, answer, chase), mine=lambda _: False)
    with pytest.raises(Refused, match="camt_foreign"):
        take(chase, said(order, answer, chase), order_id=order["order_id"] + 1)
    assert chase.order("stop", FIRST)["state"] == "sealed"


BOMB = b'<?xml version="1.0"?><!DOCTYPE l [<!ENTITY a "aaaaaaaaaa">' + b"".join(
    b'<!ENTITY %c "%s">' % (98 + i, b"&%c;" % (97 + i) * 10) for i in range(9)
) + b"]><Document>&j;</Document>"  # fmt: skip


OLDER = b'<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.029.001.09"/>'


@pytest.mark.parametrize(
    ("data", "why"),
    [
        (b"", "camt_xml"), (b"{}", "camt_xml"), (b"<Document", "camt_xml"), (b"\xff\xfe<\x00", "camt_xml"),
        (BOMB, "camt_xml"), (b'<!DOCTYPE x SYSTEM "file:///etc/passwd"><x/>', "camt_xml"),
        (b"<Document/>", "camt_kind"), (OLDER, "camt_kind"),
        (f'<Document xmlns="{NS}"/>'.encode(), "camt_xml"), (b"<a>" * 60_000, "camt_xml"),
        (f'<Document xmlns="{NS}">{"<a>" * 400}{"</a>" * 400}</Document>'.encode(), "camt_xml"),
        (b" " * (camt.LARGEST + 1), "camt_large"),
    ],
    ids=["empty", "json", "cut", "utf-16", "bomb", "outside-file", "no-space", "another-version", "no-content", "depth",
         "deep", "huge"],
)  # fmt: skip
def test_what_is_no_message_is_refused_with_what_is_wrong(data: bytes, why: str) -> None:
    with pytest.raises(Refused, match=why) as refused:
        resolution.read(data)
    assert refused.value.values


def change(data: bytes, path: str, text: str | None) -> bytes:
    """The message with one element's text changed, or the element taken out."""
    root = etree.fromstring(data)
    found = root.find(
        "/".join(f".//{{{NS}}}{name}" if i == 0 else f"{{{NS}}}{name}" for i, name in enumerate(path.split("/")))
    )
    assert found is not None
    if text is None:
        found.getparent().remove(found)
    else:
        found.text = text
    return etree.tostring(root)


@pytest.mark.parametrize(
    ("path", "text", "why"),
    [
        ("Assgnmt/CreDtTm", "约九点", "camt_xml"), ("Assgnmt/Id", None, "camt_xml"),
        ("Assgnmt/Id", "x" * 36, "camt_xml"),
        ("TxInfAndSts/TxCxlSts", "DONE", "camt_xml"), ("RsltnRltdInf/IntrBkSttlmAmt", "-1", "camt_xml"),
        ("RsltnRltdInf/IntrBkSttlmAmt", "0.001", "camt_amount"), ("TxInfAndSts/RslvdCase", None, ""),
        ("TxInfAndSts/RsltnRltdInf", None, "camt_amount"),
    ],
)  # fmt: skip
def test_a_message_with_one_thing_wrong_is_refused(
    chase: Chase, sun: Actor, path: str, text: str | None, why: str
) -> None:
    order = sealed(chase, sun)
    whole = said(order, Answer(executed_at=chase.now, done_fen=4_000_000), chase, partial=True)
    if not why:  # the case stands at the top as well
        assert not take(chase, change(whole, path, text)).repeated
        return
    with pytest.raises(Refused, match=why):
        take(chase, change(whole, path, text))
    assert chase.order("stop", FIRST)["state"] == "sealed"
