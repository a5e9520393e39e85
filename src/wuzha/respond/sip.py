"""The telephone over SIP: the officer's extension is rung, and once answered sent to the person's number.

Click-to-dial as exchanges know it: INVITE to the extension with digest credentials, REFER to the number (RFC 3515), and
the exchange's NOTIFYs (sipfrag) say how that call fares; then we leave it. No sound passes through here.

Kept true here: whatever the exchange does or does not answer, a call ends in one `Ending` within its times, and no leg
of ours is left standing; over UDP a request is sent again until something answers.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from aiosipua import (
    OutgoingCall,
    SdpMessage,
    SipRequest,
    SipResponse,
    SipUAS,
    generate_branch,
    generate_call_id,
    generate_tag,
    parse_sdp,
)
from aiosipua.auth import SipDigestAuth, answer_challenge
from aiosipua.dialog import DialogState
from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from .hosts import host_port, secret
from .sip_agent import Agent, Tcp, Tls, Udp

#: RFC 3261's T1 and T2: the first wait before a request is sent again over UDP, and the longest.
T1, T2 = 0.5, 4.0
#: Told while a call goes on: (state, last status or None, forwarded).
Tell = Callable[[str, int | None, bool], None]


class Settings(BaseSettings):
    """The exchange, from ``WUZHA_SIP_*`` in the environment. Times in seconds."""

    model_config = SettingsConfigDict(env_prefix="WUZHA_SIP_", extra="ignore", hide_input_in_errors=True)

    #: host or host:port of the exchange; empty: no telephone.
    server: str = ""
    transport: Literal["udp", "tcp", "tls"] = "udp"
    #: TLS: the authority of the exchange's certificate; those of this machine where not said.
    authority: Path | None = None
    #: The domain of addresses; the server's host where not said.
    domain: str = ""
    user: str = "wuzha"
    #: A file with the password and nothing else, closed to others.
    password_file: Path | None = None
    #: host or host:port that the exchange reaches us by; found by itself where not said.
    local: str = ""
    #: Dialled before a number that leaves the exchange, such as 9.
    prefix: str = Field(default="", pattern=r"^[0-9*#+]*$")
    number_form: Literal["national", "e164"] = "national"
    #: No word at all from the exchange; the officer does not lift; the person does not answer.
    silent_s: float = Field(default=8.0, gt=0)
    officer_s: float = Field(default=30.0, gt=0)
    person_s: float = Field(default=60.0, gt=0)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port of the exchange. ValueError where ``server`` is no such thing."""
        return host_port(self.server, 5061 if self.transport == "tls" else 5060)

    def password(self) -> str:
        """The password; empty without a file. ValueError where the file is open to others, missing or empty."""
        return secret(self.password_file)

    def digits(self, line: str) -> str:
        """What is dialled for a bare line value: ``+8613812341234`` as 13812341234, ``+8621…`` as 021…"""
        if line.startswith("cn-short:"):
            return line.partition(":")[2]
        if self.number_form == "e164" or not line.startswith("+86"):
            return self.prefix + (line if self.number_form == "e164" else "00" + line.removeprefix("+"))
        rest = line.removeprefix("+86")
        return self.prefix + (rest if rest.startswith("1") and len(rest) == 11 else "0" + rest)


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How a call ended for us. ``state``: talking, ended, failed, unknown; ``status``: the last word on the person's
    line."""

    state: str
    status: int | None = None
    why: str | None = None
    forwarded: bool = False


class Exchange:
    """Our side of the exchange: `open` it, `call` as often and at once as you like, `close` it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._progress: dict[str, asyncio.Queue[int]] = {}
        self._gone: dict[str, asyncio.Event] = {}
        self._agents: dict[str, Agent] = {}
        self._transport: Udp | Tcp | None = None
        self._uas: SipUAS | None = None
        self._agent: Agent | None = None
        self._auth: SipDigestAuth | None = None
        self._here: tuple[str, int] = ("127.0.0.1", 0)
        self._remote: tuple[str, int] = ("127.0.0.1", 5060)

    async def open(self) -> None:
        """Bind, and with TCP and TLS connect. OSError, ValueError where that cannot be, as with a strange
        certificate."""
        word = self.settings.password()
        self._auth = SipDigestAuth(self.settings.user, word) if word else None
        host, port = self.settings.address
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
        self._remote = (str(found[0][4][0]), int(found[0][4][1]))
        bind_host, bind_port = host_port(self.settings.local, 0) if self.settings.local else (self._own_host(), 0)
        transport: Udp | Tcp
        if self.settings.transport == "tls":
            self._transport = transport = Tls(
                local_addr=(bind_host, bind_port), name=host, authority=self.settings.authority
            )  # fmt: skip
            await self._connect()
        elif self.settings.transport == "tcp":
            self._transport = transport = Tcp(local_addr=(bind_host, bind_port))
            await self._connect()
        else:
            own = bind_host if _is_own(bind_host) else "::" if ":" in bind_host else "0.0.0.0"
            self._transport = transport = Udp(local_addr=(own, bind_port))
        agent = Agent(transport)
        self._uas = SipUAS(transport, user_agent="Wuzha", uac=agent)
        self._uas.on_transfer_progress = self._on_progress
        self._uas.on_bye = lambda call, _request: self._on_bye(call.call_id)
        await self._uas.start()
        self._here = (bind_host, transport.local_addr[1])
        agent.advertised_addr = self._here
        self._uas.advertised_addr = self._here
        self._agent = agent

    async def close(self) -> None:
        """Let go of the sockets."""
        if self._uas is not None:
            await self._uas.stop()
            self._uas = None

    async def _connect(self) -> None:
        """The connection to the exchange, made again where it has gone. OSError, TimeoutError."""
        transport = self._transport
        if isinstance(transport, Tcp) and self._remote not in transport._connections:
            _, writer = await asyncio.wait_for(transport.connect(self._remote), self.settings.silent_s)
            own = writer.get_extra_info("sockname")
            transport.local_addr = (str(own[0]), int(own[1]))

    async def ask(self) -> str | None:
        """OPTIONS: None where the exchange answers anything at all, else why not."""
        assert self._agent is not None and self._transport is not None
        agent, key = self._agent, generate_call_id(self._here[0])
        request = SipRequest(method="OPTIONS", uri=f"sip:{self.settings.domain or self.settings.address[0]}")
        sender = f"<sip:{self.settings.user}@{self.settings.domain or self.settings.address[0]}>"
        place = f"[{self._here[0]}]" if ":" in self._here[0] else self._here[0]
        for name, value in (
            ("Via", f"SIP/2.0/UDP {place}:{self._here[1]};branch={generate_branch()};rport"),
            ("From", f"{sender};tag={generate_tag()}"),
            ("To", f"<{request.uri}>"),
            ("Call-ID", key),
            ("CSeq", "1 OPTIONS"),
            ("Max-Forwards", "70"),
        ):
            request.headers.set_single(name, value)
        agent.heard[key] = asyncio.Event()
        try:
            await self._connect()
            agent.transport.send(request, self._remote)
            heard = await self._until_heard(lambda: agent.transport.send(request, self._remote), agent.heard[key])
        except (RuntimeError, OSError, TimeoutError) as error:
            return str(error) or type(error).__name__
        finally:
            agent.forget(key)
        return None if heard else f"no answer within {self.settings.silent_s:g} s"

    def _own_host(self) -> str:
        """The address by which this machine reaches the exchange."""
        family = socket.AF_INET6 if ":" in self._remote[0] else socket.AF_INET
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            probe.connect(self._remote)
            return str(probe.getsockname()[0])

    def _on_progress(self, call_id: str, status: int, _reason: str) -> None:
        if call_id in self._progress:
            self._progress[call_id].put_nowait(status)

    def _on_bye(self, call_id: str) -> None:
        if call_id in self._gone:
            self._gone[call_id].set()

    # ---------------------------------------------------------------- one call

    async def call(self, extension: str, number: str, *, reference: str, tell: Tell) -> Ending:
        """Ring the extension, then send it to the number (a bare line value). What the exchange does raises nothing."""
        assert self._agent is not None and self._uas is not None
        agent, settings = self._agent, self.settings
        domain = settings.domain or settings.address[0]
        scheme = "" if settings.transport == "udp" else f";transport={settings.transport}"
        agent.reference = reference
        try:
            await self._connect()
            call = agent.send_invite(
                f"sip:{settings.user}@{domain}", f"sip:{extension}@{domain}{scheme}", self._remote, self._offer(),
                user_agent="Wuzha", auth=self._auth,
            )  # fmt: skip
        except (RuntimeError, OSError, TimeoutError):
            return Ending(state="failed", why="no_exchange")
        key = call.call_id
        agent.heard[key], self._gone[key], self._progress[key] = asyncio.Event(), asyncio.Event(), asyncio.Queue()
        tell("officer", None, False)
        try:
            early = await self._officer(agent, call)
            return early if early is not None else await self._person(agent, call, number, domain, tell)
        finally:
            self._leave(agent, call)
            self._progress.pop(key, None)
            self._gone.pop(key, None)
            agent.forget(key)

    async def _officer(self, agent: Agent, call: OutgoingCall) -> Ending | None:
        """Until the officer has lifted (None), or an ending."""
        heard = agent.heard[call.call_id]
        if not await self._until_heard(lambda: agent.transport.send(call.invite, call.remote_addr), heard):
            return Ending(state="failed", why="no_exchange")
        try:
            await call.wait_answered(self.settings.officer_s)
        except TimeoutError:
            return Ending(state="failed", why="officer_no_answer")
        except RuntimeError:
            status = agent.refused.get(call.call_id, (0, ""))[0]
            if status in (401, 403, 407):
                return Ending(state="failed", why="not_admitted")
            return Ending(state="failed", why="officer_busy" if status in (486, 600) else "officer_refused")
        return None

    async def _person(self, agent: Agent, call: OutgoingCall, number: str, domain: str, tell: Tell) -> Ending:
        """From the officer's lifting to the exchange's last word on the person's line."""
        tell("dialling", None, False)
        target = f"sip:{self.settings.digits(number)}@{domain}"
        if (why := await self._refer(agent, call, target)) is not None:
            return Ending(state="failed", why=why)
        forwarded = False
        deadline = asyncio.get_running_loop().time() + self.settings.person_s
        progress, gone = self._progress[call.call_id], self._gone[call.call_id]
        while True:
            left = deadline - asyncio.get_running_loop().time()
            status = await _first(progress, gone, left)
            if status is None:
                if gone.is_set():
                    return Ending(state="unknown", why="officer_hung_up", forwarded=forwarded)
                return Ending(state="unknown", why="no_word", forwarded=forwarded)
            if status == 181:
                forwarded = True
            if status >= 300:
                return Ending(state="ended", status=status, forwarded=forwarded)
            if status >= 200:
                return Ending(state="talking", status=status, forwarded=forwarded)
            if status in (180, 181, 183):
                tell("ringing", status, forwarded)

    async def _refer(self, agent: Agent, call: OutgoingCall, target: str) -> str | None:
        """Ask the exchange to send the officer to the number; why it will not, or None."""
        answers = agent.refers[call.call_id] = asyncio.Queue()
        headers = {"Refer-To": f"<{target}>", "Referred-By": f"<{call.dialog.local_uri}>"}
        for _ in range(2):
            if call.dialog.state != DialogState.CONFIRMED:
                return "officer_hung_up"
            request = agent._send_in_dialog(call.dialog, "REFER", call.remote_addr, extra_headers=headers)
            response = await self._answer_of(agent, request, call, answers)
            if response is None:
                return "no_exchange"
            if response.status_code < 300:
                return None
            challenged = response.status_code in (401, 407) and self._auth is not None
            answer = (
                answer_challenge(self._auth, response, response.status_code, "REFER", request.uri)
                if challenged and self._auth is not None
                else None
            )
            if answer is None:
                return "not_admitted" if response.status_code in (401, 403, 407) else "no_transfer"
            headers[answer[0]] = answer[1]
        return "not_admitted"

    async def _answer_of(
        self, agent: Agent, request: SipRequest, call: OutgoingCall, answers: asyncio.Queue[SipResponse]
    ) -> SipResponse | None:
        loop = asyncio.get_running_loop()
        wait, end = T1, loop.time() + self.settings.silent_s
        while loop.time() < end:
            try:
                return await asyncio.wait_for(answers.get(), min(wait, max(end - loop.time(), 0.01)))
            except TimeoutError:
                if not agent.transport.reliable:
                    agent.transport.send(request, call.remote_addr)
                wait = min(wait * 2, T2)
        return None

    async def _until_heard(self, send: Callable[[], None], heard: asyncio.Event) -> bool:
        """Send again over UDP until anything answers; False where nothing does in time."""
        assert self._transport is not None
        loop = asyncio.get_running_loop()
        wait, end = T1, loop.time() + self.settings.silent_s
        while loop.time() < end:
            try:
                await asyncio.wait_for(heard.wait(), min(wait, max(end - loop.time(), 0.01)))
                return True
            except TimeoutError:
                if not self._transport.reliable:
                    send()
                wait = min(wait * 2, T2)
        return heard.is_set()

    def _leave(self, agent: Agent, call: OutgoingCall) -> None:
        """End our leg, whatever state it is in."""
        try:
            if call.dialog.state == DialogState.CONFIRMED:
                agent.send_bye(call.dialog, call.remote_addr)
            elif call.dialog.state == DialogState.EARLY:
                agent.cancelled[call.call_id] = call
                agent.send_cancel(call)
        except (RuntimeError, OSError, ValueError):
            return  # the exchange is away: there is nobody to say it to

    def _offer(self) -> SdpMessage:
        """A session description without sound: the exchange makes another when it has sent the officer on."""
        host, family = self._here[0], "IP6" if ":" in self._here[0] else "IP4"
        return parse_sdp(
            f"v=0\r\no=wuzha 1 1 IN {family} {host}\r\ns=-\r\nc=IN {family} {host}\r\nt=0 0\r\n"
            "m=audio 9 RTP/AVP 8 0 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n"
            "a=rtpmap:101 telephone-event/8000\r\na=inactive\r\n"
        )


async def _first(progress: asyncio.Queue[int], gone: asyncio.Event, seconds: float) -> int | None:
    """The next word of the exchange; None where the time is over or the officer has hung up without one."""
    word, end = asyncio.create_task(progress.get()), asyncio.create_task(gone.wait())
    try:
        done, _ = await asyncio.wait({word, end}, timeout=max(seconds, 0), return_when=asyncio.FIRST_COMPLETED)
        return word.result() if word in done else None
    finally:
        word.cancel()
        end.cancel()


def _is_own(host: str) -> bool:
    """True where a socket of ours can be bound to this address (an address that a router translates is none)."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((host, 0))
        except OSError:
            return False
    return True


async def check(settings: Settings) -> str | None:
    """Ask the exchange whether it is there (OPTIONS); None where it answers, else why not in words."""
    exchange = Exchange(settings)
    try:
        await exchange.open()
    except (OSError, ValueError, TimeoutError) as error:
        return str(error) or type(error).__name__
    try:
        return await exchange.ask()
    finally:
        await exchange.close()
