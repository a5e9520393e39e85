"""The worker's side of decisions: pending transfers are judged on its own state, between two slices of events.

Kept true here: the state is one, and never judged while it is fed or copied; events wait for at most one turn of
decisions and decisions for at most 5 ms of events; an answer says whose it is (partition, epoch) and on what it rests
(log position, book of rules).
"""

from __future__ import annotations

import os
import selectors
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import structlog

from wuzha import detect
from wuzha.detect.decide import MERCHANT, OWN, STRANGER, Decider, Pending, Transfer, pending, pending_of

from . import results
from .asking import address
from .decision_sides import Book, eventful, of_rows, packed, persons_of, sides_of
from .decision_words import KNOWN, Answers, Asks, Many, ManyAnswered

log = structlog.get_logger(__name__)

#: Events are fed in slices of about so long while decisions come, and of so long while none does.
_SLICE_S, _CALM_S = 0.004, 0.05
#: Decisions count as coming for so long after the last one.
_COMING_S = 2.0
_SMALLEST = 64
#: While several ask at once, turns begin so far apart: each costs as much as some questions.
_APART_S = 0.003
#: Questions that are judged in one turn, and rows of a batch, which take a microsecond each.
_TURN, _MANY = 256, 2048
_LENGTH = struct.Struct(">I")
#: A frame longer than this is nobody of ours.
_FRAME = 64 << 20
_KNOWN = KNOWN << np.arange(4)


class Turns:
    """Who may touch the state now."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wanted = False
        self._last = 0.0
        self._rate = 50_000.0  # events a second, as fed lately

    @contextmanager
    def feeding(self) -> Iterator[None]:
        """The worker's own turn: feeding, copying, changing rules. Decisions that wait go first."""
        until = time.monotonic() + 0.05
        while self._wanted and time.monotonic() < until:
            time.sleep(0.0001)
        with self._lock:
            yield

    @contextmanager
    def deciding(self) -> Iterator[None]:
        """The turn of decisions."""
        self._wanted = True
        try:
            with self._lock:
                self._wanted = False
                yield
        finally:
            self._wanted = False
            self._last = time.monotonic()

    def rows(self) -> int:
        """Events that may be fed in one turn."""
        coming = self._wanted or time.monotonic() - self._last < _COMING_S
        return max(_SMALLEST, int(self._rate * (_SLICE_S if coming else _CALM_S)))

    def fed(self, rows: int, took: float) -> None:
        """So many events took so long."""
        if rows >= _SMALLEST:
            self._rate = 0.8 * self._rate + 0.2 * rows / max(took, 1e-6)


