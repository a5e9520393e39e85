"""A small telephone exchange for tests: digest admission, extensions, numbers that are engaged, refuse or never answer.

It stands on the library's server side and speaks real SIP over loopback; nothing of ours is replaced.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiosipua import IncomingCall, SipRequest, SipUAS, TcpSipTransport, UdpSipTransport, notify_refer, parse_auth
from tests.certificates import Certificate

USER, PASSWORD, REALM = "wuzha", "a-word-for-the-exchange", "pbx.test"

#: What a number answers: the statuses of its call in order, the last one final.
NUMBERS: dict[str, tuple[int, ...]] = {
    "13800000200": (180, 200),
    "13800000486": (486,),
    "13800000480": (180, 480),
    "13800000603": (180, 603),
    "13800000404": (404,),
    "13800000600": (600,),
    "13800000604": (604,),
    "13800000408": (180, 408),
    "13800000503": (503,),
    "13800000181": (181, 180, 200),
    "13800000182": (181, 486),
    "13800000000": (180,),  # rings and rings
}
#: What an extension does: an answer, or None for one that rings and is not lifted.
EXTENSIONS: dict[str, int | None] = {"801": 200, "802": 200, "803": 486, "804": None, "805": 603}


def _digest(auth: dict[str, str], method: str) -> str:
    def h(text: str) -> str:
        return hashlib.md5(text.encode()).hexdigest()

    ha1, ha2 = h(f"{USER}:{REALM}:{PASSWORD}"), h(f"{method}:{auth['uri']}")
    if auth.get("qop"):
        return h(f"{ha1}:{auth['nonce']}:{auth['nc']}:{auth['cnonce']}:{auth['qop']}:{ha2}")
    return h(f"{ha1}:{auth['nonce']}:{ha2}")


class Encrypted(TcpSipTransport):
    """The library's TCP server, over TLS."""

    def __init__(self, *, local_addr: tuple[str, int], own: Certificate) -> None:
        super().__init__(local_addr=local_addr)
        self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._context.load_cert_chain(own.certificate, own.key)

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._handle_connection, *self.local_addr, ssl=self._context)


@dataclass
class Exchange:
    """``deaf``: answers nothing. ``drop``: how many requests at first get lost. ``hang_up``: the officer does, in the
    middle of the ringing. ``refer_challenge``: a REFER needs its own admission."""

    transport: str = "udp"
    deaf: bool = False
    drop: int = 0
    hang_up: bool = False
    refer_challenge: bool = False
    certificate: Certificate | None = None
    lift_after_s: float = 0.02
    step_s: float = 0.02
    seen: list[str] = field(default_factory=list)
    dialled: list[tuple[str, str]] = field(default_factory=list)
    references: list[str] = field(default_factory=list)
    port: int = 0
    _nonces: set[str] = field(default_factory=set)
    _tasks: set[Any] = field(default_factory=set)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def calls(self) -> int:
        """Legs that stand at this moment."""
        return len(self._uas.active_calls)

    async def start(self) -> None:
        here = ("127.0.0.1", 0)
        carrier: Any = UdpSipTransport(local_addr=here)
        if self.transport != "udp":
            carrier = Encrypted(local_addr=here, own=self.certificate) if self.certificate else TcpSipTransport(here)
        self._uas = uas = SipUAS(carrier, user_agent="pbx")
        uas.on_invite = lambda call: self._spawn(self._invite(call))
        uas.on_refer = lambda call, target: self._spawn(self._refer(call, target))
        await uas.start()
        if self.transport != "udp":
            self.port = carrier._server.sockets[0].getsockname()[1]
            send = carrier.send

            def reply(response: Any) -> None:  # by the connection of the request, as a stream's server answers
                # the newest: one whose other side refused our certificate may stand for a while (Python 3.11.2)
                send(response, next(reversed(carrier._connections)))

            carrier.send_reply = reply
        else:
            self.port = carrier._udp_transport.get_extra_info("sockname")[1]
        carrier.local_addr = ("127.0.0.1", self.port)
        handle = uas._handle_request

        def received(request: SipRequest, addr: tuple[str, int]) -> None:
            if self.deaf:
                return
            if self.drop > 0:
                self.drop -= 1
                return
            self.seen.append(request.method)
            if request.method in ("INVITE", "REFER") and not self._admitted(request):
                return
            handle(request, addr)

        uas._handle_request = received  # type: ignore[method-assign]

    async def stop(self) -> None:
        for task in list(self._tasks):
            task.cancel()
        await self._uas.stop()

    def _spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _admitted(self, request: SipRequest) -> bool:
        """Whether the credentials are right; challenges otherwise."""
        if request.method == "REFER" and not self.refer_challenge:
            return True
        given = request.get_header("authorization")
        if given:
            auth = parse_auth(given, credentials=True).params
            if auth.get("nonce") in self._nonces and auth.get("response") == _digest(auth, request.method):
                return True
            self._uas._send_error(request, 403, "Forbidden")
            return False
        nonce = secrets.token_hex(8)
        self._nonces.add(nonce)
        challenge = f'Digest realm="{REALM}", nonce="{nonce}", algorithm=MD5, qop="auth"'
        self._uas._send_error(request, 401, "Unauthorized", extra_headers={"WWW-Authenticate": challenge})
        return False

    async def _invite(self, call: IncomingCall) -> None:
        extension = call.invite.uri.removeprefix("sip:").partition("@")[0]
        self.references.append(call.invite.get_header("x-wuzha-call") or "")
        answer = EXTENSIONS.get(extension, 404)
        if answer == 404:
            call.reject(404)
            return
        call.ringing()
        await asyncio.sleep(self.lift_after_s)
        if answer == 200:
            assert call.sdp_offer is not None
            call.accept(call.sdp_offer)
        elif answer is not None:
            call.reject(answer)

    async def _refer(self, call: IncomingCall, target: str) -> None:
        number = target.removeprefix("sip:").partition("@")[0]
        extension = call.invite.uri.removeprefix("sip:").partition("@")[0]
        self.dialled.append((extension, number))
        for status in NUMBERS.get(number, (404,)):
            await asyncio.sleep(self.step_s)
            if self.hang_up:
                call.hangup()
                self._uas._calls.pop(call.call_id, None)
                return
            notify_refer(call, status)


@contextmanager
def exchange(**changes: Any) -> Iterator[Exchange]:
    """An exchange in a thread of its own."""
    made = Exchange(**changes)
    loop = asyncio.new_event_loop()
    up = threading.Event()

    def run() -> None:
        asyncio.set_event_loop(loop)
        loop.run_until_complete(made.start())
        up.set()
        loop.run_forever()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    assert up.wait(60)
    try:
        yield made
    finally:
        asyncio.run_coroutine_threadsafe(made.stop(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()
