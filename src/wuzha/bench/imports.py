"""``wuzha bench import``: one-sided statement rows from a GBK CSV to checked transfers.

Rivals do less: they read the same file to (payer, payee, time, fen), with no rejects, no duplicates, no merging.
"""

from __future__ import annotations

import csv
import tempfile
from collections.abc import Callable
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl

from wuzha import ingest
from wuzha.events import clock

from .machine import machine, peak_memory_mib, timed
from .statements import write_statement


def plain_python(path: Path) -> int:
    """The csv module, Decimal and strptime, a row at a time; the sum of fen read."""
    total = 0
    with path.open(encoding="gbk", newline="") as lines:
        for row in csv.DictReader(lines):
            fen = int(Decimal(row["交易金额"].replace(",", "")) * 100)
            datetime.strptime(row["交易时间"], "%Y-%m-%d %H:%M:%S")
            own, other = row["交易卡号"].strip("'\t"), row["交易对手账卡号"].strip("'\t")
            _payer, _payee = (own, other) if row["收付标志"] == "出" else (other, own)
            total += fen
    return total


def polars_frame(path: Path) -> int:
    """Polars expressions over the decoded text; the sum of fen read."""
    text = path.read_bytes().decode("gbk").encode()
    frame = pl.read_csv(text, infer_schema=False).select(
        own=pl.col("交易卡号").str.strip_chars("'\t"),
        other=pl.col("交易对手账卡号").str.strip_chars("'\t"),
        at=pl.col("交易时间").str.to_datetime("%Y-%m-%d %H:%M:%S", time_zone="Asia/Shanghai"),
        fen=(pl.col("交易金额").str.replace_all(",", "").cast(pl.Decimal(20, 2)) * 100).cast(pl.Int64),
        out=pl.col("收付标志") == "出",
    )
    paid = pl.when(pl.col("out"))
    frame = frame.select(
        "at",
        "fen",
        payer=paid.then("own").otherwise("other"),
        payee=paid.then("other").otherwise("own"),
    )
    return int(frame["fen"].sum())


RIVALS: dict[str, Callable[[Path], int]] = {"python_csv": plain_python, "polars": polars_frame}


def run(*, rows: int, seed: int) -> dict[str, Any]:
    """Import ``rows`` statement rows, then let each rival read the same file.

    Returns ``{rows, accepted, rejected, duplicates, merged, seconds, rows_per_s, peak_memory_mib, rivals, machine}``.
    """
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        path = Path(folder) / "statement.csv"
        write_statement(path, rows, seed=seed)
        seconds, summary = timed(
            lambda: ingest.import_files("statements", [path], Path(folder) / "out", as_of=clock.now())
        )
        memory = peak_memory_mib()
        imported = pl.scan_parquet(Path(folder) / "out" / "transfers.parquet").select(pl.col("amount_fen").sum())
        total = int(imported.collect().item())
        rivals = {}
        for name, rival in RIVALS.items():
            took, sum_fen = timed(lambda rival=rival: rival(path))  # type: ignore[misc]
            rivals[name] = {"seconds": round(took, 2), "rows_per_s": round(rows / took), "agrees": sum_fen == total}
    return {
        "rows": summary.rows,
        "accepted": summary.accepted,
        "rejected": summary.rejected,
        "duplicates": summary.duplicates,
        "merged": summary.merged,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "peak_memory_mib": memory,
        "rivals": rivals,
        "machine": machine(),
    }
