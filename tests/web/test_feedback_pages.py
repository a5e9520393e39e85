"""Pages of feedback and of workbooks, as forms without scripts."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.desks import Centre
from tests.lists import book, cells, join, line, register
from tests.respond.test_books import dissuade
from tests.web.test_words import EXAMPLES, Labels, patterns

from wuzha.command.public import Actor
from wuzha.respond import books, feedback, ways
from wuzha.web import catalogue


@pytest.fixture(autouse=True)
def province(house: Centre, wang: Actor) -> None:
    register(house, "province", "省反诈中心")


def drop(one: Any, data: bytes, name: str = "下发.xlsx") -> Any:
    return one.client.post("/desk/workbooks", data={"csrf": one.csrf}, files={"file": (name, data)})


def test_a_list_never_seen_is_confirmed_once(house: Centre, officer: Callable[..., Any]) -> None:
    wang = officer("wang")
    header = ("编码", "何时", "谁的电话", "轻重", "处置结果")
    rows = [{"编码": "K1", "何时": "2026-03-02 08:00:00", "谁的电话": "13800138000", "轻重": "头等"}]
    answer = drop(wang, book(rows, header))
    assert answer.status_code == 303
    page = wang.get(answer.headers["location"])
    assert "确认并导入" in page.text and "138****8000" in page.text and "13800138000" not in page.text
    columns = {"c-0-0": "source_no", "c-0-1": "ts", "c-0-2": "victim_line", "c-0-3": "level_upstream"}
    number = answer.headers["location"].rsplit("/", 1)[1]
    refused = wang.post(f"/workbooks/{number}/explain", columns)
    assert refused.status_code == 409 and "来源" in refused.text
    assert 'value="source_no" selected' in refused.text  # what was chosen is still chosen
    assert wang.post(f"/workbooks/{number}/explain", {"source": "province", **columns}).status_code == 303
    page = wang.get(f"/workbooks/{number}")
    assert "没见过的词" in page.text and "头等" in page.text
    assert wang.post(f"/workbooks/{number}/words", {"w-0": "头等", "v-0": "urgent"}).status_code == 303
    seen = house.engine.execute("SELECT sum(n) FROM log").fetchone()
    assert seen == (1,)
    again = drop(wang, book([rows[0] | {"编码": "K2"}], header))
    assert "待确认" not in wang.get(again.headers["location"]).text
    assert house.engine.execute("SELECT sum(n) FROM log").fetchone() == (2,)


def test_what_cannot_be_taken_is_said_and_nothing_is_kept(house: Centre, officer: Callable[..., Any]) -> None:
    wang = officer("wang")
    for name, data, status, words in (
        ("空.xlsx", b"", 409, "文件是空的"),
        ("坏.xlsx", b"PK\x03\x04" + b"0" * 99, 409, "已损坏"),
        ("大.xlsx", b"0" * (books.LIMIT + 100_000), 413, "32 MB"),
    ):
        answer = drop(wang, data, name)
        assert (answer.status_code, words in answer.text) == (status, True), (name, answer.text[-600:])
    house.web.execute("UPDATE users SET language = 'en' WHERE login = 'wang'")
    told = drop(officer("wang"), b"PK\x03\x04" + b"0" * 99, "坏.xlsx").text
    assert "it is damaged and does not open" in told and "zip file" not in told and "损坏" not in told
    house.web.execute("UPDATE users SET language = 'zh' WHERE login = 'wang'")
    assert wang.client.post("/desk/workbooks", data={"csrf": wang.csrf}).status_code == 403  # no file in the form
    assert wang.client.post("/desk/workbooks", files={"file": ("a.xlsx", book([line(1)]))}).status_code == 403
    assert house.web.execute("SELECT count(*) FROM workbooks").fetchone() == (0,)


def test_who_may_not_act_may_not_drop(house: Centre, officer: Callable[..., Any]) -> None:
    house.officer("look", "看", "analyst")
    look = officer("look")
    assert drop(look, book([line(1)])).status_code == 403
    assert 'id="drop"' not in look.get("/desk").text
    assert look.get("/feedback").status_code == 200


def test_the_register_moves_an_answer_by_hand(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    alert = house.alert("张小兰")
    late, soon = join(house, alert, "province", "P1", hours=-1), join(house, alert, "upper", "U1", hours=5)
    one = officer("wang")
    page = one.get("/feedback").text
    assert page.index("P1") < page.index("U1") and "超期" in page and "张小兰" not in page
    dissuade(house, wang, alert)
    assert one.post(f"/feedback/{late[0]}/sent", {"words": "回执7"}).status_code == 303
    assert one.post(f"/feedback/{late[0]}/sent", {"words": "回执7"}).status_code == 303  # the same click
    assert one.post(f"/feedback/{late[0]}/returned", {"words": ""}).status_code == 409
    assert one.post(f"/feedback/{late[0]}/returned", {"words": "缺照片"}).status_code == 303
    assert "缺照片" in one.get("/feedback?state=returned").text
    assert one.post(f"/feedback/{late[0]}/again").status_code == 303
    sent = {"warning": [str(late[0]), str(soon[0])], "act": "sent"}
    assert one.post("/feedback/several", sent).status_code == 303
    assert one.post("/feedback/several", {**sent, "act": "accepted"}).status_code == 303
    states = house.engine.execute("SELECT feedback, sent_n FROM alert_warnings ORDER BY warning_id").fetchall()
    assert states == [("accepted", 2), ("accepted", 1)]
    listed = cells(one.get("/feedback/list.xlsx?state=accepted").content)
    assert [row[1] for row in listed[1:]] == ["U1", "P1"] or [row[1] for row in listed[1:]] == ["P1", "U1"]
    assert "张" not in str(listed)
    assert one.get(f"/alerts/{alert}").text.count("fb-accepted") == 2


def test_a_warning_is_taken_off_and_put_back_on_the_alerts_page(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    alert = house.alert("张小兰")
    (number,) = join(house, alert, "province", "P1")
    one = officer("wang")
    off = {"from": "alert", "version": "1", "words": "号码早已转卖", "click": "click-off-1"}
    assert one.post(f"/feedback/{number}/off", off).headers["location"] == f"/alerts/{alert}"
    page = one.get(f"/alerts/{alert}").text
    assert "已移出" in page and "号码早已转卖" in page
    assert one.post(f"/feedback/{number}/off", off | {"click": "click-off-2"}).status_code == 409
    on = {"from": "alert", "version": "2", "click": "click-on-1"}
    assert one.post(f"/feedback/{number}/on", on).status_code == 303
    assert house.engine.execute("SELECT off_from FROM alert_warnings").fetchone() == (None,)


def test_ways_are_written_by_the_administrator(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    house.officer("boss", "管", "admin")
    boss = officer("boss")
    assert officer("wang").get("/feedback/ways").status_code == 403
    assert "省反诈中心" in boss.get("/feedback/ways").text
    form = {"source": "province", "way": "api", "word.dissuaded": "01"}
    wrong = boss.post("/feedback/ways", form)
    assert wrong.status_code == 409 and "https://" in wrong.text  # what is missing, at its field; what was typed stands
    assert re.search(r'name="url"[^>]* aria-invalid="true"', wrong.text)
    assert re.search(r'name="word.dissuaded"[^>]* value="01"', wrong.text)
    for entry, value in (("key_file", "../key"), ("url", "https://who:word@there/"), ("way", "pigeon")):
        refused = boss.post("/feedback/ways", form | {"url": "http://127.0.0.1:9/x", entry: value})
        assert refused.status_code == 409, entry
    good = form | {"url": "http://127.0.0.1:9/x", "word.deceived": 'a "quoted" word'}
    assert boss.post("/feedback/ways", good).status_code == 303
    with house.scope(wang) as conn:
        way = ways.ways(conn)["province"]
    assert (way.way, way.url, way.results) == (
        "api", "http://127.0.0.1:9/x", {"dissuaded": "01", "deceived": 'a "quoted" word'}
    )  # fmt: skip
    assert "quoted" in boss.get("/feedback/ways").text
    assert house.web.execute("SELECT count(*) FROM wuzha.audit WHERE action = 'feedback.way'").fetchone() == (0,)
    assert house.engine.execute("SELECT count(*) FROM audit WHERE action = 'feedback.way'").fetchone() == (1,)


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_label_of_these_pages_is_a_catalogue_entry(
    house: Centre, wang: Actor, officer: Callable[..., Any], language: str
) -> None:
    house.officer("boss", "管", "admin")
    strange_header = ("编码", "谁的电话", "轻重", "处置结果")
    taken = book([line(1, number="A1"), line(2, 预警等级="天字号")])
    with house.scope(wang) as conn:
        first = books.drop(conn, wang, "a.xls", taken, source="province")
        second = books.drop(conn, wang, "b.xlsx", book([{"编码": "K1", "谁的电话": "13800138000"}], strange_header))
    alert = house.alert("张小兰")
    one, two, three = join(house, alert, "province", "A1", "A2", "A3")
    (off,) = join(house, alert, "province", "A4")
    with house.scope(wang) as conn:
        feedback.take_off(conn, wang, off, version=1, key="off-it-now", why="x")
        for number in (one, two):
            feedback.answer_alone(conn, wang, number, code="deceived", key=f"alone-{number}-x")
            feedback.sent(conn, wang, number, key=f"sent-{number}-x")
        feedback.send_back(conn, wang, two, key="back-it-now", why="y")
        feedback.answer_alone(conn, wang, three, code="deceived", key="alone-three")
    house.web.execute("UPDATE users SET language = %s", (language,))
    who = {login: officer(login) for login in ("wang", "boss")}
    plain, filled = patterns(language)
    strange = []
    for login, path in (
        ("wang", "/feedback"), ("wang", "/feedback?state=sent"), ("wang", f"/workbooks/{first}"),
        ("wang", f"/workbooks/{second}"), ("wang", "/desk"), ("wang", f"/alerts/{alert}"), ("boss", "/feedback/ways"),
        ("wang", "/layouts"),
    ):  # fmt: skip
        labels = Labels()
        labels.feed(who[login].get(path).text)
        strange += [
            f"{path} <{tag}>: {text}" for tag, text in labels.found
            if text not in plain | EXAMPLES and not filled.fullmatch(text) and re.search(r"\w", text)
            and not text.isdigit()
        ]  # fmt: skip
        whole = " ".join(labels.texts)
        assert [word for word in catalogue.forbidden() if word in whole] == [], path
    assert sorted(set(strange)) == []


def test_an_experts_layout_is_kept_only_where_it_can_be_used(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    with house.scope(wang) as conn:
        number = books.drop(conn, wang, "a.xlsx", book([line(1, number="A1")]), source="province")
    one = officer("wang")
    (text,) = house.web.execute("SELECT text FROM wuzha.layouts").fetchone() or ("",)
    if not text:
        with house.scope(wang) as conn:
            (text,) = conn.execute("SELECT text FROM layouts").fetchone() or ("",)
    assert 'extends = "warnings_list"' in one.get("/layouts").text.replace("&#34;", '"')
    wrong = one.post("/layouts", {"name": "province", "text": text + "[feedback]\nresult = 3\n"})
    assert wrong.status_code == 409 and "layout:" in wrong.text
    renamed = one.post("/layouts", {"name": "province", "text": text.replace('"province"', '"other"')})
    assert renamed.status_code == 409
    better = text + '[feedback]\nresult = ["反馈结果"]\n\n[feedback.results]\ndissuaded = "A01"\n'
    assert one.post("/layouts", {"name": "province", "text": better}).status_code == 303
    alert = house.alert()
    join(house, alert, "province", "A1")
    dissuade(house, wang, alert)
    data = one.post(f"/workbooks/{number}/filled", {"purpose": "feedback"}).content
    assert cells(data)[2][8] == "A01"
    with house.scope(wang) as conn:
        assert conn.execute("SELECT name FROM layouts").fetchall() == [("province",)]
