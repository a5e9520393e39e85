"""The pages on a free port of this machine, for a browser, and an officer's way in."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import httpx
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server
from tests.desks import PASSWORD

if TYPE_CHECKING:
    from playwright.sync_api import BrowserContext, Page


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """``app`` served until the end of the block; yields its address."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    loop = asyncio.new_event_loop()
    server = Server(
        app, address="127.0.0.1", port=port, interface=Interfaces.ASGI, log_level=LogLevels.error, websockets=False
    )
    thread = threading.Thread(target=lambda: loop.run_until_complete(server.serve()), daemon=True)
    thread.start()
    address = f"http://127.0.0.1:{port}"
    with httpx.Client(timeout=5) as client:  # a new one for each try would read all certificates, 50 ms of work
        for _ in range(1200):
            try:
                client.get(address + "/login")
                break
            except httpx.HTTPError:
                time.sleep(0.05)
        else:
            raise RuntimeError("the pages did not come up")
    yield address
    loop.call_soon_threadsafe(server.stop)
    thread.join(timeout=10)


#: A page's document tells when its stream of changes is open: from then on nothing is missed.
_TELL = """window.EventSource = class extends window.EventSource {
  constructor(...given) {
    super(...given);
    this.addEventListener('hello', () => { document.documentElement.dataset.stream = 'open'; });
  }
};"""


def telling(context: BrowserContext) -> BrowserContext:
    """``context``, of whose pages `hearing` can be asked."""
    context.add_init_script(_TELL)
    return context


def hearing(page: Page) -> None:
    """Wait until the page's stream is open."""
    page.locator("html[data-stream=open]").wait_for(state="attached")


def log_in(page: Page, address: str, login: str) -> None:
    """By keyboard, to the desk; whoever was logged in on this page is no longer."""
    page.context.clear_cookies()
    page.goto(address + "/login")
    page.locator("input[name=login]:focus").wait_for()  # on a busy machine it comes after the page
    page.keyboard.type(login)
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(address + "/desk")
