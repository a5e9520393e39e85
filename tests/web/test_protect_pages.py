"""Pages of measures, follow-up and looking back: masked, in both languages, with plain forms; the notice is a right."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from tests.desks import Centre

from wuzha.command.public import Actor
from wuzha.events import clock
from wuzha.respond import contact, measures, outcome, releases, rounds, safety, sign
from wuzha.respond.measures import Wish
from wuzha.web import catalogue

from .test_words import EXAMPLES, Labels, patterns

NAME, LINE, ACCOUNT = "诸葛小兰", "+8613812341234", "6222021234567890128"


class Busy:
    """A person with measures in every state, a follow-up due, flags, and reports before and after."""

    def __init__(self, house: Centre, wang: Actor) -> None:
        self.house, self.wang, self.n = house, wang, 0
        self.chen = house.officer("chen", "陈立", "commander")
        self.alert = house.alert(NAME, level="urgent", stage="pay", line=LINE)
        row = house.engine.execute(
            "SELECT person_id, line_id FROM alerts WHERE alert_id = %s", (self.alert,)
        ).fetchone()
        assert row is not None
        self.person, self.line = row
        self.account = house.subject("account", ACCOUNT)
        house.relate(self.person, self.account, "holder")
        self.do(sign.sign, self.alert, version=self.version())
        self.do(safety.flag, self.alert, code="dementia", words="记不住刚说的话")
        self.force = self.ask()
        self.do(measures.approve, self.force, by=self.chen)
        self.do(measures.sent, self.force, external_no="XE-1")
        self.do(measures.in_force, self.force, receipt="HZ-1")
        self.do(releases.ask, self.force, asked_by="person", words="要付房租")
        self.draft = self.ask(kind="line_suspension", target_id=self.line, living_fen=None, living_per=None)
        self.consent = self.ask(kind="transfer_limit", basis="consent", consent_ref="T-1")
        self.gone = self.ask(kind="data_cut", target_id=self.line, living_fen=None, living_per=None)
        self.do(measures.decline, self.gone, by=self.chen, why="没有必要")

    def version(self) -> int:
        row = self.house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (self.alert,)).fetchone()
        assert row is not None
        return int(row[0])

    def do(self, verb: Callable[..., Any], *args: Any, by: Actor | None = None, **values: Any) -> None:
        actor = by or self.wang
        self.n += 1
        with self.house.scope(actor) as conn:
            verb(conn, actor, *args, key=f"busy-{self.n:05d}", **values)

    def ask(self, **values: Any) -> int:
        wish: dict[str, Any] = {
            "kind": "outgoing_stop", "basis": "police", "target_id": self.account, "hours": 48,
            "reason": f"{NAME}称要把积蓄转到安全账户", "living_fen": 50_000, "living_per": "day",
            "why_not_self": "本人深信不疑，拒绝签字", "why_not_bank": "银行回复未达处置标准", **values,
        }  # fmt: skip
        self.do(measures.draft, self.alert, Wish(**wish), version=self.version())
        with self.house.scope(self.wang) as conn:
            row = conn.execute("SELECT max(measure_id) FROM measures").fetchone()
        assert row is not None
        return int(row[0])

    def close_and_lose(self) -> None:
        self.do(contact.contact, self.alert, channel="call", result="self", version=self.version())
        self.do(outcome.outcome, self.alert, code="dissuaded", version=self.version())
        self.do(outcome.close, self.alert, version=self.version())
        now = clock.now()
        root = self.house.db.connect("super")
        root.execute("UPDATE wuzha.followups SET due_at = %s WHERE step IN ('h24', 'h72')", (now - timedelta(hours=1),))
        root.close()

    def report(self) -> None:
        now = clock.now()
        self.house.evidence(self.alert, "foreign_call", {"calls_in_foreign_6h": 3}, at=now - timedelta(hours=1))
        self.house.warning(self.alert, issued_by="部", source_no="W-1", level="high", ts=now - timedelta(hours=1))
        for n, person in ((1, self.person), (2, None)):
            self.house.engine.execute(
                "INSERT INTO reports (source, event_id, report, ts, reported_at, person_id, unit_id, scam_type,"
                " loss_fen, changed_at) VALUES ('110', %s, %s, %s, %s, %s, %s, 'authority', 777, %s)",
                (f"e{n}", f"J{n}", now, now, person, self.house.units["centre"], now),
            )
        self.house.engine.execute(
            "INSERT INTO report_identifiers (source, event_id, report, subject_id, role)"
            " VALUES ('110', 'i1', 'J1', %s, 'payee')",
            (self.house.subject("account", "6217001234567894321"),),
        )
        rounds.go_round(self.house.web)


@pytest.fixture
def busy(house: Centre, wang: Actor) -> Busy:
    return Busy(house, wang)


PATHS = ("/measures", "/measures?state=all", "/followups", "/lookback", "/lookback?class=not_met", "/lookback/1",
         "/lookback?class=nonsense&after=x~y&day=2026-13-01&unit=a")  # fmt: skip


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_label_is_a_catalogue_entry_and_nobody_is_named(
    busy: Busy, officer: Callable[..., Any], language: str
) -> None:
    plain, filled = patterns(language)
    busy.house.web.execute("UPDATE users SET language = %s", (language,))
    file = f"/alerts/{busy.alert}"
    who = {login: officer(login) for login in ("wang", "chen")}
    seen: list[tuple[str, str]] = [(f"{file} {login}", one.get(file).text) for login, one in who.items()]
    busy.close_and_lose()
    seen += [(f"{file} closed", who["wang"].get(file).text), ("/followups due", who["wang"].get("/followups").text)]
    busy.report()
    for path in PATHS:
        answer = who["chen"].get(path)
        assert answer.status_code == 200, path
        seen.append((path, answer.text))
    seen.append((f"{file} again", who["wang"].get(file).text))
    strange = []
    for path, text in seen:
        labels = Labels()
        labels.feed(text)
        assert labels.found, path
        strange += [
            f"{path} <{tag}>: {word}"
            for tag, word in labels.found
            if word not in plain | EXAMPLES and not filled.fullmatch(word) and re.search(r"\w", word)
            and not word.isdigit()
        ]  # fmt: skip
        whole = " ".join(labels.texts)
        assert [word for word in catalogue.forbidden() if word in whole] == [], path
        for secret in (NAME, LINE.removeprefix("+86"), ACCOUNT, "6217001234567894321"):
            assert secret not in text, (path, secret)
    assert sorted(set(strange)) == []


def test_a_commander_decides_from_the_list_and_whoever_asked_does_not(busy: Busy, officer: Callable[..., Any]) -> None:
    wang, chen = officer("wang"), officer("chen")
    assert f'action="/measures/{busy.draft}/approve"' not in wang.get("/measures").text
    assert wang.post(f"/measures/{busy.draft}/approve").status_code == 403
    answer = chen.post(f"/measures/{busy.draft}/approve", {"back": "list"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/measures")
    again = chen.post(f"/measures/{busy.draft}/approve", {"click": "another-click"})
    assert again.status_code == 409
    assert "现在不能这样处理" in again.text


def test_what_is_refused_says_so_on_the_file_and_changes_nothing(busy: Busy, officer: Callable[..., Any]) -> None:
    wang = officer("wang")
    form = {
        "version": busy.version(), "kind": "outgoing_stop", "basis": "police", "target": busy.account, "hours": "49",
        "reason": "一个足够长的新理由", "living": "500", "living_per": "day", "why_not_self": "本人当面拒绝签字",
        "why_not_bank": "银行回复未达处置标准",
    }  # fmt: skip
    before = busy.house.engine.execute("SELECT count(*) FROM contacts").fetchone()
    for changes, words in (
        ({}, "最长 48 小时"), ({"hours": "48"}, "只能作为续期申请"), ({"living": "一点"}, "必须保留生活费"),
        ({"hours": "48", "target": "1; drop"}, "本人的号码或账户"), ({"hours": "²"}, "期限不对"),
        ({"hours": "48", "renews": busy.gone}, "只能对最近一次措施续期"),
    ):  # fmt: skip
        answer = wang.post(f"/alerts/{busy.alert}/measures", {**form, **changes})
        assert answer.status_code == 409 and words in answer.text, changes
    assert busy.house.engine.execute("SELECT count(*) FROM contacts").fetchone() == before
    for act in ("nonsense", "nonsense.docx", "draft"):
        assert wang.post(f"/measures/{busy.force}/{act}").status_code == 404
    assert wang.post(f"/measures/{busy.force}/in-force", {"number": "1", "began": "gestern"}).status_code == 409
    assert wang.post("/measures/99999/release").status_code == 404
    assert wang.client.post(f"/measures/{busy.force}/release", data={"csrf": "wrong"}).status_code == 403


def test_the_notice_is_for_those_who_act_is_audited_and_not_kept_by_a_cache(
    busy: Busy, officer: Callable[..., Any]
) -> None:
    busy.house.officer("an", "安", "analyst")
    busy.house.officer("li", "李", "dissuader", unit="east")
    wang, serve = officer("wang"), {"purpose": "serve"}
    answer = wang.post(f"/measures/{busy.force}/notice.docx", serve)
    assert answer.status_code == 200 and answer.content[:2] == b"PK"
    assert answer.headers["cache-control"] == "no-store"
    assert wang.get(f"/measures/{busy.force}/notice.docx").status_code == 405, "a link asks for no purpose"
    assert wang.post(f"/measures/{busy.force}/notice.docx").status_code == 409
    assert wang.post(f"/measures/{busy.force}/order.docx", {"purpose": "nosy"}).status_code == 409
    assert officer("an").post(f"/measures/{busy.force}/notice.docx", serve).status_code == 403
    assert officer("li").post(f"/measures/{busy.force}/notice.docx", serve).status_code == 404
    assert wang.post(f"/measures/{busy.draft}/notice.docx", serve).status_code == 409, "nothing is decided yet"
    with busy.house.scope(busy.wang) as conn:
        rows = conn.execute("SELECT actor, detail->>'purpose' FROM audit WHERE action = 'alert.paper_taken'").fetchall()
    assert rows == [("wang", "serve")]


def test_kin_buttons_are_dead_where_kin_may_not_be_told(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    alert = house.alert("陈英", scam_type="net_black.sextortion")
    one = officer("wang")
    version = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert version is not None
    one.post(f"/alerts/{alert}/sign", {"version": version[0]})
    text = one.get(f"/alerts/{alert}").text
    rung = text.split('id="rung-kin"', 1)[1].split("</details>", 1)[0]
    assert catalogue.translate("kin.never_type", "zh") in rung
    assert rung.count(" disabled>") == rung.count('name="result"') > 0


def test_whoever_else_answers_is_told_on_a_ground_only_where_kin_may_not_be(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    alert = house.alert("陈英", scam_type="net_black.sextortion")
    one = officer("wang")

    def version() -> int:
        row = house.engine.execute("SELECT version FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
        assert row is not None
        return int(row[0])

    one.post(f"/alerts/{alert}/sign", {"version": version()})
    rung = one.get(f"/alerts/{alert}").text.split('id="rung-call"', 1)[1].split("</details>", 1)[0]
    assert catalogue.translate("kin.other_never", "zh") in rung and 'name="reason"' in rung
    told = {"channel": "call", "result": "told_other", "version": version(), "click": "told-other"}
    for more, words in (
        ({}, "other_reason"), ({"words": "说了"}, "other_reason"),
        ({"reason": "cannot_reach", "words": "说了"}, "other_reason"),
        ({"reason": "neutral", "words": " "}, "other_words"),
    ):  # fmt: skip
        answer = one.post(f"/alerts/{alert}/contacts", {**told, **more})
        assert answer.status_code == 409 and catalogue.translate(f"refused.{words}", "zh") in answer.text, more
    good = {**told, "reason": "neutral", "words": "只请其转告回拨96110"}
    assert one.post(f"/alerts/{alert}/contacts", good).status_code == 303
    found = house.engine.execute("SELECT code, reason FROM contacts WHERE kind = 'call'").fetchall()
    assert found == [("told_other", "neutral")]
    assert one.post(f"/alerts/{alert}/contacts", {**told, "result": "busy", "version": version(), "click": "busy-now"}
                    ).status_code == 303, "what tells nobody anything asks for no ground"  # fmt: skip


def test_a_flag_is_set_and_taken_down_by_plain_forms(busy: Busy, officer: Callable[..., Any]) -> None:
    one = officer("wang")
    assert one.post(f"/alerts/{busy.alert}/flags", {"flag": "self_harm"}).status_code == 303
    text = one.get(f"/alerts/{busy.alert}").text
    assert catalogue.translate("handling.self_harm", "zh") in text
    number = re.search(r'name="clear" value="(\d+)"', text.split("轻生言语", 1)[1])
    assert number is not None
    refused = one.post(f"/alerts/{busy.alert}/flags", {"clear": number[1], "words": ""})
    assert refused.status_code == 409
    assert one.post(f"/alerts/{busy.alert}/flags", {"clear": number[1], "words": "听错了"}).status_code == 303
    assert catalogue.translate("handling.self_harm", "zh") not in one.get(f"/alerts/{busy.alert}").text


def test_a_follow_up_that_is_settled_already_says_so(busy: Busy, officer: Callable[..., Any]) -> None:
    busy.close_and_lose()
    one = officer("wang")
    number = re.search(r'action="/followups/(\d+)"', one.get("/followups").text)
    assert number is not None
    assert one.post(f"/followups/{number[1]}", {"code": "fine"}).headers["location"] == "/followups"
    again = one.post(f"/followups/{number[1]}", {"code": "fine", "click": "another-click"})
    assert again.status_code == 409 and "已有结果" in again.text
    assert one.post("/followups/99999", {"code": "fine"}).status_code == 404
