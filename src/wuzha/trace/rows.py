"""Rows of the transfers table as what moved money: what failed or was undone is out, the true payee is in.

Kept true here: nothing is counted twice; what is left out is counted by reason, and money that went through a payment
firm goes to whom the firm's own file names.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from wuzha.events import TABLES
from wuzha.events.batch import Reject, check, conform
from wuzha.events.hashing import combine, hash_text, identity

from . import room
from .layout import CRYPTO, DELAYED, MERCHANT, THIRD_PARTY, UNKNOWN, VOID, WITH_FEE

#: Columns that tracing reads.
READ = (
    "event_id", "ts", "source", "payer", "payee", "amount_fen", "currency", "channel", "ok", "reverses", "fee_fen",
    "payer_balance_fen", "payee_balance_fen", "side", "seq", "cash", "merchant", "merchant_id", "bank_ref",
)  # fmt: skip
Arrays = dict[str, npt.NDArray[Any]]
#: So few rows are hashed before a second thread has begun.
_ALONE = 200_000


def read(path: Path) -> tuple[pa.Table, list[Reject]]:
    """Checked rows of the transfers table in a Parquet file, or in the ``transfers*.parquet`` files of a folder (all
    its Parquet files where none bears that name), and what was refused, by place in what was read.

    FileNotFoundError where there is none; ValueError names the file that is no such table, or says how much memory is
    lacking.
    """
    files = [path]
    if path.is_dir():
        files = sorted(path.glob("transfers*.parquet")) or sorted(path.glob("*.parquet"))
    if not files or not files[0].is_file():
        raise FileNotFoundError(f"{path} holds no transfers (transfers.parquet)")
    table = TABLES["transfers"]
    checked = {c.name for c in table.all_columns if c.required or c.values or c.minimum is not None}
    wanted: list[list[str]] = []
    for file in files:
        with _named(file):
            schema = pq.read_schema(file)
            conform(table, schema.empty_table())
            wanted.append([c for c in schema.names if c in checked or c in READ])
    room.check(files, {c for columns in wanted for c in columns})
    parts = []
    for file, columns in zip(files, wanted, strict=True):
        with _named(file):
            parts.append(conform(table, pq.read_table(file, columns=columns)))
    rows, rejects = check(table, pa.concat_tables(parts))
    return rows.select(list(READ)), rejects


@contextmanager
def _named(file: Path) -> Iterator[None]:
    """What goes wrong with a file is said with its name."""
    try:
        yield
    except (ValueError, OSError, pa.ArrowException) as error:
        raise ValueError(f"{file}: {error}") from error


def moved(rows: pa.Table) -> tuple[pa.Table, dict[str, int]]:
    """The rows that moved money, with a column ``marks``, and how many were left out by reason.

    Left out: ``failed``, ``currency`` (other than CNY), ``itself`` (to the
    account that pays), ``nothing`` (neither account), ``joined`` (a payment firm's own row of a payment that is there).
    Rows that a reversal undoes stay, marked `layout.VOID`, with the reversal: balances that are given went with them.
    """
    left: dict[str, int] = {}

    def keep(name: str, mask: npt.NDArray[np.bool_]) -> None:
        nonlocal rows
        gone = int(mask.shape[0] - np.count_nonzero(mask))
        if gone:
            left[name] = gone
            rows = rows.filter(pa.array(mask))

    keep("failed", _truths(pc.fill_null(rows.column("ok"), True)))
    keep("currency", _truths(pc.fill_null(pc.equal(rows.column("currency"), "CNY"), True)))
    payer, payee = rows.column("payer"), rows.column("payee")
    fee = _ints(rows.column("fee_fen"), 0)
    itself = _truths(pc.fill_null(pc.equal(payer, payee), False)) & (fee == 0)
    keep("itself", ~itself)
    keep("nothing", _truths(pc.or_(pc.is_valid(rows.column("payer")), pc.is_valid(rows.column("payee")))))
    marks = _marks(rows)
    marks = _undone(rows, marks)
    rows, marks, joined = _led_on(rows, marks)
    if joined:
        left["joined"] = joined
    return rows.append_column("marks", pa.array(marks)), left


def links(rows: pa.Table) -> tuple[npt.NDArray[np.uint64], ...]:
    """Hashes of the identities that reversals undo; of the references of payments through firms; of all others'."""
    back = rows.filter(pc.is_valid(rows.column("reverses")))
    undone = combine(hash_text(back.column("source")), hash_text(back.column("reverses")))
    reference = rows.column("bank_ref")
    through = _truths(_is(rows.column("channel"), "third_party"))
    hashes = hash_text(reference)
    return undone, hashes[through & (hashes != 0)], hashes[~through & (hashes != 0)]


def _marks(rows: pa.Table) -> npt.NDArray[np.int64]:
    c = rows.column
    channel, side = c("channel"), c("side")
    merchant = pc.or_(pc.is_valid(c("merchant_id")), pc.or_(pc.is_valid(c("merchant")), _is(channel, "pos")))
    late = pc.and_(
        pc.and_(_is(channel, "atm"), _is(side, "payer")),
        pc.and_(pc.invert(pc.fill_null(c("cash"), False)), pc.and_(pc.is_valid(c("payer")), pc.is_valid(c("payee")))),
    )
    return (
        _truths(merchant) * MERCHANT + _truths(_is(channel, "third_party")) * THIRD_PARTY
        + _truths(_is(channel, "crypto")) * CRYPTO + _truths(late) * DELAYED
        + (_ints(c("fee_fen"), 0) > 0) * WITH_FEE
    )  # fmt: skip


def _steadily(rows: pa.Table, places: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The places in an order that does not depend on how the rows came."""
    return places[np.argsort(identity(rows.select(["source", "event_id"]).take(pa.array(places))))]


def _undone(rows: pa.Table, marks: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Marks with `VOID` on each reversal and on the row that it undoes, where that is there with the same amount."""
    reversal = _steadily(rows, np.flatnonzero(_truths(pc.is_valid(rows.column("reverses")))))
    if not reversal.size:
        return marks
    some = rows.take(pa.array(reversal))
    wanted = combine(hash_text(some.column("source")), hash_text(some.column("reverses")))
    all_of = identity(rows)
    by = np.argsort(all_of, kind="stable")
    at = np.searchsorted(all_of, wanted, sorter=by)
    amount = _ints(rows.column("amount_fen"), 0)
    for r, want, i in zip(reversal.tolist(), wanted.tolist(), at.tolist(), strict=True):
        if i < by.shape[0] and int(all_of[by[i]]) == want:
            undone = int(by[i])
            if amount[undone] == amount[r] and not marks[undone] & VOID and undone != r:
                marks[undone] |= VOID
                marks[r] |= VOID
    return marks


def _led_on(rows: pa.Table, marks: npt.NDArray[np.int64]) -> tuple[pa.Table, npt.NDArray[np.int64], int]:
    """A payment through a firm goes to whom the firm's row with the same reference and amount names as payee."""
    through = _steadily(rows, np.flatnonzero(marks & THIRD_PARTY))
    if not through.size:
        return rows, marks, 0
    reference = rows.column("bank_ref").to_pylist()
    payer, payee = rows.column("payer").to_pylist(), rows.column("payee").to_pylist()
    amount = _ints(rows.column("amount_fen"), 0)
    wanted = {reference[i] for i in through.tolist() if reference[i] is not None}
    named: dict[str, list[int]] = {}
    for i in _steadily(rows, np.flatnonzero(_truths(pc.is_valid(rows.column("bank_ref"))))).tolist():
        if reference[i] in wanted:
            named.setdefault(reference[i], []).append(i)
    gone = np.zeros(rows.num_rows, bool)
    for i in through.tolist():
        if gone[i] or reference[i] is None:
            continue
        for j in named[reference[i]]:
            other = payee[j] is not None and payee[j] not in (payee[i], payer[i])
            if j == i or gone[j] or amount[j] != amount[i] or not other or payer[j] not in (payer[i], payee[i]):
                continue
            payee[i] = payee[j]
            marks[i] &= ~THIRD_PARTY
            gone[j] = True
            break
    if not gone.any():
        return rows, marks, 0
    at = rows.schema.get_field_index("payee")
    rows = rows.set_column(at, "payee", pa.array(payee, pa.string()))
    return rows.filter(pa.array(~gone)), marks[~gone], int(gone.sum())


def arrays(rows: pa.Table) -> Arrays:
    """Columns as numbers: ts (µs), payer and payee (hashes, 0 none), amount (fen, with marks), fee, payer_balance,
    payee_balance, number; the last four `layout.UNKNOWN` (fee: 0) where null. Columns that are not there are null."""
    n = rows.num_rows

    def ints(name: str, null: int) -> npt.NDArray[np.int64]:
        return _ints(rows.column(name), null) if name in rows.column_names else np.broadcast_to(np.int64(null), n)

    marks = ints("marks", 0)
    if n < _ALONE:
        payer, payee = hash_text(rows.column("payer")), hash_text(rows.column("payee"))
    else:
        with ThreadPoolExecutor(2) as both:  # hashing lets go of the interpreter
            payer, payee = both.map(lambda name: hash_text(rows.column(name)), ("payer", "payee"))
    return {
        "ts": _ints(rows.column("ts").cast(pa.int64()), 0),
        "payer": payer,
        "payee": payee,
        "amount": _ints(rows.column("amount_fen"), 0) | marks,
        "fee": ints("fee_fen", 0),
        "payer_balance": ints("payer_balance_fen", int(UNKNOWN)),
        "payee_balance": ints("payee_balance_fen", int(UNKNOWN)),
        "number": ints("seq", int(UNKNOWN)),
    }


def _ints(column: pa.ChunkedArray, null: int) -> npt.NDArray[np.int64]:
    filled = pc.fill_null(column.cast(pa.int64()), null) if column.null_count else column.cast(pa.int64())
    return np.ascontiguousarray(filled.to_numpy(), dtype=np.int64)


def _truths(column: Any) -> npt.NDArray[np.bool_]:
    return np.asarray(column.to_numpy(zero_copy_only=False)).astype(bool)


def _is(column: pa.ChunkedArray, value: str) -> pa.ChunkedArray:
    return pc.fill_null(pc.equal(column, value), False)
