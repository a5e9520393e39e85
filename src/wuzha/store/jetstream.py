"""One JetStream stream, as threads may use it: publish in order, read by position, trim.

Kept true here: messages that are published together stand together, one behind the other just behind the position that
was named, or not at all (an atomic batch with ``Nats-Expected-Last-Sequence``), whoever else publishes; nothing is
called missing that a server merely has not seen yet: a hole is believed only where that same server shows what comes
after it; whatever keeps the servers from answering is `LogAway`, which callers take as they take a database that is
away.
"""

from __future__ import annotations

import asyncio
import base64
import itertools
import json
import re
import secrets
import threading
import time
from collections.abc import Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

import psycopg
import structlog

if TYPE_CHECKING:
    from nats.aio.client import Client

log = structlog.get_logger(__name__)
T = TypeVar("T")

REPLICAS = 3
#: One request; a leader that dies takes its requests along, so they are asked again soon.
_ASK_S = 2.0
#: Until one of the servers is connected.
_CONNECT_S = 4.0
#: How long a question is asked again before it is said that nobody answers: an election takes one to five seconds.
_PATIENCE_S = 20.0
#: What a connection meets is told so seldom.
_TOLD_S = 10.0
#: Messages asked for at a time at most, and about how many bytes.
_WINDOW, _WINDOW_BYTES = 128, 32 << 20
#: What a message takes beside its body at most: headers and the protocol's own words.
_BESIDE = 4096
_NOT_FOUND, _NO_STREAM, _WRONG_LAST = 10037, 10059, 10071
#: Atomic batches are not allowed on the stream, a message is larger than it takes; no room is left for it.
_REFUSED, _FULL = frozenset({10174, 10054}), frozenset({10023, 10047, 10077})
#: Messages of an atomic batch at most, and their bytes.
MOST_MESSAGES, MOST_BYTES = 500, 64 << 20
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class LogAway(psycopg.OperationalError):
    """The stream's servers do not answer, or too few of them stand."""


class LogFull(psycopg.errors.DiskFull):
    """The stream's servers have no room for more."""


class LogUnsound(Exception):
    """The stream is not one that a log may stand in; says why and what to do."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a log stands: its servers and the stream's name."""

    servers: tuple[str, ...]
    name: str

    @property
    def shown(self) -> str:
        """The servers without the words by which one enters."""
        return ", ".join(urlsplit(s).netloc.rpartition("@")[2] for s in self.servers)

    @classmethod
    def read(cls, said: str) -> Place:
        """``nats://host:port,host:port/name`` (``tls://`` for encrypted ones; name ``wuzha`` where none is given).
        ValueError where it is none."""
        parts = [p.strip() for p in said.split(",") if p.strip()]
        scheme = urlsplit(parts[0]).scheme if parts else ""
        if scheme not in ("nats", "tls"):
            raise ValueError("WUZHA_LOG is no address such as nats://host-1:4222,host-2:4222,host-3:4222/name")
        servers, name = [], "wuzha"
        for part in parts:
            one = urlsplit(part if "://" in part else f"{scheme}://{part}")
            if not one.hostname:
                raise ValueError("WUZHA_LOG: an address names no host")
            servers.append(f"{one.scheme}://{one.netloc}")
            name = one.path.strip("/") or name
        if not _NAME.match(name):
            raise ValueError(f"WUZHA_LOG: {name!r} is no name of a stream (letters, digits, - and _)")
        return cls(servers=tuple(servers), name=name)


@dataclass(frozen=True, kw_only=True)
class State:
    """A stream as its leader tells of it. ``first``: the first position that is still there (last + 1: none is)."""

    first: int
    last: int
    bytes: int
    replicas: int
    #: Other servers of the stream, and which of them have all of it.
    peers: tuple[str, ...]
    current: tuple[str, ...]
    leader: str | None
    config: dict[str, Any]


