"""Innocent money that looks stolen: wages, loans, houses, gold, group buying, tainted tills.

Kept true here: as in `look_alikes`; whoever is paid here is paid for something real.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import draw, texts
from .innocent import Innocent
from .stage import AWAKE, CALLING, CH, OFFICE, SHOPPING, Stage
from .world import DAY, OCC


def resemble(stage: Stage) -> None:
    """All look-alikes of money."""
    for act in (
        _refunds, _wages, _loans, _houses, _group_buying, _gold, _cash, _suppliers, _gigs, _brokers, _second_hand,
        _traders, _sleepers, _coins, _gifts,
    ):  # fmt: skip
        act(stage)


def _grown(stage: Stage) -> Any:
    return (stage.world.account >= 0) & (stage.world.age >= 18)


def _refunds(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "refund", 0.09, _grown(stage))
    sec = s.when(SHOPPING)
    s.earn(s.people, sec, s.rng.choice(w.merchants, len(s)), s.fen(60, 700, len(s), 0.15), CH["third_party"])
    at = s.some(0.6)
    short = w.service_lines[[w.service_names.index(n) for n in ("95118", "95188")]]
    s.message(s.people[at], sec[at] - 30, s.rng.choice(short, len(at)), "sms", texts.codes(stage, "shop", s.rng, 30))


def _wages(stage: Stage) -> None:
    """Firms' pay days fall on the 5th, 10th, 15th, 20th and 25th; smaller ones pay any day. After it, bursts."""
    w = stage.world
    s = Innocent(stage, "salary_day", 0.0)
    rng = s.rng
    pay_day = rng.choice((5, 10, 15, 20, 25, 0), w.firms, p=(0.18, 0.24, 0.2, 0.12, 0.1, 0.16))
    any_day = rng.integers(1, 29, w.firms)
    pay_day = np.where(pay_day == 0, any_day, pay_day)
    first = np.datetime64(stage.start)
    days_of_month = np.array([int(str(first + k)[8:10]) for k in range(stage.days)])
    memo = texts.codes(stage, "memo_wage", rng, 1)
    for k, d in enumerate(days_of_month.tolist()):
        pays = np.flatnonzero(pay_day == d)
        who = np.flatnonzero(np.isin(w.firm, pays) & (w.account >= 0) & (rng.random(w.n) < 0.92)).astype(np.int32)
        begin = rng.integers(9 * 3600, 17 * 3600, w.firms)
        sec = k * DAY + begin[w.firm[who]] + rng.integers(0, 240, len(who))
        fen = (np.round(s.fen(6500, 16000, len(who), 0.0))).astype(np.int64)
        s.write(
            "transfers",
            who,
            sec,
            payer=w.firm_accounts[w.firm[who]],
            payee=w.account[who],
            amount=fen,
            channel=CH["web"],
            memo=rng.choice(memo, len(who)),
        )
        at = np.repeat(np.arange(len(who)), rng.integers(0, 5, len(who)))
        share = rng.uniform(0.02, 0.45, len(at))
        kin = w.contacts[who[at], 0]
        there = np.where(kin < w.n, w.account[np.minimum(kin, w.n - 1)], -1)
        to = np.where((rng.random(len(at)) < 0.45) & (there >= 0), there, s.payees(len(at)))
        to = np.where(rng.random(len(at)) < 0.25, rng.choice(w.lenders, len(at)), to)
        out = (fen[at] * share / 10000).astype(np.int64) * 10000 + 10000
        s.pay(who[at], s.after(sec[at], (60, 700)), to, out)


