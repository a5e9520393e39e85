"""Small logs by hand: rows of a table as the store keeps them, and what an engine makes of them."""

from __future__ import annotations

import datetime as dt
import itertools
import random
from typing import Any

import pyarrow as pa

from wuzha import detect
from wuzha.detect.encode import Block
from wuzha.detect.files import Collected, citing
from wuzha.events import TABLES
from wuzha.events.batch import conform

T0 = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)


def rows(table: str, events: list[dict[str, Any]]) -> pa.Table:
    """Rows of ``table``; source and event_id are filled in where they are not given, ``at`` counts minutes from T0."""
    full = []
    for i, event in enumerate(events):
        row = {"source": "s", "event_id": f"{table}-{i}", **event}
        if "at" in row:
            row["ts"] = T0 + dt.timedelta(minutes=row.pop("at"))
        full.append(row)
    names = {name for row in full for name in row}
    schema = pa.schema([f for f in TABLES[table].schema if f.name in names])
    return conform(TABLES[table], pa.Table.from_pylist(full, schema=schema))


def block(tables: dict[str, list[dict[str, Any]]]) -> Block:
    """One log of several tables."""
    return detect.merge(
        [detect.encode(name, rows(name, events), i + 1) for i, (name, events) in enumerate(tables.items())]
    )


def run(log: Block, cuts: list[int] | None = None, *, save: bool = False, book: Any = None) -> tuple[Any, Any]:
    """Alerts and suspects of a log cut at ``cuts``; with ``save`` the engine is saved and restored at each cut."""
    engine = detect.Engine(book)
    found = Collected(book or detect.shipped())
    edges = [0, *sorted(cuts or []), len(log)]
    for begin, end in itertools.pairwise(edges):
        found.add(engine.feed(log.slice(begin, end)))
        if save:
            engine = detect.Engine.restore(engine.snapshot(), book)
    return found.alerts_table(citing(log)), found.suspects_table()


def city(seed: int, n: int = 400) -> dict[str, list[dict[str, Any]]]:
    """A random little log of all that the kernels do, with ties, repeats and both sides of calls and transfers."""
    rng = random.Random(seed)
    lines = [f"+86138000000{i:02d}" for i in range(12)] + ["+85261234567", "+8613900000099"]
    accounts = [f"62220000000000{i:02d}" for i in range(10)]
    out: dict[str, list[dict[str, Any]]] = {
        name: [] for name in ("calls", "messages", "visits", "app_events", "transfers")
    }
    at = 0.0
    for _ in range(n):
        at += rng.choice((0, 0, 1, 7, 30))
        kind = rng.choice(list(out))
        a, b = rng.sample(lines, 2)
        if kind == "calls":
            row = {
                "at": at,
                "caller": a,
                "callee": b,
                "duration_s": rng.choice((0, 2, 10, 70, 400)),
                "imei": f"86{lines.index(a):013d}",
            }
            out[kind].append(row)
            if rng.random() < 0.2:
                out[kind].append({**row, "source": "t", "at": at + 1})
        elif kind == "messages":
            out[kind].append(
                {"at": at, "sender": a, "recipient": b, "channel": "sms", "fanshi": rng.choice(([], [3], None))}
            )
        elif kind == "visits":
            out[kind].append({"at": at, "line": b, "host": f"site{rng.randrange(5)}.cn", "bytes": 10})
        elif kind == "app_events":
            action = rng.choice(("install", "open", "screen_share", "meeting_join"))
            out[kind].append({"at": at, "line": b, "app": "会议", "package": f"p{rng.randrange(4)}", "action": action})
        else:
            p, q = rng.sample(accounts, 2)
            out[kind].append(
                {
                    "at": at,
                    "payer": p,
                    "payee": q,
                    "amount_fen": rng.choice((500, 20_000, 500_000, 3_000_000)),
                    "side": "payer",
                    "payer_balance_fen": rng.choice((0, 10**7)),
                }
            )
    out["warnings"] = [
        {"at": at * rng.random(), "level_upstream": rng.choice(("low", "high", "urgent")), "scam_type": "loan",
         "victim_line": rng.choice(lines), "suspect_line": rng.choice((None, lines[-1])),
         "suspect_app": rng.choice((None, "p1"))}
        for _ in range(8)
    ]  # fmt: skip
    out["relations"] = [
        {
            "at": at * rng.random() * 0.5,
            "subject": f"line:{lines[i]}",
            "other": f"person:p{i // 2}",
            "role": rng.choice(("user", "registrant")),
        }
        for i in range(10)
    ] + [
        {"at": 0, "subject": f"account:{accounts[i]}", "other": f"person:p{i // 2}", "role": "holder"} for i in range(8)
    ]
    return out
