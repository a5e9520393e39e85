"""The doors' side of decisions: the owners of the payer's and of the payee's state are asked, until a deadline.

Kept true here: both sides' owners are asked at once; a side whose owner has not answered at the deadline is named, and
the other's answer still counts; a question whose owner went away is asked again when the next one is there. Another
owner answers for one that is not on this machine, and says who it is: each keeps the whole state.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
import os
import struct
import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import structlog

from wuzha.events.hashing import text_hash

from .decision_words import Answer, Answers, Ask, Asks, Many, ManyAnswered, Side

log = structlog.get_logger(__name__)

_LENGTH = struct.Struct(">I")
#: An owner that is not there is looked for again so often.
_AGAIN_S = 0.05
#: While many ask, questions go out together so far apart: owner and database then work on many at once, for which each
#: of them costs a fraction.
_APART_S = 0.004
#: Deadlines are kept to so much.
_TICK_S = 0.005
SIDES = ("payer", "payee")


#: The kernel's limit for a socket's path is 107 bytes.
_LONGEST = 100


def address(home: Path, partition: int) -> Path:
    """The private socket on which the owner of a partition is asked."""
    path = home / f"decisions-{partition}.sock"
    if len(os.fsencode(path)) <= _LONGEST:
        return path
    short = hashlib.sha256(os.fsencode(home.resolve())).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"wuzha-{os.geteuid()}-{short}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or folder.stat().st_uid != os.geteuid() or folder.stat().st_mode & 0o077:
        raise PermissionError(f"{folder} is not this user's alone")
    return folder / path.name


def owner(account: str, partitions: int) -> int:
    """The partition whose worker owns an account's state."""
    return text_hash("account:" + account) % partitions if partitions > 1 else 0


@dataclass
class Heard:
    """What the owners said until the deadline. ``by`` side; a side that is missing has none."""

    by: dict[str, Answer] = field(default_factory=dict)

    @property
    def missing(self) -> list[str]:
        """Sides whose owner did not answer."""
        return [side for side in SIDES if side not in self.by]

    def sides(self) -> list[Side | None]:
        """Payer, payee, payer's person, payee's person: each as its own owner sees it."""
        payer, payee = self.by.get("payer"), self.by.get("payee")
        return [None if a is None else a.sides[i] for i, a in enumerate((payer, payee, payer, payee))]


@dataclass
class _Asked:
    ask: Ask
    wanted: dict[str, int]  # side -> partition
    heard: Heard
    then: Callable[[Heard], None]


class _Owner:
    """The connection to one partition's worker. A question goes out at once where none has just gone, else with the
    others of the next few milliseconds."""

    def __init__(self, asker: Asker, home: Path, partition: int) -> None:
        self._asker, self._home, self.partition = asker, home, partition
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: list[Ask] = []
        self._due = False
        self._sent = 0.0
        #: It was looked for and is not on this machine, or has gone.
        self.absent = False

    async def run(self) -> None:
        """Connect, listen, connect again."""
        while True:
            try:
                reader, self._writer = await asyncio.open_unix_connection(str(address(self._home, self.partition)))
                self.absent = False
                self._waiting = self._asker.open_of(self.partition)
                self._flush()
                self._asker.stand_in()
                for batch in self._asker.batches_of(self.partition):
                    self.send(batch)
                while True:
                    (length,) = _LENGTH.unpack(await reader.readexactly(4))
                    said = msgspec.msgpack.decode(await reader.readexactly(length), type=Answers | ManyAnswered)
                    self._asker.hear(self.partition, said)
            except (OSError, asyncio.IncompleteReadError, msgspec.DecodeError):
                if self._writer is not None:
                    self._writer.close()
                self._writer = None
                if not self.absent:
                    self.absent = True
                    self._asker.stand_in()
            await asyncio.sleep(_AGAIN_S)

    @property
    def there(self) -> bool:
        """Whether it is on this machine and answers."""
        return self._writer is not None

    def ask(self, ask: Ask) -> None:
        """Send it with the others of this turn."""
        if self._writer is None:
            return  # it is among `open_of` when the next one is there
        self._waiting.append(ask)
        if not self._due:
            self._due = True
            asyncio.get_running_loop().call_at(self._sent + _APART_S, self._flush)

    def send(self, batch: Many) -> None:
        """Send a batch by itself; nothing where nobody is there."""
        if self._writer is not None:
            said = msgspec.msgpack.encode(batch)
            self._writer.write(_LENGTH.pack(len(said)) + said)

    def _flush(self) -> None:
        self._due = False
        if self._waiting and self._writer is not None:
            self._sent = asyncio.get_running_loop().time()
            said = msgspec.msgpack.encode(Asks(asks=self._waiting))
            self._waiting = []
            self._writer.write(_LENGTH.pack(len(said)) + said)


