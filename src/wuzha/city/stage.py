"""The stage that everybody acts on: the city's world, its calendar, its rows so far, and its texts.

Kept true here: every actor (daily life, look-alikes, scams, feeds) draws from a random stream of its own, so that one
can change without the others.
"""

from __future__ import annotations

import zlib
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any

import numpy as np

from .draw import I32, Rng
from .rows import Rows
from .world import DAY, World

#: China has one zone and no summer time; the city's midnights are Beijing's whatever the machine's zone.
BEIJING = timezone(timedelta(hours=8))
DEFAULT_START = date(2026, 3, 2)

CHANNELS = ("sms", "flash", "im", "email")
ACTIONS = ("install", "open", "screen_share", "remote_control", "meeting_join", "nfc_relay")
PAY_CHANNELS = ("counter", "mobile", "web", "pos", "qr", "atm", "third_party", "crypto")
CH = {c: i for i, c in enumerate(PAY_CHANNELS)}


class Texts:
    """Texts that codes point into; the same text has one code."""

    def __init__(self) -> None:
        self.values: list[str] = []
        self._code: dict[str, int] = {}

    def code(self, text: str) -> int:
        """The code of a text, new or known."""
        c = self._code.get(text)
        if c is None:
            c = self._code[text] = len(self.values)
            self.values.append(text)
        return c

    def codes(self, texts: list[str]) -> I32:
        """Codes of many."""
        return np.array([self.code(t) for t in texts], np.int32)


class Stage:
    """World, calendar and rows."""

    def __init__(self, people: int, days: int, seed: int, start: date) -> None:
        self.people, self.days, self.seed, self.start = people, days, seed, start
        midnight = datetime(start.year, start.month, start.day, tzinfo=BEIJING).astimezone(UTC)
        self.start_us = int(midnight.timestamp()) * 1_000_000
        self.end = days * DAY
        self.world = World(people, seed, self.stream("world"))
        self.texts = Texts()
        self.rows = {
            "calls": Rows(
                "calls",
                {"caller": np.int32(-1), "callee": np.int32(-1), "dur": np.int64(0), "rep": np.int32(-1),
                 "device": np.int32(-2), "cell": np.int32(-1), "fwd": np.int32(-1), "roaming": False},
            ),
            "messages": Rows(
                "messages",
                {"sender": np.int32(-1), "recipient": np.int32(-1), "channel": np.int8(0), "text": np.int32(-1)},
            ),
            "visits": Rows(
                "visits", {"line": np.int32(-1), "host": np.int32(-1), "path": np.int32(-1), "bytes": np.int64(0)}
            ),
            "app_events": Rows(
                "app_events", {"line": np.int32(-1), "device": np.int32(-2), "app": np.int32(-1), "action": np.int8(1)}
            ),
            "transfers": Rows(
                "transfers",
                {"payer": np.int32(-1), "payee": np.int32(-1), "amount": np.int64(0), "channel": np.int8(1),
                 "ok": True, "cash": False, "memo": np.int32(-1), "device": np.int32(-2), "place": np.int32(-1)},
            ),
            "cash": Rows(
                "cash",
                {"account": np.int32(-1), "person": np.int32(-1), "line": np.int32(-1), "amount": np.int64(0),
                 "booking": False, "due": np.int64(-1), "outlet": np.int32(-1), "place": np.int32(-1)},
            ),
            "purchases": Rows(
                "purchases",
                {"account": np.int32(-1), "person": np.int32(-1), "line": np.int32(-1), "amount": np.int64(0),
                 "goods": np.int32(-1), "merchant": np.int32(-1), "place": np.int32(-1)},
            ),
            "shipments": Rows(
                "shipments",
                {"sender": np.int32(-1), "recipient": np.int32(-1), "ride": False, "goods": np.int32(-1),
                 "place": np.int32(-1), "to_place": np.int32(-1)},
            ),
            "lodging": Rows(
                "lodging",
                {"person": np.int32(-1), "line": np.int32(-1), "hotel": np.int32(-1), "place": np.int32(-1),
                 "nights": np.int64(1)},
            ),
        }  # fmt: skip
        #: scams by index: (scam_id text, scam_type, script)
        self.scams: list[tuple[str, str, str]] = []
        #: kinds of innocent look-alikes by index
        self.looks: list[str] = []
        #: what happened that a feed may warn of; filled by look-alikes and scams, read by the feeds
        self.hints: list[dict[str, Any]] = []
        #: shops that were paid with stolen money: second, account, fen
        self.tainted: list[tuple[int, int, int]] = []
        #: scams with their losses, for reports
        self.files: list[Any] = []

    def stream(self, name: str) -> Rng:
        """The random stream of one actor."""
        return np.random.Generator(np.random.PCG64(np.random.SeedSequence([self.seed, zlib.crc32(name.encode())])))

    def look(self, kind: str) -> int:
        """The code of a kind of innocent look-alike."""
        if kind not in self.looks:
            self.looks.append(kind)
        return self.looks.index(kind)

    def cell(self, person: Any, sec: Any) -> Any:
        """Where residents are at a time: at home by night and at weekends, else where they spend the day."""
        hour = (sec % DAY) // 3600
        weekday = (self.start.weekday() + sec // DAY) % 7
        out = (hour >= 9) & (hour < 18) & (weekday < 5)
        return np.where(out, self.world.day_cell[person], self.world.home_cell[person])


def clock_times(rng: Rng, days: int, weights: Any, n: int, shift: Any = 0) -> Any:
    """``n`` seconds from the start: a day by chance, a time of day by 24 hourly weights, moved by ``shift`` seconds."""
    w = np.asarray(weights, float)
    edges = np.concatenate([[0.0], np.cumsum(w) / w.sum()])
    of_day = np.interp(rng.random(n), edges, np.arange(25) * 3600.0)
    day = rng.integers(0, days, n)
    return (day * DAY + (of_day + shift) % DAY).astype(np.int64)


def lognormal(rng: Rng, median: float, p95: float, n: int) -> Any:
    """``n`` draws of the log-normal with this median and 95th percentile."""
    sigma = np.log(max(p95 / median, 1.0001)) / 1.6449
    return np.exp(np.log(median) + sigma * rng.standard_normal(n))


#: Hourly weights, midnight first.
AWAKE = (1.2, 0.6, 0.3, 0.2, 0.2, 0.5, 1.5, 3.5, 5.5, 6, 6, 5.8, 6.5, 6, 5.5, 5.5, 5.6, 6, 6.2, 6.5, 7, 6.5, 4.8, 2.6)
CALLING = (0.2, 0.1, 0.05, 0.05, 0.1, 0.3, 1, 3, 6, 8, 8.5, 7.5, 6, 5, 6, 7, 7, 7, 6.5, 6, 5, 3.5, 1.6, 0.6)
OFFICE = (0, 0, 0, 0, 0, 0, 0, 0.3, 4, 9, 10, 8, 3, 3, 8, 9, 9, 7, 3, 1.5, 0.8, 0.2, 0, 0)
SHOPPING = (0.6, 0.3, 0.1, 0.1, 0.1, 0.5, 2, 5, 5, 5, 6, 8, 9, 6, 5, 5, 5.5, 8, 9, 8, 7, 5, 3, 1.5)
