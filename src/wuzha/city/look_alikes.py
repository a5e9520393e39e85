"""Innocent behaviour that looks like a scam: calls, meetings, apps. Money's own look-alikes stand in `tills`.

Kept true here: each kind shows signs that scams show too (strangers, long calls, screens shared, new apps, new payees),
alone or together, and nobody is defrauded. Together they outnumber victims at least fifty to one.
"""

from __future__ import annotations

import numpy as np

from . import texts, tills
from .innocent import Innocent
from .stage import AWAKE, CALLING, OFFICE, SHOPPING, Stage
from .world import DAY, OCC, PLANS


def resemble(stage: Stage) -> None:
    """All look-alikes but those that follow from scams."""
    for act in (
        _couriers, _banks, _debts, _service, _meetings, _kin_abroad, _police, _hotels, _watches, _new_sims, _new_apps,
        _family_screens, _office_screens, _lessons, _dating, _surveys,
    ):  # fmt: skip
        act(stage)
    tills.resemble(stage)


def _grown(stage: Stage) -> np.ndarray:
    return (stage.world.account >= 0) & (stage.world.age >= 18)


def _short(stage: Stage, *names: str) -> np.ndarray:
    w = stage.world
    return w.service_lines[[w.service_names.index(n) for n in names]]


def _couriers(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "courier_call", 0.34, w.age >= 14)
    own = np.flatnonzero(w.occupation == OCC["courier"]).astype(np.int32)
    pool = np.concatenate([own, s.rng.choice(w.outside_mobile, max(4, w.n // 400))])
    at = s.often(1, 3)
    sec = s.when(OFFICE, len(at))
    answered = s.rng.random(len(at)) < 0.8
    s.call(s.people[at], sec, s.rng.choice(pool, len(at)), np.where(answered, s.seconds(18, 70, len(at)), 0))


def _banks(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "bank_call", 0.07, _grown(stage))
    sec = s.when(OFFICE)
    bank = w.service_lines[w.accounts["bank"][w.account[s.people]]]
    line = np.where(s.rng.random(len(s)) < 0.5, bank, s.strangers(len(s), 0.0))
    dur = s.seconds(110, 700, len(s))
    s.call(s.people, sec, line, dur)
    at = s.some(0.35)
    s.app(s.people[at], s.after(sec[at], (6, 60)), w.popular_apps[23], 1)
    at = s.some(0.12)
    s.pay(s.people[at], s.after(sec[at], (30, 600)), s.rng.choice(w.suppliers, len(at)), s.fen(5000, 80000, len(at)))
    s.hint(0.012, np.arange(len(s)), sec + dur + 60, "carrier", "credit_record", "approach", line=line)


def _debts(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "debt_collection", 0.014, _grown(stage))
    line = s.strangers(len(s), 0.03)
    at = s.often(6, 40)
    sec = s.when(OFFICE, len(at))
    other = np.where(s.rng.random(len(at)) < 0.35, s.rng.choice(w.sales_lines, len(at)), line[at])
    answered = s.rng.random(len(at)) < 0.4
    s.call(s.people[at], sec, other, np.where(answered, s.seconds(35, 400, len(at)), 0))
    at = s.often(0, 4)
    s.message(s.people[at], s.when(OFFICE, len(at)), line[at], "sms", texts.codes(stage, "loan_advert", s.rng, 30))
    at = s.some(0.3)
    sec = s.when(AWAKE, len(at))
    s.pay(s.people[at], sec, s.rng.choice(w.lenders, len(at)), s.fen(1500, 12000, len(at)))
    s.hint(0.04, at, sec, "carrier", "loan", "approach", line=line[at])


def _service(stage: Stage) -> None:
    """Real after-sales service: a long call, a refund, at times a screen that is looked at together."""
    w = stage.world
    s = Innocent(stage, "customer_service", 0.045, _grown(stage))
    sec = s.when(SHOPPING)
    line = s.strangers(len(s), 0.04)
    dur = s.seconds(260, 1500, len(s))
    out = s.rng.random(len(s)) < 0.35
    s.call(s.people, sec, line, dur, out)
    at = s.some(0.5)
    s.earn(
        s.people[at], s.after(sec[at], (60, 2800)), s.rng.choice(w.merchants, len(at)), s.fen(80, 900, len(at), 0.2), 6
    )
    at = s.some(0.4)
    s.message(
        s.people[at],
        s.after(sec[at], (3, 60)),
        s.rng.choice(w.service_lines[8:], len(at)),
        "sms",
        texts.codes(stage, "shop", s.rng, 30),
    )
    at = s.some(0.06)
    shared = sec[at] + s.rng.integers(60, 600, len(at))
    s.app(s.people[at], shared, s.rng.choice(w.meeting_apps, len(at)), 2)
    s.hint(0.25, at, shared, "app", "customer_service", "act")
    at = s.some(0.08)
    s.app(s.people[at], s.after(sec[at], (4, 30)), s.rng.choice(w.rare_apps, len(at)), 0)
    s.hint(0.02, np.arange(len(s)), sec + dur, "carrier", "customer_service", "approach", line=line)


def _meetings(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "meeting", 0.06, w.firm >= 0)
    sec = s.when(OFFICE)
    app = s.rng.choice(w.meeting_apps, len(s))
    s.app(s.people, sec, app, 4)
    at = s.some(0.5)
    s.app(s.people[at], sec[at] + s.rng.integers(60, 1800, len(at)), app[at], 2)
    at = s.some(0.4)
    client = s.strangers(len(at), 0.06)
    s.call(
        s.people[at],
        sec[at] - s.rng.integers(300, 5000, len(at)),
        client,
        s.seconds(240, 1500, len(at)),
        s.rng.random(len(at)) < 0.5,
    )
    at = s.some(0.06)
    s.pay(s.people[at], s.after(sec[at], (60, 900)), s.payees(len(at)), s.fen(600, 9000, len(at)))
    at = s.some(0.015)
    s.hint(1.0, at, sec[at] + 900, "app", "authority", "act")


def _kin_abroad(stage: Stage) -> None:
    w = stage.world
    far = np.zeros(w.n, bool)
    far[w.far] = True
    s = Innocent(stage, "relative_abroad", 0.6, far & (w.age >= 14))
    line = w.contacts[s.people, 2]
    at = s.often(1, 5)
    sec = s.when(AWAKE, len(at))
    dur = s.seconds(700, 4500, len(at))
    s.call(s.people[at], sec, line[at], dur, s.rng.random(len(at)) < 0.2)
    s.hint(0.02, at, sec + dur, "ministry", "authority", "approach", line=line[at])
    holder = w.lines["user"][line]
    home = np.full(len(w.persons), -1, np.int32)
    home[w.n :] = w.outside_accounts
    at = s.some(0.15)
    at = at[(w.account[s.people[at]] >= 0) & (home[holder[at]] >= 0)]
    s.pay(s.people[at], s.when(AWAKE, len(at)), home[holder[at]], s.fen(5000, 60000, len(at)))


def _police(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "police_call", 0.02, w.age >= 16)
    sec = s.when(OFFICE)
    line = np.where(
        s.rng.random(len(s)) < 0.5,
        s.rng.choice(w.outside_fixed, len(s)),
        s.rng.choice(_short(stage, "110", "96110"), len(s)),
    )
    s.call(s.people, sec, line, s.seconds(130, 900, len(s)))
    at = s.some(0.3)
    s.call(
        s.people[at], s.after(sec[at], (60, 1500)), line[at], s.seconds(100, 600, len(at)), s.rng.random(len(at)) < 0.5
    )
    at = s.some(0.5)
    s.message(
        s.people[at],
        s.after(sec[at], (5, 200)),
        s.rng.choice(_short(stage, "110"), len(at)),
        "sms",
        texts.codes(stage, "police_publicity", s.rng, 20),
    )
    s.hint(0.015, np.arange(len(s)), sec + 900, "carrier", "authority", "approach", line=line)


def _hotels(stage: Stage) -> None:
    """Front desks and travel agents on hotel lines call a lot, some more than two hours a day."""
    w = stage.world
    s = Innocent(stage, "hotel_front_desk", 1.0, np.zeros(w.n, bool))
    load = s.rng.choice((8, 20, 40, 90, 160), len(w.hotel_lines), p=(0.35, 0.3, 0.2, 0.1, 0.05))
    which = np.repeat(np.arange(len(load)), s.rng.poisson(load * stage.days))
    n = len(which)
    sec = s.when(CALLING, n)
    guest = s.rng.integers(0, w.n, n).astype(np.int32)
    local = s.rng.random(n) < 0.25
    other = np.where(local, guest, s.rng.choice(w.outside_mobile, n))
    line = w.hotel_lines[which]
    out = s.rng.random(n) < 0.6
    dur = np.where(s.rng.random(n) < 0.85, s.seconds(50, 240, n), 0)
    s.write(
        "calls", np.where(local, guest, -1), sec, caller=np.where(out, line, other), callee=np.where(out, other, line),
        dur=dur, rep=line, cell=w.hotel_cell[which],
    )  # fmt: skip


def _watches(stage: Stage) -> None:
    """A child's new watch: another device on the same SIM, many small calls home."""
    w = stage.world
    child = w.lines["plan"][: w.n] == PLANS.index("child_watch")
    s = Innocent(stage, "new_watch", 0.05, child)
    if not len(s):
        return
    device = w.devices(len(s))
    at = s.often(8, 60)
    sec = s.when(CALLING, len(at))
    other = np.where(
        s.rng.random(len(at)) < 0.75,
        w.contacts[s.people[at], 0],
        w.contacts[s.people[at], s.rng.integers(1, 16, len(at))],
    )
    out = s.rng.random(len(at)) < 0.7
    who = s.people[at]
    s.write(
        "calls",
        who,
        sec,
        caller=np.where(out, who, other),
        callee=np.where(out, other, who),
        dur=s.seconds(25, 200, len(at)),
        rep=who,
        cell=stage.cell(who, sec),
        device=device[at],
    )


def _new_sims(stage: Stage) -> None:
    """A student's or rider's new card: new number, many new people in a day."""
    w = stage.world
    new = (w.lines["opened"][: w.n] > -30 * DAY) & (w.age >= 16)
    s = Innocent(stage, "new_sim", 0.75, new)
    day = s.rng.integers(0, stage.days, len(s))
    at = s.often(10, 70)
    sec = day[at] * DAY + s.when(CALLING, len(at)) % DAY
    s.call(s.people[at], sec, s.strangers(len(at), 0.01), s.seconds(25, 200, len(at)), s.rng.random(len(at)) < 0.8)
    at = s.some(0.03)
    s.hint(1.0, at, day[at] * DAY + 18 * 3600, "carrier", "other", "approach", line=s.people[at])


def _new_apps(stage: Stage) -> None:
    """A shop, a club, a game: a stranger's message, a small site, a small maker's app, then daily use."""
    w = stage.world
    s = Innocent(stage, "new_app", 0.13, w.age >= 14)
    sec = s.when(AWAKE)
    app = s.rng.choice(w.rare_apps, len(s))
    at = s.some(0.3)
    s.message(
        s.people[at],
        sec[at] - s.rng.integers(60, 4000, len(at)),
        s.strangers(len(at), 0.02),
        "sms",
        texts.codes(stage, "advert", s.rng, 30),
    )
    at = s.some(0.35)
    s.visit(s.people[at], sec[at] - s.rng.integers(20, 900, len(at)), s.rng.choice(w.rare_sites, len(at)))
    s.app(s.people, sec, app, 0)
    at = s.often(1, 8)
    s.app(s.people[at], s.after(sec[at], (400, 7000)), app[at], 1)
    at = s.some(0.25)
    at = at[w.account[s.people[at]] >= 0]
    s.pay(
        s.people[at], s.after(sec[at], (60, 2000)), s.rng.choice(w.merchants, len(at)), s.fen(60, 900, len(at), 0.3), 6
    )
    at = s.some(0.015)
    s.hint(1.0, at, sec[at] + 600, "app", "task_rebate", "trust", app=app[at])


def _family_screens(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "family_screen", 0.012, w.age >= 45)
    sec = s.when(AWAKE)
    s.call(s.people, sec, w.contacts[s.people, 0], s.seconds(500, 2400, len(s)))
    s.app(s.people, sec + s.rng.integers(60, 600, len(s)), w.popular_apps[0], 2)
    at = s.some(0.4)
    s.app(s.people[at], sec[at] + s.rng.integers(200, 1200, len(at)), s.rng.choice(w.rare_apps, len(at)), 0)
    at = s.some(0.05)
    s.hint(1.0, at, sec[at] + 700, "app", "customer_service", "act")


def _office_screens(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "it_support", 0.012, w.firm >= 0)
    sec = s.when(OFFICE)
    s.call(s.people, sec, w.firm_lines[w.firm[s.people]], s.seconds(400, 1800, len(s)))
    app = s.rng.choice(w.rare_apps, len(s))
    at = s.some(0.5)
    s.app(s.people[at], sec[at] + s.rng.integers(30, 300, len(at)), app[at], 0)
    s.app(s.people, sec + s.rng.integers(120, 700, len(s)), app, 3)
    at = s.some(0.06)
    s.hint(1.0, at, sec[at] + 900, "app", "customer_service", "act", app=app[at])


def _lessons(stage: Stage) -> None:
    """An on-line lesson tried out: a stranger's call, a meeting, the screen, a fee to somebody new."""
    w = stage.world
    s = Innocent(stage, "online_lesson", 0.012, _grown(stage))
    sec = s.when(CALLING)
    s.call(s.people, sec, s.strangers(len(s), 0.03), s.seconds(420, 1500, len(s)))
    app = s.rng.choice(w.meeting_apps, len(s))
    join = s.after(sec, (300, 4000))
    s.app(s.people, join, app, 4)
    at = s.some(0.45)
    s.app(s.people[at], join[at] + s.rng.integers(60, 1200, len(at)), app[at], 2)
    at = s.some(0.35)
    to = np.where(s.rng.random(len(at)) < 0.6, s.rng.choice(w.merchants, len(at)), s.payees(len(at)))
    s.pay(s.people[at], s.after(join[at], (90, 2000)), to, s.fen(900, 7000, len(at)))
    at = s.some(0.03)
    s.hint(1.0, at, join[at] + 900, "province", "customer_service", "act")


def _dating(stage: Stage) -> None:
    """Two people who have met on-line and like each other."""
    w = stage.world
    s = Innocent(stage, "new_friend", 0.02, (w.age >= 18) & (w.age < 55))
    friend = s.strangers(len(s), 0.05)
    at = s.often(8, 40)
    sec = s.when(AWAKE, len(at))
    out = s.rng.random(len(at)) < 0.5
    who = s.people[at]
    s.write(
        "messages", who, sec, sender=np.where(out, who, friend[at]), recipient=np.where(out, friend[at], who), channel=2
    )
    at = s.often(0, 4)
    s.call(
        s.people[at], s.when(AWAKE, len(at)), friend[at], s.seconds(1200, 6000, len(at)), s.rng.random(len(at)) < 0.5
    )
    at = s.some(0.12)
    s.pay(s.people[at], s.when(AWAKE, len(at)), s.payees(len(at)), s.fen(200, 2500, len(at)))


def _surveys(stage: Stage) -> None:
    """Sales and surveys by telephone, hundreds of calls a desk."""
    w = stage.world
    s = Innocent(stage, "sales_call", 0.16, w.age >= 18)
    at = s.often(1, 3)
    sec = s.when(OFFICE, len(at))
    answered = s.rng.random(len(at)) < 0.65
    line = np.where(s.rng.random(len(at)) < 0.8, s.rng.choice(w.sales_lines, len(at)), s.strangers(len(at), 0.04))
    s.call(s.people[at], sec, line, np.where(answered, s.seconds(20, 240, len(at)), 0))
    s.hint(0.004, at, sec + 120, "carrier", "loan", "approach", line=line)
