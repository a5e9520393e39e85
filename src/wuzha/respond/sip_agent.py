"""What the SIP library leaves to its user: transports and a client that are whole.

Kept true here: refusals are acknowledged, a refusal that comes again changes nothing, the dialog follows Contact and
Record-Route, a call that is answered after its CANCEL is hung up, and requests over TCP say so.
"""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path
from typing import Any

from aiosipua import (
    OutgoingCall,
    SipRequest,
    SipResponse,
    SipUAC,
    TcpSipTransport,
    UdpSipTransport,
    stringify_uri,
)
from aiosipua.dialog import Dialog, DialogState


class Udp(UdpSipTransport):
    async def start(self) -> None:
        await super().start()
        assert self._udp_transport is not None
        bound = self._udp_transport.get_extra_info("sockname")
        self.local_addr = (str(bound[0]), int(bound[1]))


class Tcp(TcpSipTransport):
    """One connection to the exchange, which also carries its requests to us."""

    protocol = "TCP"

    async def start(self) -> None:
        """Nothing listens: the exchange answers on the connection that we open."""

    def send(self, message: SipRequest | SipResponse, addr: tuple[str, int]) -> None:
        if isinstance(message, SipRequest):
            vias = message.headers.get("via")
            message.headers.remove("Via")
            for via in vias:
                message.headers.append("Via", via.replace("SIP/2.0/UDP", f"SIP/2.0/{self.protocol}", 1))
        super().send(message, addr)

    def send_reply(self, response: SipResponse) -> None:
        # The way back is the connection that the request came by, whatever its Via says (RFC 3261 §18.2.2).
        for addr in self._connections:
            self.send(response, addr)
            return
        raise RuntimeError("no connection to the exchange")


class Tls(Tcp):
    """The same over TLS (RFC 3261 §26.2.1): the exchange proves by its certificate that it is ``name``."""

    protocol = "TLS"

    def __init__(self, *, local_addr: tuple[str, int], name: str, authority: Path | None) -> None:
        super().__init__(local_addr=local_addr)
        self._name = name
        self._context = ssl.create_default_context(cafile=authority)
        self._context.minimum_version = ssl.TLSVersion.TLSv1_2

    async def connect(self, remote_addr: tuple[str, int]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        reader, writer = await asyncio.open_connection(
            *remote_addr, ssl=self._context, server_hostname=self._name
        )  # fmt: skip
        self._connections[remote_addr] = (reader, writer)
        self._spawn(self._handle_incoming(reader, writer, remote_addr))
        return reader, writer


class Agent(SipUAC):
    """The library's client, completed by what it leaves to its user."""

    def __init__(self, transport: Any) -> None:
        super().__init__(transport)
        #: What the next call is known by, and what each call is.
        self.reference = ""
        self.references: dict[str, str] = {}
        self.heard: dict[str, asyncio.Event] = {}
        self.refused: dict[str, tuple[int, str]] = {}
        self.refers: dict[str, asyncio.Queue[SipResponse]] = {}
        self.cancelled: dict[str, OutgoingCall] = {}
        self._invites: dict[tuple[str, int], SipRequest] = {}

    def _build_invite(self, dialog: Dialog, **kwargs: Any) -> SipRequest:
        invite = super()._build_invite(dialog, **kwargs)
        invite.headers.set_single("X-Wuzha-Call", self.references.setdefault(dialog.call_id, self.reference))
        assert invite.cseq is not None
        self._invites[dialog.call_id, invite.cseq.seq] = invite
        return invite

    def handle_response(self, response: SipResponse, addr: tuple[str, int]) -> None:
        call_id, cseq = response.call_id or "", response.cseq
        if call_id in self.heard:
            self.heard[call_id].set()
        call = self.get_call(call_id)
        if cseq is None:
            return
        if cseq.method.upper() == "REFER" and call_id in self.refers and response.status_code >= 200:
            self.refers[call_id].put_nowait(response)
            return
        if cseq.method.upper() == "INVITE":
            if response.status_code >= 300:
                self._acknowledge(call_id, cseq.seq, response, addr)
                if call is not None and call.invite.cseq is not None and call.invite.cseq.seq != cseq.seq:
                    return  # the refusal of an earlier try, come again
                if call is not None:
                    self.refused[call_id] = (response.status_code, response.reason_phrase)
            elif response.status_code >= 200:
                late = self.cancelled.pop(call_id, None)
                if late is not None:
                    self._hang_up_late(late, response, addr)
                    return
                if call is not None and not call.dialog.route_set:
                    follow(call.dialog, response)
        super().handle_response(response, addr)

    def _acknowledge(self, call_id: str, seq: int, response: SipResponse, addr: tuple[str, int]) -> None:
        """ACK of a refusal: hop by hop, with the branch of the INVITE that was refused (RFC 3261 §17.1.1.3)."""
        invite = self._invites.get((call_id, seq))
        if invite is None:
            return
        ack = SipRequest(method="ACK", uri=invite.uri)
        for name in ("Via", "From", "Call-ID", "Max-Forwards"):
            value = invite.headers.get_first(name.lower())
            if value:
                ack.headers.set_single(name, value)
        ack.headers.set_single("To", response.headers.get_first("to") or invite.headers.get_first("to") or "")
        ack.headers.set_single("CSeq", f"{seq} ACK")
        for route in invite.headers.get("route"):
            ack.headers.append("Route", route)
        self.transport.send(ack, addr)

    def _hang_up_late(self, call: OutgoingCall, response: SipResponse, addr: tuple[str, int]) -> None:
        """Lifted in the moment of our CANCEL: the answer is acknowledged and the call ended."""
        call.dialog.state = DialogState.EARLY
        follow(call.dialog, response)
        self._calls[call.call_id] = call
        super().handle_response(response, addr)
        self.send_bye(call.dialog, call.remote_addr)

    def forget(self, call_id: str) -> None:
        """Nothing more is expected of this call."""
        self.remove_call(call_id)
        for kept in (self.heard, self.refused, self.refers, self.references):
            kept.pop(call_id, None)
        for key in [k for k in self._invites if k[0] == call_id]:
            del self._invites[key]


def follow(dialog: Dialog, response: SipResponse) -> None:
    """The dialog goes where the other side says: Contact is its target, Record-Route its way (RFC 3261 §12.1.2)."""
    if response.contact:
        dialog.remote_target = stringify_uri(response.contact[0].uri)
    dialog.route_set = list(reversed(response.headers.get("record-route")))
