"""Random little chronicles for the engine: all that can be said of people, in any order, late, twice and taken back."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
from tests.eventlog import T0, block, city

from wuzha import detect
from wuzha.detect.encode import Block
from wuzha.detect.files import Collected
from wuzha.detect.rulebook import RuleBook, read_rules, shipped
from wuzha.events.datafile import parse

_LINES = [f"line:+86138000000{i:02d}" for i in range(12)]
_ACCOUNTS = [f"account:62220000000000{i:02d}" for i in range(10)]
_NUMBERS = [f"35020319900101{i:04d}" for i in range(4)]


def chronicle(seed: int, n: int = 160) -> Block:
    """A log in the order of its coming: people joined, parted and renumbered, lines that change hands, alerts closed,
    suspects confirmed and cleared, rows up to ten days late, repeats with the same and with another time."""
    rng = random.Random(seed)
    tables: dict[str, list[dict[str, Any]]] = city(seed, n)
    stretch = rng.choice((1, 1, 4, 12))
    for events in tables.values():
        for event in events:
            event["at"] *= stretch
    end = max(event["at"] for events in tables.values() for event in events) + 1
    people = [f"person:p{i}" for i in range(6)] + [f"person:{s}" for s in (*_LINES[:3], *_ACCOUNTS[:2])]

    def some(k: int) -> list[float]:
        return sorted(rng.uniform(0, end) for _ in range(rng.randrange(k)))

    def when(at: float) -> dt.datetime:
        return T0 + dt.timedelta(minutes=at)

    for at in some(10):
        a, b = rng.sample(people[:6] if rng.random() < 0.8 else people, 2)
        role = rng.choice(("same_person", "same_person", "not_same_person"))
        tables["relations"].append({"at": at, "subject": a, "other": b, "role": role})
    for at in some(8):
        begin = rng.choice((None, at, rng.uniform(0, end)))
        until = rng.choice((None, None, rng.uniform(0, end)))
        tables["relations"].append(
            {
                "at": at, "subject": rng.choice(_LINES + _ACCOUNTS), "other": rng.choice(people[:6]),
                "role": rng.choice(("user", "holder", "registrant")), "confidence": rng.choice((None, 0.5)),
                "valid_from": None if begin is None else when(begin),
                "valid_to": None if until is None else when(until),
            }
        )  # fmt: skip
    tables["persons"] = [
        {"at": at, "person": rng.choice(people[:6])[7:], "id": rng.choice(_NUMBERS), "place": "350200"}
        for at in some(5)
    ]
    tables["lines"] = [
        {"at": at, "line": rng.choice(_LINES)[5:], "plan": "mobile", "opened": when(-9000),
         "place": rng.choice(("350200", "110100", None))}
        for at in some(6)
    ]  # fmt: skip
    tables["accounts"] = [
        {"at": at, "account": rng.choice(_ACCOUNTS)[8:], "kind": rng.choice(("personal", "merchant")),
         "opened": when(at - rng.choice((1000, 900_000)))}
        for at in some(6)
    ]  # fmt: skip
    tables["findings"] = [
        {"at": at, "subject": rng.choice(people), "kind": "alert_closed", "known_at": when(at),
         "episode": rng.choice((None, None, 1, 2))}
        for at in some(8)
    ] + [
        {"at": at, "subject": rng.choice((*_LINES, *_ACCOUNTS, "app:p1", "domain:site1.cn")), "known_at": when(at),
         "kind": rng.choice(("suspect_confirmed", "suspect_confirmed", "suspect_cleared"))}
        for at in some(8)
    ]  # fmt: skip
    for i, event in enumerate(tables["findings"]):
        event["event_id"] = f"f{i}"
    tables["reports"] = [
        {"at": at, "report": f"r{i}", "person": rng.choice((None, "p1", "p2")), "loss_fen": 10**6,
         "reported_at": when(at + rng.choice((0, 500)))}
        for i, at in enumerate(some(4))
    ]  # fmt: skip
    tables["identifiers"] = [
        {"at": at, "report": f"r{rng.randrange(4)}", "kind": "line", "value": rng.choice(_LINES)[5:],
         "role": rng.choice(("suspect", "payee", "victim"))}
        for at in some(5)
    ]  # fmt: skip
    tables["warnings"] += [
        {"at": at, "event_id": f"more{i}", "level_upstream": "urgent", "scam_type": rng.choice(("loan", "romance")),
         "stage": "pay", "amount_fen": 10**6 * i, "place": rng.choice((None, "350200", "440300")),
         "victim_line": rng.choice((None, rng.choice(_LINES)[5:])), "victim_name": "某人",
         "victim_account": rng.choice((None, rng.choice(_ACCOUNTS)[8:])), "victim_id": rng.choice((None, *_NUMBERS))}
        for i, at in enumerate(some(14))
    ]  # fmt: skip
    tables = {name: events for name, events in tables.items() if events}
    late = rng.choice((0.0, 0.1))
    log = block(tables)
    delay = np.array([rng.uniform(0, 10 * 1440) if rng.random() < late else 0.0 for _ in range(len(log))])
    order = np.argsort(log.due + (delay * 60e6).astype(np.int64), kind="stable")
    again = np.array([rng.randrange(len(log)) for _ in range(len(log) // 12)], np.int64)
    places = np.concatenate([np.arange(len(log)), np.array([rng.randrange(len(log)) for _ in again], np.int64)])
    order = np.concatenate([order, again])[np.argsort(places, kind="stable")]
    return log.pick(order)


_RULES = """
[told]
number = 4001
version = 1
subject = "person"
stage = "approach"
cooldown = "5min"
when = "warnings_7d >= 1"
zh = "预警"
en = "warned"

[warned]
number = 4002
version = 1
subject = "person"
stage = "pay"
cooldown = "1d"
when = "warnings_7d >= 1"
zh = "预警"
en = "warned"
"""


@lru_cache(maxsize=1)
def book() -> RuleBook:
    """The shipped rules, and two by which every warning alone raises an alert, whatever the shipped ones become."""
    here = shipped()
    rules = {**here.rules, **read_rules(parse(_RULES, "rules.toml"), here.features)}
    typologies = dict(here.typologies)
    loan = typologies["loan"]
    typologies["loan"] = replace(loan, weights={**loan.weights, "told": 20.0, "warned": 20.0})
    return RuleBook(here.features, rules, typologies)


def outcome(log: Block, cuts: list[int], *, save: bool = False) -> list[Any]:
    """All that stands after a log that came in pieces: alerts, evidence and warnings on them, suspects; by name."""
    engine, found = detect.Engine(book()), Collected(book())
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(log)]):
        found.add(engine.feed(log.slice(begin, end)))
        if save:
            engine = detect.Engine.restore(engine.snapshot(), book())
    return [
        sorted(found.alerts.items(), key=lambda item: item[0]),
        sorted((at, sorted(map(repr, pieces))) for at, pieces in found.evidence.items() if at in found.alerts),
        sorted((at, sorted(joined)) for at, joined in found.warnings.items() if at in found.alerts),
        sorted(found.suspects.items(), key=lambda item: item[0]),
    ]
