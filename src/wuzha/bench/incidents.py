"""``wuzha bench incidents``: real thefts found again among other money in the thefts' own accounts.

``DIR`` holds one folder a theft with ``NAME.csv`` (its true transfers: ``Timestamp``, ``From``, ``To``,
``Value_in_USD`` and others), ``source_addresses.csv`` and ``terminal_addresses.csv`` (no header). One dollar is 100
fen, rounded half-even. Such a file holds stolen money only, on which any tracer is right; so every account of the theft
gets money of its own before the theft's first and after its last transfer in that account, 1, 10 and 100 times what the
theft moved through it, from and to accounts outside.

The tracer is told what a report tells: which transfers brought stolen money into a source (or, where these are not in
the file, that the source held what it paid out of nothing), when, and how much. It is judged by where it says that the
money lies or left: ``coverage`` terminals found ÷ true terminals; ``precision`` fen at true terminals ÷ fen at all
ends; ``amount_share`` fen at true terminals ÷ fen that truly reached them. ``poison`` counts its reach. Beside it
stands what the same tracer says of the theft ``alone``: no more can be asked, since its money also ended elsewhere.
"""

from __future__ import annotations

import csv
import time
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.trace import POLICIES, Index, Policy, Result, Theft, Tracer

from .machine import machine

TIMES = (1, 10, 100)
_DAY_US = 86_400_000_000
#: Transfers of its own that an account gets before the theft, and as many after it, by how many times the volume.
_OWN = {1: 10, 10: 30, 100: 100}


class Row(NamedTuple):
    """One true transfer: µs, accounts, fen."""

    ts: int
    payer: str
    payee: str
    fen: int


class Incident(NamedTuple):
    """One theft."""

    name: str
    rows: list[Row]
    sources: set[str]
    terminals: set[str]


def read(folder: Path) -> Incident:
    """The theft in ``folder``. ValueError names the file and row that cannot be read."""
    path = folder / f"{folder.name}.csv"
    rows = []
    try:
        with path.open(newline="", encoding="utf-8") as file:
            for number, row in enumerate(csv.DictReader(file), 2):
                try:
                    at = datetime.fromisoformat(row["Timestamp"]).replace(tzinfo=UTC)
                    fen = int((Decimal(row["Value_in_USD"]) * 100).to_integral_value(ROUND_HALF_EVEN))
                except (KeyError, ValueError, ArithmeticError) as error:
                    raise ValueError(f"{path} row {number}: {error}") from error
                if fen > 0 and row["From"] != row["To"]:
                    rows.append(Row(round(at.timestamp() * 1_000_000), row["From"], row["To"], fen))
        sources, terminals = (
            {
                line.strip()
                for line in (folder / f"{kind}_addresses.csv").read_text("utf-8").splitlines()
                if line.strip()
            }
            for kind in ("source", "terminal")
        )
    except OSError as error:
        raise ValueError(f"{folder} is no theft: {error}") from error
    if not rows or not sources or not terminals:
        raise ValueError(f"{folder} lacks transfers, sources or terminals")
    return Incident(folder.name, sorted(rows), sources, terminals)


def thefts(incident: Incident) -> list[Theft]:
    """What was stolen, as a report would tell it."""
    out = []
    balance = dict.fromkeys(incident.sources, 0)
    lacking: dict[str, tuple[int, int]] = {}
    for row in incident.rows:
        if row.payee in incident.sources and row.payer not in incident.sources:
            out.append(Theft(account=f"account:{row.payer}", at=row.ts, amount_fen=row.fen))
        if row.payee in balance:
            balance[row.payee] += row.fen
        if row.payer in balance:
            balance[row.payer] -= row.fen
            if balance[row.payer] < 0:
                first, fen = lacking.get(row.payer, (row.ts, 0))
                lacking[row.payer] = (first, fen - balance[row.payer])
                balance[row.payer] = 0
    out += [Theft(account=f"account:{a}", at=at, amount_fen=fen, into=True) for a, (at, fen) in lacking.items()]
    return out


