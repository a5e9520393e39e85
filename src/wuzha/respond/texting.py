"""The process that sends texts over the message gateway (SMPP) and takes its receipts.

Kept true here: one process sends; a text is taken in a transaction of its own before it leaves; a receipt is answered
after it is kept; a gateway that is away is tried again, and what waits meanwhile waits.
"""

from __future__ import annotations

import signal
import socket
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import structlog
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from wuzha import store
from wuzha.events import clock
from wuzha.live.logs import configure

from . import smpp, texts
from .hosts import host_port, secret

#: Seconds between two looks for texts, between two tries of a gateway that is away, and of silence before it is asked.
LOOK_S, AGAIN_S, ASK_S = 0.3, 5.0, 30.0
_LOCK = 0x77757A7468

log = structlog.get_logger(__name__)


class Settings(BaseSettings):
    """The gateway, from ``WUZHA_SMPP_*`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="WUZHA_SMPP_", extra="ignore", hide_input_in_errors=True)

    #: host or host:port; empty: no gateway.
    server: str = ""
    system_id: str = "wuzha"
    system_type: str = ""
    #: A file with the password and nothing else, closed to others.
    password_file: Path | None = None
    #: The number that texts come from.
    sender: str = Field(default="96110", pattern=r"^[0-9]{3,20}$")
    timeout_s: float = Field(default=10.0, gt=0)

    def connected(self) -> smpp.Gateway:
        """A bound connection. ValueError: the settings; smpp.Lost, smpp.Refused."""
        host, port = host_port(self.server, 2775)
        word = secret(self.password_file)
        made = smpp.Gateway(host, port, timeout_s=self.timeout_s)
        try:
            made.bind(self.system_id, word, self.system_type)
        except BaseException:
            made.close()
            raise
        return made


def check(settings: Settings) -> str | None:
    """Why the gateway is not reached; None where it takes connections. Nobody logs in: at most gateways a second log-in
    throws the first one out, and with it the texts under way. ValueError: the settings."""
    host, port = host_port(settings.server, 2775)
    secret(settings.password_file)
    try:
        socket.create_connection((host, port), settings.timeout_s).close()
    except OSError as error:
        return error.strerror or str(error)
    return None


class Texting:
    """Sends and listens, one look at a time. ``conn`` as role web."""

    def __init__(self, conn: psycopg.Connection[Any], settings: Settings) -> None:
        self.conn, self.settings = conn, settings
        self.gateway: smpp.Gateway | None = None
        self._heard = 0.0
        row = conn.execute("SELECT unit_id FROM wuzha.units WHERE parent_id IS NULL ORDER BY unit_id").fetchone()
        assert row is not None
        self._root = int(row[0])
        with self._scope() as within:
            texts.begin(within, clock.now())

    def _scope(self) -> Any:
        return store.transaction(self.conn, unit=self._root)

    def look(self) -> bool:
        """Send one text if there is one, and take what has come. True where there was something to do."""
        if self.gateway is None:
            self.gateway = self.settings.connected()
            self._heard = time.monotonic()
            log.info("gateway reached", server=self.settings.server)
        try:
            done = self._send_one(self.gateway)
            for one in self.gateway.receipts(0.0 if done else LOOK_S):
                with self._scope() as within:
                    texts.receipted(within, self._root, one.gateway_id, one.state, clock.now())
                self.gateway.thank(one.number)
                self._heard, done = time.monotonic(), True
            if time.monotonic() - self._heard > ASK_S:
                self.gateway.enquire()
                self._heard = time.monotonic()
        except (smpp.Lost, psycopg.Error):
            self.leave()
            raise
        return done

    def _send_one(self, gateway: smpp.Gateway) -> bool:
        with self._scope() as within:
            wish = texts.take(within, clock.now())
        if wish is None:
            return False
        told: dict[str, Any]
        try:
            number = gateway.submit(
                smpp.submit_body(sender=self.settings.sender, to=wish.to, words=wish.words, flash=wish.flash)
            )
            told = {"state": "sent", "gateway_id": number}
        except smpp.Refused as refused:
            if refused.later:
                with self._scope() as within:
                    texts.put_back(within, wish.text_id, clock.now())
                time.sleep(LOOK_S)
                return False
            told = {"state": "refused", "why": str(refused)}
        except smpp.Lost:
            with self._scope() as within:
                texts.told(within, self._root, wish.text_id, "unknown", clock.now(), why="lost")
            raise
        self._heard = time.monotonic()
        with self._scope() as within:
            texts.told(within, self._root, wish.text_id, now=clock.now(), **told)
        return True

    def leave(self) -> None:
        """Let go of the gateway."""
        if self.gateway is not None:
            self.gateway.close()
            self.gateway = None


def run() -> int:
    """Send until SIGTERM. Returns the exit code."""
    configure("texts")
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    said = ""
    with store.opened(upgrade=False) as db, db.connect("web") as conn:
        while not stop.wait(LOOK_S):
            row = conn.execute("SELECT pg_try_advisory_lock(%s)", (_LOCK,)).fetchone()
            if row is not None and row[0]:
                break
        if stop.is_set():
            return 0
        texting = Texting(conn, Settings())
        while not stop.is_set():
            try:
                texting.look()
                said = ""
            except (smpp.Lost, smpp.Refused, ValueError) as error:
                if said != (said := str(error)):
                    log.error("the message gateway cannot be used", why=said)
                stop.wait(AGAIN_S)
        texting.leave()
    return 0


if __name__ == "__main__":
    sys.exit(run())
