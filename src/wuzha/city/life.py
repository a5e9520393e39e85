"""Daily life: calls, messages, visits, app use, shopping, wages.

Kept true here: everybody's days are noisy enough that a single odd event (a stranger's call, a new payee, a rare app)
is ordinary. Nothing here knows of scams.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import draw, texts
from .stage import AWAKE, CALLING, CH, OFFICE, SHOPPING, Stage, clock_times, lognormal
from .world import OCC

_CONTACT_WEIGHT = (0.2, 0.12, 0.12, 0.08, 0.07, 0.06, 0.05, 0.05, 0.045, 0.04, 0.035, 0.03, 0.03, 0.025, 0.025, 0.02)


def live(stage: Stage) -> None:
    """Every table's background."""
    w, rng = stage.world, stage.stream("life")
    activity = np.exp(rng.normal(-0.18, 0.6, w.n))
    shift = rng.normal(0, 4500, w.n)
    _calls(stage, rng, activity, shift)
    _messages(stage, rng, activity, shift)
    _visits(stage, rng, activity, shift)
    _apps(stage, rng, activity, shift)
    _money(stage, rng, activity, shift)
    _trips(stage, rng)


def _who(rng: Any, rate: Any, days: int) -> Any:
    return np.repeat(np.arange(len(rate), dtype=np.int32), rng.poisson(rate * days))


def _calls(stage: Stage, rng: Any, activity: Any, shift: Any) -> None:
    w, rows = stage.world, stage.rows["calls"]
    busy = np.ones(w.n)
    busy[w.age < 13] = 0.5
    for o, k in (("courier", 6.0), ("clerk", 1.5), ("business_owner", 2.0), ("shop_owner", 1.5), ("retired", 0.7)):
        busy[w.occupation == OCC[o]] = k
    who = _who(rng, 3.4 * activity * busy, stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, CALLING, n, shift[who])
    other = w.contacts[who, draw.pick(rng, _CONTACT_WEIGHT, n)]
    # Every tenth call is with somebody new: a shop, a driver, a client, a wrong number.
    new = rng.random(n) < np.where(w.occupation[who] == OCC["courier"], 0.8, 0.1)
    strangers = np.concatenate([w.outside_mobile, w.outside_fixed, w.firm_lines, w.second_lines])
    other = np.where(new, rng.choice(strangers, n), other).astype(np.int32)
    local = new & (rng.random(n) < 0.35)
    other = np.where(local, rng.integers(0, w.n, n), other).astype(np.int32)
    other = np.where(other == who, w.outside_mobile[0], other)
    out = rng.random(n) < np.where(w.occupation[who] == OCC["courier"], 0.85, 0.5)
    answered = rng.random(n) < 0.82
    dur = np.where(answered, np.clip(lognormal(rng, 52, 480, n), 1, 7200), 0).astype(np.int64)
    second = rng.random(n) < 0.06
    own = who.copy()
    has_second = np.full(w.n, -1, np.int32)
    has_second[w.lines["user"][w.second_lines]] = w.second_lines
    own = np.where(second & (has_second[who] >= 0), has_second[who], who).astype(np.int32)
    rows.add(
        n, sec=sec, caller=np.where(out, own, other), callee=np.where(out, other, own), dur=dur, rep=own,
        cell=stage.cell(who, sec), roaming=rng.random(n) < 0.01,
    )  # fmt: skip
    # People abroad who are no kin: colleagues, parcels, misdialled.
    who = _who(rng, np.full(w.n, 0.012), stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, CALLING, n)
    dur = np.where(rng.random(n) < 0.6, np.clip(lognormal(rng, 40, 900, n), 1, 5400), 0).astype(np.int64)
    rows.add(n, sec=sec, caller=rng.choice(w.abroad, n), callee=who, dur=dur, rep=who, cell=stage.cell(who, sec))
    # Machines: meters, trackers, lifts.
    k = len(w.gadgets)
    pings = np.repeat(w.gadgets, rng.poisson(0.8 * stage.days, k))
    sec = rng.integers(0, stage.end, len(pings))
    rows.add(
        len(pings), sec=sec, caller=pings, callee=rng.choice(w.firm_lines, len(pings)), rep=pings,
        dur=rng.integers(1, 20, len(pings)), cell=pings % w.n_cells,
    )  # fmt: skip