def mixed(incident: Incident, times: int, seed: int) -> pa.Table:
    """The theft's transfers among others of its accounts' own; ``times`` 0: alone."""
    r = np.random.default_rng(seed)
    rows = list(incident.rows)
    span: dict[str, tuple[int, int, int]] = {}
    for row in incident.rows:
        for account in (row.payer, row.payee):
            first, last, fen = span.get(account, (row.ts, row.ts, 0))
            span[account] = (min(first, row.ts), max(last, row.ts), fen + row.fen)
    for account in sorted(span) if times else ():
        first, last, fen = span[account]
        for begin, end in ((first - 30 * _DAY_US, first - 1_000_000), (last + 1_000_000, last + 30 * _DAY_US)):
            # what comes in goes out again in part, as on any account in use
            n = _OWN[times]
            parts = r.dirichlet(np.ones(n))
            moments = np.sort(r.integers(begin, end, 2 * n))
            has = 0
            for j, at in enumerate(moments.tolist()):
                other = f"other-{r.integers(10**12)}"
                if j % 2 == 0:
                    amount = max(int(fen * times * parts[j // 2]), 1)
                    rows.append(Row(at, other, account, amount))
                    has += amount
                else:
                    amount = int(has * r.uniform(0.3, 0.95))
                    if amount > 0:
                        rows.append(Row(at, account, other, amount))
                        has -= amount
    rows.sort()
    ts = pa.array([row.ts for row in rows]).cast(pa.timestamp("us")).cast(TABLES["transfers"].schema.field("ts").type)
    columns = {
        "source": pa.array(["bench"] * len(rows)), "event_id": pa.array([f"t{i}" for i in range(len(rows))]), "ts": ts,
        "payer": pa.array([row.payer for row in rows]), "payee": pa.array([row.payee for row in rows]),
        "amount_fen": pa.array([row.fen for row in rows]),
    }  # fmt: skip
    return conform(TABLES["transfers"], pa.table(columns))


def judged(incident: Incident, result: Result) -> dict[str, Any]:
    """How right the ends are that the tracer reports."""
    part = "reach_fen" if result.policy == "poison" else "held_fen"
    ends: dict[str, int] = {}
    for a in result.accounts:
        if a[part] > 0:
            ends[a["account"].removeprefix("account:")] = a[part]
    for e in result.exits:
        name = e["account"].removeprefix("account:")
        ends[name] = ends.get(name, 0) + e["reach_fen" if result.policy == "poison" else "amount_fen"]
    right = sum(fen for name, fen in ends.items() if name in incident.terminals)
    reached = {row.payee for row in incident.rows} & incident.terminals
    truly = sum(row.fen for row in incident.rows if row.payee in reached and row.payer not in reached)
    found = len(set(ends) & incident.terminals)
    return {
        "terminals_found": found, "terminals": len(incident.terminals),
        "coverage": round(found / len(incident.terminals), 4),
        "precision": round(right / max(sum(ends.values()), 1), 4), "amount_share": round(right / max(truly, 1), 4),
    }  # fmt: skip


def run(folder: Path, *, seed: int) -> dict[str, Any]:
    """Every theft in ``folder``, mixed with 1, 10 and 100 times its own volume, traced under every policy."""
    folders = sorted(p for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []
    if not folders:
        raise ValueError(f"{folder} holds no folder of a theft")
    out: dict[str, Any] = {}
    alone: dict[str, Any] = {}
    for one in folders:
        incident = read(one)
        stolen = thefts(incident)
        by: dict[str, dict[Policy, dict[str, Any]]] = {}
        for times in (0, *TIMES):
            tracer = Tracer(Index.of(mixed(incident, times, seed)))
            tracer.follow(stolen[:1])
            by[str(times)] = {}
            for policy in POLICIES:
                begun = time.perf_counter()
                result = tracer.follow(stolen, policy=policy)
                seconds = round(time.perf_counter() - begun, 4)
                by[str(times)][policy] = {**judged(incident, result), "seconds": seconds}
        alone[incident.name] = by.pop("0")
        out[incident.name] = by
    return {"incidents": out, "alone": alone, "machine": machine()}
