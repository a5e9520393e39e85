"""Nobody waits for ever: a held file, a database without a free connection, a browser with many tabs."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from tests.desks import Centre
from tests.serving import log_in

from wuzha.command.public import Actor
from wuzha.store import Connection, Database, database
from wuzha.web.app import create

if TYPE_CHECKING:
    from playwright.sync_api import Browser

HIDDEN = """
let away = false;
Object.defineProperty(document, 'hidden', {get: () => away});
window.turnAway = (out) => { away = out; document.dispatchEvent(new Event('visibilitychange')); };
"""


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a test need not wait as long as an officer."""
    monkeypatch.setitem(database.WAITS, "lock_timeout", "300ms")


@pytest.fixture
def app(db: Database, quick: None) -> Iterator[Any]:
    pool = db.pool("web", max_size=4)
    yield create(pool)
    pool.close()


@contextmanager
def held(house: Centre, statement: str, *values: Any) -> Iterator[None]:
    """Another transaction that has a row and does not end."""
    with house.db.connect("engine") as other:
        other.execute("BEGIN")
        other.execute(statement, values)  # type: ignore[arg-type]
        yield
        other.execute("ROLLBACK")


def test_a_step_on_a_held_file_is_told_and_may_be_tried_again(
    house: Centre, wang: Actor, officer: Callable[..., Any]
) -> None:
    alert, who = house.alert(), officer("wang")
    sign = (f"/alerts/{alert}/sign", {"click": "one-click-of-mine", "version": "1"})
    with held(house, "UPDATE alerts SET score = score WHERE alert_id = %s", alert):
        answer = who.post(*sign)
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert "系统正忙" in answer.text and "过几秒再试" in answer.text
        assert answer.headers["x-frame-options"] == "DENY"
        # Pages that only read are not held up, and the next one is signed for instead.
        assert who.get("/desk").status_code == who.get(f"/alerts/{alert}").status_code == 200
    assert house.engine.execute("SELECT count(*) FROM contacts").fetchone() == (0,)
    assert who.post(*sign).status_code == 303
    assert who.post(*sign).status_code == 303, "and the same click is one step"
    assert house.engine.execute("SELECT count(*) FROM contacts WHERE kind = 'sign'").fetchone() == (1,)


def test_a_page_that_is_held_up_offers_itself_again(house: Centre, wang: Actor, officer: Callable[..., Any]) -> None:
    who = officer("wang")
    with house.db.connect("super") as su:
        su.execute("BEGIN")
        su.execute("LOCK TABLE wuzha.alerts IN ACCESS EXCLUSIVE MODE")
        answer = who.get("/desk?level=high")
        su.execute("ROLLBACK")
    assert answer.status_code == 503
    assert re.search(r'<a class="chip" href="/desk\?level=high">再试一次</a>', answer.text)
    assert who.get("/desk?level=high").status_code == 200


def test_a_request_that_gets_no_connection_is_told(
    db: Database, house: Centre, wang: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.web.conftest import Officer

    monkeypatch.setattr(database, "POOL_S", 0.3)
    pool = db.pool("web", max_size=1)
    who = Officer(create(pool))
    assert who.log_in("wang").status_code == 303
    with pool.connection():
        assert who.get("/desk").status_code == 503
    assert who.get("/desk").status_code == 200
    pool.close()


def test_every_connection_of_a_face_has_its_ends(db: Database, web: Connection) -> None:
    pool = db.pool("web", max_size=2)
    with pool.connection() as one, pool.connection() as other:
        for conn in (one, other):
            for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout"):
                row = conn.execute("SELECT current_setting(%s)", (name,)).fetchone()
                assert row is not None and row[0] not in ("0", ""), name
        with pytest.raises(psycopg.errors.QueryCanceled):
            one.execute("SET statement_timeout = '50ms'")
            one.execute("SELECT pg_sleep(5)")
    pool.close()


def test_an_officer_with_many_tabs_opens_one_more(house: Centre, wang: Actor, browser: Browser, address: str) -> None:
    alerts = [house.alert(f"人{n}") for n in range(9)]
    context = browser.new_context(locale="zh-CN")
    context.set_default_timeout(45_000)
    context.add_init_script(HIDDEN)
    try:
        page = context.new_page()
        log_in(page, address, "wang")
        tabs = [page]
        for alert in alerts:  # each new tab puts the others out of sight, as in a browser that somebody looks at
            tabs[-1].evaluate("turnAway(true)")
            tabs.append(context.new_page())
            tabs[-1].goto(f"{address}/alerts/{alert}")
            tabs[-1].locator("h1").first.wait_for()
        tabs[-1].evaluate("turnAway(true)")
        with tabs[1].expect_request(lambda r: "/live" in r.url):  # looked at again, it lives again
            tabs[1].evaluate("turnAway(false)")
    finally:
        context.close()
