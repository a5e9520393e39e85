"""The page of words, and the words on the alert: proposed, decided by a second, chosen by the state of mind."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from tests.desks import Centre
from tests.web.test_words import Labels, patterns

from wuzha.command.public import Actor
from wuzha.respond.file_number import file_number
from wuzha.respond.phrases import shipped
from wuzha.web import catalogue
from wuzha.web.phrases import groups, label

ENTRY = "loan:next.pay"
NEW = {
    "entry": ENTRY,
    "zh": "再转一笔验资就放款。",
    "en": "One more proof payment and it is paid out.",
    "why": "更像原话",
}


def test_every_entry_has_a_name_and_every_group_a_page(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    for entry in shipped().texts:
        assert all(catalogue.known(key) for key in label(entry)), (entry, label(entry))
    who = officer("wang")
    for group in groups():
        assert who.get(f"/phrases?group={group}").status_code == 200
    for odd in ("nothing", "../etc", ""):
        assert who.get(f"/phrases?group={odd}").status_code == 404


def test_from_a_proposal_to_the_alert_page(
    house: Centre, wang: Actor, zhao: Actor, officer: Callable[..., Any]
) -> None:
    alert = house.alert(scam_type="loan", stage="pay")
    mine, other = officer("wang"), officer("zhao")
    assert mine.post("/phrases", NEW).status_code == 303
    number = re.search(r'action="/phrases/(\d+)"', other.get("/phrases?group=loan").text)
    assert number is not None
    assert NEW["zh"] not in mine.get(f"/alerts/{alert}").text
    refused = mine.post(f"/phrases/{number[1]}", {"do": "accept", "group": "loan"})
    assert refused.status_code == 409 and "另一个人审核" in refused.text
    assert other.post(f"/phrases/{number[1]}", {"do": "accept", "group": "loan"}).status_code == 303
    assert NEW["zh"] in mine.get(f"/alerts/{alert}").text
    page = mine.get("/phrases?group=loan").text
    assert "王敏 → 赵磊" in page and "v1" in page


def test_what_was_typed_comes_back_with_the_reason(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    who = officer("wang")
    answer = who.post("/phrases", {**NEW, "zh": "详见 www.gov.cn 的说明"})
    assert answer.status_code == 409 and "不带链接" in answer.text and "详见 www.gov.cn 的说明" in answer.text
    slots = who.post("/phrases", {**NEW, "entry": "common:kin.opening"})
    assert slots.status_code == 409 and "{unit}" in slots.text


def test_the_state_of_mind_changes_the_words_at_once_and_stands_on_the_trail(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    alert = house.alert(scam_type="investment", stage="pay")
    who = officer("wang")
    before = who.get(f"/alerts/{alert}").text
    assert file_number(alert) in before and f'action="/alerts/{alert}/mind"' not in before
    who.post(f"/alerts/{alert}/sign", {"version": 1})
    page = who.get(f"/alerts/{alert}").text
    texts = shipped().texts
    assert texts["investment:turn.unaware"].zh in page
    assert who.post(f"/alerts/{alert}/mind", {"version": 2, "mind": "sunk_cost"}).status_code == 303
    page = who.get(f"/alerts/{alert}").text
    assert texts["investment:turn.sunk_cost"].zh in page and texts["investment:turn.unaware"].zh not in page
    assert "判断状态" in page and page.count("想翻本") >= 2
    who.post(f"/alerts/{alert}/contacts", {
        "version": 3, "channel": "call", "result": "self",
        "said": re.search(r'name="said" value="([^"]*)"', page)[1],  # type: ignore[index]
    })  # fmt: skip
    with house.scope(wang) as conn:
        rows = conn.execute("SELECT entry, version, mind FROM contact_phrases ORDER BY 1").fetchall()
    assert ("investment:turn.sunk_cost", 0, "sunk_cost") in rows and len(rows) == 9
    assert who.post(f"/alerts/{alert}/mind", {"version": 4, "mind": "gullible"}).status_code == 409


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_label_of_the_page_is_in_the_catalogue(
    house: Centre, wang: Actor, zhao: Actor, officer: Callable[..., Any], language: str
) -> None:
    officer("wang").post("/phrases", NEW)
    house.web.execute("UPDATE users SET language = %s", (language,))
    who = officer("zhao")
    plain, filled = patterns(language)
    for group in ("common", "loan"):
        labels = Labels()
        labels.feed(who.get(f"/phrases?group={group}").text)
        strange = [
            f"<{tag}> {text}" for tag, text in labels.found
            if text not in plain and not filled.fullmatch(text) and re.search(r"\w", text) and not text.isdigit()
        ]  # fmt: skip
        assert strange == []
        assert [word for word in catalogue.forbidden() if word in " ".join(labels.texts)] == []


def test_readers_read_and_others_see_nothing(house: Centre, officer: Callable[..., Any]) -> None:
    house.officer("qian", "钱文", "analyst")
    house.officer("root", "管理", "admin")
    page = officer("qian").get("/phrases")
    assert page.status_code == 200 and "<textarea" not in page.text
    assert officer("qian").post("/phrases", NEW).status_code == 403
    assert officer("root").get("/phrases").status_code == 403
