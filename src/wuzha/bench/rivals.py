"""Windowed figures of a stream by other means: dictionaries, Polars, DuckDB, and snapml's graph windows.

The work of all: for each subject, kind of event and side the count, sum and greatest of the last 24 hours before the
subject's newest event of any kind, in buckets of ten minutes, up to date after every micro-batch. Kept true here: every
rival reads the same Arrow rows and tells the same `Figures` as ours, so that they can be compared.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import polars as pl
import pyarrow as pa

BATCH = 1 << 16
BUCKET_US = 600_000_000
BUCKETS = 144


class Stream(NamedTuple):
    """One kind of event: who acts, on whom (None: only who acts is a subject here), how much (None: each counts 1)."""

    name: str
    kind: str
    rows: pa.Table
    acts: str
    other: str | None
    amount: str | None
    of: tuple[str, ...]

    @property
    def sides(self) -> list[tuple[int, str]]:
        """Side and the column that names its subject."""
        return [(0, self.acts), *([(1, self.other)] if self.other else [])]


#: By (subject key, stream, side): count, sum, greatest.
Figures = dict[tuple[str, str, int], tuple[int, int, int]]
#: Seconds, figures, events of the work of some streams.
Rival = Callable[[list[Stream]], tuple[float, Figures, int]]


def single(name: str, rows: pa.Table) -> pa.Table:
    """The rows that count: without refused and reversed transfers, without the second report of one event."""
    by = {"calls": ["caller", "callee"], "transfers": ["payer", "payee", "amount_fen"]}.get(name)
    frame = pl.from_arrow(rows)
    assert isinstance(frame, pl.DataFrame)
    frame = frame.sort("ts", "source", "event_id")
    if name == "transfers":
        frame = frame.filter(pl.col("ok").fill_null(True), pl.col("reverses").is_null())
    if by is None:
        return frame.to_arrow()
    gap = pl.col("ts").diff().over(by)
    return frame.filter(gap.is_null() | (gap > pl.duration(minutes=5))).to_arrow()


_STREAMS = (
    ("calls", "line", "caller", "callee", "duration_s", ("call",)),
    ("transfers", "account", "payer", "payee", "amount_fen", ("transfer",)),
    ("messages", "line", "sender", "recipient", None, ("message", "chat")),
    ("visits", "line", "line", None, "bytes", ("visit",)),
)


def streams(tables: dict[str, pa.Table]) -> list[Stream]:
    """The streams of event tables, each without rows that do not count."""
    return [
        Stream(name, kind, single(name, tables[name]), acts, other, amount, of)
        for name, kind, acts, other, amount, of in _STREAMS
        if name in tables
    ]


def book(work: list[Stream]) -> Any:
    """Ours: the same figures declared as features, and no rules."""
    from wuzha.detect.rulebook import Feature, RuleBook

    features = {}
    for stream in work:
        for side, _ in stream.sides:
            for op in ("count", "sum", "max"):
                name = f"{stream.name}_{side}_{op}"
                features[name] = Feature(
                    name=name, subject=stream.kind, op=op, window_min=1440, unit="count", zh=name, en=name, version=1,
                    of=tuple(f"{kind}.{'in' if side else 'out'}" for kind in stream.of),
                )  # fmt: skip
    return RuleBook(features, {}, {})


def ours(work: list[Stream]) -> tuple[float, Figures]:
    """The engine restricted to the same figures; it still knows rows again, pairs reports, remembers first contacts."""
    from wuzha.detect import Engine, encode
    from wuzha.events import TABLES
    from wuzha.events.batch import conform

    ready = [(stream.name, conform(TABLES[stream.name], stream.rows)) for stream in work]
    begun = time.perf_counter()
    engine = Engine(book(work))
    position = 0
    for name, rows in ready:
        for at in range(0, rows.num_rows, BATCH):
            position += 1
            engine.feed(encode(name, rows.slice(at, BATCH), position))
    seconds = time.perf_counter() - begun
    out: Figures = {}
    for stream in work:
        subjects = {v for _, column in stream.sides for v in stream.rows.column(column).unique().to_pylist() if v}
        for subject in subjects:
            figures = engine.figures(f"{stream.kind}:{subject}") or {}
            for side, _ in stream.sides:
                n, total, most = (figures[f"{stream.name}_{side}_{op}"] for op in ("count", "sum", "max"))
                if n:
                    out[f"{stream.kind}:{subject}", stream.name, side] = (int(n), int(total or 0), int(most or 0))
    return seconds, out


def _mixed(work: list[Stream]) -> list[tuple[Stream, pa.Table]]:
    """Micro-batches, one stream after the other as ours reads them."""
    return [(s, s.rows.slice(at, BATCH)) for s in work for at in range(0, s.rows.num_rows, BATCH)]


def dictionaries(work: list[Stream]) -> tuple[float, Figures, int]:
    """A dictionary of buckets for each subject, stream and side; old buckets are dropped as time goes on."""
    parts = _mixed(work)
    begun = time.perf_counter()
    state: dict[tuple[str, str, int], dict[int, list[int]]] = {}
    newest: dict[str, int] = {}
    for stream, part in parts:
        prefix, name = stream.kind + ":", stream.name
        times = part.column("ts").cast(pa.int64()).to_pylist()
        values = part.column(stream.amount).to_pylist() if stream.amount else [1] * len(times)
        for side, column in stream.sides:
            for subject, ts, value in zip(part.column(column).to_pylist(), times, values, strict=True):
                if subject is None:
                    continue
                key, bucket = prefix + subject, ts // BUCKET_US
                newest[key] = max(newest.get(key, bucket), bucket)
                cells = state.setdefault((key, name, side), {})
                cell = cells.get(bucket)
                if cell is None:
                    while cells and newest[key] - next(iter(cells)) >= BUCKETS:
                        del cells[next(iter(cells))]
                    cells[bucket] = [1, value or 0, value or 0]
                else:
                    cell[0] += 1
                    cell[1] += value or 0
                    cell[2] = max(cell[2], value or 0)
    seconds = time.perf_counter() - begun
    out: Figures = {}
    for (key, name, side), cells in state.items():
        here = [c for b, c in cells.items() if newest[key] - b < BUCKETS]
        if here:
            out[key, name, side] = (sum(c[0] for c in here), sum(c[1] for c in here), max(c[2] for c in here))
    return seconds, out, _events(work)


_KEYS = ["subject", "stream", "side", "bucket"]


def _folded(frames: list[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by(_KEYS).agg(pl.col("n").sum(), pl.col("total").sum(), pl.col("most").max())


def _told(state: pl.DataFrame) -> Figures:
    last = pl.col("bucket").max().over("subject")
    frame = (
        state.filter(pl.col("bucket") > last - BUCKETS)
        .group_by("subject", "stream", "side")
        .agg(pl.col("n").sum(), pl.col("total").sum(), pl.col("most").max())
    )
    return {(s, name, side): (n, total, most) for s, name, side, n, total, most in frame.iter_rows()}


def polars(work: list[Stream]) -> tuple[float, Figures, int]:
    """Micro-batches grouped by subject, side and bucket; what they come to is folded whenever it has doubled."""
    parts = _mixed(work)
    begun = time.perf_counter()
    kept: list[pl.DataFrame] = []
    for stream, part in parts:
        columns = ["ts", *(column for _, column in stream.sides), *([stream.amount] if stream.amount else [])]
        rows = pl.from_arrow(part.select(columns))
        assert isinstance(rows, pl.DataFrame)
        value = pl.col(stream.amount).cast(pl.Int64).fill_null(0) if stream.amount else pl.lit(1, pl.Int64)
        for side, column in stream.sides:
            one = rows.select(
                subject=stream.kind + ":" + pl.col(column), stream=pl.lit(stream.name), side=pl.lit(side, pl.Int8),
                bucket=pl.col("ts").dt.epoch("us") // BUCKET_US, n=pl.lit(1, pl.Int64), total=value, most=value,
            )  # fmt: skip
            kept.append(_folded([one.drop_nulls("subject")]))
        while len(kept) > 1 and kept[-2].height < 2 * kept[-1].height:
            kept[-2:] = [_folded(kept[-2:])]
    state = _folded(kept)
    seconds = time.perf_counter() - begun
    return seconds, _told(state), _events(work)


_DUCK = """
INSERT INTO state
SELECT ? || subject, ?, ?, epoch_us(ts) // 600000000, count(*), sum(v), max(v) FROM
  (SELECT {column} AS subject, ts, coalesce({value}, 0)::BIGINT AS v FROM part WHERE {column} IS NOT NULL)
