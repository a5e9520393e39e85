"""Stolen money in the demo: a victim of the city's reports while the money runs, and the city's banks answer orders.

Kept true here: the case comes in by ``POST /v1/reports`` and the banks answer by ``/v1/orders``, with keys of
registered sources; nobody is verified and nothing is sealed by it – that is for whoever looks at the demo; a stop that
is sealed in time keeps at the bank what had not left.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import polars as pl
import psycopg

from wuzha.cli.output import say
from wuzha.store import keys
from wuzha.store import sources as senders

from .bank import Bank, Ledger, Manner, Moved
from .draw import BANK_NAMES, BANKS

#: What tells of reports, and the banks as they answer.
INTAKE = "city-intake"
#: A victim calls so long after their first loss.
CALLS = timedelta(minutes=6)
#: So many cases a demo at the most, of losses from so much on.
MOST, LEAST_FEN = 6, 2_000_000
_KEPT = ("payer_name", "payee_name", "payer_bank", "payee_bank", "channel", "cash", "place", "payer_balance_fen",
         "payee_balance_fen")  # fmt: skip


def register(conn: psycopg.Connection[Any], root: int) -> dict[str, str]:
    """Register the intake and the banks at the centre; keys by source name."""
    made = {
        INTAKE: senders.register(
            conn, name=INTAKE, title="接警台", role="desk", basis="own_report", purpose="接报", retention_days=365,
            tables=[], unit_id=root,
        )
    }  # fmt: skip
    for name, title in zip(BANKS, BANK_NAMES, strict=True):
        made[f"{name}-orders"] = senders.register(
            conn, name=f"{name}-orders", title=title, role="bank", basis="holder_own", purpose="答复查询、止付、冻结",
            retention_days=365, tables=["transfers"],
        )  # fmt: skip
    return {name: keys.issue(conn, number).key for name, number in made.items()}


class Money:
    """Reports victims of the city when their time has come, over banks that answer. ``n``: cases told of."""

    def __init__(self, city: Path, centre: str, issued: dict[str, str], begin: datetime, now: Callable[[], datetime]):
        self.n = 0
        self._now, self._begin = now, begin
        self._client = httpx.Client(
            base_url=centre, headers={"Authorization": f"Bearer {issued[INTAKE]}"}, timeout=10, trust_env=False
        )
        self._coming, touched = _losses(city, begin)
        self._banks = [
            Bank(
                _ledger(touched, title), centre=centre, key=f"Bearer {issued[f'{name}-orders']}", now=now,
                manner=Manner(latency_s=1.0 + 0.5 * i, repeats=i == 1, stumbles=int(i == 2), iso=i == 3),
            )
            for i, (name, title) in enumerate(zip(BANKS, BANK_NAMES, strict=True))
        ]  # fmt: skip
        for bank in self._banks:
            bank.start()

    def tend(self) -> None:
        """Tell of the victims whose time has come; one that the centre did not take comes again."""
        while self._coming and self._coming[0]["calls_at"] <= self._now():
            try:
                answer = self._client.post("/v1/reports", json=self._coming[0]["report"])
            except httpx.HTTPError:
                return
            if answer.status_code == 429 or answer.status_code >= 500:
                return
            told = self._coming.pop(0)
            if answer.status_code != 200:
                say(f"demo: report {told['report']['number']} was not taken: {answer.text[:200]}")
                continue
            self.n += not answer.json()["repeated"]

    def stop(self) -> None:
        """End the banks."""
        for bank in self._banks:
            bank.stop()
        self._client.close()


def _losses(city: Path, begin: datetime) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Reports to come, by time, and every transfer of the accounts that stolen money met."""
    labels = pl.read_parquet(city / "labels.parquet").filter(pl.col("table") == "transfers")
    labels = labels.filter(pl.col("step").is_in(["loss", "move", "exit"])).select(
        "source", "event_id", "step", "scam_id"
    )
    rows = pl.read_parquet(city / "transfers.parquet")
    moved = rows.join(labels, on=["source", "event_id"])
    met = moved.filter(pl.col("step") != "exit").get_column("payee").drop_nulls().unique().to_list()
    touched = rows.filter(pl.col("payer").is_in(met) | pl.col("payee").is_in(met)).to_dicts()
    lost = moved.filter(
        (pl.col("step") == "loss") & (pl.col("ts") >= begin) & pl.col("payer").is_not_null()
        & pl.col("payee").is_not_null() & pl.col("ok").fill_null(True)
    ).sort("ts", "event_id")  # fmt: skip
    found = []
    for (scam,), losses in lost.group_by("scam_id", maintain_order=True):
        first = losses.get_column("ts")[0]
        known = losses.filter(pl.col("ts") <= first + CALLS).to_dicts()
        if sum(r["amount_fen"] for r in known) >= LEAST_FEN:
            found.append({"calls_at": first + CALLS, "report": _report(str(scam), known)})
    return sorted(found, key=lambda f: f["calls_at"])[:MOST], touched


def _report(scam: str, lost: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "number": f"110-{scam}", "channel": "phone", "name": lost[0]["payer_name"] or "",
        "reported_at": (lost[0]["ts"] + CALLS).isoformat(),
        "transfers": [
            {
                "payee": r["payee"], "amount_fen": r["amount_fen"], "at": r["ts"].isoformat(), "account": r["payer"],
                "account_bank": r["payer_bank"] or "", "payee_name": r["payee_name"] or "",
                "payee_bank": r["payee_bank"] or "",
            }
            for r in lost
        ],
    }  # fmt: skip


def _ledger(touched: list[dict[str, Any]], title: str) -> Ledger:
    """What one bank's books hold of these accounts: openings as the first balance says, then what moves."""
    holders: dict[str, str] = {}
    opening: dict[str, int] = {}
    moves = []
    for r in sorted(touched, key=lambda r: (r["ts"], r["event_id"])):
        if r["ok"] is False:
            continue
        mine = [side for side in ("payer", "payee") if r[side] and r[f"{side}_bank"] == title]
        if not mine:
            continue
        for side in mine:
            holders.setdefault(r[side], r[f"{side}_name"] or "")
            balance = r[f"{side}_balance_fen"]
            if r[side] not in opening and balance is not None:
                opening[r[side]] = balance + (r["amount_fen"] if side == "payer" else -r["amount_fen"])
        more = {name: r[name] for name in _KEPT if r[name] is not None}
        moves.append(
            Moved(number=r["event_id"], payer=r["payer"], payee=r["payee"], fen=r["amount_fen"], at=r["ts"], more=more)
        )
    return Ledger(holders, moves, opening=opening)
