"""Answers sent to sources that have an API for them: one post a warning, tried until it is heard.

Kept true here: an answer leaves at least once and counts once, since each sending has a key of its own that the source
can tell it by; no transaction is open while a source is asked; what the source says decides, and what an officer
changed meanwhile is owed as a correction.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import psycopg
import structlog
from psycopg.rows import dict_row

from wuzha import store
from wuzha.command.public import machine
from wuzha.events import clock, money
from wuzha.store.settings import Settings

from . import answers, feedback, returns, ways

log = structlog.get_logger(__name__)

#: Seconds until the next try of an answer that was not heard, by how often it was tried; the last one stays.
BACKOFF = (1.0, 2.0, 5.0, 15.0, 60.0, 300.0)
#: Answers asked for at once.
_BATCH = 50
#: Refusals that speak of the answer itself; all others are of the way to the source and are tried again.
_RETURNED = frozenset({400, 406, 409, 410, 422})
_EVERY_S = 1.0
_ANSWER_BYTES = 65536


def key_folder() -> Path:
    """Where the files with the sources' keys stand."""
    return Settings().home / "feedback-keys"


def deliver(
    conn: psycopg.Connection[Any], client: httpx.Client, *, now: datetime | None = None, keys: Path | None = None
) -> int:
    """Send what is ready to go by an API, over each root of the unit tree; how many were heard. Role wuzha_web."""
    heard = 0
    roots = [r[0] for r in conn.execute("SELECT unit_id FROM wuzha.units WHERE parent_id IS NULL ORDER BY unit_id")]
    for root in roots:
        at = now or clock.now()
        with store.transaction(conn, unit=root, user=None, now=at):
            by_api = [s for s, w in ways.ways(conn).items() if w.way == "api"]
            due = waiting(conn, by_api, now=at) if by_api else []
        down: set[str] = set()
        for w, way in due:
            if w["source"] in down:
                continue
            ok = _one(conn, client, root, w, way, keys or key_folder(), now)
            heard += ok is True
            if ok is None:
                down.add(w["source"])  # it does not answer: its others wait for the next time
    return heard


def waiting(
    conn: psycopg.Connection[Any], names: list[str], *, now: datetime | None = None, limit: int = _BATCH
) -> list[tuple[dict[str, Any], ways.Way]]:
    """Answers of these sources that may leave and have not, the earliest deadline first, each with its way; those that
    were not heard wait for their next try."""
    now = now or clock.now()
    rows = (
        conn.cursor(row_factory=dict_row)
        .execute(
            "SELECT w.warning_id, w.alert_id, w.source, w.source_no, w.event_id, w.answer, w.answered_at, w.sent_n,"
            " w.sent_answer, w.tries, u.name AS officer, n.name AS unit, CASE WHEN w.answer_own THEN NULL"
            " ELSE a.avoided_fen END AS avoided_fen, (SELECT max(b.workbook_id) FROM wuzha.workbook_rows b"
            "   WHERE b.source = w.source AND b.event_id = w.event_id) AS workbook_id"
            " FROM wuzha.alert_warnings w JOIN wuzha.alerts a USING (alert_id)"
            " LEFT JOIN wuzha.users u ON u.user_id = w.answered_by LEFT JOIN wuzha.units n ON n.unit_id = a.unit_id"
            " WHERE w.feedback = 'owed' AND w.answer IS NOT NULL AND w.source = ANY(%(names)s)"
            f" AND (w.next_try IS NULL OR w.next_try <= %(now)s) AND {answers.undo_over(now)}"
            " ORDER BY w.feedback_by NULLS LAST, w.warning_id LIMIT %(n)s",
            {"names": names, "now": now, "n": limit},
        )
        .fetchall()
    )
    words = returns.results_of(conn, {w["warning_id"]: w["workbook_id"] for w in rows if w["workbook_id"] is not None})
    known = ways.ways(conn)
    return [({**w, "layout": words.get(w["warning_id"], {})}, known.get(w["source"], ways.Way())) for w in rows]


def message(w: dict[str, Any], way: ways.Way) -> dict[str, Any]:
    """What is posted: the source's own number and word; no name and no number of the person."""
    body = {
        "key": key_of(w), "number": w["source_no"] or w["event_id"], "warning": w["event_id"],
        "result": way.word(w["answer"], w["layout"]), "outcome": w["answer"], "at": w["answered_at"].isoformat(),
        "officer": w["officer"], "unit": w["unit"], "correction": w["sent_answer"] is not None,
    }  # fmt: skip
    return body | ({"avoided": money.yuan(w["avoided_fen"])} if w["avoided_fen"] else {})


