"""The desk's side of the door: pairing on ``/phones``, the records on a file; the words of the phones' own pages."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.doors import PIN, Doors, doors
from tests.respond.test_door import PNG, record, sync
from tests.web.conftest import Officer
from tests.web.test_words import EXAMPLES, Labels, patterns

from wuzha.store import Database
from wuzha.web import catalogue
from wuzha.web.app import create


@pytest.fixture
def both(make_db: Callable[[], Database], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Doors]:
    with doors(make_db, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def desk(both: Doors) -> Iterator[Callable[[str], Officer]]:
    pool = both.desk.db.pool("web", max_size=4)
    app = create(pool)

    def enter(login: str) -> Officer:
        made = Officer(app)
        assert made.log_in(login).status_code == 303
        return made

    yield enter
    pool.close()


def strange(html: str, language: str) -> list[str]:
    """Labels that are no entry of the catalogue, and forbidden words."""
    plain, filled = patterns(language)
    labels = Labels()
    labels.feed(html)
    assert labels.found
    whole = " ".join(labels.texts)
    return [
        f"<{tag}>: {text}" for tag, text in labels.found
        if text not in plain | EXAMPLES and not filled.fullmatch(text) and re.search(r"\w", text) and not text.isdigit()
    ] + [word for word in catalogue.forbidden() if word in whole]  # fmt: skip


def test_an_officer_takes_a_code_once_and_takes_the_phone_off_again(
    both: Doors, desk: Callable[[str], Officer]
) -> None:
    both.officer("li", "李强")
    both.desk.officer("boss", "周敏", "commander")
    li, boss, wang = desk("li"), desk("boss"), desk("wang")
    assert wang.get("/phones").status_code == 403
    shown = li.post("/phones").text
    code = re.search(r'secret">([\d ]+)<', shown)
    assert code is not None and code[1] not in li.get("/phones").text
    both.pass_on()
    from fastapi.testclient import TestClient

    phone = TestClient(both.app, follow_redirects=False)
    assert phone.post("/door/login", data={"code": code[1], "pin": PIN}).status_code == 303
    both.pass_on()
    page = boss.get("/phones").text
    assert "李强" in page and "已配对" in page
    assert strange(page, "zh") == [] and strange(shown, "zh") == []
    number = re.search(r"/phones/(\d+)/revoke", page)
    assert number is not None
    assert boss.post(f"/phones/{number[1]}/revoke").status_code == 303
    both.pass_on()
    assert phone.get("/door/api/me").json() == {"reason": "revoked"}
    for _ in range(3):
        assert li.post("/phones").status_code == 200
    assert "最多 3 部" in li.post("/phones").text


def test_the_file_shows_the_records_masked_and_pictures_after_a_reveal(
    both: Doors, desk: Callable[[str], Officer]
) -> None:
    alert = both.signed("张小兰", line="+8613812341234")
    order = both.sent(alert)
    one, two = both.phone(both.officer("li", "李强")), both.phone(both.officer("sun", "孙悦"))
    shot = {
        "kind": "picture", "id": "0" * 8 + "-1111-4111-8111-" + "1" * 12, "order": str(order),
        "at": "2026-01-01T00:00:00Z",
        "what": "signature", "mime": "image/png", "data": base64.b64encode(PNG).decode(),
    }  # fmt: skip
    met = record(
        order, signature=shot["id"], notice={"state": "signed", "at": "2026-01-01T00:00:00Z"},
        words="本人 13812341234 已停", place={"text": "东街12号2单元", "lat": 28.85, "lon": 121.12},
    )  # fmt: skip
    assert sync(one, shot, met) == [("kept", None)] * 2 and sync(two, record(order, "not_here")) == [("kept", None)]
    both.pass_on()
    wang = desk("wang")
    page = wang.get(f"/alerts/{alert}").text
    panel = page[page.index('id="visit-records"') :]
    assert "李强" in panel and "孙悦" in panel and "两人所记不同" in panel and "告知书已签" in panel
    for secret in ("13812341234", "东街12号2单元", "28.85", "<img"):
        assert secret not in panel
    assert strange(page, "zh") == []
    address = f"/alerts/{alert}/visits/{shot['id']}"
    assert wang.get(address).status_code == 409
    wang.post(f"/alerts/{alert}/reveal", {"purpose": "visit"})
    assert address in wang.get(f"/alerts/{alert}").text
    picture = wang.get(address)
    assert picture.content == PNG and picture.headers["cache-control"] == "no-store"
    assert wang.get(f"/alerts/{alert}/visits/x").status_code == 404


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_label_of_the_phones_pages_is_a_catalogue_entry(both: Doors, language: str) -> None:
    both.sent(both.signed())
    phone = both.phone(both.officer("li", "李强"))
    stranger: Any = type(phone)(both.app)
    for html in (
        phone.get(f"/door?{language}").text, phone.get(f"/door/login?{language}").text,
        stranger.get(f"/door/login?{language}").text,
        stranger.post(f"/door/login?{language}", data={"code": "1", "pin": "1"}).text,
    ):  # fmt: skip
        assert strange(html, language) == []
    page = phone.get("/door")
    told = page.headers["content-security-policy"]
    assert "script-src 'self'" in told and "unsafe" not in told and "http" not in told
    assert "张小兰" not in page.text and page.headers["cache-control"] == "no-store"
    words = re.findall(r'data-[a-z-]+="([^"]+)"', page.text)
    assert len(words) > 35 and not [w for w in catalogue.forbidden() if w in page.text]


def test_without_a_session_nothing_is_told(both: Doors) -> None:
    from fastapi.testclient import TestClient

    both.sent(both.signed())
    stranger = TestClient(both.app, follow_redirects=False)
    for path in ("/door", "/door/1"):
        assert stranger.get(path).headers["location"] == "/door/login"
    for path in ("/door/api/me", "/door/api/orders"):
        assert stranger.get(path).status_code == 401
    for path in ("/door/api/open", "/door/api/sync", "/door/api/logout"):
        assert stranger.post(path, json={"items": [{}]}).status_code == 401
    for path in ("/desk", "/login", "/verify", "/v1/events/warnings", "/door/x"):
        assert stranger.get(path).status_code == 404