def _loans(stage: Stage) -> None:
    """Real loans: an advert, a small lender's app, a talk, the money, and what it was wanted for."""
    w = stage.world
    s = Innocent(stage, "real_loan", 0.012, _grown(stage) & (w.age < 62))
    sec = s.when(CALLING)
    app = s.rng.choice(w.rare_apps, len(s))
    at = s.some(0.4)
    s.message(
        s.people[at],
        sec[at] - s.rng.integers(600, 90000, len(at)),
        s.rng.choice(w.sales_lines, len(at)),
        "sms",
        texts.codes(stage, "loan_advert", s.rng, 30),
    )
    at = s.some(0.5)
    s.app(s.people[at], sec[at], app[at], 0)
    more = s.often(1, 4, at)
    s.app(s.people[more], s.after(sec[more], (20, 600)), app[more], 1)
    at = s.some(0.6)
    s.call(s.people[at], s.after(sec[at], (20, 400)), s.strangers(len(at), 0.02), s.seconds(260, 1200, len(at)))
    got = s.after(sec, (120, 3000))
    fen = s.fen(18000, 120000, len(s), 1.0)
    s.earn(s.people, got, s.rng.choice(w.lenders, len(s)), fen, CH["web"])
    at = s.often(0, 3)
    to = np.where(s.rng.random(len(at)) < 0.4, s.rng.choice(w.suppliers, len(at)), s.payees(len(at)))
    s.pay(
        s.people[at],
        s.after(got[at], (120, 3000)),
        to,
        (fen[at] * s.rng.uniform(0.1, 0.5, len(at))).astype(np.int64) // 10000 * 10000 + 10000,
    )
    at = s.some(0.05)
    s.hint(1.0, at, got[at], "bank", "loan", "pay", amount=fen[at])
    at = s.some(0.05)
    s.hint(1.0, at, sec[at] + 300, "app", "loan", "trust", app=app[at])


