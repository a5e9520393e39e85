"""A real Chromium for the tests of pages. Each page fails its test where a script fails or another host is asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest
from tests.browser import MISSING, find_chromium, launch_options

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
    context.set_default_timeout(15_000)
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
