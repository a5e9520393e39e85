"""A message centre for tests: real SMPP 3.4 over loopback, written from the standard and not from our client.

It keeps what was handed in, gives each text a number, and sends the receipt that was wished for.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field


@dataclass
class Text:
    """A text as the centre got it."""

    number: str
    sender: str
    to: str
    words: str
    flash: bool
    receipt: int


@dataclass
class Centre:
    """``status``: what a number (by its end) is answered with; ``state``: its receipt; ``hang_up``: so many texts are
    taken and the connection is cut instead of an answer; ``tlv``: receipts as parameters, not as words."""

    password: str = "open"
    status: dict[str, list[int]] = field(default_factory=dict)
    state: dict[str, str] = field(default_factory=dict)
    hang_up: int = 0
    tlv: bool = False
    texts: list[Text] = field(default_factory=list)
    thanked: int = 0
    asked: int = 0
    binds: int = 0
    _server: socket.socket = field(default_factory=socket.socket)
    _line: socket.socket | None = None
    _sequence: int = 0
    _stop: bool = False

    @property
    def address(self) -> str:
        host, port = self._server.getsockname()
        return f"{host}:{port}"

    def run(self) -> None:
        while not self._stop:
            with suppress(OSError):
                line, _ = self._server.accept()
                self._line = line
                with line:
                    self._talk(line)

    def _talk(self, line: socket.socket) -> None:
        while True:
            head = self._exactly(line, 16)
            length, command, _, sequence = struct.unpack(">4I", head)
            body = self._exactly(line, length - 16)
            if command == 0x9:  # bind_transceiver
                _, password = body.split(b"\0")[:2]
                self.binds += 1
                self._answer(line, command, 0 if password.decode() == self.password else 0xE, sequence, b"centre\0")
            elif command == 0x4:
                self._submit(line, sequence, body)
            elif command == 0x15:
                self.asked += 1
                self._answer(line, command, 0, sequence, b"")
            elif command == 0x6:
                self._answer(line, command, 0, sequence, b"")
                return
            elif command == 0x80000005:
                self.thanked += 1

    def _submit(self, line: socket.socket, sequence: int, body: bytes) -> None:
        at = body.index(b"\0") + 3  # service type, source's kind of number
        end = body.index(b"\0", at)
        sender, at = body[at:end].decode(), end + 3
        end = body.index(b"\0", at)
        to, at = body[at:end].decode(), end + 4
        at = body.index(b"\0", at) + 1
        at = body.index(b"\0", at) + 1
        receipt, _, coding, _, n = body[at : at + 5]
        words, rest = body[at + 5 : at + 5 + n], body[at + 5 + n :]
        if rest:
            tag, length = struct.unpack(">HH", rest[:4])
            assert tag == 0x424 and n == 0
            words = rest[4 : 4 + length]
        waiting = self.status.get(to[-4:], [])
        status = waiting.pop(0) if waiting else 0
        if status:
            self._answer(line, 0x4, status, sequence, b"")
            return
        number = f"A{len(self.texts) + 1:06X}"
        assert coding in (0x08, 0x18)
        self.texts.append(Text(number, sender, to, words.decode("utf-16-be"), coding == 0x18, receipt))
        if self.hang_up:
            self.hang_up -= 1
            raise OSError("cut")
        state = self.state.get(to[-4:], "DELIVRD")
        if state == "FIRST":  # a receipt may overtake the answer
            self.receipt(number, to, "DELIVRD")
        self._answer(line, 0x4, 0, sequence, number.encode() + b"\0")
        if state not in ("FIRST", ""):
            self.receipt(number, to, state)

    def receipt(self, number: str, to: str, state: str) -> None:
        """Send a receipt (again)."""
        text = b"" if self.tlv else f"id:{number} sub:001 dlvrd:001 stat:{state} err:000 text:".encode()
        code = {"DELIVRD": 2, "EXPIRED": 3, "UNDELIV": 5}[state]
        extra = (
            struct.pack(">HH", 0x1E, len(number) + 1) + number.encode() + b"\0" + struct.pack(">HHB", 0x427, 1, code)
        )
        body = b"\0\1\1" + to.encode() + b"\0\0\1" + b"96110\0" + b"\x04\0\0\0\0\0\0\0\0" + bytes([len(text)]) + text
        self._sequence += 1
        assert self._line is not None
        whole = body + (extra if self.tlv else b"")
        self._line.sendall(struct.pack(">4I", 16 + len(whole), 0x5, 0, self._sequence) + whole)

    @staticmethod
    def _answer(line: socket.socket, command: int, status: int, sequence: int, body: bytes) -> None:
        line.sendall(struct.pack(">4I", 16 + len(body), 0x80000000 | command, status, sequence) + body)

    @staticmethod
    def _exactly(line: socket.socket, n: int) -> bytes:
        got = b""
        while len(got) < n:
            more = line.recv(n - len(got))
            if not more:
                raise OSError("gone")
            got += more
        return got

    def stop(self) -> None:
        self._stop = True
        for one in (self._line, self._server):
            if one is not None:
                with suppress(OSError):
                    one.shutdown(socket.SHUT_RDWR)
                one.close()


@contextmanager
def centre(**told: object) -> Iterator[Centre]:
    """A message centre in a thread of its own."""
    made = Centre(**told)  # type: ignore[arg-type]
    made._server.bind(("127.0.0.1", 0))
    made._server.listen()
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    try:
        yield made
    finally:
        made.stop()
        thread.join(5)