def key_of(w: dict[str, Any]) -> str:
    """The sending's own key: the same for every try of it, another for a correction."""
    return f"{w['warning_id']}-{w['sent_n'] + 1}-{w['answer']}"


def of_key(key: str, warning_id: int) -> tuple[int, str] | None:
    """Which sending and outcome of this warning a key names; None where it is none of its keys."""
    number, _, rest = key.partition("-")
    n, _, outcome = rest.partition("-")
    if number != str(warning_id) or not (n.isascii() and n.isdigit() and len(n) < 7) or outcome not in ways.final():
        return None
    return int(n), outcome


def _one(
    conn: psycopg.Connection[Any], client: httpx.Client, root: int, w: dict[str, Any], way: ways.Way, keys: Path,
    now: datetime | None,
) -> bool | None:  # fmt: skip
    """Post one answer. True: heard; False: refused for now; None: the source does not answer."""
    body, headers = message(w, way), {"Idempotency-Key": key_of(w)}
    try:
        if way.key_file:
            headers["Authorization"] = f"Bearer {(keys / way.key_file).read_text('utf-8').strip()}"
        answer = client.post(way.url, json=body, headers=headers)
        status, said = answer.status_code, _said(answer)
    except (httpx.HTTPError, httpx.InvalidURL, OSError, UnicodeError) as error:
        _put_off(conn, root, w, type(error).__name__, now)
        return None
    actor, at = machine(root, f"source:{w['source']}"), now or clock.now()
    refused = status in _RETURNED or str(said.get("state", "")) == "returned"
    if not refused and not 200 <= status < 300:
        _put_off(conn, root, w, f"HTTP {status}", now)
        return None if status in (401, 403, 404, 429) or status >= 500 else False
    receipt = str(said.get("receipt") or f"HTTP {status}")[:200]
    with store.transaction(conn, unit=root, user=None, now=at):
        feedback.sent(
            conn, actor, w["warning_id"], key=f"send:{key_of(w)}", receipt=receipt, n=w["sent_n"] + 1,
            answer=w["answer"], now=at,
        )  # fmt: skip
        if refused:
            why = str(said.get("reason") or f"HTTP {status}")
            feedback.send_back(conn, actor, w["warning_id"], key=f"back:{key_of(w)}", why=why, now=at)
        elif str(said.get("state", "")) == "accepted":
            feedback.accept(conn, actor, w["warning_id"], key=f"took:{key_of(w)}", now=at)
    return True


def _said(answer: httpx.Response) -> dict[str, Any]:
    try:
        said = answer.json() if len(answer.content) <= _ANSWER_BYTES else {}
    except ValueError:
        return {}
    return {k: v for k, v in said.items() if isinstance(v, str)} if isinstance(said, dict) else {}


def _put_off(conn: psycopg.Connection[Any], root: int, w: dict[str, Any], why: str, now: datetime | None) -> None:
    at = now or clock.now()
    wait = BACKOFF[min(w["tries"], len(BACKOFF) - 1)]
    with store.transaction(conn, unit=root, user=None, now=at):
        conn.execute(
            "UPDATE wuzha.alert_warnings SET tries = tries + 1, next_try = %s, last_error = %s"
            " WHERE warning_id = %s AND feedback = 'owed' AND answer = %s",
            [at + clock.stretch(wait), why[:200], w["warning_id"], w["answer"]],
        )
    log.warning(
        "an answer waits for its source", source=w["source"], warning=w["warning_id"], error=why, again_in_s=wait
    )


def client() -> httpx.Client:
    """The client that answers leave by: it follows no redirect and uses no proxy of the environment."""
    return httpx.Client(timeout=httpx.Timeout(10.0, connect=3.0), trust_env=False, follow_redirects=False)


class Sender(threading.Thread):
    """Sends until `stop`, beside the rounds, with a connection of its own."""

    def __init__(self, connect: Callable[[], psycopg.Connection[Any]]) -> None:
        super().__init__(name="feedback", daemon=True)
        self._connect = connect
        self._stop_asked = threading.Event()

    def stop(self) -> None:
        """End after the answer under way."""
        self._stop_asked.set()
        self.join(15)

    def run(self) -> None:
        """Send what is ready, every second."""
        conn: psycopg.Connection[Any] | None = None
        with client() as asked:
            while not self._stop_asked.wait(_EVERY_S):
                try:
                    if conn is None or conn.closed:
                        conn = self._connect()
                    deliver(conn, asked)
                except Exception as error:
                    log.warning("answers put off", error=type(error).__name__, exc_info=error)
                    if isinstance(error, psycopg.Error):
                        conn = None
        if conn is not None:
            conn.close()


__all__ = ["BACKOFF", "Sender", "client", "deliver", "key_of", "message", "of_key", "waiting"]
