"""Many transfers decided at once: facts as columns, the policy asked once for each combination of them that occurs.

Kept true here: a row of a batch is decided as it would be alone; what stands on it is kept with it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.detect.asked import reads
from wuzha.detect.decide import MERCHANT, OWN, SIDE, STRANGER
from wuzha.events.hashing import hash_text

from . import decision
from .asking import Heard
from .decision_policy import ACTIONS, FACTS, Policy
from .decision_words import Answer, ManyAnswered, Side

Ints = npt.NDArray[np.int64]
_JSON = msgspec.json.Encoder()
_ZSTD = pa.ipc.IpcWriteOptions(compression="zstd")
_LZ4 = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
#: Columns of the table that a record keeps as they were asked.
_ASKED = ("event_id", "ts", "payer", "payee", "amount_fen", "device", "payer_balance_fen", "channel", "merchant_id")
#: Values that a fact may take.
_SIZES = tuple(5 if name in ("payer_level", "payer_was", "payee_level") else 2 for name in FACTS)


@dataclass(frozen=True, kw_only=True)
class Decided:
    """A batch decided. ``action`` (n) index in `ACTIONS`; ``steps`` (n) index in the policy's steps, −1 none; ``told``:
    by row, the answer in full of each that is not allowed; ``table``: what the record keeps of each row."""

    action: Ints
    steps: Ints
    missing: list[str]
    told: dict[int, dict[str, Any]]
    table: pa.Table
    owners: tuple[tuple[int, int], ...]
    rules: str | None
    position: int | None
    answered: list[dict[str, Any]]


def plain(rows: pa.Table) -> bytes:
    """What an owner needs of ``rows``, as an Arrow stream: each as the payer's own word on a transfer that succeeds."""
    n = rows.num_rows
    columns = {}
    for name in sorted(reads("transfers")):
        column = rows.column(name)
        if name in ("ok", "reverses"):
            column = pa.nulls(n, column.type)
        elif name == "side":
            column = pa.array(["payer"] * n)
        elif pa.types.is_dictionary(column.type):
            column = column.cast(pa.string())
        columns[name] = column
    sink = pa.BufferOutputStream()
    table = pa.table(columns)
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _owners(column: pa.ChunkedArray, partitions: int) -> Ints:
    """As `asking.owner`, of a column."""
    if partitions == 1:
        return np.zeros(len(column), np.int64)
    keys = pc.binary_join_element_wise("account", column.cast(pa.string()), ":")
    return (hash_text(keys) % np.uint64(partitions)).astype(np.int64)


def decide(
    policy: Policy, rows: pa.Table, heard: Mapping[int, ManyAnswered], partitions: int, now: datetime
) -> Decided:
    """``rows`` conform to ``transfers``; ``heard`` by partition, as far as its owner answered in time."""
    n = rows.num_rows
    fact, whose, steps, action = actions(policy, rows, heard, partitions)
    known: set[int] = {row for said in heard.values() for row in said.full}
    told, full = _told(policy, rows, heard, whose, np.flatnonzero(action), sorted(known), now)
    table = rows.select(list(_ASKED))
    for name, column in fact.items():
        table = table.append_column("fact_" + name, pa.array(column.astype(np.int8)))
    table = table.append_column("action", pa.array(action.astype(np.int8)))
    for name, texts in (("answer", {r: _JSON.encode(a).decode() for r, a in told.items()}), ("sides", full)):
        table = table.append_column(name, pa.array([texts.get(i) for i in range(n)], pa.string()))
    answered = [heard[p] for p in sorted(heard)]
    missing = [side for side in ("payer", "payee") if fact[side + "_missing"].any()]
    return Decided(
        action=action, steps=steps, missing=missing, told=told, table=table,
        owners=tuple({(a.partition, a.epoch) for a in answered}), rules=answered[0].book if answered else None,
        position=min(a.position for a in answered) if answered else None,
        answered=[
            {"side": side, "partition": a.partition, "epoch": a.epoch, "position": a.position, "rows": a.rows,
             "rules": a.book}
            for side in ("payer", "payee") for a in answered
        ],
    )  # fmt: skip


def actions(
    policy: Policy, rows: pa.Table, heard: Mapping[int, ManyAnswered], partitions: int
) -> tuple[dict[str, Ints], dict[str, Ints], Ints, Ints]:
    """Facts by name (n), whose each side is (n), the policy's step (n; −1 none) and action (n) of every row."""
    n = rows.num_rows
    facts = np.zeros((len(FACTS), n), np.int64)
    fact = dict(zip(FACTS, facts, strict=True))
    fact["payer_missing"][:] = fact["payee_missing"][:] = 1
    fact["stranger"][:] = 1
    whose = {"payer": _owners(rows.column("payer"), partitions), "payee": _owners(rows.column("payee"), partitions)}
    for partition, said in heard.items():
        sides = np.frombuffer(said.sides, SIDE).reshape(n, 4)
        flags = np.frombuffer(said.flags, np.int64)
        interdict = np.array([t[2] for t in said.typologies] + [np.inf])
        payer, payee = whose["payer"] == partition, whose["payee"] == partition
        mine = payer | payee
        fact["stranger"] &= np.where(mine, (flags & STRANGER) > 0, True)
        fact["own"] |= mine & ((flags & OWN) > 0)
        fact["merchant"] |= mine & ((flags & MERCHANT) > 0)
        person = sides[:, 2]
        score = person["score"].round(3)
        for name, where, value in (
            ("payer_missing", payer, 0), ("payee_missing", payee, 0),
            ("payer_known", payer, sides["known"][:, 0]), ("payee_known", payee, sides["known"][:, 1]),
            ("payer_level", payer, person["level"] + 1), ("payer_was", payer, person["was_level"] + 1),
            ("payer_fired", payer, person["fired"] > 0),
            ("payer_interdict", payer, (person["level"] >= 0) & (score >= interdict[person["typology"]])),
            ("payer_suspect", payer, sides["suspect"][:, 0] > 0),
            ("payer_confirmed", payer, (sides["marks"][:, 0] & 4) > 0),
            ("payee_suspect", payee, sides["suspect"][:, 1] > 0),
            ("payee_confirmed", payee, (sides["marks"][:, 1] & 4) > 0),
            ("payee_level", payee, sides["level"][:, 1] + 1),
            ("payee_cleared", payee, (sides["marks"][:, 1] & 2) > 0),
        ):  # fmt: skip
            fact[name][:] = np.where(where, value, fact[name])
    amounts = rows.column("amount_fen").combine_chunks().to_numpy(zero_copy_only=False)
    steps, action = _steps(policy, facts, amounts)
    return fact, whose, steps, action


