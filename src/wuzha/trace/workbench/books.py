"""What was read out of banks' files, as the entries of each account whose statement is there.

Kept true here: an entry is one side of a transfer that moved money: failed ones, other currencies and both halves of a
reversed pair are out and counted; every entry knows its transfer's number, by which its rows in the files are found.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa

from wuzha.events import TABLES
from wuzha.events.clock import zone
from wuzha.trace.clocks import Retimed, aligned
from wuzha.trace.follow import Policy, Result, Theft, Tracer
from wuzha.trace.index import Index
from wuzha.trace.layout import VOID
from wuzha.trace.rows import moved

from .cites import Cites

_DAY_S = 86_400


def _empty(table: str) -> pl.DataFrame:
    return pl.DataFrame(pl.from_arrow(TABLES[table].empty()))


class Books:
    """Tables as `ingest` gives them: transfers, and the companion sheets' accounts, persons and relations, and places
    (``source``, ``event_id``, ``file``, ``sheet``, ``row``)."""

    def __init__(self, tables: dict[str, pl.DataFrame], places: pl.DataFrame) -> None:
        self.transfers = tables.get("transfers", _empty("transfers"))
        self.registered = tables.get("accounts", _empty("accounts"))
        self.persons = tables.get("persons", _empty("persons"))
        self.relations = tables.get("relations", _empty("relations"))
        self._places = places

    @cached_property
    def arrow(self) -> pa.Table:
        """The transfers, as the tracer's index takes them."""
        table = TABLES["transfers"]
        return self.transfers.select(table.schema.names).to_arrow().cast(table.schema)

    def followed(self, theft: Theft, policy: Policy = "fifo") -> Result:
        """What became of stolen money, by all that was read. ValueError for a theft that cannot be."""
        index, retimed = self._index
        result = Tracer(index).follow([retimed.theft(theft)], policy=policy)
        return retimed.told(result, [theft])

    @cached_property
    def _index(self) -> tuple[Index, Retimed]:
        table, retimed = aligned(self.arrow)
        return Index.of(table), retimed

    @cached_property
    def cites(self) -> Cites:
        """Where each transfer stands."""
        return Cites(self.transfers, self._places)

    @cached_property
    def _moved(self) -> tuple[pl.DataFrame, dict[str, int]]:
        numbered = self.arrow.append_column("_i", pa.array(np.arange(self.transfers.height, dtype=np.int64)))
        rows, left = moved(numbered)
        frame = pl.DataFrame(pl.from_arrow(rows))
        void = frame.select((pl.col("marks") & int(VOID)) != 0).to_series()
        if void.any():
            left["reversed"] = int(void.sum())
        return frame.filter(~void), left

    @property
    def left_out(self) -> dict[str, int]:
        """Transfers that moved nothing, by reason."""
        return self._moved[1]

    @cached_property
    def entries(self) -> pl.DataFrame:
        """Every account's own entries in order: ``account``, ``out``, ``other`` and what is known of it, ``fen``,
        ``local`` (the deployment's time), ``timed`` (the file told more than the day), ``i`` (the transfer)."""
        rows = self._moved[0]
        parts = []
        for mine, other, out in (("payer", "payee", True), ("payee", "payer", False)):
            own = pl.col("side").is_null() | pl.col("side").is_in([mine, "both"])
            parts.append(
                rows.filter(own & pl.col(mine).is_not_null()).select(
                    account=mine, name=f"{mine}_name", id=f"{mine}_id", bank=f"{mine}_bank",
                    balance_fen=f"{mine}_balance_fen", out=pl.lit(out), other=other, other_name=f"{other}_name",
                    other_id=f"{other}_id", other_bank=f"{other}_bank", fen="amount_fen", fee_fen=pl.col("fee_fen"),
                    local=pl.col("ts").dt.convert_time_zone(zone().key),
                    timed=pl.col("ts_precision_s").fill_null(1) < _DAY_S, seq="seq",
                    cash=pl.col("cash").fill_null(False), channel="channel", ip="ip", mac="mac", device="device",
                    merchant="merchant", memo="memo", i=pl.col("_i"),
                )
            )  # fmt: skip
        return pl.concat(parts).sort("account", "local", "out", "seq", "i", nulls_last=True)

    @cached_property
    def accounts(self) -> pl.DataFrame:
        """Accounts whose statement is there, most money first: ``account``, ``name``, ``bank``, ``entries``,
        ``in_fen``, ``out_fen``, ``first``, ``last``, ``others``."""
        fen = pl.col("fen")
        return (
            self.entries.group_by("account")
            .agg(
                name=pl.col("name").drop_nulls().first(), bank=pl.col("bank").drop_nulls().first(),
                entries=pl.len(), in_fen=fen.filter(~pl.col("out")).sum(), out_fen=fen.filter("out").sum(),
                first=pl.col("local").min(), last=pl.col("local").max(), others=pl.col("other").n_unique(),
            )
            .sort(pl.col("in_fen") + pl.col("out_fen"), "account", descending=[True, False])
        )  # fmt: skip

    @cached_property
    def _by_account(self) -> dict[str, pl.DataFrame]:
        return {str(key[0]): part for key, part in self.entries.partition_by("account", as_dict=True).items()}

    def of(self, account: str) -> pl.DataFrame:
        """One account's entries. KeyError where its statement is not there."""
        return self._by_account[account]

    def register(self, account: str) -> dict[str, Any]:
        """What the companion sheets tell of an account: ``opened`` (the day), ``status``, ``bank``, ``outlet``,
        ``kind``, ``where`` (file and row); and what its statement tells of its holder: ``name``, ``id``. None where
        nothing is told."""
        told: dict[str, Any] = {"where": ""}
        day = pl.col("opened").dt.convert_time_zone(zone().key).dt.date()
        rows = self.registered.filter(pl.col("account") == account).sort("ts", descending=True).with_columns(opened=day)
        for name in ("opened", "status", "bank", "outlet", "kind"):
            known = rows.get_column(name).drop_nulls()
            told[name] = known[0] if len(known) else None
        if rows.height:
            stand = self._places.filter(
                (pl.col("table") == "accounts") & pl.col("event_id").is_in(rows.get_column("event_id").to_list())
            )
            told["where"] = "；".join(
                f"{file}{f'「{sheet}」' if sheet else ''} 第 {row} 行"
                for file, sheet, row in stand.select("file", "sheet", "row").iter_rows()
            )
        mine = self._by_account.get(account)
        for name in ("name", "id"):
            named = mine.get_column(name).drop_nulls().to_list() if mine is not None else []
            told[name] = named[0] if named else None
        return told