class Stream:
    """A connection of this process. Its loop is a thread of its own; `close` ends both."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self._subject = f"{place.name}.log"
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="jetstream", daemon=True)
        self._thread.start()
        self._client: Client | None = None
        self._connecting = threading.Lock()
        self._mean = 1 << 20

    def close(self) -> None:
        """End the connection."""
        client, self._client = self._client, None
        if client is not None:
            self._run(client.close(), 5.0)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(5)

    # ------------------------------------------------------------ asking

    def _run(self, work: Coroutine[Any, Any, T], seconds: float) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result(seconds)
        except TimeoutError:
            future.cancel()
            raise LogAway(f"the log's servers did not answer within {seconds:g} s") from None

    def _connected(self) -> Client:
        with self._connecting:
            if self._client is None or self._client.is_closed:
                self._client = self._run(self._connect(), _PATIENCE_S + 1)
            return self._client

    async def _connect(self) -> Client:
        import nats

        told = 0.0

        async def quiet(error: Exception) -> None:
            nonlocal told
            if time.monotonic() - told > _TOLD_S:
                told = time.monotonic()
                log.warning("the log's servers", error=type(error).__name__)

        try:
            connecting = nats.connect(
                list(self.place.servers), connect_timeout=2, reconnect_time_wait=0.1, max_reconnect_attempts=-1,
                error_cb=quiet, allow_reconnect=True, ping_interval=5, max_outstanding_pings=2,
            )  # fmt: skip
            return await asyncio.wait_for(connecting, _CONNECT_S)  # by itself it would try for ever
        except Exception as error:
            raise LogAway(f"none of {self.place.shown} answers: {type(error).__name__}") from error

    async def _request(self, client: Client, subject: str, body: bytes, headers: dict[str, str] | None = None) -> Any:
        from nats import errors

        try:
            message = await client.request(subject, body, timeout=_ASK_S, headers=headers)
        except (errors.Error, TimeoutError, OSError) as error:
            raise LogAway(f"the log's servers do not answer: {type(error).__name__}") from error
        return json.loads(message.data)

    @staticmethod
    def _patiently(ask: Callable[[], T], patience_s: float = _PATIENCE_S) -> T:
        """What ``ask`` gives, asked again while nobody answers."""
        end = time.monotonic() + patience_s
        while True:
            try:
                return ask()
            except LogAway:
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)

    def _api(self, what: str, body: dict[str, Any] | None = None, *, patience_s: float = _PATIENCE_S) -> dict[str, Any]:
        """One answer of the servers' own interface, with its ``error`` where it is one that waiting does not mend."""
        data = json.dumps(body or {}).encode() if body is not None else b""

        def ask() -> dict[str, Any]:
            client = self._connected()
            said = self._run(
                self._request(client, f"$JS.API.STREAM.{what}.{self.place.name}", data), _ASK_S + _PATIENCE_S
            )
            error = said.get("error")
            if error is not None and error.get("code") in (503, 500):  # no leader at the moment
                raise LogAway(f"the log's servers: {error.get('description')}")
            return dict(said)

        return self._patiently(ask, patience_s)

    # ------------------------------------------------------------ the stream itself

    def make(self, replicas: int = REPLICAS) -> State:
        """The stream, made where there is none. LogUnsound where it is not as a log's must be."""
        said = self._api("INFO")
        if "error" in said and said["error"].get("err_code") == _NO_STREAM:
            said = self._api(
                "CREATE",
                {
                    "name": self.place.name, "subjects": [self._subject], "retention": "limits", "storage": "file",
                    "num_replicas": replicas, "discard": "new", "max_msgs": -1, "max_bytes": -1, "max_age": 0,
                    "allow_direct": False, "allow_atomic": True, "description": "Wuzha's log",
                },
            )  # fmt: skip
        if "error" in said:
            raise LogUnsound(f"the stream {self.place.name} cannot be made: {said['error'].get('description')}")
        state = self.state()
        wrong = unsound(state, replicas)
        if wrong:
            raise LogUnsound(f"the stream {self.place.name} cannot hold a log: {'; '.join(wrong)}")
        return state

    def state(self, *, patience_s: float = _PATIENCE_S) -> State:
        """How it stands. LogUnsound where there is none."""
        said = self._api("INFO", patience_s=patience_s)
        if "error" in said:
            raise LogUnsound(f"the stream {self.place.name}: {said['error'].get('description')}")
        cluster, state = said.get("cluster") or {}, said["state"]
        peers = cluster.get("replicas") or []
        last = int(state["last_seq"])
        return State(
            first=int(state["first_seq"]) or last + 1, last=last, bytes=int(state["bytes"]),
            replicas=int(said["config"]["num_replicas"]), config=dict(said["config"]), leader=cluster.get("leader"),
            peers=tuple(p["name"] for p in peers),
            current=tuple(p["name"] for p in peers if p.get("current") and not p.get("offline")),
        )  # fmt: skip

    @property
    def largest(self) -> int:
        """Bytes that one message may have."""
        return int(self._connected().max_payload) - _BESIDE

    # ------------------------------------------------------------ writing

    def publish(self, after: int, bodies: Sequence[bytes]) -> bool:
        """Publish all of them behind position ``after``, one behind the other, or none; True where they stand. False:
        the stream had gone on, or what became of them is not known; whoever wants to know reads the stream."""
        name, last = secrets.token_hex(12), len(bodies)

        async def send(client: Client) -> Any:
            from nats import errors

            for i, body in enumerate(bodies, start=1):
                headers = {"Nats-Batch-Id": name, "Nats-Batch-Sequence": str(i)}
                if i == 1:
                    headers["Nats-Expected-Last-Sequence"] = str(after)
                if i == last:
                    return await self._request(client, self._subject, body, {**headers, "Nats-Batch-Commit": "1"})
                try:
                    await client.publish(self._subject, body, headers=headers)
                except (errors.Error, OSError) as error:
                    raise LogAway(f"the log's servers cannot be written to: {type(error).__name__}") from error

        try:
            said = self._run(send(self._connected()), _ASK_S + _PATIENCE_S)
        except LogAway:
            return False
        error = said.get("error")
        if error is None:
            return int(said["seq"]) == after + last
        if error.get("err_code") != _WRONG_LAST:
            log.warning("not taken by the log's servers", error=error.get("description"))
        if error.get("err_code") in _FULL:
            raise LogFull(f"the log's servers have no room: {error.get('description')}")
        if error.get("err_code") in _REFUSED:
            raise LogUnsound(f"the log's servers refuse a batch: {error.get('description')}")
        return False

    def purge(self, until: int) -> None:
        """Drop everything up to ``until``."""
        said = self._api("PURGE", {"seq": until + 1})
        if "error" in said:
            raise LogUnsound(f"the log cannot be trimmed: {said['error'].get('description')}")

    def delete(self, position: int) -> None:
        """Erase one message, and what it held from the disks; one that is gone already stays so."""
        said = self._api("MSG.DELETE", {"seq": position})
        if "error" in said and said["error"].get("err_code") not in (_NOT_FOUND, 10043, 10057):
            raise LogUnsound(f"a message cannot be erased: {said['error'].get('description')}")

    # ------------------------------------------------------------ reading

    def after(self, position: int, *, until: int | None = None) -> Iterator[tuple[int, bytes]]:
        """Positions and bodies of what stands after ``position``, in order, as far as the answering server has it."""
        at, window = position, 1
        while until is None or at < until:
            count = window if until is None else min(window, until - at)
            found, ended = self._span(at + 1, count)
            for seq, body in found:
                if until is not None and seq > until:
                    return
                at = seq
                self._mean = max(1024, (7 * self._mean + len(body)) // 8)
                yield seq, body
            if ended:
                return
            window = max(1, min(_WINDOW, 4 * window, _WINDOW_BYTES // self._mean))

    def _span(self, first: int, count: int) -> tuple[list[tuple[int, bytes]], bool]:
        """The next message at or behind each of ``count`` positions, each once; and whether the end was seen."""

        def ask() -> list[Any]:
            client = self._connected()

            async def every() -> list[Any]:
                return list(await asyncio.gather(*(self._next(client, first + i) for i in range(count))))

            return self._run(every(), _ASK_S + _PATIENCE_S)

        found: list[tuple[int, bytes]] = []
        for answer in self._patiently(ask):
            if answer is None:
                return found, True
            if not found or answer[0] > found[-1][0]:
                found.append(answer)
        return found, False

    async def _next(self, client: Client, position: int) -> tuple[int, bytes] | None:
        """The first message at or behind ``position``; None where the server that answers has none."""
        body = json.dumps({"seq": position, "next_by_subj": self._subject}).encode()
        said = await self._request(client, f"$JS.API.STREAM.MSG.GET.{self.place.name}", body)
        error = said.get("error")
        if error is None:
            return int(said["message"]["seq"]), base64.b64decode(said["message"].get("data", ""))
        if error.get("err_code") == _NOT_FOUND:
            return None
        raise LogAway(f"the log's servers: {error.get('description')}")

    def at(self, positions: Sequence[int]) -> Iterator[tuple[int, bytes]]:
        """Bodies at these positions, which are known to have stood in the stream; those that were dropped are left
        out."""
        for begin in range(0, len(positions), 32):
            part = positions[begin : begin + 32]

            def ask(part: Sequence[int] = part) -> list[Any]:
                client = self._connected()

                async def every() -> list[Any]:
                    return list(await asyncio.gather(*(self._next(client, p) for p in part)))

                found = self._run(every(), _ASK_S + _PATIENCE_S)
                # one that has nothing there or behind may be a server that is behind itself
                if any(f is None for f in found) and self.state().last < max(part):
                    raise LogAway("the log's servers are behind")
                return found

            for position, found in zip(part, self._patiently(ask), strict=True):
                if found is not None and found[0] == position:
                    yield found


def unsound(state: State, replicas: int = REPLICAS) -> list[str]:
    """Why what is acknowledged there could be lost, or could go while it is needed; empty where it could not."""
    config, wrong = state.config, []
    if state.replicas < replicas:
        wrong.append(f"{state.replicas} replicas; {replicas} are needed")
    if config.get("storage") != "file":
        wrong.append("it stands in memory")
    if config.get("retention") != "limits":
        wrong.append(f"its retention is {config.get('retention')}")
    if not config.get("allow_atomic"):
        wrong.append("it does not allow atomic batches (nats-server 2.12 or newer; allow_atomic)")
    for limit in ("max_msgs", "max_bytes", "max_age", "max_msgs_per_subject"):
        if int(config.get(limit) or -1) > 0:
            wrong.append(f"it has a limit ({limit}), under which messages would go or be refused")
    return wrong


_names = (f"{secrets.token_hex(8)}-{n}" for n in itertools.count())
_naming = threading.Lock()


def fresh_id() -> str:
    """An id that no other message has."""
    with _naming:
        return next(_names)
