"""The message gateway's protocol, SMPP 3.4, as far as a sender of short texts needs it: one connection, both ways.

Kept true here: a text is accepted by the gateway, refused by it, or of it nobody knows; which of the three is told.
What is longer than one message goes as one ``message_payload``, which the gateway cuts.
"""

from __future__ import annotations

import re
import select
import socket
import struct
from collections import deque
from contextlib import suppress
from dataclasses import dataclass

BIND, SUBMIT, DELIVER, UNBIND, ENQUIRE, NACK, ANSWER = 0x9, 0x4, 0x5, 0x6, 0x15, 0x80000000, 0x80000000
#: The gateway is full or we are too fast: it has not taken the text, which may be sent again.
_LATER = {0x14, 0x58}
_PAYLOAD, _RECEIPT_ID, _RECEIPT_STATE = 0x0424, 0x001E, 0x0427
#: Octets of one message.
_ONE = 140
_LARGEST = 65536
_STATES = {2: "DELIVRD", 3: "EXPIRED", 4: "DELETED", 5: "UNDELIV", 8: "REJECTD"}
_TEXT_RECEIPT = re.compile(rb"id:\s*(\S+).*?stat:\s*([A-Z]+)", re.S)


class Lost(Exception):
    """The connection is gone, or the gateway says what nobody understands."""


class Refused(Exception):
    """The gateway does not take it. ``later``: it may be sent again after a while."""

    def __init__(self, status: int) -> None:
        super().__init__(f"SMPP status 0x{status:08X}")
        self.later = status in _LATER