GROUP BY ALL
ON CONFLICT (subject, stream, side, bucket) DO UPDATE SET
  n = state.n + excluded.n, total = state.total + excluded.total, most = greatest(state.most, excluded.most)
"""


def duckdb(work: list[Stream]) -> tuple[float, Figures, int]:
    """Micro-batches grouped in SQL and merged into a table by its key."""
    import duckdb as duck

    parts = _mixed(work)
    begun = time.perf_counter()
    db = duck.connect(config={"threads": 1})
    db.execute(
        "CREATE TABLE state (subject VARCHAR, stream VARCHAR, side TINYINT, bucket BIGINT, n BIGINT, total BIGINT,"
        " most BIGINT, PRIMARY KEY (subject, stream, side, bucket))"
    )
    for stream, part in parts:
        columns = ["ts", *(column for _, column in stream.sides), *([stream.amount] if stream.amount else [])]
        db.register("part", part.select(columns))
        for side, column in stream.sides:
            # names are this module's own, texts of the rows stay data
            sql = _DUCK.format(column=column, value=stream.amount or "1")
            db.execute(sql, [stream.kind + ":", stream.name, side])
    seconds = time.perf_counter() - begun
    rows = db.execute("SELECT * FROM state").fetchall()
    db.close()
    types = {"subject": pl.String, "stream": pl.String, "side": pl.Int8}
    schema = {**types, **dict.fromkeys(("bucket", "n", "total", "most"), pl.Int64)}
    return seconds, _told(pl.DataFrame(rows, schema=schema, orient="row")), _events(work)


def snapml(work: list[Stream]) -> tuple[float, Figures, int]:
    """Degrees of payers and payees in the last 24 hours by the graph library: counts of transfers, no sums.

    Accounts are given to it as numbers, which takes no time here. Told of each account: its newest transfer's count.
    """
    from snapml import GraphFeaturePreprocessor

    (stream,) = [s for s in work if s.name == "transfers"]
    rows, n = stream.rows, stream.rows.num_rows
    names = pa.concat_arrays([rows.column(c).cast(pa.string()).combine_chunks() for _, c in stream.sides])
    coded = names.dictionary_encode()
    number = coded.indices.fill_null(-1).to_numpy().astype(np.int64)
    # nobody known is somebody else each time
    number = np.where(number < 0, len(coded.dictionary) + np.arange(len(number)), number)
    seconds_since = rows.column("ts").cast(pa.int64()).to_numpy() // 1_000_000
    edges = np.column_stack([np.arange(n), number[:n], number[n:], seconds_since - seconds_since.min()])
    graph = GraphFeaturePreprocessor()
    off = {name: False for name, value in graph.get_params().items() if isinstance(value, bool)}
    window = {"time_window": 86_400, "vertex_stats_tw": 86_400}
    graph.set_params(
        {**graph.get_params(), **off, **window, "num_threads": 1, "vertex_stats": True, "vertex_stats_cols": [3],
         "vertex_stats_feats": [0, 1]}
    )  # fmt: skip
    begun = time.perf_counter()
    told = [graph.transform(np.ascontiguousarray(edges[at : at + BATCH], np.float64)) for at in range(0, n, BATCH)]
    seconds = time.perf_counter() - begun
    # after the edge itself: fan and degree of the payer, out and in, then of the payee, out and in
    added = np.concatenate(told)[:, edges.shape[1] :]
    texts = coded.dictionary.to_pylist()
    out: Figures = {}
    for side, column in ((0, 1), (1, 7)):
        degree = added[:, column]
        for who, k in zip(number[side * n : (side + 1) * n].tolist(), degree.tolist(), strict=True):
            if who < len(texts):
                out[f"account:{texts[who]}", "transfers", side] = (int(k), -1, -1)
    return seconds, out, n


def _events(work: list[Stream]) -> int:
    return sum(stream.rows.num_rows for stream in work)


def same(got: Figures, expected: Figures) -> bool:
    """Whether a rival's figures are ours; −1 is a figure that it does not keep."""
    if any(total == -1 for _, total, _ in got.values()):
        return all(n == expected.get(key, (0, 0, 0))[0] for key, (n, _, _) in got.items())
    return got == expected


RIVALS: dict[str, Rival] = {"python_dicts": dictionaries, "polars": polars, "duckdb": duckdb, "snapml": snapml}
