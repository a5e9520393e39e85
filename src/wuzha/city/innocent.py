"""How an innocent story is written: people by chance, rows with the kind of look-alike on them, hints to the feeds."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import draw
from .rows import Labels
from .stage import CHANNELS, Stage, clock_times, lognormal


class Innocent:
    """One kind of innocent behaviour, for the people whom it meets."""

    def __init__(self, stage: Stage, kind: str, share: float, who: Any = None) -> None:
        self.stage, self.w, self.kind = stage, stage.world, kind
        self.rng = stage.stream("innocent " + kind)
        self.look = stage.look(kind)
        #: shares are those of a week
        chance = min(share * stage.days / 7, 0.95)
        able = np.arange(self.w.n) if who is None else np.flatnonzero(who)
        self.people = able[self.rng.random(len(able)) < chance].astype(np.int32)

    def __len__(self) -> int:
        return len(self.people)

    def when(self, hours: Any, n: int | None = None) -> Any:
        """Times by hourly weights."""
        return clock_times(self.rng, self.stage.days, hours, len(self) if n is None else n)

    def after(self, sec: Any, minutes: tuple[float, float]) -> Any:
        """Times a log-normal number of minutes (median, 95th percentile) after others."""
        return sec + (lognormal(self.rng, *minutes, len(sec)) * 60).astype(np.int64)

    def often(self, least: int, most: int, of: Any = None) -> Any:
        """Indices into the people (or ``of``), each repeated ``least`` to ``most`` times."""
        n = len(self) if of is None else len(of)
        base = np.arange(n) if of is None else np.asarray(of)
        return np.repeat(base, self.rng.integers(least, most + 1, n))

    def some(self, share: float, of: Any = None) -> Any:
        """Indices of a share of the people (or of ``of``)."""
        base = np.arange(len(self)) if of is None else np.asarray(of)
        return base[self.rng.random(len(base)) < share]

    def seconds(self, median: float, p95: float, n: int) -> Any:
        """Durations of calls."""
        return np.clip(lognormal(self.rng, median, p95, n), 1, 3 * 3600).astype(np.int64)

    def fen(self, median: float, p95: float, n: int, nice: float = 0.7) -> Any:
        """Amounts of yuan, in fen; a share of them round."""
        yuan = lognormal(self.rng, median, p95, n)
        unit = np.select([yuan < 300, yuan < 3000, yuan < 50000], [10, 50, 500], 5000)
        round_ = np.maximum(np.round(yuan / unit), 1) * unit * 100
        return np.where(self.rng.random(n) < nice, round_, np.round(yuan * 100) + 1).astype(np.int64)

    def write(self, table: str, who: Any, sec: Any, /, **columns: Any) -> None:
        """Rows at times of people; those outside the city's days are left out."""
        sec = np.asarray(sec, np.int64)
        inside = np.flatnonzero((sec >= 0) & (sec < self.stage.end))
        n = len(sec)

        def cut(v: Any) -> Any:
            return np.broadcast_to(np.asarray(v), n)[inside]

        self.stage.rows[table].add(
            len(inside),
            Labels(look=self.look, person=cut(who)),
            sec=sec[inside],
            **{k: cut(v) for k, v in columns.items()},
        )

    def call(self, who: Any, sec: Any, line: Any, dur: Any, out: Any = False) -> None:
        """Calls of people with lines; ``dur`` seconds, 0 where nobody answered."""
        who, out = np.asarray(who, np.int32), np.broadcast_to(out, len(who))
        line = np.broadcast_to(line, len(who))
        self.write(
            "calls", who, sec, caller=np.where(out, who, line), callee=np.where(out, line, who), dur=dur, rep=who,
            cell=self.stage.cell(who, np.asarray(sec)),
        )  # fmt: skip

    def message(self, who: Any, sec: Any, line: Any, channel: str, texts: Any = None, shown: float = 1.0) -> None:
        """Messages to people; ``texts`` are codes to choose from."""
        n = len(who)
        text = -1 if texts is None else np.where(self.rng.random(n) < shown, self.rng.choice(texts, n), -1)
        self.write("messages", who, sec, sender=line, recipient=who, channel=CHANNELS.index(channel), text=text)

    def app(self, who: Any, sec: Any, app: Any, action: int) -> None:
        """App events: 0 install, 1 open, 2 screen share, 3 remote control, 4 meeting join."""
        self.write("app_events", who, sec, line=who, app=app, action=action)

    def visit(self, who: Any, sec: Any, host: Any) -> None:
        """Visits."""
        n = len(who)
        self.write("visits", who, sec, line=who, host=host, bytes=np.clip(lognormal(self.rng, 9e4, 6e6, n), 300, 4e9))

    def pay(self, who: Any, sec: Any, payee: Any, fen: Any, channel: Any = 1) -> None:
        """Transfers from people's main accounts."""
        self.write("transfers", who, sec, payer=self.w.account[who], payee=payee, amount=fen, channel=channel)

    def earn(self, who: Any, sec: Any, payer: Any, fen: Any, channel: Any = 1) -> None:
        """Transfers to people's main accounts."""
        self.write("transfers", who, sec, payer=payer, payee=self.w.account[who], amount=fen, channel=channel)

    def strangers(self, n: int, abroad: float = 0.05) -> Any:
        """``n`` lines that people do not know: anybody's, firms', some from abroad."""
        w = self.w
        near = np.concatenate([w.outside_mobile, w.outside_mobile, w.outside_fixed, w.firm_lines, w.sales_lines])
        return np.where(self.rng.random(n) < abroad, self.rng.choice(w.abroad, n), self.rng.choice(near, n)).astype(
            np.int32
        )

    def payees(self, n: int) -> Any:
        """``n`` personal accounts of people elsewhere, some of them second cards that slept."""
        w = self.w
        pool = np.concatenate([w.outside_accounts, w.outside_accounts, w.outside_seconds, w.second_accounts])
        return self.rng.choice(pool, n).astype(np.int32)

    def hint(self, share: float, of: Any, sec: Any, feed: str, scam_type: str, stage: str, **what: Any) -> None:
        """A share of the stories makes a feed warn, wrongly."""
        for k in np.flatnonzero(self.rng.random(len(of)) < share).tolist():
            if not 0 <= sec[k] < self.stage.end:
                continue
            base = {"line": -1, "app": -1, "site": -1, "account": -1, "amount": -1}
            given = {name: int(np.broadcast_to(v, len(of))[k]) for name, v in what.items()}
            self.stage.hints.append(
                {
                    **base,
                    **given,
                    "sec": int(sec[k]),
                    "person": int(self.people[of[k]]),
                    "feeds": {feed: 1.0},
                    "scam": -1,
                    "look": self.look,
                    "stage": stage,
                    "type": scam_type,
                }
            )


def shares(rng: Any, weights: Any, n: int) -> Any:
    """Indices drawn by weights."""
    return draw.pick(rng, weights, n)
