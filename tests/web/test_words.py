"""Every heading, column, button, state and label is a catalogue entry; no forbidden word stands on any page."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from html.parser import HTMLParser
from typing import Any

import pytest
from tests.desks import Centre
from tests.furnished import furnish
from tests.money import chased
from tests.pages import addresses

from wuzha.command.public import ROLES, Actor
from wuzha.web import catalogue

WORDS = frozenset({"h1", "h2", "th", "button", "label", "legend", "summary", "dt", "option", "small"})
#: Placeholders that show a form, not a word.
EXAMPLES = frozenset({"mobile-a", "alert.sign", "alert:12", "330283"})
VOID = frozenset({"input", "meta", "link", "br", "img", "circle", "rect", "line", "path", "polyline"})


class Labels(HTMLParser):
    """Texts of headings, columns, buttons and labels, without values (class ``v``), keys and fields in them."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.stack: list[tuple[str, bool]] = []
        self.found: list[tuple[str, str]] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        for name in ("aria-label", "placeholder"):
            if values.get(name):
                self.found.append((name, values[name] or ""))
        if tag not in VOID:
            left_out = "v" in (values.get("class") or "").split() or tag in ("kbd", "select", "script", "textarea")
            self.stack.append((tag, left_out))

    def handle_endtag(self, tag: str) -> None:
        while self.stack and self.stack.pop()[0] != tag:
            pass

    def handle_data(self, data: str) -> None:
        self.texts.append(data)
        if any(left_out for _, left_out in self.stack) or not data.strip():
            return
        owner = next((tag for tag, _ in reversed(self.stack) if tag in WORDS), None)
        if owner:
            self.found.append((owner, data.strip()))


@cache
def patterns(language: str) -> tuple[frozenset[str], re.Pattern[str]]:
    plain, filled = set(), []
    for words in catalogue.entries().values():
        text = words[language]
        if "{" in text:
            filled.append(re.sub(r"\\\{\w+\\\}", ".*?", re.escape(text)))
        else:
            plain.add(text.strip())
    return frozenset(plain), re.compile("|".join(f"(?:{p})" for p in filled))


def pages(house: Centre, wang: Actor, zhao: Actor) -> Iterator[tuple[str, str]]:
    ids = furnish(house, wang, zhao)
    chased(house, wang)
    yield from (("all", f"/cases/1/money/part?at={at}") for at in (0, 400))
    yield from (
        ("wang", path) for path in ("/desk", "/desk?level=low&q=没有这个人", f"/alerts/{ids['rich']}", "/password")
    )
    yield from (("wang", f"/alerts/{ids[name]}") for name in ("closed", "theirs"))
    yield from (("all", path) for path in ("/figures/reached_share", "/figures/time_to_contact", "/nothing"))
    yield from (("all", path) for path in addresses("GET") if path != "/live")  # a stream has no end


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_label_is_a_catalogue_entry_and_no_forbidden_word_stands_on_a_page(
    house: Centre, wang: Actor, zhao: Actor, officer: Callable[..., Any], stranger: Any, language: str
) -> None:
    house.officer("all", "全", *ROLES)
    opened = list(pages(house, wang, zhao))
    house.web.execute("UPDATE users SET language = %s", (language,))
    who = {login: officer(login) for login in ("wang", "all")}
    for one in who.values():
        one.client.headers["accept-language"] = language
    plain, filled = patterns(language)
    strange: list[str] = []
    for login, path in [*opened, ("", "/login")]:
        answer = who[login].get(path) if login else stranger.client.get(path, headers={"accept-language": language})
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        labels = Labels()
        labels.feed(answer.text)
        strange += [
            f"{path} <{tag}>: {text}" for tag, text in labels.found
            if text not in plain | EXAMPLES and not filled.fullmatch(text) and re.search(r"\w", text)
            and not text.isdigit()
        ]  # fmt: skip
        whole = " ".join(labels.texts)
        assert [word for word in catalogue.forbidden() if word in whole] == [], path
    assert sorted(set(strange)) == []


def test_no_forbidden_word_stands_in_the_catalogue() -> None:
    found = [
        (key, word)
        for key, words in catalogue.entries().items()
        for word in catalogue.forbidden()
        if word in words["zh"]
    ]
    assert found == []


def test_every_entry_has_both_languages_with_the_same_slots() -> None:
    for key, words in catalogue.entries().items():
        assert words["zh"].strip() and words["en"].strip(), key
        assert set(re.findall(r"\{(\w+)\}", words["zh"])) == set(re.findall(r"\{(\w+)\}", words["en"])), key


def test_every_reason_of_a_refusal_has_its_sentence() -> None:
    from pathlib import Path

    import wuzha

    root = Path(wuzha.__file__).parent
    reasons = {
        reason
        for folder in ("respond", "command", "orders", "cases", "web")
        for file in (root / folder).rglob("*.py")
        for reason in re.findall(r'Refused\(\s*"(\w+)"', file.read_text("utf-8"))
    }
    assert len(reasons) > 20
    assert [r for r in reasons if not catalogue.known(f"refused.{r}")] == []