class Deciding(threading.Thread):
    """Answers on the partition's socket from the engine that `open` gave, until `stop`."""

    def __init__(self, home: Path, partition: int = 0) -> None:
        super().__init__(name="deciding", daemon=True)
        self._address, self._partition = address(home, partition), partition
        self.turns = Turns()
        self._engine: Any = None
        self._book: Book | None = None
        self._epoch, self._place = 0, (0, 0)
        self._decider = Decider()
        self._ends = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._told: dict[socket.socket, set[str]] = {}
        self._halves: dict[socket.socket, bytearray] = {}
        self.answered = 0

    def open(self, engine: Any, epoch: int, position: int) -> None:
        """This engine answers from now on; it has read the log up to ``position``."""
        if engine is not self._engine:
            with self.turns.feeding():
                self._engine, self._epoch = engine, epoch
        self._place = position, 0
        if self.ident is None and not self._ends.is_set():
            self._listen()
            self.start()

    def feed(self, engine: Any, block: detect.Block) -> detect.Changes:
        """`Engine.feed` in slices, between which decisions have their turn; what changed in all of them."""
        found, at, slices = results.Found(), 0, 0
        changes = detect.Changes()
        while at < len(block) or not slices:
            rows = min(self.turns.rows(), len(block) - at)
            with self.turns.feeding():
                begun = time.perf_counter()
                changes = engine.feed(block.slice(at, at + rows) if rows < len(block) else block)
                took = time.perf_counter() - begun
                self._place = self._place[0], at + rows
            self.turns.fed(rows, took)
            at, slices = at + rows, slices + 1
            found.add(changes)
        if slices == 1:
            return changes
        return detect.Changes(
            alerts=list(found.alerts.values()), evidence=found.evidence, warnings=found.warnings,
            suspects=list(found.suspects.values()), moves=found.moves, withdrawn=list(found.withdrawn),
            restated=list(found.restated), counts=changes.counts,
        )  # fmt: skip

    def stop(self) -> None:
        """Answer nobody any more."""
        self._ends.set()
        if self.is_alive():
            self.join(5)

    # ------------------------------------------------------------ the socket

    def _listen(self) -> None:
        self._address.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._address.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        was = os.umask(0o177)
        try:
            listener.bind(str(self._address))
        finally:
            os.umask(was)
        listener.listen(16)
        listener.setblocking(False)
        self._selector.register(listener, selectors.EVENT_READ)
        self._listener = listener

    def run(self) -> None:
        """Read what is asked, judge it together, answer."""
        crowded = False
        begun = 0.0
        try:
            while not self._ends.is_set():
                if crowded and (left := begun + _APART_S - time.monotonic()) > 0:
                    time.sleep(left)
                asked: list[tuple[socket.socket, Asks | Many]] = []
                for key, _ in self._selector.select(0.2):
                    if key.fileobj is self._listener:
                        with suppress(OSError):
                            self._enter(self._listener.accept()[0])
                    else:
                        asked += self._read(key.fileobj)  # type: ignore[arg-type]
                if asked:
                    begun = time.monotonic()
                    crowded = sum(len(a.asks) if isinstance(a, Asks) else 1 for _, a in asked) > 1
                    try:
                        self._answer(asked)
                    except Exception:  # those who asked are told at their deadline that nobody answered
                        log.exception("questions not answered", questions=len(asked))
        finally:
            for one in [*self._halves, self._listener]:
                one.close()
            self._selector.close()
            self._address.unlink(missing_ok=True)

    def _enter(self, conn: socket.socket) -> None:
        conn.setblocking(False)
        self._halves[conn], self._told[conn] = bytearray(), set()
        self._selector.register(conn, selectors.EVENT_READ)

    def _leave(self, conn: socket.socket) -> None:
        self._selector.unregister(conn)
        self._halves.pop(conn)
        self._told.pop(conn)
        conn.close()

    def _read(self, conn: socket.socket) -> list[tuple[socket.socket, Asks | Many]]:
        try:
            got = conn.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            got = b""
        if not got:
            self._leave(conn)
            return []
        half = self._halves[conn]
        half += got
        out = []
        try:
            while len(half) >= 4 and len(half) >= 4 + (length := _LENGTH.unpack_from(half)[0]):
                if length > _FRAME:
                    raise msgspec.DecodeError("too long")
                out.append((conn, msgspec.msgpack.decode(bytes(half[4 : 4 + length]), type=Asks | Many)))
                del half[: 4 + length]
        except msgspec.DecodeError:
            self._leave(conn)
        return out

    def _send(self, conn: socket.socket, answers: Answers | ManyAnswered) -> None:
        if conn not in self._halves:
            return
        said = msgspec.msgpack.encode(answers)
        try:
            conn.setblocking(True)
            conn.settimeout(2)
            conn.sendall(_LENGTH.pack(len(said)) + said)
            conn.setblocking(False)
        except OSError:
            self._leave(conn)

    # ------------------------------------------------------------ judging

    def _answer(self, asked: list[tuple[socket.socket, Asks | Many]]) -> None:
        for conn, batch in asked:
            if isinstance(batch, Many):
                self._answer_many(conn, batch)
        flat = [(conn, one) for conn, asks in asked if isinstance(asks, Asks) for one in asks.asks]
        for begin in range(0, len(flat), _TURN):
            turn = flat[begin : begin + _TURN]
            rows = pending([Transfer(*one[1:]) for _, one in turn])
            with self.turns.deciding():
                book, epoch, (position, read) = self._now()
                verdicts = self._decider.judge(self._engine, rows, figures=True)
                persons = persons_of(self._engine, verdicts)
            flags = verdicts.flags & (STRANGER | OWN | MERCHANT)
            flags |= ((verdicts.sides["known"] != 0) * _KNOWN).sum(axis=1)
            figures, some = packed(book, verdicts), np.union1d(eventful(verdicts), verdicts.pieces["row"])
            sides = sides_of(book, of_rows(verdicts, some), [persons[i] for i in some.tolist()], figures=False)
            full = dict(zip(some.tolist(), sides, strict=True))
            for conn in {conn: None for conn, _ in turn}:
                mine = [i for i, (whose, _) in enumerate(turn) if whose is conn]
                answers = Answers(
                    numbers=[turn[i][1][0] for i in mine], partition=self._partition, epoch=epoch, position=position,
                    rows=read, book=book.digest, flags=flags[mine].tolist(), persons=[persons[i] for i in mine],
                    figures=[figures[i] for i in mine],
                    full={place: full[i] for place, i in enumerate(mine) if i in full}, books=self._new(conn, book),
                )  # fmt: skip
                self._send(conn, answers)
            self.answered += len(turn)

    def _now(self) -> tuple[Book, int, tuple[int, int]]:
        """What judges at this moment, as whom, and how far it has read. In the turn of decisions."""
        if self._book is None or self._engine.rules is not self._book.rules:
            self._book = Book(self._engine.rules)
        return self._book, self._epoch, self._place

    def _new(self, conn: socket.socket, book: Book) -> dict[str, bytes]:
        """The book, where this listener has not been told of it."""
        told = self._told.setdefault(conn, set())
        if book.digest in told:
            return {}
        told.add(book.digest)
        return {book.digest: book.content}

    def _answer_many(self, conn: socket.socket, batch: Many) -> None:
        """A batch in turns; its answer is whole where the state moved on in between, and rests on the oldest."""
        with pa.ipc.open_stream(batch.rows) as reader:
            rows = pending_of(detect.encode("transfers", reader.read_all(), 0))
        sides, flags, full = [], [], {}
        first: tuple[Book, int, tuple[int, int]] | None = None
        for begin in range(0, max(len(rows.ts), 1), _MANY):
            some = Pending(*(a[begin : begin + _MANY] for a in rows))
            with self.turns.deciding():
                now = self._now()
                first = first or now
                verdicts = self._decider.judge(self._engine, some, figures=False)
                on = eventful(verdicts)
                closer = self._decider.judge(self._engine, Pending(*(a[on] for a in some)), figures=True)
                persons = persons_of(self._engine, closer)
            for row, made in zip(on.tolist(), sides_of(now[0], closer, persons), strict=True):
                full[begin + row] = made
            sides.append(verdicts.sides)
            flags.append(verdicts.flags)
        assert first is not None
        book, epoch, place = first
        self._send(
            conn,
            ManyAnswered(
                number=batch.number, partition=self._partition, epoch=epoch, position=place[0], rows=place[1],
                book=book.digest, sides=np.concatenate(sides).tobytes(), flags=np.concatenate(flags).tobytes(),
                full=full, typologies=[(t.id, t.scam_type, t.interdict) for t in book.typologies],
                books=self._new(conn, book),
            ),
        )  # fmt: skip
        self.answered += len(rows.ts)