@dataclass(frozen=True, kw_only=True)
class Pdu:
    """One message of the protocol."""

    command: int
    status: int
    number: int
    body: bytes = b""

    def packed(self) -> bytes:
        """As it goes over the line."""
        return struct.pack(">IIII", 16 + len(self.body), self.command, self.status, self.number) + self.body


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of a text. ``state``: DELIVRD, EXPIRED, UNDELIV …; ``number``: the request to be answered."""

    gateway_id: str
    state: str
    number: int


def c_octets(text: str) -> bytes:
    """A string of the protocol. ValueError where it is not plain ASCII."""
    raw = text.encode("ascii")
    if b"\0" in raw:
        raise ValueError("a text of the protocol holds a zero")
    return raw + b"\0"


def split(body: bytes, n: int) -> tuple[list[bytes], bytes]:
    """The first ``n`` strings of a body, and the rest. Lost where there are fewer."""
    parts = body.split(b"\0", n)
    if len(parts) <= n:
        raise Lost("a message of the gateway is cut short")
    return parts[:n], parts[n]


def tlvs(rest: bytes) -> dict[int, bytes]:
    """Optional parameters."""
    found: dict[int, bytes] = {}
    while len(rest) >= 4:
        tag, length = struct.unpack(">HH", rest[:4])
        found[tag], rest = rest[4 : 4 + length], rest[4 + length :]
    return found


def submit_body(*, sender: str, to: str, words: str, flash: bool, day: bool = True) -> bytes:
    """``submit_sm``: ``to`` in international digits; UCS-2, class 0 where ``flash``; a receipt is asked for; given up
    after a day."""
    text = words.encode("utf-16-be")
    short, optional = (text, b"") if len(text) <= _ONE else (b"", struct.pack(">HH", _PAYLOAD, len(text)) + text)
    return b"".join((
        c_octets(""), b"\0\1", c_octets(sender), b"\1\1", c_octets(to), b"\0\0\0", c_octets(""),
        c_octets("000001000000000R" if day else ""), b"\1\0", b"\x18" if flash else b"\x08", b"\0",
        bytes([len(short)]), short, optional,
    ))  # fmt: skip


def receipt(pdu: Pdu) -> Receipt | None:
    """The receipt in a ``deliver_sm``; None where it is something else, or not the last word."""
    if len(pdu.body) < 10:
        raise Lost("a message of the gateway is cut short")
    _, rest = split(pdu.body, 1)
    _, rest = split(rest[2:], 1)
    _, rest = split(rest[2:], 1)
    kind, rest = rest[0], rest[3:]
    _, rest = split(rest, 2)
    length = rest[4]
    text, optional = rest[5 : 5 + length], tlvs(rest[5 + length :])
    if kind & 0x3C != 0x04:
        return None
    said = _TEXT_RECEIPT.search(optional.get(_PAYLOAD, text))
    number = optional.get(_RECEIPT_ID, said[1] if said else b"").rstrip(b"\0").decode("ascii", "replace")
    state = _STATES.get((optional.get(_RECEIPT_STATE) or b"\0")[0]) or (said[2].decode() if said else "")
    if not number or state in ("", "ENROUTE", "ACCEPTD", "UNKNOWN"):
        return None
    return Receipt(gateway_id=number, state=state, number=pdu.number)


class Gateway:
    """A connection, bound both ways. Every method raises Lost where it is gone."""

    def __init__(self, host: str, port: int, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._number = 0
        self._came: deque[Pdu] = deque()
        self._buffer = b""
        try:
            self._line = socket.create_connection((host, port), timeout_s)
        except OSError as error:
            raise Lost(str(error)) from error

    def close(self) -> None:
        """Say good-bye, whatever the gateway answers."""
        with suppress(Lost):
            self._send(UNBIND, b"")
        self._line.close()

    def bind(self, system_id: str, password: str, system_type: str = "") -> None:
        """Log in. Refused with wrong credentials."""
        self._ask(BIND, c_octets(system_id) + c_octets(password) + c_octets(system_type) + b"\x34\0\0\0")

    def submit(self, body: bytes) -> str:
        """Hand a text over; its number at the gateway. Refused: it was not taken. Lost: nobody knows."""
        return split(self._ask(SUBMIT, body).body, 1)[0][0].decode("ascii", "replace")

    def enquire(self) -> None:
        """Whether the gateway still answers."""
        self._ask(ENQUIRE, b"")

    def receipts(self, wait_s: float) -> list[Receipt]:
        """What came within ``wait_s``; each is to be answered with `thank` once it is kept."""
        self._look(wait_s)
        found = []
        while self._came:
            pdu = self._came.popleft()
            if pdu.command == ENQUIRE:
                self._write(Pdu(command=ANSWER | ENQUIRE, status=0, number=pdu.number))
            elif pdu.command == UNBIND:
                self._write(Pdu(command=ANSWER | UNBIND, status=0, number=pdu.number))
                raise Lost("the gateway has ended the connection")
            elif pdu.command == DELIVER:
                one = receipt(pdu)
                if one is not None:
                    found.append(one)
                else:
                    self.thank(pdu.number)
            elif not pdu.command & ANSWER:
                self._write(Pdu(command=NACK, status=0x3, number=pdu.number))
        return found

    def thank(self, number: int) -> None:
        """Answer a receipt: the gateway need not send it again."""
        self._write(Pdu(command=ANSWER | DELIVER, status=0, number=number, body=b"\0"))

    # ---------------------------------------------------------------- the line

    def _send(self, command: int, body: bytes) -> int:
        self._number = self._number % 0x7FFFFFFF + 1
        self._write(Pdu(command=command, status=0, number=self._number, body=body))
        return self._number

    def _ask(self, command: int, body: bytes) -> Pdu:
        number = self._send(command, body)
        while True:
            pdu = self._read()
            if pdu.number == number and pdu.command in (ANSWER | command, NACK):
                if pdu.status or pdu.command == NACK:
                    raise Refused(pdu.status)
                return pdu
            self._came.append(pdu)

    def _write(self, pdu: Pdu) -> None:
        try:
            self._line.sendall(pdu.packed())
        except OSError as error:
            raise Lost(str(error)) from error

    def _look(self, wait_s: float) -> None:
        """Take in what has come, at most ``wait_s`` late."""
        while len(self._buffer) >= 16 or select.select([self._line], [], [], wait_s)[0]:
            self._came.append(self._read())
            wait_s = 0.0

    def _read(self) -> Pdu:
        length = struct.unpack(">I", self._take(4))[0]
        if not 16 <= length <= _LARGEST:
            raise Lost(f"the gateway sends a message of {length} octets")
        command, status, number = struct.unpack(">III", self._take(12))
        return Pdu(command=command, status=status, number=number, body=self._take(length - 16))

    def _take(self, n: int) -> bytes:
        while len(self._buffer) < n:
            try:
                more = self._line.recv(65536)
            except OSError as error:
                raise Lost(str(error) or type(error).__name__) from error
            if not more:
                raise Lost("the gateway has closed the connection")
            self._buffer += more
        taken, self._buffer = self._buffer[:n], self._buffer[n:]
        return taken
