"""Banks' answers to a case's orders: what was done, what the account did; taken in any order, followed at once.

Kept true here: an answer changes the order, the case's transfers and the machine's drafts in one transaction; the same
answer again changes nothing; what cannot be read is told row by row and the rest is taken; names go to the vault only.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
from psycopg.types.json import Jsonb

from wuzha.command.public import Actor, Refused
from wuzha.events import TABLES, clock
from wuzha.events.hashing import text_hash
from wuzha.ingest import ImportFailed, import_files, rows_from_body
from wuzha.orders import public as orders

from . import accounts, pursuit

_TABLE = TABLES["transfers"]
#: Columns that stand beside a row; names and identity numbers go to the vault, accounts are subjects.
_KEPT = tuple(
    c.name for c in _TABLE.columns
    if not c.vault and c.name not in ("payer", "payee", "amount_fen", "raw", "payer_bank", "payee_bank")
)  # fmt: skip
#: A statement answers for the account that was asked about; more rows than this are no answer.
MOST_ROWS = 200_000
_AHEAD = timedelta(minutes=10)


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What an account did, as its bank says: rows of the transfers table, up to ``as_of``."""

    rows: pa.Table
    as_of: datetime
    balance_fen: int | None = None
    account_kind: str | None = None
    rejects: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Took:
    """What became of an answer. ``rows``: new transfers; ``known``: sent before; ``rejects``: not taken, and why."""

    order_id: int
    case_id: int
    rows: int
    known: int
    rejects: list[dict[str, Any]]
    repeated: bool = False


def from_rows(
    rows: list[dict[str, Any]], *, account: str, source: str, as_of: datetime, balance_fen: int | None = None,
    account_kind: str | None = None,
) -> Statement:  # fmt: skip
    """A statement of JSON rows (columns of the transfers table); each row checked, the wrong ones told."""
    import msgspec

    prepared = []
    for row in rows[:MOST_ROWS]:
        row = {k: v for k, v in row.items() if v is not None}
        row.setdefault("side", "payer" if row.get("payer") == account else "payee")
        if "event_id" not in row:
            told = "\x1f".join(str(row.get(k, "")) for k in ("ts", "payer", "payee", "amount_fen", "seq", "bank_ref"))
            row["event_id"] = f"{text_hash(told):016x}"
        prepared.append(row)
    body = b"\n".join(msgspec.json.encode(row) for row in prepared)
    table, rejects = rows_from_body("transfers", body, "application/x-ndjson", source=source)
    return Statement(
        rows=table, as_of=as_of, balance_fen=balance_fen, account_kind=account_kind,
        rejects=[{"row": r.row, "column": r.column, "value": r.value, "reason": r.message} for r in rejects],
    )  # fmt: skip


def from_file(name: str, data: bytes, *, account: str, source: str, as_of: datetime) -> Statement:
    """A bank's own file (workbook, CSV, zip) through the import. Refused("statement") where nothing can be read."""
    suffix = Path(name).suffix.lower()
    with tempfile.TemporaryDirectory(prefix="wuzha-answer-") as folder:
        file = Path(folder) / f"answer{suffix if suffix.isascii() and len(suffix) <= 6 else ''}"
        file.write_bytes(data)
        out = Path(folder) / "out"
        try:
            import_files("statements", [file], out, source=source, own_account=account)
        except (ImportFailed, ValueError) as error:
            raise Refused("statement", why=str(error)[:300]) from error
        rows = pq.read_table(out / "transfers.parquet")
        rejects = pq.read_table(out / "rejects.parquet").to_pylist() if (out / "rejects.parquet").is_file() else []
    rows = rows.cast(pa.schema([f.with_nullable(True) for f in _TABLE.schema]))
    last = rows.column("ts").to_pylist()
    return Statement(
        rows=rows, as_of=max([as_of, *last[-1:]]) if not last else as_of,
        rejects=[
            {"row": r["row"], "column": r["column"], "value": r["value"], "reason": r["message"]} for r in rejects
        ],
    )  # fmt: skip


def take(
    conn: psycopg.Connection[Any], actor: Actor, order_id: int, *, answer: orders.Answer,
    statement: Statement | None = None, key: str, now: datetime | None = None,
) -> Took:  # fmt: skip
    """Take a bank's answer. ``key``: the bank's own of this answer.

    Refused: those of `orders.answered`; order_times (a statement of the future).
    """
    now = now or clock.now()
    order = orders.one(conn, actor, order_id, now=now)
    if done := orders.repeated(conn, actor, f"{key}:took"):
        return Took(
            order_id=order_id, case_id=done.case_id, rows=0, known=int(done.detail.get("rows", 0)), rejects=[],
            repeated=True,
        )  # fmt: skip
    case = orders.lock(conn, order["case_id"])
    orders.answered(conn, actor, order_id, answer, key=key, now=now)
    new = known = 0
    rejects: list[dict[str, Any]] = []
    if statement is not None and not answer.failed_code:
        if statement.as_of > now + _AHEAD:
            raise Refused("order_times")
        new, known = _write(conn, order, statement, now)
        rejects = statement.rejects
        accounts.told(
            conn, case["case_id"], order["account_id"], balance_fen=statement.balance_fen,
            known_until=min(statement.as_of, now), kind=statement.account_kind,
        )  # fmt: skip
    orders.record(
        conn, actor, case, "answer_taken", at=now, key=f"{key}:took", order_id=order_id,
        detail={"rows": new, "known": known or None, "rejects": len(rejects) or None},
    )  # fmt: skip
    pursuit.pursue(conn, case, now=now)
    return Took(order_id=order_id, case_id=case["case_id"], rows=new, known=known, rejects=rejects)


def _write(
    conn: psycopg.Connection[Any], order: dict[str, Any], statement: Statement, now: datetime
) -> tuple[int, int]:
    """The rows as the case's transfers: (new, known before)."""
    rows = statement.rows.to_pylist()
    said = [
        accounts.Met(value=row[side], name=row[f"{side}_name"], bank=row[f"{side}_bank"])
        for row in rows
        for side in ("payer", "payee")
        if row[side] is not None
    ]
    numbers = accounts.met_all(conn, order["case_id"], said)
    made = conn.execute(
        "INSERT INTO wuzha.case_transfers (case_id, order_id, taken_at, source, event_id, ts, payer_id, payee_id,"
        " amount_fen, columns) SELECT %s, %s, %s, * FROM unnest(%s::text[], %s::text[], %s::timestamptz[],"
        " %s::bigint[], %s::bigint[], %s::bigint[], %s::jsonb[]) ON CONFLICT DO NOTHING",
        (
            order["case_id"], order["order_id"], now, [r["source"] for r in rows], [r["event_id"] for r in rows],
            [r["ts"] for r in rows], [numbers.get(r["payer"]) for r in rows], [numbers.get(r["payee"]) for r in rows],
            [r["amount_fen"] for r in rows],
            [Jsonb({name: r[name] for name in _KEPT if r[name] is not None}) for r in rows],
        ),
    )  # fmt: skip
    return made.rowcount, len(rows) - made.rowcount
