"""A bank that answers orders: a real HTTP server over a ledger of what truly moves; slow, mistaken, refusing.

Kept true here: the bank knows only its own ledger – what a case believes never reaches it but through an order; a stop
holds from its execution: what was going to leave after it stays; it answers by the public doors alone.

It asks ``GET /v1/orders`` with its key, says that it has an order, and answers after its latency. Its own server tells
what it holds (``GET /accounts``) and takes its manners (``POST /manner``), so that a test, or the city, can make it
slow, forgetful or stubborn while money runs.
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import structlog

from wuzha.events import clock
from wuzha.orders import recall, resolution
from wuzha.orders.answering import Answer

log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Manner:
    """How the bank behaves. ``refuses``: account → code of a refusal; ``garbles``: so many rows of an answer come
    broken; ``repeats``: it sends each answer twice; ``stumbles``: it gives up its first so many tries half way;
    ``frozen``: account → until when another organ has frozen it, so that a freeze waits its turn; ``iso``: it reads a
    stop as a camt.056 and answers with a camt.029."""

    latency_s: float = 0.0
    refuses: dict[str, str] = field(default_factory=dict)
    garbles: int = 0
    repeats: bool = False
    stumbles: int = 0
    frozen: dict[str, str] = field(default_factory=dict)
    iso: bool = False


@dataclass(frozen=True, kw_only=True)
class Moved:
    """A transfer of the ledger; ``at`` may lie ahead: it happens then, unless a stop has come before."""

    number: str
    payer: str | None
    payee: str | None
    fen: int
    at: datetime
    more: dict[str, Any] = field(default_factory=dict)
    #: A refund out of frozen money: no stop keeps it.
    returned: bool = False


@dataclass
class Ledger:
    """What truly moves at one bank: its accounts with their holders, and transfers in and out of them."""

    holders: dict[str, str]
    moves: list[Moved] = field(default_factory=list)
    stops: dict[str, datetime] = field(default_factory=dict)
    opening: dict[str, int] = field(default_factory=dict)

    def happened(self, account: str, now: datetime) -> list[Moved]:
        """Transfers of an account by now; what a stop has kept from leaving is not among them."""
        stop = self.stops.get(account)
        return [
            m
            for m in sorted(self.moves, key=lambda m: (m.at, m.number))
            if account in (m.payer, m.payee)
            and m.at <= now
            and not (m.payer == account and stop and m.at > stop and not m.returned)
        ]

    def balance(self, account: str, now: datetime) -> int:
        """What the account holds by now."""
        moved = sum(m.fen if m.payee == account else -m.fen for m in self.happened(account, now))
        return self.opening.get(account, 0) + moved


class Bank:
    """One bank's server. ``start`` and ``stop`` once each; ``address`` is its own."""

    def __init__(
        self, ledger: Ledger, *, centre: str, key: str, manner: Manner | None = None,
        now: Callable[[], datetime] = clock.now,
    ) -> None:  # fmt: skip
        self.ledger, self.manner, self._now = ledger, manner or Manner(), now
        self._client = httpx.Client(
            base_url=centre, headers={"Authorization": key}, timeout=10, trust_env=False, follow_redirects=False
        )
        self._due: dict[int, float] = {}
        self._tries: dict[int, int] = {}
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._threads = [
            threading.Thread(target=self._server.serve_forever, daemon=True),
            threading.Thread(target=self._ask, daemon=True),
        ]

    def start(self) -> Bank:
        """Serve and begin to ask for orders."""
        for thread in self._threads:
            thread.start()
        return self

    def stop(self) -> None:
        """End both; an answer under way is finished."""
        self._stop.set()
        self._server.shutdown()
        self._server.server_close()
        self._threads[1].join(15)
        self._client.close()

    # ------------------------------------------------------------ asking and answering

    def _ask(self) -> None:
        while not self._stop.wait(0.1):
            try:
                waiting = self._client.get("/v1/orders").raise_for_status().json()["orders"]
                for order in waiting:
                    due = self._due.setdefault(order["order"], time.monotonic() + self.manner.latency_s)
                    if time.monotonic() >= due:
                        self._answer(order)
                for refund in self._client.get("/v1/refunds").raise_for_status().json()["refunds"]:
                    due = self._due.setdefault(-refund["refund"], time.monotonic() + self.manner.latency_s)
                    if time.monotonic() >= due:
                        self._return(refund)
            except (httpx.HTTPError, KeyError, ValueError) as error:
                log.warning("the bank comes again", error=type(error).__name__)

    def _answer(self, order: dict[str, Any]) -> None:
        number = order["order"]
        self._client.post(f"/v1/orders/{number}/receipt", json={"number": f"BK{number:08d}", "accepted": True})
        self._tries[number] = self._tries.get(number, 0) + 1
        if self._tries[number] <= self.manner.stumbles:
            return  # it has the order, and fell silent
        with self._lock:
            said = self.says(order)
        for _ in range(2 if self.manner.repeats else 1):
            if self.manner.iso and order["kind"] == "stop":
                self._resolve(order, said)
                continue
            self._client.post(f"/v1/orders/{number}/answer", json=said)

    def _resolve(self, order: dict[str, Any], said: dict[str, Any]) -> None:
        """The same answer as a camt.029, to what the camt.056 asks."""
        asked = recall.read(self._client.get(f"/v1/orders/{order['order']}/camt.056").raise_for_status().content)
        executed = datetime.fromisoformat(said["executed_at"])
        failed = said.get("failed", "")
        answer = Answer(
            executed_at=executed, done_fen=said.get("held_fen"), failed_code=failed, failed_words=said.get("words", "")
        )
        part = not failed and said["held_fen"] < (order["amount_fen"] or 0)
        xml = resolution.xml(
            message_id=f"BK{order['order']:08d}", case_id=asked.case_id, recall_id=asked.message_id, bank=asked.bank,
            unit=order["unit"] or "", answer=answer, at=executed, partial=part,
        )  # fmt: skip
        self._client.post("/v1/orders/camt.029", content=xml, headers={"Content-Type": "application/xml"})

    def _return(self, refund: dict[str, Any]) -> None:
        number = refund["refund"]
        self._client.post(f"/v1/refunds/{number}/receipt", json={"number": f"FH{number:08d}"})
        with self._lock:
            said = self.pays(refund)
        for _ in range(2 if self.manner.repeats else 1):
            self._client.post(f"/v1/refunds/{number}/answer", json=said)

    def pays(self, refund: dict[str, Any]) -> dict[str, Any]:
        """The answer to a refund: the money leaves the frozen account, once, or why it does not."""
        number, account, now = refund["refund"], refund["account"], self._now()
        said: dict[str, Any] = {"key": f"fh-{number}", "paid_at": now.isoformat()}
        if refusal := self.manner.refuses.get(refund["to_account"]):
            return said | {"failed": refusal, "words": "收款行退回"}
        name = f"refund-{number}"
        if all(m.number != name for m in self.ledger.moves):
            if self.ledger.balance(account, now) < refund["amount_fen"]:
                return said | {"failed": "no_balance", "words": ""}
            self.ledger.moves.append(
                Moved(number=name, payer=account, payee=refund["to_account"], fen=refund["amount_fen"], at=now,
                      more={"memo": "返还"}, returned=True)
            )  # fmt: skip
        return said | {"paid_fen": refund["amount_fen"], "receipt": f"HZ{number:08d}"}

    def says(self, order: dict[str, Any]) -> dict[str, Any]:
        """The answer to an order; a stop is in force once this has returned what it holds."""
        now, account = self._now(), order["account"]
        said: dict[str, Any] = {"key": f"bk-{order['order']}", "executed_at": now.isoformat()}
        refusal = self.manner.refuses.get(account) or self._mismatch(order)
        if refusal:
            return said | {"failed": refusal, "words": "本行核对不符"}
        if order["kind"] == "query":
            rows = [self._row(m) for m in self.ledger.happened(account, now)]
            for i in range(min(self.manner.garbles, len(rows))):
                rows.append({**rows[i], "event_id": f"garbled-{i}", "ts": "约九点", "amount_fen": -1})
            return said | {
                "as_of": now.isoformat(), "balance_fen": self.ledger.balance(account, now), "transfers": rows,
                "account_kind": "personal",
            }  # fmt: skip
        if order["kind"] == "release":
            self.ledger.stops.pop(account, None)
            return said
        balance = self.ledger.balance(account, now)
        if balance <= 0:
            return said | {"failed": "no_balance", "words": ""}
        until = self.manner.frozen.get(account)
        if until and order["kind"] == "freeze" and datetime.fromisoformat(until) > now:
            fen = min(balance, order["amount_fen"] or balance)
            return said | {"queued": True, "behind": "他地公安机关", "behind_until": until, "held_fen": fen}
        self.ledger.stops.setdefault(account, now)
        return said | {"held_fen": min(balance, order["amount_fen"] or balance)}

    def _mismatch(self, order: dict[str, Any]) -> str:
        """Why the bank must not stop: no such account, another holder, no such transfer."""
        account = order["account"]
        if account not in self.ledger.holders:
            return "no_account"
        if order["kind"] in ("query", "release"):
            return ""
        holder = self.ledger.holders[account]
        if order["holder"] and holder and order["holder"] != holder:
            return "name"
        at = datetime.fromisoformat(order["transfer_at"]) if order["transfer_at"] else None
        into = [m for m in self.ledger.moves if m.payee == account]
        if at is not None and not any(abs(m.at - at) <= timedelta(hours=24) for m in into):
            return "time"
        if order["transfer_fen"] is not None and not any(m.fen == order["transfer_fen"] for m in into):
            return "amount"
        return ""

    def _row(self, m: Moved) -> dict[str, Any]:
        return {
            "event_id": m.number, "ts": m.at.isoformat(), "payer": m.payer, "payee": m.payee, "amount_fen": m.fen,
            "payer_name": self.ledger.holders.get(m.payer or ""), "payee_name": self.ledger.holders.get(m.payee or ""),
            **m.more,
        }  # fmt: skip


def _handler(bank: Bank) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def _say(self, status: int, body: dict[str, Any]) -> None:
            data = json.dumps(body, ensure_ascii=False).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def do_GET(self) -> None:
            if self.path != "/accounts":
                return self._say(404, {"error": "no such address"})
            now = bank._now()
            return self._say(
                200,
                {a: {"balance_fen": bank.ledger.balance(a, now), "stopped": a in bank.ledger.stops}
                 for a in bank.ledger.holders},
            )  # fmt: skip

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            if self.path != "/manner" or size > 65536:
                return self._say(404, {"error": "no such address"})
            try:
                said = json.loads(self.rfile.read(size))
                changed = {f.name: said[f.name] for f in fields(Manner) if f.name in said}
            except (ValueError, TypeError):
                return self._say(400, {"error": "want a JSON object of manners"})
            for name, value in changed.items():
                setattr(bank.manner, name, value)
            return self._say(200, changed)

        def log_message(self, format: str, *args: object) -> None:
            """Silent: what matters is logged by the bank itself."""

    return Handler
