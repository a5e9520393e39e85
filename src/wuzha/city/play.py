"""One script against one person, step by step.

Kept true here: whatever a script does not show of a victim (``p``, ``silent``) leaves no row at all; nothing happens to
the stage before `Play.commit`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import draw, texts
from .infrastructure import Infrastructure
from .laundering import launder
from .notebook import Notebook
from .scripts import Script, Step
from .stage import ACTIONS, CHANNELS, PAY_CHANNELS, Stage, lognormal
from .world import DAY


@dataclass
class Crew:
    """A crew at work: its lines, app, sites and first-level accounts."""

    script: Script
    lines: Any
    handlers: Any
    app: int
    sites: Any
    accounts: list[int] = field(default_factory=list)
    used: dict[int, int] = field(default_factory=dict)
    tested: set[int] = field(default_factory=set)
    layers: list[int] = field(default_factory=list)
    device: int = -1


@dataclass
class CaseFile:
    """What a victim could tell the police."""

    scam: int
    script: Script
    person: int
    losses: list[tuple[int, int, int]] = field(default_factory=list)  # second, fen, payee
    lines: list[int] = field(default_factory=list)
    sites: list[int] = field(default_factory=list)
    apps: list[int] = field(default_factory=list)


def slots(stage: Stage, crew: Crew, rng: Any) -> dict[str, str]:
    """What a crew writes into its texts: its site, its app, one of its numbers."""
    w = stage.world
    return {
        "url": f"http://{w.sites['text'][rng.choice(crew.sites)]}/{rng.integers(0, 36**4):x}",
        "app": str(w.apps["name"][crew.app]),
        "phone": str(w.lines["text"][rng.choice(crew.lines)])[3:],
    }


class Play:
    """One script against one person."""

    def __init__(self, stage: Stage, script: Script, crew: Crew, person: int, rng: Any, infra: Infrastructure) -> None:
        self.stage, self.script, self.crew, self.person, self.rng, self.infra = stage, script, crew, person, rng, infra
        self.w = stage.world
        self.book = Notebook(stage)
        self.scam = len(stage.scams)
        self.file = CaseFile(self.scam, script, person)
        self.hints: list[dict[str, Any]] = []
        self.silent = bool(rng.random() < script.silent)
        self.quit = False
        self.seen = 0
        self.paid = False
        self.lines = infra.lines(crew, script, rng)
        self.handler = int(rng.choice(crew.handlers))
        self.payee = -1
        self.meeting = int(rng.choice(self.w.meeting_apps))
        self.moves: list[tuple[int, int, int]] = []
        self.mule_pool: list[int] = []
        self.forward = -1.0

    def perform(self, t: float) -> None:
        """All steps from the first contact on."""
        for i, step in enumerate(self.script.steps):
            if i:
                t += self._minutes(step.after)
            if step.do == "pay":
                t = self._wake(t, step)
                t = self._pay(t, step)
                continue
            if self.rng.random() >= step.p:
                continue
            times = int(self.rng.integers(step.times[0], step.times[1] + 1))
            for k in range(times):
                if k:
                    t += self._minutes(step.gap)
                t = self._wake(t, step)
                self._act(t, step)
            if self.rng.random() < step.quit:
                self.quit = True
                return
            if t > self.stage.end + 2 * DAY:
                return

    def _minutes(self, pair: tuple[float, float]) -> float:
        return float(lognormal(self.rng, pair[0], pair[1], 1)[0]) * 60

    def _wake(self, t: float, step: Step) -> float:
        hour = (t % DAY) / 3600
        late = 24.0 if step.night else 23.0
        if self.script.hours[2] > 0:
            return t
        if hour < 7.5 or hour >= late:
            morning = (t // DAY + (1 if hour >= late else 0)) * DAY
            t = morning + (8 + 2.5 * self.rng.random()) * 3600
        if self.script.workdays_only and (self.stage.start.weekday() + t // DAY) % 7 >= 5:
            t += 2 * DAY
        return t

    def _label(self, step: Step, kind: str) -> dict[str, Any]:
        return {"scam": self.scam, "stage": step.stage, "step": kind, "victim": self.person}

    def _write(self, table: str, t: float, step: Step, kind: str, **columns: Any) -> None:
        if self.silent and not self.paid and kind != "loss" and self.rng.random() > 0.04:
            return
        self.seen += self.book.write(table, t, **self._label(step, kind), **columns)

    def _hint(self, t: float, step: Step, **given: Any) -> None:
        if self.silent and not self.paid:
            return
        if step.warned:
            base = {
                "sec": int(t),
                "person": self.person,
                "feeds": step.warned,
                "scam": self.scam,
                "stage": step.stage,
                "line": -1,
                "app": -1,
                "site": -1,
                "account": -1,
                "amount": -1,
                "type": self.script.scam_type,
            }
            self.hints.append({**base, **given})

    def _slots(self) -> dict[str, str]:
        return slots(self.stage, self.crew, self.rng)

    def _act(self, t: float, step: Step) -> None:
        getattr(self, "_do_" + step.do)(t, step)

    # ------------------------------------------------------------------ what happens

    def _do_call(self, t: float, step: Step) -> None:
        if self.rng.random() < self.script.crew.switch:
            self.lines = self.infra.lines(self.crew, self.script, self.rng)
        line = self.lines
        dur = int(np.clip(lognormal(self.rng, *step.seconds, 1)[0], 2, 3 * 3600))
        if self.rng.random() < step.missed:
            dur = 0
        out = self.rng.random() < step.outgoing
        self.file.lines.append(line)
        # A box or a hotel in the city is seen by its own carrier too; here the person's carrier reports.
        self._write(
            "calls", t, step, "lure", caller=self.person if out else line, callee=line if out else self.person, dur=dur,
            rep=self.person, cell=int(self.stage.cell(self.person, int(t))),
        )  # fmt: skip
        self._hint(t + dur, step, line=line)

    def _do_message(self, t: float, step: Step) -> None:
        templates = self.script.texts[step.texts]
        text = texts.fill(self.stage, templates[int(self.rng.integers(0, len(templates)))], self.rng, **self._slots())
        sender = self.handler if step.channel in ("im", "email") else int(self.rng.choice(self.crew.lines))
        self.file.lines.append(sender)
        channel = CHANNELS.index(step.channel)
        # What is written in chats stays with the platform more often than not.
        shown = step.channel != "im" or self.rng.random() < 0.3
        code = self.stage.texts.code(text) if shown else -1
        self._write("messages", t, step, "lure", sender=sender, recipient=self.person, channel=channel, text=code)
        if self.rng.random() < step.reply:
            later = t + self.rng.integers(10, 300)
            self._write("messages", later, step, "lure", sender=self.person, recipient=sender, channel=channel)
        self._hint(t, step, line=sender)

    def _do_visit(self, t: float, step: Step) -> None:
        site = int(self.rng.choice(self.crew.sites))
        self.file.sites.append(site)
        path = self.stage.texts.code(f"/{self.rng.integers(0, 36**4):x}") if self.rng.random() < 0.03 else -1
        amount = int(np.clip(lognormal(self.rng, 9e4, 6e6, 1)[0], 300, 4e9))
        self._write("visits", t, step, "lure", line=self.person, host=site, path=path, bytes=amount)
        self._hint(t, step, site=site)

    def _do_app(self, t: float, step: Step) -> None:
        known = self.w.popular_apps[23:28]
        app = {"crew": self.crew.app, "meeting": self.meeting}.get(step.app, -1)
        if app < 0:
            app = int(self.rng.choice(known))
        if step.app == "crew":
            self.file.apps.append(app)
        self._write("app_events", t, step, "device", line=self.person, app=app, action=ACTIONS.index(step.action))
        self._hint(t, step, app=app)

    def _do_hotel(self, t: float, step: Step) -> None:
        hotel = int(self.rng.integers(0, len(self.w.hotel_lines)))
        self._write(
            "lodging",
            t,
            step,
            "lure",
            person=self.person,
            line=self.person,
            hotel=hotel,
            nights=int(self.rng.geometric(0.6)),
            place=int(self.w.cell_place[self.w.hotel_cell[hotel]]),
        )

    def _do_forward(self, t: float, step: Step) -> None:
        for _ in range(int(self.rng.integers(1, 5))):
            t += self._minutes((30, 200))
            friend = int(self.rng.choice(self.w.contacts[self.person]))
            self._write(
                "calls", t, step, "device", caller=friend, callee=self.person, dur=int(self.rng.integers(0, 60)),
                rep=self.person, fwd=self.lines, cell=int(self.stage.cell(self.person, int(t))),
            )  # fmt: skip

    def _do_credit(self, t: float, step: Step) -> None:
        fen = self._nice(float(lognormal(self.rng, *step.yuan, 1)[0]))
        self._write(
            "transfers", t, step, "credit", payer=self._level_one(t, step), payee=self._purse(), amount=fen, channel=1,
        )  # fmt: skip
        self._hint(t, step, amount=fen)

    def _do_trial(self, t: float, step: Step) -> None:
        fen = self._nice(float(lognormal(self.rng, *step.yuan, 1)[0]))
        payee = self._level_one(t, step)
        self._write("transfers", t, step, "lure", payer=self._purse(), payee=payee, amount=fen, channel=1)
        self._hint(t, step, account=payee, amount=fen)
        if step.back > 0:
            later = t + self._minutes((45, 600))
            back = round(fen * step.back * (0.95 + 0.1 * self.rng.random()) / 100) * 100
            self._write(
                "transfers",
                later,
                step,
                "credit",
                payer=self._level_one(t, step),
                payee=self._purse(),
                amount=back,
                channel=1,
            )

    def _do_loan(self, t: float, step: Step) -> None:
        fen = int(round(float(lognormal(self.rng, *step.yuan, 1)[0]) / 1000) + 1) * 100000
        lender = int(self.rng.choice(self.w.lenders))
        self._write("transfers", t, step, "credit", payer=lender, payee=self._purse(), amount=fen, channel=2)
        self._hint(t, step, amount=fen)

    def _do_cash(self, t: float, step: Step) -> None:
        fen = int(round(float(lognormal(self.rng, *step.yuan, 1)[0]) / 5000) + 1) * 500000
        acc = self._purse()
        place = int(self.w.district[self.person])
        outlet = int(self.rng.integers(0, 40))
        due = int(t + self.rng.integers(3, 20) * 3600)
        self._write(
            "cash",
            t,
            step,
            "exit",
            account=acc,
            person=self.person,
            line=self.person,
            amount=fen,
            booking=True,
            due=due,
            outlet=outlet,
            place=place,
        )
        self._hint(t, step, amount=fen)
        due = int(self._wake(float(due), step))
        self._write(
            "cash",
            due,
            step,
            "exit",
            account=acc,
            person=self.person,
            line=self.person,
            amount=fen,
            outlet=outlet,
            place=place,
        )
        self._write(
            "transfers", due + 60, step, "loss", payer=acc, payee=-1, amount=fen, channel=0, cash=True, place=place
        )
        self.file.losses.append((due + 60, fen, -1))
        self.paid = True
        self._carry(due + self._minutes((90, 400)), step)

    def _do_gold(self, t: float, step: Step) -> None:
        fen = self._nice(float(lognormal(self.rng, *step.yuan, 1)[0]))
        shop = int(self.rng.choice(self.w.merchants))
        self._write(
            "purchases", t, step, "exit", account=self._purse(), person=self.person, line=self.person, amount=fen,
            goods=self.stage.texts.code("金条"), merchant=shop, place=int(self.w.district[self.person]),
        )  # fmt: skip
        self._write("transfers", t + 20, step, "loss", payer=self._purse(), payee=shop, amount=fen, channel=3)
        self.file.losses.append((int(t + 20), fen, -1))
        self.paid = True
        self._carry(t + self._minutes((120, 900)), step)

    def _carry(self, t: float, step: Step) -> None:
        ride = bool(self.rng.random() < 0.6)
        goods = -1 if ride else self.stage.texts.code("日用品")
        far = int(self.rng.integers(0, len(draw.PLACES)))
        self._write(
            "shipments",
            t,
            step,
            "exit",
            sender=self.person,
            recipient=self.person if ride else int(self.crew.handlers[0]),
            ride=ride,
            goods=goods,
            place=int(self.w.district[self.person]),
            to_place=far % 6 if ride else far,
        )

    _do_ride = _do_courier = _carry

    def _pay(self, t: float, step: Step) -> float:
        n = int(self.rng.integers(step.times[0], step.times[1] + 1))
        if n == 0 or self.rng.random() >= step.p:
            return t
        total = float(lognormal(self.rng, *step.yuan, 1)[0])
        weight = step.grow ** np.arange(n) * np.exp(self.rng.normal(0, 0.2, n))
        for k, yuan in enumerate((total * weight / weight.sum()).tolist()):
            if k:
                t = self._wake(t + self._minutes(step.gap), step)
            if self.payee < 0 or self.rng.random() >= step.same_payee:
                self.payee = self._level_one(t, step)
            fen = self._nice(max(yuan, 20))
            channel = PAY_CHANNELS.index(list(step.pay_by)[int(draw.pick(self.rng, list(step.pay_by.values()), 1)[0])])
            self._write(
                "transfers", t, step, "loss", payer=self._purse(), payee=self.payee, amount=fen, channel=channel
            )
            self.paid = True
            self.file.losses.append((int(t), fen, self.payee))
            self.moves.append((int(t), self.payee, fen))
            self._hint(t, step, account=self.payee, amount=fen)
        return t

    def _nice(self, yuan: float) -> int:
        if self.rng.random() < 0.7:
            unit = 10 if yuan < 300 else 50 if yuan < 3000 else 500 if yuan < 50000 else 5000
            return max(1, round(yuan / unit)) * unit * 100
        return int(yuan * 100) + 1

    def _purse(self) -> int:
        return int(self.w.account[self.person])

    def _level_one(self, t: float, step: Step) -> int:
        pool, most = self.mule_pool, self.script.money.accounts[1]
        if len(pool) < most and (not pool or self.rng.random() < 0.7):
            pool.append(self.infra.mule(self.crew, self.script, self.rng))
        return int(self.rng.choice(pool))

    def commit(self) -> None:
        """Let it have happened."""
        self.stage.scams.append(
            (
                draw.id_texts(draw.scrambled(1, self.stage.seed, 17, self.scam), 10)[0].as_py(),
                self.script.scam_type,
                self.script.name,
            )
        )
        for second, account, fen in self.moves:
            launder(
                self.book, self.infra, self.crew, self.script, self.scam, self.person, second, account, fen, self.rng
            )
        self.book.flush()
        self.stage.hints.extend(self.hints)
