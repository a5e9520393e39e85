"""What is said between the doors and the owner of a partition about pending transfers, as frames of msgpack.

Kept true here: both speak of the same fields; figures that are null or 0 are left out.
"""

from __future__ import annotations

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


class Answer(msgspec.Struct, array_like=True):
    """What the owner of ``partition`` says under ``epoch``; ``rows`` of the batch after ``position`` were read too.

    ``sides``: payer, payee, payer's person, payee's person.
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


class Answers(msgspec.Struct, array_like=True, tag="answers"):
    """Answers, and the books of rules among them that this listener has not been told yet (JSON by SHA-256)."""

    answers: list[Answer]
    books: dict[str, bytes]


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
