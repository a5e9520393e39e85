"""Log-in, lock-out, sessions, forms and headers."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from fastapi.testclient import TestClient
from tests.desks import PASSWORD, Centre
from tests.pages import addresses

from wuzha.command import sessions
from wuzha.command.public import ROLES, Actor
from wuzha.events import clock


@pytest.mark.parametrize("path", addresses("GET"))
def test_no_page_opens_without_a_session(kept_app: Any, path: str) -> None:
    answer = TestClient(kept_app, follow_redirects=False).get(path)
    assert answer.status_code == 303
    assert answer.headers["location"].startswith("/login?next=")


def test_a_wrong_name_and_a_wrong_password_look_the_same(house: Centre, wang: Actor, stranger: Any) -> None:
    unknown, wrong = stranger.log_in("nobody", "x"), stranger.log_in("wang", "x")
    assert unknown.status_code == wrong.status_code == 401
    assert unknown.text.replace("nobody", "") == wrong.text.replace("wang", "")


def test_five_wrong_passwords_lock_the_account_even_for_the_right_one_and_time_unlocks_it(
    house: Centre, wang: Actor, stranger: Any
) -> None:
    for _ in range(5):
        assert stranger.log_in("wang", "wrong").status_code == 401
    assert stranger.log_in("wang").status_code == 401
    assert "暂停登录" in stranger.log_in("wang").text
    with house.web.transaction():
        later = clock.now() + clock.stretch(sessions.LOCK_S + 1)
        assert sessions.log_in(house.web, "wang", PASSWORD, now=later).token
    actions = house.engine.execute("SELECT count(*) FROM audit WHERE action = 'login.refused'").fetchone()
    assert actions == (7,)


def test_a_lock_does_not_tell_which_names_exist(house: Centre, wang: Actor, stranger: Any) -> None:
    def answers(name: str) -> list[str]:
        return [stranger.log_in(name, "wrong-wrong-1").text.replace(name, "NAME") for _ in range(7)]

    def told(pages: list[str]) -> list[bool]:
        return ["暂停登录。请" in page for page in pages]

    assert told(answers("wang")) == told(answers("nobody-by-this-name")) == [False] * 4 + [True] * 3


def test_a_session_ends_by_idleness_by_its_end_and_with_its_user(house: Centre, wang: Actor) -> None:
    now = clock.now()
    with house.web.transaction():
        token = sessions.log_in(house.web, "wang", PASSWORD, now=now).token
    assert token is not None
    assert sessions.find(house.web, token, now=now + timedelta(minutes=1)) is not None
    idle = now + clock.stretch(sessions.IDLE_S) + timedelta(minutes=2)
    assert sessions.find(house.web, token, now=idle) is None
    assert sessions.find(house.web, token, now=now + clock.stretch(sessions.SESSION_S) + timedelta(hours=1)) is None
    house.web.execute("UPDATE users SET active = false WHERE login = 'wang'")
    assert sessions.find(house.web, token, now=now) is None


def test_the_cookie_is_kept_as_a_hash_and_scripts_do_not_see_it(house: Centre, wang: Actor, stranger: Any) -> None:
    answer = stranger.log_in("wang")
    cookie = next(c for c in answer.headers.get_list("set-cookie") if c.startswith("wuzha_80="))
    assert "HttpOnly" in cookie and "SameSite=strict" in cookie
    stored = house.web.execute("SELECT token_hash FROM sessions").fetchone()
    assert stored is not None and len(stored[0]) == 32 and stored[0].hex() not in cookie


@pytest.mark.parametrize("path", addresses("POST"))
def test_every_post_without_the_token_is_refused(everybody: Any, path: str) -> None:
    who = everybody
    assert who.client.post(path, data={"csrf": "guess"}).status_code == 403
    assert who.client.post(path, data={}).status_code == 403
    answer = who.client.post(path, data={"csrf": who.csrf}, headers={"origin": "http://elsewhere.example"})
    assert answer.status_code == 403
    assert who.client.post(path, json={"csrf": who.csrf}).status_code == 403
    file = {"file": ("a.csv", b"a,b")}
    assert who.client.post(path, data={"csrf": "guess"}, files=file).status_code == 403


def test_the_addresses_above_are_those_of_the_pages() -> None:
    assert {"/alerts/1/sign", "/robot/lists/1/csv", "/waves/list"} <= set(addresses("POST"))
    assert {"/desk", "/alerts/1", "/live", "/figures/alerts", "/waves/1/table.xlsx"} <= set(addresses("GET"))


def test_log_in_itself_needs_its_token(house: Centre, wang: Actor, stranger: Any) -> None:
    stranger.client.get("/login")
    answer = stranger.client.post("/login", data={"login": "wang", "password": PASSWORD, "csrf": "guess"})
    assert answer.status_code == 403


@pytest.mark.parametrize(
    "target", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:alert(1)"]
)
def test_log_in_never_sends_to_another_host(house: Centre, wang: Actor, stranger: Any, target: str) -> None:
    stranger.client.get("/login")
    answer = stranger.client.post(
        "/login",
        data={"login": "wang", "password": PASSWORD, "csrf": stranger.client.cookies.get("wuzha_pre"), "next": target},
    )
    assert answer.status_code == 303 and answer.headers["location"] == "/"


def test_every_answer_carries_the_headers(
    house: Centre, wang: Actor, officer: Callable[..., Any], stranger: Any
) -> None:
    for answer in (
        officer("wang").get("/desk"),
        stranger.get("/login"),
        stranger.get("/desk"),
        stranger.get("/nothing"),
    ):
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self'" in policy and "unsafe-inline" not in policy and "frame-ancestors 'none'" in policy
        assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("path", ["/desk?q=%00", "/audit?actor=%00", "/alerts/%00", "/login?next=%00", "/figures/%00"])
def test_a_nul_in_an_address_is_no_page(house: Centre, officer: Callable[..., Any], path: str) -> None:
    house.officer("chen", "陈立", "commander")
    assert officer("chen").get(path).status_code == 404


def test_pages_hold_no_inline_script_or_style(house: Centre, officer: Callable[..., Any]) -> None:
    house.officer("all", "全", *ROLES)
    assert house.alert() == 1
    who = officer("all")
    for path in set(addresses("GET")) - {"/live"}:  # a stream has no end
        answer = who.get(path)
        if not answer.headers.get("content-type", "").startswith("text/html"):
            continue
        html = answer.text
        assert "<style" not in html and " style=" not in html and " onclick=" not in html
        assert all("src=" in tag for tag in html.split("<script")[1:])


def test_a_handed_out_password_must_be_changed_first_and_ends_other_sessions(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    first, second = officer("wang"), officer("wang")
    house.web.execute("UPDATE users SET must_change = true WHERE login = 'wang'")
    assert first.get("/desk").headers["location"] == "/password"
    new = "another-horse-7"
    assert first.post("/password", {"old": "wrong", "new": new, "again": new}).status_code == 409
    assert first.post("/password", {"old": PASSWORD, "new": new, "again": new + "x"}).status_code == 409
    assert first.post("/password", {"old": PASSWORD, "new": "aaaaaaaaaaaa", "again": "aaaaaaaaaaaa"}).status_code == 409
    assert first.post("/password", {"old": PASSWORD, "new": new, "again": new}).status_code == 303
    assert first.get("/desk").status_code == 200
    assert second.get("/desk").headers["location"].startswith("/login")


def test_the_language_is_the_users(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    who = officer("wang")
    assert "劝阻席" in who.get("/desk").text
    who.post("/language", {"language": "en"})
    assert "Sign for the next" in who.get("/desk").text and 'lang="en"' in who.get("/desk").text


def test_a_form_too_large_is_refused(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    alert = house.alert()
    assert officer("wang").post(f"/alerts/{alert}/notes", {"words": "字" * 200_000}).status_code == 403
