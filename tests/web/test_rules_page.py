"""/rules: written, checked at its place, tried, in shadow, promoted by another; who may what; nothing unmasked."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.desks import Centre
from tests.live import city
from tests.live.test_rebuilding import FEATURE
from tests.live.test_rulebooks import send, text, warnings
from tests.serving import log_in
from tests.web.test_words import Labels, patterns

from wuzha.command import features, rules
from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.live import rulebooks, trials
from wuzha.live.settings import Settings
from wuzha.store import Connection, Database
from wuzha.store import log as store_log
from wuzha.web import rule_words

if TYPE_CHECKING:
    from playwright.sync_api import Page

HELD = "+8613812345678"


@pytest.fixture
def ana(house: Centre) -> Actor:
    return house.officer("ana", "安娜", "analyst")


@pytest.fixture
def bai(house: Centre) -> Actor:
    return house.officer("bai", "白杨", "analyst")


def filled(db: Database) -> None:
    with db.connect("web") as conn:
        store_log.append(
            conn,
            [
                store_log.Batch(table=s.table, rows=s.rows, source=s.source, basis="holder_own")
                for s in city.batches(city.tables())
                if s.table in ("persons", "relations", "lines", "reports")
            ],
        )


def test_a_feature_that_waits_is_said_and_completes(
    house: Centre, ana: Actor, bai: Actor, officer: Callable[..., Any]
) -> None:
    """Whoever writes a rule may read it already; that it is null until rebuilt stands beside."""
    with house.scope(ana) as conn:
        name, version = features.save(conn, ana, FEATURE.format(days=40), why="一试")
    page = officer("ana")
    assert name not in page.get("/rules").text
    with house.scope(bai) as conn:
        features.promote(conn, bai, name, version)
    said = page.get("/rules").text
    assert "warned_40d" in said and "等待生效" in said and "40 天内的预警" in said
    assert ["warned_40d", "40 天内的预警", "次数"] in page.get("/rules/known").json()["features"]["person"]
    checked = page.post("/rules/check", {"text": text().replace("warnings_7d >= 1", "warned_40d >= 1")})
    assert checked.json()["ok"]


def test_from_a_draft_to_a_live_rule(house: Centre, ana: Actor, bai: Actor, officer: Callable[..., Any]) -> None:
    mine, other = officer("ana"), officer("bai")
    kept = mine.post("/rules", {"text": text(cap=9), "why": "一试", "rule": ""})
    assert kept.status_code == 303 and kept.headers["location"] == "/rules?rule=told&version=1"
    own = mine.post("/rules/told/act", {"do": "promote", "version": "1"})
    assert own.status_code == 409 and "要由另一个人上线" in own.text
    assert 'value="promote"' not in mine.get("/rules?rule=told&version=1").text
    assert 'value="promote"' in other.get("/rules?rule=told&version=1").text
    assert other.post("/rules/told/act", {"do": "shadow", "version": "1"}).status_code == 303
    assert other.post("/rules/told/act", {"do": "promote", "version": "1"}).status_code == 303
    with house.scope(ana) as conn:
        assert rules.standing(conn).promoted == {"told": 1} and rules.standing(conn).shadowed == {}
    page = mine.get("/rules?rule=told").text
    assert "白杨" in page and "等待生效" in page
    gone = other.post("/rules/told/act", {"do": "retire", "why": "太吵"})
    assert gone.status_code == 303 and "已下线" in mine.get("/rules").text


def test_a_mistake_is_said_at_its_line_and_column(ana: Actor, officer: Callable[..., Any]) -> None:
    who = officer("ana")
    wrong = text().replace("warnings_7d >= 1", "warnings_8d >= 1")
    said = who.post("/rules/check", {"text": wrong}).json()
    assert (said["ok"], said["line"], said["column"]) == (False, 4, 9)
    assert "没有特征 warnings_8d" in said["what"] and "第 4 行第 9 列" in said["html"]
    assert who.post("/rules/check", {"text": text()}).json()["ok"]
    answer = who.post("/rules", {"text": wrong, "why": "x", "rule": ""})
    assert answer.status_code == 409 and "第 4 行第 9 列" in answer.text and "warnings_8d" in answer.text


@pytest.mark.parametrize(
    ("what", "zh"),
    [
        ("unknown feature 'x'; did you mean y?", "没有特征 x；是不是 y？"),
        ("[a] wants zh", "[a] 缺 zh"),
        ("'night' is none of approach, trust", "night 不在 approach, trust 之中"),
        ("something that nobody has turned", "something that nobody has turned"),
    ],
)
def test_the_checkers_words_are_turned_or_shown_as_they_are(what: str, zh: str) -> None:
    assert rule_words.told(what, "zh") == zh and rule_words.told(what, "en") == what


def test_a_text_is_tried_on_what_the_deployment_keeps(
    db: Database, engine: Connection, ana: Actor, bai: Actor, officer: Callable[..., Any], tmp_path: Path
) -> None:
    filled(db)
    send(db, *(warnings(i, 1) for i in range(3)))
    mine, other = officer("ana"), officer("bai")
    assert not mine.post("/rules/backtest", {"text": "[x"}).json()["ok"]
    first = mine.post("/rules/backtest", {"text": text(), "days": "7"}).json()["id"]
    second = mine.post("/rules/backtest", {"text": text(), "days": "30"}).json()["id"]
    given = Settings(home=tmp_path)
    with db.connect("engine") as conn:
        assert trials.run_waiting(conn, given) and not trials.run_waiting(conn, given)
    assert 'data-state="dropped"' in mine.get(f"/rules/backtest/{first}").text
    page = mine.get(f"/rules/backtest/{second}").text
    assert 'data-state="done"' in page and "会命中" in page and "每天多用工时" in page
    values = engine.execute("SELECT s.value FROM wuzha.subjects s WHERE kind IN ('line', 'person')").fetchall()
    lines = {v.removeprefix("line:") for (v,) in values if "+86" in v}
    assert lines and not [v for v in lines if v in page or v[3:] in page], "subjects are masked"
    assert other.get(f"/rules/backtest/{second}").status_code == 404, "it is the asker's own"


def test_who_does_not_write_rules_reads_them_or_not_at_all(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    house.officer("aud", "审计员", "auditor")
    reader, nobody = officer("aud"), officer("wang")
    assert reader.get("/rules?rule=warned_low").status_code == 200
    assert 'name="why"' not in reader.get("/rules?rule=warned_low").text
    for who, status in ((reader, 403), (nobody, 403)):
        assert who.post("/rules", {"text": text(), "why": "x", "rule": ""}).status_code == status
        assert who.post("/rules/told/act", {"do": "retire", "why": "x"}).status_code == status
    assert nobody.get("/rules").status_code == 403
    assert reader.get("/rules?rule=nothing").status_code == 404


def furnished(house: Centre, ana: Actor, bai: Actor) -> None:
    """A rule with versions, a shadow, a snooze and a brake."""
    house.subject("person", f"line:{HELD}")
    rulebooks.note_shipped(house.engine, clock.now())
    with house.scope(ana) as conn:
        rules.save(conn, ana, text(cap=5), why="先看看")
        rules.save(conn, ana, text("提示", cap=5), why="说法更准")
        rules.snooze(conn, ana, "warned_low", f"person:line:{HELD}", clock.now() + timedelta(days=3), why="已核实")
    with house.scope(bai) as conn:
        rules.promote(conn, bai, "told", 1)
        rules.shadow(conn, bai, "told", 2)
    rulebooks.brake(house.engine, rules.book(house.engine).rules["told"], 31, 5)


def test_words_masks_and_the_brake(house: Centre, ana: Actor, bai: Actor, officer: Callable[..., Any]) -> None:
    furnished(house, ana, bai)
    who = officer("ana")
    plain, filled = patterns("zh")
    for path in ("/rules", "/rules?rule=told&version=2", "/rules?rule=warned_low"):
        page = who.get(path).text
        assert HELD not in page and HELD[3:] not in page
        labels = Labels()
        labels.feed(page)
        strange = [text for _, text in labels.found if text not in plain and not filled.fullmatch(text)]
        assert {t for t in strange if re.search(r"\w", t) and not t.isdigit()} <= {"person:…"}, path
    assert "一小时给出 31 条证据项，超过上限 5 条" in who.get("/rules").text
    woken = house.engine.execute("SELECT subject_id FROM wuzha.rule_changes WHERE kind = 'snoozed'").fetchone()
    assert woken is not None
    assert who.post("/rules/warned_low/act", {"do": "wake", "subject": f"#{woken[0]}"}).status_code == 303
    with house.scope(ana) as conn:
        assert rules.standing(conn).snoozed == {}


def test_an_alert_is_told_in_the_words_of_the_version_that_raised_it(
    house: Centre, ana: Actor, wang: Actor, officer: Callable[..., Any]
) -> None:
    with house.scope(ana) as conn:
        rules.save(conn, ana, text("上级提示").replace("[told]", "[retold]"), why="一试")
        rules.save(conn, ana, text("另外一种说法").replace("[told]", "[retold]"), why="再试")
    alert = house.alert()
    house.evidence(alert, "retold", {"warnings_7d": 3.0}, at=clock.now())
    page = officer("wang").get(f"/alerts/{alert}").text
    assert "7 天内有 3 条上级提示" in page and "retold@1" in page and "另外一种说法" not in page
    assert "/rules?" not in page, "who may not read rules is not sent there"
    house.evidence(alert, "warned_low", {"warnings_low_7d": 1.0}, at=clock.now())
    analyst = officer("ana")
    way = re.search(r'href="(/rules\?rule=warned_low[^"]+)"', analyst.get(f"/alerts/{alert}").text)
    assert way is not None
    there = analyst.get(way[1].replace("&amp;", "&")).text
    number = re.search(r'name="subject" placeholder="person:…" value="(#\d+)"', there)
    assert number is not None
    until = (clock.now() + timedelta(days=2)).date().isoformat()
    kept = {"do": "snooze", "subject": number[1], "until": until, "why": "已核实"}
    assert analyst.post("/rules/warned_low/act", kept).status_code == 303
    with house.scope(ana) as conn:
        assert [rule for rule, _ in rules.standing(conn).snoozed] == ["warned_low"]


def test_features_complete_and_the_mistake_is_marked_as_one_types(page: Page, address: str, ana: Actor) -> None:
    log_in(page, address, "ana")
    page.goto(f"{address}/rules")
    page.wait_for_selector(".CodeMirror")
    page.click(".CodeMirror-line:has-text('when')")
    page.keyboard.press("End")
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    page.keyboard.type("talk_stranger_2", delay=30)
    page.wait_for_selector(".CodeMirror-hint:has-text('talk_stranger_2h')")
    page.keyboard.press("Enter")
    page.keyboard.type(" >= 1 AND no_such > 2 ")
    page.wait_for_selector("#rule-said:has-text('第 4 行第 37 列')")
    assert page.inner_text(".wrong-mark") == "no_such"
    assert "没有特征 no_such" in page.inner_text("#rule-said")