class Asker:
    """Asks the owners. One event loop's; `start` and `stop` in it."""

    def __init__(self, home: Path, *, partitions: int = 1, told: Callable[[dict[str, bytes]], None] = lambda _: None):
        self._owners = [_Owner(self, home, p) for p in range(partitions)]
        self._told = told
        self._asked: dict[int, _Asked] = {}
        self._due: dict[int, list[int]] = {}
        self._names: dict[str, tuple[str, ...]] = {}
        self._many: dict[int, tuple[Many, dict[int, ManyAnswered], asyncio.Event]] = {}
        self._number = 0
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Connect to the owners, now and whenever they come back."""
        self._tasks = [asyncio.ensure_future(o.run()) for o in self._owners]

    async def stop(self) -> None:
        """Let go of them."""
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with suppress(asyncio.CancelledError):
                await task

    def ask(
        self, transfer: tuple[int, str, str, int, str, str | None, int | None, str | None, bool], seconds: float
    ) -> asyncio.Future[Heard]:
        """What both owners say within ``seconds``. ``transfer``: `decision_words.Ask` after its number."""
        future: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self.put(transfer, seconds, lambda heard: None if future.done() else future.set_result(heard))
        return future

    def put(self, transfer: tuple[Any, ...], seconds: float, then: Callable[[Heard], None]) -> None:
        """As `ask`; ``then`` is called with what was heard."""
        loop = asyncio.get_running_loop()
        self._number += 1
        ask: Ask = (self._number, *transfer)
        n = len(self._owners)
        wanted = {"payer": self._at_hand(owner(ask[2], n)), "payee": self._at_hand(owner(ask[3], n))}
        self._asked[self._number] = _Asked(ask, wanted, Heard(), then)
        # A deadline is kept to the next tick, and those of one tick share a timer: few are ever reached.
        tick = math.ceil((loop.time() + seconds) / _TICK_S)
        due = self._due.get(tick)
        if due is None:
            due = self._due[tick] = []
            loop.call_at(tick * _TICK_S, self._passed, tick)
        due.append(self._number)
        for partition in set(wanted.values()):
            self._owners[partition].ask(ask)

    def _at_hand(self, partition: int) -> int:
        """Who is asked for a partition: its owner, or another where that one is not here."""
        if not self._owners[partition].absent:
            return partition
        return next((o.partition for o in self._owners if o.there), partition)

    def stand_in(self) -> None:
        """What owners that are not here would have to answer is asked of another."""
        absent = {o.partition for o in self._owners if o.absent}
        other = next((o for o in self._owners if o.there), None)
        if absent and other is not None:
            for asked in self._asked.values():
                sides = [side for side, p in asked.wanted.items() if p in absent and side not in asked.heard.by]
                if sides:
                    asked.wanted |= dict.fromkeys(sides, other.partition)
                    other.ask(asked.ask)
        for _, heard, whole in self._many.values():
            self._look_whole(heard, whole)

    def _look_whole(self, heard: dict[int, ManyAnswered], whole: asyncio.Event) -> None:
        if heard and all(o.partition in heard for o in self._owners if not o.absent):
            whole.set()

    def _passed(self, tick: int) -> None:
        for number in self._due.pop(tick):
            if number in self._asked:
                self._over(number)

    @property
    def partitions(self) -> int:
        """Owners there are."""
        return len(self._owners)

    async def ask_many(self, rows: bytes, seconds: float) -> dict[int, ManyAnswered]:
        """What each partition's owner says of a batch (an Arrow stream of ``transfers``) within ``seconds``; where that
        is not on this machine, what another says."""
        self._number += 1
        batch = Many(number=self._number, rows=rows)
        heard: dict[int, ManyAnswered] = {}
        whole = asyncio.Event()
        self._many[batch.number] = batch, heard, whole
        try:
            for one in self._owners:
                one.send(batch)
            with suppress(TimeoutError):
                await asyncio.wait_for(whole.wait(), seconds)
        finally:
            del self._many[batch.number]
        if heard:
            for one in self._owners:
                if one.absent:
                    heard.setdefault(one.partition, next(iter(heard.values())))
        return heard

    def open_of(self, partition: int) -> list[Ask]:
        """What this partition's owner still has to answer."""
        return [
            a.ask for a in self._asked.values()
            if any(p == partition and side not in a.heard.by for side, p in a.wanted.items())
        ]  # fmt: skip

    def batches_of(self, partition: int) -> list[Many]:
        """Batches that this partition's owner still has to answer."""
        return [batch for batch, heard, _ in self._many.values() if partition not in heard]

    def hear(self, partition: int, answers: Answers | ManyAnswered) -> None:
        """Take in what an owner said."""
        if answers.books:
            self._told(answers.books)
            for digest, content in answers.books.items():
                self._names[digest] = tuple(msgspec.json.decode(content)["features"])
        if isinstance(answers, ManyAnswered):
            if answers.number in self._many:
                _, heard, whole = self._many[answers.number]
                heard[partition] = answers
                self._look_whole(heard, whole)
            return
        for answer in answers.each(self._names[answers.book]):
            asked = self._asked.get(answer.number)
            if asked is None:
                continue
            for side, whose in asked.wanted.items():
                if whose == partition:
                    asked.heard.by[side] = answer
            if not asked.heard.missing:
                self._over(answer.number)

    def _over(self, number: int) -> None:
        asked = self._asked.pop(number)
        try:
            asked.then(asked.heard)
        except Exception:  # one question that cannot be decided is no reason not to hear the others
            log.exception("not decided")