def _messages(stage: Stage, rng: Any, activity: Any, shift: Any) -> None:
    w, rows = stage.world, stage.rows["messages"]
    who = _who(rng, 4.2 * activity, stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, AWAKE, n, shift[who])
    other = w.contacts[who, draw.pick(rng, _CONTACT_WEIGHT, n)]
    other = np.where(rng.random(n) < 0.04, rng.choice(w.outside_mobile, n), other)
    out = rng.random(n) < 0.5
    chat = texts.codes(stage, "chat", rng, 400)
    text = np.where(rng.random(n) < 0.25, rng.choice(chat, n), -1)
    rows.add(n, sec=sec, sender=np.where(out, who, other), recipient=np.where(out, other, who), channel=2, text=text)
    short = {name: line for name, line in zip(w.service_names, w.service_lines.tolist(), strict=True)}
    for kind, rate, hours in (
        ("bank", 0.7, SHOPPING), ("code", 0.8, AWAKE), ("courier", 0.6, OFFICE), ("carrier", 0.2, OFFICE),
        ("advert", 0.6, CALLING), ("loan_advert", 0.12, CALLING), ("police_publicity", 0.05, OFFICE),
        ("shop", 0.25, SHOPPING), ("school_work", 0.15, OFFICE), ("travel", 0.04, OFFICE),
    ):  # fmt: skip
        who = _who(rng, np.where(w.age < 13, 0.1, 1.0) * rate, stage.days)
        n = len(who)
        senders = texts.SENDERS[kind]
        if kind == "bank":
            bank = w.accounts["bank"][w.account[who]]
            lines = np.array([short[s] for s in draw.BANK_SHORT], np.int32)[bank]
        elif senders:
            lines = rng.choice(np.array([short[s] for s in senders], np.int32), n)
        else:
            mixed = np.concatenate(
                [w.sales_lines, w.outside_mobile[: len(w.outside_mobile) // 6], w.abroad[: len(w.abroad) // 8]]
            )
            lines = rng.choice(mixed, n)
        codes = texts.codes(stage, kind, rng, 60)
        sec = clock_times(rng, stage.days, hours, n)
        rows.add(n, sec=sec, sender=lines, recipient=who, channel=0, text=rng.choice(codes, n))


def _visits(stage: Stage, rng: Any, activity: Any, shift: Any) -> None:
    w, rows = stage.world, stage.rows["visits"]
    who = _who(rng, 13.0 * activity * np.where(w.age < 13, 0.3, 1.0) * np.where(w.age > 65, 0.5, 1.0), stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, AWAKE, n, shift[who])
    popular = 1.0 / np.arange(1, len(w.popular_sites) + 1) ** 0.8
    host = w.popular_sites[draw.pick(rng, popular, n)]
    # Everybody has a few small sites of their own, and now and then meets a new one.
    k = len(w.rare_sites)
    own = (who.astype(np.int64) * 2654435761 + rng.integers(0, 5, n) * 40503) % k
    chance = rng.random(n)
    host = np.where(chance < 0.14, w.rare_sites[own], host)
    host = np.where(chance > 0.972, w.rare_sites[rng.integers(0, k, n)], host)
    path = np.where(rng.random(n) < 0.03, texts.paths(stage, rng, n), -1)
    rows.add(
        n,
        sec=sec,
        line=who,
        host=host,
        path=path,
        bytes=np.clip(lognormal(rng, 9e4, 6e6, n), 300, 4e9).astype(np.int64),
    )


def _apps(stage: Stage, rng: Any, activity: Any, shift: Any) -> None:
    w, rows = stage.world, stage.rows["app_events"]
    who = _who(rng, 11.0 * activity * np.where(w.age < 13, 0.25, 1.0) * np.where(w.age > 65, 0.6, 1.0), stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, AWAKE, n, shift[who])
    popular = 1.0 / np.arange(1, len(w.popular_apps) + 1) ** 0.7
    app = w.popular_apps[draw.pick(rng, popular, n)]
    k = len(w.rare_apps)
    own = (who.astype(np.int64) * 40503 + rng.integers(0, 4, n) * 2654435761) % k
    app = np.where(rng.random(n) < 0.16, w.rare_apps[own], app)
    rows.add(n, sec=sec, line=who, device=who, app=app, action=1)
    # New apps: known ones and small ones, and what comes after.
    who = _who(rng, np.where(w.age < 13, 0.01, 0.055), stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, AWAKE, n, shift[who])
    app = np.where(rng.random(n) < 0.5, w.popular_apps[draw.pick(rng, popular, n)], rng.choice(w.rare_apps, n))
    rows.add(n, sec=sec, line=who, device=who, app=app, action=0)
    again = np.repeat(np.arange(n), rng.integers(1, 5, n))
    later = sec[again] + lognormal(rng, 1200, 2e5, len(again)).astype(np.int64)
    keep = later < stage.end
    again = again[keep]
    rows.add(len(again), sec=later[keep], line=who[again], device=who[again], app=app[again], action=1)
    # Meetings at work and lessons at home; some share the screen.
    office = np.isin(
        w.occupation, [OCC[o] for o in ("clerk", "programmer", "accountant", "official", "teacher", "student")]
    )
    who = _who(rng, np.where(office, 0.35, 0.03), stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, OFFICE, n)
    app = rng.choice(w.meeting_apps, n)
    rows.add(n, sec=sec, line=who, device=who, app=app, action=4)
    share = np.flatnonzero(rng.random(n) < 0.18)
    after = np.minimum(sec[share] + rng.integers(30, 2400, len(share)), stage.end - 1)
    rows.add(len(share), sec=after, line=who[share], device=who[share], app=app[share], action=2)


def _money(stage: Stage, rng: Any, activity: Any, shift: Any) -> None:
    w, rows = stage.world, stage.rows["transfers"]
    has = w.account >= 0
    person_account = np.full(len(w.persons), -1, np.int32)
    person_account[: w.n] = w.account
    person_account[w.n :] = w.outside_accounts
    # Shopping: a few big shops, many small ones.
    who = _who(rng, 2.1 * activity * has * np.where(w.age > 65, 0.6, 1.0), stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, SHOPPING, n, shift[who] * 0.5)
    shop = w.merchants[draw.pick(rng, 1.0 / np.arange(1, len(w.merchants) + 1) ** 0.75, n)]
    amount = np.clip(lognormal(rng, 26, 420, n), 0.5, 60000)
    round_yuan = rng.random(n) < 0.45
    fen = np.where(round_yuan, np.round(amount) * 100, np.round(amount * 100)).astype(np.int64)
    channel = draw.pick(rng, (0, 0, 0.02, 0.08, 0.5, 0, 0.4, 0), n)
    payer = np.where((rng.random(n) < 0.12) & (w.second_account[who] >= 0), w.second_account[who], w.account[who])
    memo = rng.choice(texts.codes(stage, "memo_shop", rng, 12), n)
    rows.add(n, sec=sec, payer=payer, payee=shop, amount=np.maximum(fen, 1), channel=channel, memo=memo)
    # Between people: kin, friends, colleagues, and now and then somebody new (rent, second-hand, a tutor, a trip).
    who = _who(rng, 0.42 * activity * has, stage.days)
    n = len(who)
    sec = clock_times(rng, stage.days, AWAKE, n, shift[who])
    line = w.contacts[who, draw.pick(rng, _CONTACT_WEIGHT, n)]
    holder = w.lines["user"][line]
    other = np.where(holder >= 0, person_account[holder], -1)
    stranger = (rng.random(n) < 0.16) | (other < 0)
    other = np.where(stranger, rng.choice(w.outside_accounts, n), other)
    second = np.concatenate([w.second_accounts, w.outside_seconds])
    other = np.where(stranger & (rng.random(n) < 0.3), rng.choice(second, n), other)
    big = rng.random(n) < 0.12
    amount = np.where(big, lognormal(rng, 2200, 40000, n), lognormal(rng, 90, 1500, n))
    nice = rng.random(n) < 0.7
    step = np.where(amount > 3000, 500, np.where(amount > 300, 50, 5))
    fen = np.where(nice, np.maximum(np.round(amount / step), 1) * step * 100, np.round(amount * 100) + 1).astype(
        np.int64
    )
    pays = rng.random(n) < 0.5
    own = w.account[who]
    memo = np.where(rng.random(n) < 0.35, rng.choice(texts.codes(stage, "memo_people", rng, 12), n), -1)
    ok = rng.random(n) > 0.012
    rows.add(
        n,
        sec=sec,
        payer=np.where(pays, own, other),
        payee=np.where(pays, other, own),
        amount=np.clip(fen, 1, 3 * 10**8),
        channel=draw.pick(rng, (0.01, 0.62, 0.04, 0, 0.06, 0.01, 0.25, 0.01), n),
        memo=memo,
        ok=ok,
    )
    # Firms and their suppliers.
    firm = _who(rng, np.full(w.firms, 1.1), stage.days)
    n = len(firm)
    sec = clock_times(rng, stage.days, OFFICE, n)
    known = w.suppliers[(firm * 7 + rng.integers(0, 4, n)) % len(w.suppliers)]
    payee = np.where(rng.random(n) < 0.85, known, rng.choice(w.suppliers, n))
    fen = np.round(lognormal(rng, 9000, 250000, n)).astype(np.int64) * 100
    rows.add(n, sec=sec, payer=w.firm_accounts[firm], payee=payee, amount=fen, channel=CH["web"],
             memo=rng.choice(texts.codes(stage, "memo_firm", rng, 12), n))  # fmt: skip
    # Own cards, own cash.
    who = np.flatnonzero((w.second_account >= 0) & (rng.random(w.n) < 0.06 * stage.days))
    n = len(who)
    there = rng.random(n) < 0.5
    fen = np.round(lognormal(rng, 1500, 20000, n) / 100).astype(np.int64) * 10000 + 10000
    rows.add(
        n, sec=clock_times(rng, stage.days, AWAKE, n), amount=fen, channel=CH["mobile"],
        payer=np.where(there, w.account[who], w.second_account[who]),
        payee=np.where(there, w.second_account[who], w.account[who]),
    )  # fmt: skip
    who = _who(rng, 0.02 * has * np.where(w.age > 50, 2.0, 0.7), stage.days)
    n = len(who)
    fen = np.clip(np.round(lognormal(rng, 900, 12000, n) / 100), 1, 500).astype(np.int64) * 10000
    atm = rng.random(n) < 0.6
    taken = rng.random(n) < 0.75
    rows.add(
        n, sec=clock_times(rng, stage.days, OFFICE, n), payer=np.where(taken, w.account[who], -1),
        payee=np.where(taken, -1, w.account[who]), amount=fen, cash=True,
        channel=np.where(atm, CH["atm"], CH["counter"]), place=w.district[who],
    )  # fmt: skip


def _trips(stage: Stage, rng: Any) -> None:
    """Parcels, rides and hotel nights."""
    w = stage.world
    who = _who(rng, np.where(w.age < 16, 0.0, 0.25), stage.days)
    n = len(who)
    couriers = np.flatnonzero(w.occupation == OCC["courier"]).astype(np.int32)
    if not len(couriers):
        couriers = w.outside_mobile[:4]
    goods = texts.codes(stage, "goods", rng, 12)
    far = rng.integers(len(draw.DISTRICTS), len(draw.PLACES), n)
    comes = rng.random(n) < 0.85
    stage.rows["shipments"].add(
        n, sec=clock_times(rng, stage.days, OFFICE, n), goods=rng.choice(goods, n),
        sender=np.where(comes, rng.choice(w.outside_mobile, n), who),
        recipient=np.where(comes, who, rng.choice(w.outside_mobile, n)),
        place=np.where(comes, far, w.district[who]), to_place=np.where(comes, w.district[who], far),
    )  # fmt: skip
    who = _who(rng, np.where(w.age < 16, 0.0, 0.09), stage.days)
    n = len(who)
    stage.rows["shipments"].add(
        n, sec=clock_times(rng, stage.days, AWAKE, n), ride=True, sender=who, recipient=who, place=w.district[who],
        to_place=rng.integers(0, len(draw.DISTRICTS), n),
    )  # fmt: skip
    k = len(w.hotel_lines)
    who = np.concatenate(
        [rng.integers(0, w.n, w.n * stage.days // 900 + 3), rng.integers(w.n, w.n + w.m, w.n * stage.days // 250 + 3)]
    )
    n = len(who)
    hotel = rng.integers(0, k, n)
    lines = np.full(len(w.persons), -1, np.int32)
    users = w.lines["user"]
    known = np.flatnonzero(users >= 0)[::-1]
    lines[users[known]] = known
    stage.rows["lodging"].add(
        n, sec=clock_times(rng, stage.days, SHOPPING, n), person=who, line=lines[who], hotel=hotel,
        place=w.cell_place[w.hotel_cell[hotel]], nights=rng.geometric(0.6, n),
    )  # fmt: skip
