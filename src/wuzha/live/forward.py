"""The holder's door outwards: warnings from the outbox to the centre, in order, until each is receipted.

Kept true here: a warning leaves at least once and counts once, since its number is its identity at the centre; none
overtakes another; names and identity numbers leave the outbox with the receipt. Nothing but warnings goes this way.
"""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any

import httpx
import psycopg
import structlog

from wuzha.events import clock

from .lease import Connect

log = structlog.get_logger(__name__)

RECIPIENT = "centre"
KIND = "warning"
_BATCH = 200
_BACKOFF = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)


def pending(conn: psycopg.Connection[Any], limit: int = _BATCH) -> list[tuple[int, dict[str, Any]]]:
    """Number and body of the warnings that wait, in order."""
    return conn.execute(
        "SELECT number, body FROM wuzha.outbox WHERE receipted_at IS NULL AND recipient = %s AND kind = %s"
        " ORDER BY number LIMIT %s",
        [RECIPIENT, KIND, limit],
    ).fetchall()


def receipt(conn: psycopg.Connection[Any], receipts: dict[int, str]) -> None:
    """Note what the centre answered, by number."""
    conn.execute(
        "UPDATE wuzha.outbox o SET receipted_at = %s, receipt = r.receipt,"
        " body = o.body - 'victim_name' - 'victim_id'"
        " FROM unnest(%s::bigint[], %s::text[]) AS r(number, receipt)"
        " WHERE o.number = r.number AND o.receipted_at IS NULL",
        [clock.now(), list(receipts), list(receipts.values())],
    )


def send(client: httpx.Client, rows: list[tuple[int, dict[str, Any]]]) -> dict[int, str]:
    """Post ``rows`` and return a receipt for each. httpx errors where the centre did not take them."""
    body = "\n".join(json.dumps(body, ensure_ascii=False) for _, body in rows).encode()
    answer = client.post("/v1/events/warnings", content=body, headers={"Content-Type": "application/x-ndjson"})
    answer.raise_for_status()
    said = answer.json()
    receipts = {number: f"position {said['position']}" if said["position"] else "already there" for number, _ in rows}
    for reject in said["rejects"]:
        number = rows[reject["row"]][0]
        receipts[number] = f"rejected: {reject['column']} {reject['reason']}"
        log.error("the centre rejected a warning", number=number, column=reject["column"], reason=reject["reason"])
    return receipts


class Forwarder(threading.Thread):
    """Sends what waits, then waits for more; a centre that is away is tried again, later each time."""

    def __init__(self, connect: Connect, url: str, key_file: Path) -> None:
        super().__init__(name="forward", daemon=True)
        self._connect, self._url, self._key_file = connect, url, key_file
        self._stop_asked = threading.Event()
        self._wake = threading.Event()

    def wake(self) -> None:
        """There is something new."""
        self._wake.set()

    def stop(self) -> None:
        """End after the request under way."""
        self._stop_asked.set()
        self._wake.set()
        self.join(10)

    def run(self) -> None:
        """Forward until `stop`."""
        failures = 0
        conn: psycopg.Connection[Any] | None = None
        while not self._stop_asked.is_set():
            try:
                if conn is None or conn.closed:
                    conn = self._connect()
                    conn.autocommit = True
                rows = pending(conn)
                if rows:
                    # The key is read each time: a new one takes effect without a restart.
                    headers = {"Authorization": f"Bearer {self._key_file.read_text().strip()}"}
                    with httpx.Client(base_url=self._url, headers=headers, timeout=30, trust_env=False) as client:
                        receipt(conn, send(client, rows))
                    failures = 0
                    continue
            except (httpx.HTTPError, psycopg.Error, OSError) as error:
                wait = _BACKOFF[min(failures, len(_BACKOFF) - 1)]
                failures += 1
                log.warning("warnings wait for the centre", error=_short(error), again_in_s=wait)
                if isinstance(error, psycopg.Error):
                    conn = None
                self._stop_asked.wait(wait)
                continue
            self._wake.wait(1.0)
            self._wake.clear()
        if conn is not None:
            conn.close()


def _short(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"HTTP {error.response.status_code}"
    return type(error).__name__
