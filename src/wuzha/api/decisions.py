"""``/v1/decisions``: a bank asks about a transfer before it makes it. Plain ASGI, since it is asked thousands of times
a second.

Kept true here: an answer is given when its record is durable; the same key gives the same answer; a missing owner is
named, never guessed for; only a bank's key asks, and it sees only what it asked itself.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
import psycopg
import structlog
from fastapi import FastAPI
from starlette.routing import Mount

from wuzha.events import TABLES, clock
from wuzha.live import decision, decision_packs, decision_policy
from wuzha.live.asking import Asker, Heard
from wuzha.live.decision_records import ONE, Became, KeyRefused, Record, Recorder, Stale, Standing
from wuzha.store import keys
from wuzha.store.sources import Source

from . import decisions_batch, decisions_schema
from .asgi import ASGI, Receive, Refused, Send, body, other_question, problem
from .doors import Doors
from .problems import MEDIA_TYPE

log = structlog.get_logger(__name__)

PREFIX = "/v1/decisions"
_LIMIT = 16 * 1024
_JSON = msgspec.json.Encoder()
_JSON_TYPE = b"application/json"
#: What a key stands for is read anew after so long; that it still works is asked with every commit.
_KEY_S = 30.0
_KEYS_KEPT = 10_000
_AHEAD = timedelta(days=1)
#: Questions in work at once; more are told to come again.
_MOST_OPEN = 4_000

_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=64, pattern=r"^[^\s\x00](?:[^\x00\n]*[^\s\x00])?$")]
_CHANNELS = tuple(TABLES["transfers"].column("channel").values or ())


class TransferAsked(msgspec.Struct, forbid_unknown_fields=True):
    """A transfer that is about to be made."""

    payer: _Text
    payee: _Text
    amount_fen: Annotated[int, msgspec.Meta(ge=1, le=10**15)]
    ts: datetime | None = None
    device: _Text | None = None
    payer_balance_fen: Annotated[int, msgspec.Meta(ge=-(10**15), le=10**15)] | None = None
    channel: Literal[_CHANNELS] | None = None  # type: ignore[valid-type]
    merchant_id: _Text | None = None
    deadline_ms: Annotated[int, msgspec.Meta(ge=20, le=5000)] | None = None


_READ = msgspec.json.Decoder(TransferAsked)


@dataclass(frozen=True)
class Caller:
    """Whose key came with the request."""

    key_id: int
    source: Source


class Decisions:
    """The ASGI app. It belongs to one process's doors; what is asked of owners lives in the loop that first asks."""

    def __init__(self, doors: Doors) -> None:
        self.doors, self.policy = doors, decision_policy.of(doors.settings.home)
        self.recorder = Recorder(lambda: doors.db.connect("web"), deliver)
        self.recorder.book(self.policy.digest, "policy", _JSON.encode({"text": self.policy.text}))
        self._asker: Asker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._callers: dict[str, tuple[float, Caller]] = {}
        self._looking: dict[tuple[asyncio.AbstractEventLoop, str], asyncio.Task[Caller]] = {}
        self._open = 0
        self._decided: dict[asyncio.AbstractEventLoop, list[tuple[Record, asyncio.Future[Standing]]]] = {}
        self._started = False
        self._partitions = 1
        self._counted = {action: doors.figures.decisions.labels(action) for action in decision_policy.ACTIONS}

    def asker(self) -> Asker:
        """The asker of the running loop. Partitions that are doubled afterwards are asked as before: each worker keeps
        the whole state."""
        loop = asyncio.get_running_loop()
        if self._asker is None or self._loop is not loop:
            self._asker = Asker(self.doors.settings.home, partitions=self._partitions, told=self._keep)
            self._loop = loop
            self._asker.start()
        return self._asker

    def _keep(self, books: dict[str, bytes]) -> None:
        for digest, content in books.items():
            self.recorder.book(digest, "rules", content)

    async def record(self, row: Record) -> Standing:
        """The record that stands when it is durable. KeyRefused, Stale, psycopg.Error."""
        whom: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()
        self.recorder.submit((row, whom))
        return await whom

    def _submit(self, row: Record, whom: asyncio.Future[Standing]) -> None:
        """With the others of this turn of the loop: what an owner answered together is committed together."""
        loop = whom.get_loop()
        decided = self._decided.get(loop)
        if decided is None:
            decided = self._decided[loop] = []
            loop.call_soon(self._hand_over, loop)
        decided.append((row, whom))

    def _hand_over(self, loop: asyncio.AbstractEventLoop) -> None:
        decided = self._decided.pop(loop)
        try:
            self.recorder.submit(*decided)
        except RuntimeError as error:
            for _, whom in decided:
                if not whom.done():
                    whom.set_exception(error)

    def forget(self) -> None:
        """What keys stand for is read anew."""
        self._callers.clear()

    def close(self) -> None:
        """Commit what waits."""
        if self._started:
            self.recorder.stop()

    # ------------------------------------------------------------ ASGI

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """One request."""
        try:
            if not self._started:
                self._started = True
                self.recorder.start()
            status, kind, said = await self._answer(scope, receive)
        except Refused as refused:
            status, kind, said = refused.status, MEDIA_TYPE.encode(), problem(refused)
            self.doors.figures.refused.labels(str(status)).inc()
        except psycopg.Error as error:
            log.warning("database away", error=type(error).__name__)
            words = "The database does not answer / 数据库无响应"
            away = Refused(503, "no_database", words, "nothing was decided; ask again with the same key")
            status, kind, said = 503, MEDIA_TYPE.encode(), problem(away)
        except Exception as error:
            log.error("decision failed", error=type(error).__name__, exc_info=error)
            failed = Refused(500, "failed", "The server failed / 服务器出错", "ask again with the same key")
            status, kind, said = 500, MEDIA_TYPE.encode(), problem(failed)
        headers = [(b"content-type", kind), (b"content-length", str(len(said)).encode())]
        if status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if status in (429, 503):
            headers.append((b"retry-after", b"1"))
        if status == 405:
            headers.append((b"allow", b"GET" if scope["method"] != "GET" else b"POST"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": said})

    async def _answer(self, scope: MutableMapping[str, Any], receive: Receive) -> tuple[int, bytes, bytes]:
        path, method = scope["path"].removeprefix(PREFIX).strip("/"), scope["method"]
        headers = dict(scope["headers"])
        if path in ("transfer", "transfers"):
            if method != "POST":
                raise Refused(405, "http_405", "Method Not Allowed")
            caller = await self._caller(headers)
            key = _key(headers)
            if path == "transfer":
                sent = await body(receive, _LIMIT)
                if self._open >= _MOST_OPEN:
                    raise Refused(429, "busy", "Too many questions at once / 请求过多", "ask again with the same key")
                self._open += 1
                try:
                    return 200, _JSON_TYPE, await self._one(caller, key, sent)
                finally:
                    self._open -= 1
            return await decisions_batch.many(self, caller, key, headers, receive)
        if method != "GET":
            raise Refused(405, "http_405", "Method Not Allowed")
        return 200, _JSON_TYPE, await self._stands(await self._caller(headers), path, scope["query_string"])

    # ------------------------------------------------------------ who asks

    async def _caller(self, headers: dict[bytes, bytes]) -> Caller:
        scheme, _, key = headers.get(b"authorization", b"").decode("latin-1").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Refused(401, "no_key", "An API key is needed / 需要API密钥", "send Authorization: Bearer <key>")
        caller = await self._known(key.strip())
        until = caller.source.basis_until
        if caller.source.role != "bank" or (until is not None and until <= clock.now()):
            raise Refused(
                403, "key_may_not_ask", "This key may not ask for decisions / 该密钥无权请求转账决策",
                "a source of the role bank, with a basis that has not ended",
            )  # fmt: skip
        return caller

    async def _known(self, key: str) -> Caller:
        found = self._callers.get(key)
        if found is not None and time.monotonic() - found[0] <= _KEY_S:
            return found[1]
        mine = asyncio.get_running_loop(), key
        looking = self._looking.get(mine)
        if looking is None:  # whoever comes meanwhile waits for the same answer
            looking = self._looking[mine] = asyncio.ensure_future(asyncio.to_thread(self._look_up, key))
            looking.add_done_callback(lambda _: self._looking.pop(mine, None))
        caller = await asyncio.shield(looking)
        if len(self._callers) >= _KEYS_KEPT:
            self._callers.clear()
        self._callers[key] = time.monotonic(), caller
        return caller

    def _look_up(self, key: str) -> Caller:
        with self.doors.pool.connection() as conn:
            found = keys.numbered(conn, key)
            row = conn.execute("SELECT count(*) FROM wuzha.partitions").fetchone()
            self._partitions = max(int(row[0]), 1) if row else 1
        if found is None:
            raise Refused(401, "bad_key", "The API key is unknown or revoked / 密钥无效或已撤销")
        return Caller(*found)

    # ------------------------------------------------------------ one transfer

    async def _one(self, caller: Caller, key: str, sent: bytes) -> bytes:
        begun = time.monotonic()
        try:
            asked = _READ.decode(sent)
        except msgspec.ValidationError as error:
            column, reason = _place(str(error))
            raise Refused(
                422, "wrong_transfer", "The transfer is wrong / 转账信息有误", f"{column}: {reason}"
            ) from None
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Refused(400, "unreadable", "The body is no JSON / 无法读取内容", str(error)[:200]) from None
        now = clock.now()
        question = decision.Question(
            payer=asked.payer, payee=asked.payee, amount_fen=asked.amount_fen, ts=_when(asked.ts, now),
            device=asked.device, payer_balance_fen=asked.payer_balance_fen, channel=asked.channel,
            merchant_id=asked.merchant_id,
        )  # fmt: skip
        deadline = min(self.policy.deadline_ms, asked.deadline_ms or self.policy.deadline_ms) / 1000
        digest = decision.digest(_JSON.encode(asked))
        transfer = question.transfer(caller.source.name)
        while True:
            answer: dict[str, Any] = {}
            whom: asyncio.Future[Standing] = asyncio.get_running_loop().create_future()

            def heard(heard: Heard, answer: dict[str, Any] = answer, whom: asyncio.Future[Standing] = whom) -> None:
                """Decide and hand over at once: who asked is woken only when the record stands."""
                if whom.done():
                    return  # who asked has gone
                try:
                    said, record = decision.decide(self.policy, question, heard, now)
                    answer |= said
                    row = decision.record_of(
                        key_id=caller.key_id, source_id=caller.source.source_id, key=key, asked=digest,
                        policy=self.policy, heard=heard, answer=said, record=record, now=now,
                    )  # fmt: skip
                    self._submit(row, whom)
                except Exception as error:
                    whom.set_exception(error)

            left = deadline - (time.monotonic() - begun)
            if left > 0:
                self.asker().put(transfer, left, heard)
            else:
                heard(Heard())
            try:
                standing = await whom
                break
            except Stale:
                continue  # the worker had lost its lease: its successor is asked, or nobody is left to
            except KeyRefused:
                self.forget()
                raise Refused(401, "bad_key", "The API key is unknown or revoked / 密钥无效或已撤销") from None
        if not standing.same:
            raise other_question()
        said = standing.record["answer"] if standing.repeated else answer
        self._counted[said["action"]].inc()
        self.doors.figures.decided.observe(time.monotonic() - begun)
        return _JSON.encode({"id": str(standing.decision_id), "repeated": standing.repeated, **said})

    # ------------------------------------------------------------ what stands

    async def _stands(self, caller: Caller, name: str, query: bytes) -> bytes:
        number, _, row = name.partition(".")
        if not (number.isascii() and number.isdigit() and len(number) < 19) or (row and not row.isdigit()):
            raise Refused(404, "http_404", "Not Found")
        found = await asyncio.to_thread(self._read, caller, int(number))
        if found is None:
            raise Refused(404, "no_decision", "There is no such decision of this source / 没有此决策")
        key, *stands = found
        record, rows = decision_packs.record(*stands)
        if rows is not None and row:
            one = decisions_batch.row_of(record, bytes(rows), int(row))
            if one is None:
                raise Refused(404, "no_decision", "There is no such decision of this source / 没有此决策")
            record = one
        if "question" not in record:
            return _JSON.encode({"id": number, "key": key, **record})
        said = {language: decision.explain(record, language) for language in ("zh", "en")}
        return _JSON.encode({"id": name, "key": key, "sentences": said, **record})

    def _read(self, caller: Caller, number: int) -> Any:
        with self.doors.pool.connection() as conn, conn.transaction():
            conn.execute("SELECT set_config('wuzha.source', %s, true)", [str(caller.source.source_id)])
            return conn.execute(ONE, [number]).fetchone()


def deliver(told: Sequence[Became]) -> None:
    """Wake those who wait, each loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Became]] = {}
    for whom, became in told:
        by_loop.setdefault(whom.get_loop(), []).append((whom, became))
    for loop, some in by_loop.items():
        with suppress(RuntimeError):  # a loop that has ended
            loop.call_soon_threadsafe(_settle, some)


def _settle(told: Sequence[Became]) -> None:
    for whom, became in told:
        if whom.done():
            continue  # whoever asked has gone; the record stands
        if isinstance(became, Exception):
            whom.set_exception(became)
        else:
            whom.set_result(became)


def before(app: FastAPI) -> ASGI:
    """``app``, but decisions past its middleware and routes, which take longer than a decision. What the first would
    wait for is loaded here."""
    made: Decisions = app.state.decisions
    made.policy.step((0,) * len(decision_policy.FACTS), 1)

    async def front(scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(PREFIX + "/"):
            await made(scope, receive, send)
        else:
            await app(scope, receive, send)

    return front


def install(app: FastAPI) -> None:
    """Give ``app`` these addresses, and their description."""
    made = app.state.decisions = Decisions(app.state.doors)
    app.state.doors.ending.append(made.close)
    app.router.routes.append(Mount(PREFIX, app=made))
    decisions_schema.describe(app)


def _key(headers: dict[bytes, bytes]) -> str:
    key = headers.get(b"idempotency-key", b"").decode("latin-1").strip()
    if not 1 <= len(key) <= 128 or not key.isascii() or not key.isprintable():
        raise Refused(
            422, "no_idempotency_key", "Idempotency-Key is needed / 需要幂等键",
            "a header Idempotency-Key of 1 to 128 printable ASCII characters, one a transfer",
        )  # fmt: skip
    return key


def _when(ts: datetime | None, now: datetime) -> datetime:
    if ts is None:
        return now
    if ts.tzinfo is None:
        raise Refused(422, "wrong_transfer", "The transfer is wrong / 转账信息有误", "ts: an offset is missing")
    if abs(ts - now) > _AHEAD:
        raise Refused(422, "wrong_transfer", "The transfer is wrong / 转账信息有误", "ts: more than a day from now")
    return ts.astimezone(UTC)


def _place(words: str) -> tuple[str, str]:
    what, _, where = words.partition(" - at `$")
    return where.strip("`.") or "body", what
