"""A centre whose pages are opened, and a real Chromium for the tests that need one.

Each page fails its test where a script fails or another host is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from fastapi.testclient import TestClient
from tests.browser import MISSING, find_chromium, launch_options
from tests.desks import PASSWORD, Centre, centre
from tests.serving import serving, telling

from wuzha.command.public import ROLES, Actor
from wuzha.store import Connection, Database
from wuzha.web.app import create

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One Chromium a worker; the test is left out, with a message, where there is none."""
    path = find_chromium()
    if path is None:
        pytest.skip(MISSING)
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(**launch_options(path))  # type: ignore[arg-type]
        yield chromium
        chromium.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A page of its own (no cookies), as wide as a bank clerk's screen, in Chinese."""
    context = browser.new_context(locale="zh-CN", timezone_id="Asia/Shanghai", viewport={"width": 1366, "height": 768})
    context.set_default_timeout(45_000)
    telling(context)
    opened = context.new_page()
    wrong: list[str] = []
    opened.on("pageerror", lambda error: wrong.append(f"script: {error}"))

    def asked(url: str) -> None:
        if not url.startswith(("http://127.0.0.1", "http://localhost", "data:", "blob:", "about:")):
            wrong.append(f"another host: {url}")

    opened.on("request", lambda request: asked(request.url))
    yield opened
    context.close()
    assert not wrong, wrong


@pytest.fixture
def house(db: Database, engine: Connection, web: Connection) -> Centre:
    """A centre with two stations."""
    return centre(db, engine, web)


@pytest.fixture
def wang(house: Centre) -> Actor:
    """A dissuader of the centre."""
    return house.officer("wang", "王敏", "dissuader", badge_no="330281")


@pytest.fixture
def zhao(house: Centre) -> Actor:
    """Another one."""
    return house.officer("zhao", "赵磊", "dissuader")


@pytest.fixture
def app(db: Database) -> Iterator[Any]:
    """The pages over the test's database."""
    pool = db.pool("web", max_size=6)
    yield create(pool)
    pool.close()


@pytest.fixture
def address(page: Page, app: Any) -> Iterator[str]:
    """The pages on a port; asks for the browser first, so that nothing is served where there is none."""
    with serving(app) as at:
        yield at
        # A server stops once nobody listens: pages that are open would hold it for as long as it waits for them.
        browser = page.context.browser
        for context in browser.contexts if browser else ():
            for opened in context.pages:
                opened.goto("about:blank")


class Officer:
    """A browser without scripts: cookies, forms with the session's token, redirects followed only where asked."""

    def __init__(self, app: Any) -> None:
        self.client = TestClient(app, follow_redirects=False, raise_server_exceptions=True)
        self.csrf = ""

    def log_in(self, login: str, password: str = PASSWORD) -> Any:
        self.client.get("/login")
        answer = self.client.post(
            "/login",
            data={"login": login, "password": password, "csrf": self.client.cookies.get("wuzha_pre"), "next": "/"},
        )
        if answer.status_code == 303:
            self.csrf = token(self.client.get("/password").text)
        return answer

    def get(self, path: str) -> Any:
        return self.client.get(path)

    def post(self, path: str, data: dict[str, Any] | None = None, **changes: Any) -> Any:
        return self.client.post(
            path, data={"csrf": self.csrf, "click": f"click-{path}-{data}"[:80], **(data or {}), **changes}
        )


def token(html: str) -> str:
    """The form token in a page."""
    return html.split('name="csrf" value="', 1)[1].split('"', 1)[0]


@pytest.fixture
def officer(app: Any) -> Callable[..., Officer]:
    """Logs an officer in."""

    def enter(login: str) -> Officer:
        made = Officer(app)
        assert made.log_in(login).status_code == 303
        return made

    return enter


@pytest.fixture(scope="module")
def kept_app(module_db: Database) -> Iterator[Any]:
    """The pages over one database for a module's tests that change nothing in it."""
    pool = module_db.pool("web", max_size=6)
    yield create(pool)
    pool.close()


@pytest.fixture(scope="module")
def everybody(module_db: Database, kept_app: Any) -> Officer:
    """An officer with every role, logged in at `kept_app`."""
    with module_db.connect("engine") as engine, module_db.connect("web") as web:
        centre(module_db, engine, web).officer("all", "全", *ROLES)
    made = Officer(kept_app)
    assert made.log_in("all").status_code == 303
    return made


@pytest.fixture
def stranger(app: Any) -> Officer:
    """A browser without a session."""
    return Officer(app)
