"""What is said between the doors and the owner of a partition about pending transfers, as frames of msgpack.

Kept true here: both speak of the same fields; figures that are null or 0 are left out.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import msgspec

#: number, ts_us, payer, payee, amount_fen, source, device, payer_balance_fen, channel, merchant
Ask = tuple[int, int, str, str, int, str, str | None, int | None, str | None, bool]


class Asks(msgspec.Struct, array_like=True, tag="asks"):
    """Transfers that are asked about together."""

    asks: list[Ask]


class Many(msgspec.Struct, array_like=True, tag="many"):
    """A batch: an Arrow stream of the table ``transfers``."""

    number: int
    rows: bytes


class Reason(msgspec.Struct, omit_defaults=True):
    """One piece of evidence. ``fresh``: the transfer itself would give it."""

    rule: str
    version: int
    at: datetime
    args: dict[str, float | None]
    zh: str
    en: str
    fresh: bool = False


class Side(msgspec.Struct, omit_defaults=True):
    """One side as it would be after the transfer. ``level``, ``was_level``: 0 none to 4 urgent."""

    subject: str | None = None
    known: bool = False
    suspect: list[str] = []
    confirmed: bool = False
    cleared: bool = False
    level: int = 0
    was_level: int = 0
    stage: str | None = None
    score: float = 0.0
    typology: str | None = None
    typology_zh: str | None = None
    typology_en: str | None = None
    scam_type: str | None = None
    interdict: bool = False
    amount_fen: int = 0
    fired: int = 0
    reasons: list[Reason] = []
    figures: dict[str, float] = {}


class Answer(msgspec.Struct, omit_defaults=True):
    """What the owner of ``partition`` says under ``epoch``; ``rows`` of the batch after ``position`` were read too.

    ``sides``: payer, payee, payer's person, payee's person. ``figures``: theirs, packed (`FIGURE`), where they do not
    stand in ``sides`` themselves; ``names``: what the features are called.
    """

    number: int
    partition: int
    epoch: int
    position: int
    rows: int
    book: str
    stranger: bool
    own: bool
    merchant: bool
    sides: list[Side]
    figures: bytes = b""
    names: tuple[str, ...] = ()


#: Bits of `Answers.flags`; from bit `KNOWN` on, one for each side that stood in the state before.
STRANGER, OWN, MERCHANT, KNOWN = 1, 2, 4, 8


class Answers(msgspec.Struct, array_like=True, tag="answers"):
    """What the owner of ``partition`` says of n questions that it judged in one turn.

    ``numbers``, ``flags`` (n); ``persons`` (n) keys of the payer's and the payee's person; ``figures`` (n) packed;
    ``full``: all sides, without figures, of those questions (by place) on which anything stands. ``books``: of rules,
    where this listener has not been told of it yet (JSON by SHA-256).
    """

    numbers: list[int]
    partition: int
    epoch: int
    position: int
    rows: int
    book: str
    flags: list[int]
    persons: list[tuple[str | None, str | None]]
    figures: list[bytes]
    full: dict[int, list[Side]]
    books: dict[str, bytes]

    def each(self, names: tuple[str, ...]) -> Iterator[Answer]:
        """The answers one by one; features are called ``names``."""
        for i, number in enumerate(self.numbers):
            flags = self.flags[i]
            sides = self.full.get(i)
            if sides is None:
                payer, payee = self.persons[i]
                sides = [
                    Side(known=flags & 8 > 0), Side(known=flags & 16 > 0), Side(subject=payer, known=flags & 32 > 0),
                    Side(subject=payee, known=flags & 64 > 0),
                ]  # fmt: skip
            yield Answer(
                number, self.partition, self.epoch, self.position, self.rows, self.book, flags & STRANGER > 0,
                flags & OWN > 0, flags & MERCHANT > 0, sides, self.figures[i], names,
            )  # fmt: skip


class ManyAnswered(msgspec.Struct, array_like=True, tag="many_answered"):
    """What an owner says of a batch of n rows: ``sides`` (n, 4) of `detect.decide.SIDE` and ``flags`` (n) int64 as
    bytes; for rows on which anything stands, by row, each side in full. ``typologies``: (id, scam type, interdict)."""

    number: int
    partition: int
    epoch: int
    position: int
    rows: int
    book: str
    sides: bytes
    flags: bytes
    full: dict[int, list[Side]]
    typologies: list[tuple[str, str, float]]
    books: dict[str, bytes]