def _houses(stage: Stage) -> None:
    """A house, a car: talks with an agent, money gathered, one or several very large payments to somebody new."""
    w = stage.world
    s = Innocent(stage, "house_purchase", 0.0025, _grown(stage) & (w.age > 24))
    agent = s.strangers(len(s), 0.0)
    at = s.often(2, 10)
    s.call(s.people[at], s.when(CALLING, len(at)), agent[at], s.seconds(140, 900, len(at)), s.rng.random(len(at)) < 0.5)
    sec = s.when(OFFICE)
    total = s.fen(320000, 1800000, len(s), 1.0)
    at = s.often(0, 3)
    s.earn(
        s.people[at],
        sec[at] - s.rng.integers(3600, 50000, len(at)),
        s.payees(len(at)),
        total[at] // 5 // 10000 * 10000 + 10000,
    )
    at = s.often(1, 4)
    to = np.where(s.rng.random(len(s)) < 0.5, s.rng.choice(w.suppliers, len(s)), s.payees(len(s)))
    channel = draw.pick(s.rng, (0.35, 0.4, 0.2, 0.05), len(at))
    s.pay(s.people[at], s.after(sec[at], (40, 600)), to[at], total[at] // 3 // 10000 * 10000, channel)
    at = s.some(0.15)
    s.hint(1.0, at, sec[at] + 3600, "bank", "investment", "pay", account=to[at], amount=total[at])


def _group_buying(stage: Stage) -> None:
    """The leader of a group buy: dozens of small credits from people new to them, then one payment on."""
    w = stage.world
    s = Innocent(stage, "group_buy", 0.004, _grown(stage))
    sec = s.when(SHOPPING)
    at = s.often(25, 120)
    buyers = s.rng.choice(w.account[w.account >= 0], len(at))
    price = s.fen(45, 260, len(s), 0.6)
    s.earn(
        s.people[at], s.after(sec[at], (120, 900)), buyers, price[at] * s.rng.integers(1, 3, len(at)), CH["third_party"]
    )
    out = s.after(sec, (1000, 3000))
    s.pay(s.people, out, s.rng.choice(w.suppliers, len(s)), price * 55)
    at = s.some(0.04)
    s.hint(1.0, at, out[at], "bank", "task_rebate", "pay", amount=price[at] * 50)


def _gold(stage: Stage) -> None:
    w = stage.world
    s = Innocent(stage, "gold_purchase", 0.007, _grown(stage))
    sec = s.when(SHOPPING)
    fen = s.fen(9000, 90000, len(s))
    shop = s.rng.choice(w.merchants, len(s))
    goods = stage.texts.codes(["金条", "金手镯", "金项链", "金戒指", "名表", "手机", "购物卡"])
    what = goods[draw.pick(s.rng, (0.22, 0.2, 0.2, 0.18, 0.05, 0.1, 0.05), len(s))]
    bought = sec + s.rng.integers(10, 60, len(s))
    s.write(
        "purchases",
        s.people,
        sec,
        account=w.account[s.people],
        person=s.people,
        line=s.people,
        amount=fen,
        goods=what,
        merchant=shop,
        place=w.district[s.people],
    )
    s.pay(s.people, bought, shop, fen, CH["pos"])
    at = s.some(0.3)
    s.write(
        "shipments",
        s.people[at],
        s.after(sec[at], (40, 400)),
        sender=s.people[at],
        recipient=s.people[at],
        ride=True,
        place=w.district[s.people[at]],
        to_place=s.rng.integers(0, 6, len(at)),
    )
    at = s.some(0.05)
    s.hint(1.0, at, sec[at], "bank", "investment", "pay", amount=fen[at])


def _cash(stage: Stage) -> None:
    """Weddings, funerals, wages on a site: cash booked and fetched."""
    w = stage.world
    s = Innocent(stage, "real_cash", 0.006, _grown(stage) & (w.age > 28))
    sec = s.when(OFFICE)
    fen = np.maximum(s.fen(60000, 250000, len(s), 1.0) // 1000000, 1) * 1000000
    outlet = s.rng.integers(0, 40, len(s))
    place = w.district[s.people]
    due = (sec // DAY + s.rng.integers(1, 3, len(s))) * DAY + s.rng.integers(9 * 3600, 16 * 3600, len(s))
    base = {
        "account": w.account[s.people],
        "person": s.people,
        "line": s.people,
        "amount": fen,
        "outlet": outlet,
        "place": place,
    }
    s.write("cash", s.people, sec, booking=True, due=due, **base)
    fetched = due + s.rng.integers(-1200, 3600, len(s))
    s.write("cash", s.people, fetched, **base)
    s.write(
        "transfers",
        s.people,
        fetched + 60,
        payer=w.account[s.people],
        amount=fen,
        cash=True,
        channel=CH["counter"],
        place=place,
    )
    at = s.some(0.05)
    s.hint(1.0, at, sec[at], "bank", "authority", "pay", amount=fen[at])


def _suppliers(stage: Stage) -> None:
    """Accountants and owners pay firms that they have never paid, after messages and a call, in a hurry too."""
    w = stage.world
    who = np.isin(w.occupation, [OCC[o] for o in ("accountant", "business_owner", "shop_owner")]) & (w.account >= 0)
    s = Innocent(stage, "new_supplier", 0.22, who)
    sec = s.when(OFFICE)
    chief = np.where(s.rng.random(len(s)) < 0.5, w.contacts[s.people, 3], s.strangers(len(s), 0.03))
    at = s.often(1, 6)
    s.message(
        s.people[at],
        sec[at] - s.rng.integers(60, 5000, len(at)),
        chief[at],
        "im",
        texts.codes(stage, "school_work", s.rng, 30),
        0.3,
    )
    at = s.some(0.5)
    s.call(
        s.people[at],
        sec[at] - s.rng.integers(60, 3000, len(at)),
        chief[at],
        s.seconds(90, 500, len(at)),
        s.rng.random(len(at)) < 0.4,
    )
    at = s.often(1, 3)
    fen = s.fen(30000, 600000, len(at))
    new = np.where(s.rng.random(len(s)) < 0.75, s.rng.choice(w.suppliers, len(s)), s.payees(len(s)))
    channel = np.where(s.rng.random(len(at)) < 0.5, CH["web"], CH["mobile"])
    pays = s.after(sec[at], (30, 400))
    s.pay(s.people[at], pays, new[at], fen, channel)
    s.hint(0.015, at, pays, "bank", "boss_acquaintance", "pay", account=new[at], amount=fen)


def _gigs(stage: Stage) -> None:
    """Real small jobs: a group, an app, wages that come in small credits from people and firms new to them."""
    w = stage.world
    s = Innocent(stage, "part_time", 0.018, _grown(stage) & (w.age < 55))
    sec = s.when(CALLING)
    boss = s.strangers(len(s), 0.03)
    at = s.often(1, 7)
    s.message(
        s.people[at], s.after(sec[at], (60, 4000)), boss[at], "im", texts.codes(stage, "school_work", s.rng, 30), 0.3
    )
    at = s.some(0.45)
    app = s.rng.choice(w.rare_apps, len(s))
    s.app(s.people[at], sec[at], app[at], 0)
    more = s.often(1, 7, at)
    s.app(s.people[more], s.after(sec[more], (300, 6000)), app[more], 1)
    at = s.often(1, 5)
    payer = np.where(s.rng.random(len(at)) < 0.5, s.payees(len(at)), s.rng.choice(w.suppliers, len(at)))
    got = s.after(sec[at], (700, 6000))
    s.earn(s.people[at], got, payer, s.fen(90, 450, len(at), 0.6))
    at = s.some(0.15)
    out = s.after(sec[at], (2000, 7000))
    s.pay(s.people[at], out, s.payees(len(at)), s.fen(200, 1500, len(at)))
    at = s.some(0.03)
    s.hint(1.0, at, sec[at] + 7200, "app", "task_rebate", "trust", app=app[at])


def _brokers(stage: Stage) -> None:
    """Real investing: a broker's small app, a call, deposits that grow, some money back."""
    w = stage.world
    s = Innocent(stage, "real_investing", 0.014, _grown(stage) & (w.age > 24))
    sec = s.when(OFFICE)
    app = s.rng.choice(w.rare_apps, len(s))
    broker = s.rng.choice(w.suppliers, len(s))
    at = s.some(0.25)
    s.app(s.people[at], sec[at] - 600, app[at], 0)
    at = s.often(2, 14)
    s.app(s.people[at], s.when(OFFICE, len(at)), app[at], 1)
    at = s.some(0.4)
    s.call(
        s.people[at],
        sec[at] - s.rng.integers(600, 9000, len(at)),
        s.strangers(len(at), 0.03),
        s.seconds(240, 1500, len(at)),
    )
    at = s.often(1, 5)
    fen = s.fen(8000, 120000, len(at))
    paid = s.after(sec[at], (900, 7000))
    s.pay(s.people[at], paid, broker[at], fen)
    at2 = s.some(0.3)
    s.earn(s.people[at2], s.after(sec[at2], (2500, 8000)), broker[at2], s.fen(4000, 40000, len(at2), 0.1))
    at = s.often(0, 3)
    s.visit(s.people[at], s.when(OFFICE, len(at)), s.rng.choice(w.rare_sites, len(at)))
    at = s.some(0.03)
    s.hint(1.0, at, sec[at] + 5000, "province", "investment", "trust", app=app[at])


def _second_hand(stage: Stage) -> None:
    """Second-hand goods, rent, a trip: messages with a stranger, one to three payments to somebody new."""
    w = stage.world
    s = Innocent(stage, "private_deal", 0.045, _grown(stage))
    sec = s.when(AWAKE)
    seller = s.strangers(len(s), 0.02)
    at = s.often(1, 6)
    s.message(
        s.people[at],
        sec[at] - s.rng.integers(60, 9000, len(at)),
        seller[at],
        "im",
        texts.codes(stage, "chat", s.rng, 60),
        0.25,
    )
    at = s.some(0.3)
    s.call(
        s.people[at],
        sec[at] - s.rng.integers(60, 5000, len(at)),
        seller[at],
        s.seconds(70, 500, len(at)),
        s.rng.random(len(at)) < 0.6,
    )
    at = s.some(0.3)
    s.visit(s.people[at], sec[at] - s.rng.integers(60, 5000, len(at)), s.rng.choice(w.rare_sites, len(at)))
    to = s.payees(len(s))
    at = s.often(1, 3)
    pays = s.after(sec[at], (5, 600))
    fen = s.fen(900, 14000, len(at))
    s.pay(s.people[at], pays, to[at], fen)
    s.hint(0.006, at, pays, "bank", "shopping", "pay", account=to[at], amount=fen)


def _traders(stage: Stage) -> None:
    """Small traders: paid by many, paying on the same hour, hardly anything stays."""
    w = stage.world
    s = Innocent(
        stage, "small_trader", 0.02, np.isin(w.occupation, [OCC["self_employed"], OCC["shop_owner"]]) & (w.account >= 0)
    )
    at = s.often(8, 40)
    sec = s.when(SHOPPING, len(at))
    fen = s.fen(800, 12000, len(at))
    s.earn(s.people[at], sec, s.payees(len(at)), fen)
    k = np.flatnonzero(s.rng.random(len(at)) < 0.6)
    s.pay(s.people[at[k]], s.after(sec[k], (12, 120)), s.payees(len(k)), fen[k] * 97 // 100)


def _sleepers(stage: Stage) -> None:
    """A card long unused: tried with a yuan, then a deposit, then a large payment."""
    w = stage.world
    s = Innocent(stage, "revived_account", 0.008, w.second_account >= 0)
    card = w.second_account[s.people]
    w.accounts["last"][card] = np.minimum(w.accounts["last"][card], -s.rng.integers(95, 900, len(s)) * DAY)
    w.accounts["opened"][card] = np.minimum(w.accounts["opened"][card], w.accounts["last"][card] - 40 * DAY)
    sec = s.when(AWAKE)
    at = s.some(0.7)
    s.pay(s.people[at], sec[at], card[at], s.rng.integers(1, 11, len(at)) * 100)
    fen = s.fen(12000, 150000, len(s), 0.9)
    came = s.after(sec, (60, 1500))
    s.write("transfers", s.people, came, payer=s.payees(len(s)), payee=card, amount=fen, channel=1)
    at = s.often(1, 3)
    s.write("transfers", s.people[at], s.after(came[at], (30, 1500)), payer=card[at], payee=s.payees(len(at)),
            amount=fen[at] // 3, channel=1)  # fmt: skip


def _coins(stage: Stage) -> None:
    """Small buyers of crypto-currency."""
    w = stage.world
    s = Innocent(stage, "crypto_buyer", 0.006, _grown(stage) & (w.age < 50))
    at = s.often(1, 4)
    sec = s.when(AWAKE, len(at))
    fen = s.fen(1500, 25000, len(at))
    s.pay(s.people[at], sec, s.rng.choice(w.wallets, len(at)), fen, CH["crypto"])
    s.hint(0.02, at, sec, "bank", "investment", "pay", amount=fen)


def _gifts(stage: Stage) -> None:
    """Family in need elsewhere: a call, and money at once."""
    w = stage.world
    s = Innocent(stage, "family_help", 0.03, _grown(stage))
    sec = s.when(AWAKE)
    kin = w.contacts[s.people, 1]
    s.call(s.people, sec, kin, s.seconds(300, 1800, len(s)))
    near = np.where(kin < w.n, w.account[np.minimum(kin, w.n - 1)], -1)
    holder = w.lines["user"][kin]
    outside = np.where(holder >= w.n, w.outside_accounts[np.clip(holder - w.n, 0, w.m - 1)], -1)
    to = np.where(near >= 0, near, outside)
    at = np.flatnonzero(to >= 0)
    s.pay(s.people[at], s.after(sec[at], (15, 200)), to[at], s.fen(2500, 40000, len(at)))


def taint(stage: Stage) -> None:
    """Shops that took stolen money go on as shops do: they pay for stock, and their owners are asked questions."""
    w = stage.world
    s = Innocent(stage, "tainted_merchant", 0.0)
    for second, shop, fen in stage.tainted:
        owner = int(w.accounts["holder"][shop])
        sec = second + int(s.rng.integers(1800, 90000))
        if sec >= stage.end:
            continue
        s.write("transfers", [owner], [sec], payer=[shop], payee=[int(s.rng.choice(w.suppliers))],
                amount=[max(100, int(fen * s.rng.uniform(0.3, 0.9)) // 100 * 100)], channel=[2])  # fmt: skip