def _steps(policy: Policy, facts: Ints, amounts: Ints) -> tuple[Ints, Ints]:
    code = np.zeros(facts.shape[1], np.int64)
    for size, column in zip(_SIZES, facts, strict=True):
        code = code * size + column
    edges = np.array(sorted({s.from_fen for s in policy.steps} | {0}), np.int64)
    code = code * (len(edges) + 1) + np.searchsorted(edges, amounts, side="right")
    _, first, back = np.unique(code, return_index=True, return_inverse=True)
    found = []
    for i in first.tolist():
        step = policy.step(tuple(facts[:, i].tolist()), int(amounts[i]))
        place_of = -1 if step is None else policy.steps.index(step)
        found.append((place_of, 0 if step is None else ACTIONS.index(step.action)))
    both = np.array(found, np.int64).reshape(-1, 2)[back.reshape(-1)]
    return both[:, 0], both[:, 1]


def _told(
    policy: Policy, rows: pa.Table, heard: Mapping[int, ManyAnswered], whose: dict[str, Ints], refused: Ints,
    known: list[int], now: datetime,
) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:  # fmt: skip
    """Answers of the rows that are not allowed, and the sides (JSON) of all on which anything stands."""
    told: dict[int, dict[str, Any]] = {}
    full: dict[int, str] = {}
    some = sorted({*known, *refused.tolist()})
    asked = rows.select(list(_ASKED)).take(pa.array(some, pa.int64())).to_pylist()
    refuse = set(refused.tolist())
    for row, values in zip(some, asked, strict=True):
        one = Heard()
        for side, owners in whose.items():
            said = heard.get(int(owners[row]))
            if said is not None:
                one.by[side] = _answer(said, row)
        values.pop("event_id")
        question = decision.Question(**values)
        answer, record = decision.decide(policy, question, one, now)
        if row in refuse:
            told[row] = answer
        full[row] = _JSON.encode(msgspec.json.decode(record)["sides"]).decode()
    return told, full


def _answer(said: ManyAnswered, row: int) -> Answer:
    flags = int(np.frombuffer(said.flags, np.int64, 1, row * 8)[0])
    sides = said.full.get(row)
    if sides is None:
        raw = np.frombuffer(said.sides, SIDE, 4, row * 4 * SIDE.itemsize)
        sides = [Side(known=bool(s["known"])) for s in raw]
    return Answer(
        number=row, partition=said.partition, epoch=said.epoch, position=said.position, rows=said.rows, book=said.book,
        stranger=bool(flags & STRANGER), own=bool(flags & OWN), merchant=bool(flags & MERCHANT), sides=sides,
    )  # fmt: skip


def stream(table: pa.Table, *, light: bool = False) -> bytes:
    """``table`` as an Arrow stream under zstd, or lz4 where it is not kept (``light``)."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=_LZ4 if light else _ZSTD) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def read(rows: bytes) -> pa.Table:
    """The table of such a stream."""
    with pa.ipc.open_stream(rows) as reader:
        return reader.read_all()


def told(table: pa.Table) -> pa.Table:
    """The answers as a table: event_id, action, level, answer (JSON; null where the row is allowed)."""
    action = pa.array(ACTIONS).take(table.column("action").combine_chunks().cast(pa.int64()))
    return pa.table(
        {
            "event_id": table.column("event_id"), "action": action, "level": table.column("fact_payer_level"),
            "answer": table.column("answer"),
        }
    )  # fmt: skip


def row_of(batch: dict[str, Any], rows: bytes, row: int) -> dict[str, Any] | None:
    """One row of a batch's record, as `decision.decide` would have recorded it alone; None where it has no such row."""
    table = read(rows)
    if row >= table.num_rows:
        return None
    values = table.slice(row, 1).to_pylist()[0]
    answer = {
        "action": ACTIONS[values["action"]], "step": None, "at": batch["at"], "ends_at": None,
        "missing": [s for s in ("payer", "payee") if values[f"fact_{s}_missing"]], "scam_type": None,
        "level": values["fact_payer_level"], "state": batch["state"],
    }  # fmt: skip
    if values["answer"] is not None:
        answer = msgspec.json.decode(values["answer"])
    question = {name: values[name] for name in _ASKED if values[name] is not None}
    return {
        "event_id": question.pop("event_id"), "question": question, "answer": answer,
        "facts": {name: values["fact_" + name] for name in FACTS},
        "sides": msgspec.json.decode(values["sides"]) if values["sides"] else {
            side: {"known": bool(values[f"fact_{side}_known"])} for side in ("payer", "payee")
            if not values[f"fact_{side}_missing"]
        },
    }  # fmt: skip
