"""The question of `wuzha bench trace`, put to PostgreSQL, DuckDB, Polars and NetworkX.

Which accounts can stolen money have reached within the hours, in order of time, hubs not entered? ``agrees`` says that
a rival's sets are ours. PostgreSQL has a covering index and runs a recursive query, as DuckDB does; Polars joins level
by level; NetworkX is asked on the first transfers only, since it holds each as an object, and ours with it there. Slow
ones are asked fewer questions (``questions``). A rival that is not installed is left out and said.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from wuzha.cli.output import say
from wuzha.trace import Index, Theft, Tracer

from .quantiles import quantiles

#: Questions that each is asked at most, and transfers that NetworkX holds.
_ASKED = {"polars": 5, "duckdb": 10, "postgresql": 40, "networkx": 200}
_SAMPLE = 200_000
#: The victim's account; (payee, µs) of each transfer that the theft consists of; the last moment.
Question = tuple[int, list[tuple[int, int]], int]


def run(
    table: pa.Table, asked: list[Theft], reached: Callable[[Theft], set[str]], hubs: set[str], within_us: int
) -> dict[str, Any]:
    """Each rival's times, and whether its answers are ours. ``reached``: ours, accounts by key; ``hubs``: likewise."""
    plain = pl.from_arrow(table)
    assert isinstance(plain, pl.DataFrame)
    rows, of = _numbered(plain)
    some = asked[: max(_ASKED["polars"], _ASKED["duckdb"], _ASKED["postgresql"])]
    want = [{of[_bare(a)] for a in reached(theft) - {theft.account}} for theft in some]
    questions = [(of[_bare(theft.account)], _stolen(theft, plain, of), theft.at + within_us) for theft in some]
    crowded = {of[_bare(a)] for a in hubs}
    out: dict[str, Any] = {}
    for name, make in (("polars", _polars), ("duckdb", _duckdb), ("postgresql", _postgresql)):
        say(f"asking {name}")
        try:
            out[name] = make(rows, questions[: _ASKED[name]], crowded, want[: _ASKED[name]])
        except ImportError as error:
            say(f"{name} is left out: {error}")
    say("asking networkx")
    try:
        out["networkx"] = _networkx(table.slice(0, _SAMPLE))
    except ImportError as error:
        say(f"networkx is left out: {error}")
    return out


def _bare(account: str) -> str:
    return account.removeprefix("account:")


def _numbered(plain: pl.DataFrame) -> tuple[pl.DataFrame, dict[str, int]]:
    """The transfers with accounts as numbers, in order of time, and the numbers."""
    names = pl.concat([plain["payer"], plain["payee"]]).unique()
    number = pl.DataFrame({"name": names, "id": pl.Series(range(len(names)), dtype=pl.Int32)})
    rows = (
        plain.with_columns(t=pl.col("ts").dt.epoch("us"))
        .join(number.rename({"name": "payer", "id": "a"}), on="payer")
        .join(number.rename({"name": "payee", "id": "b"}), on="payee")
        .select("a", "b", "t").sort("t")
    )  # fmt: skip
    return rows, dict(zip(number["name"].to_list(), number["id"].to_list(), strict=True))


def _stolen(theft: Theft, plain: pl.DataFrame, of: dict[str, int]) -> list[tuple[int, int]]:
    """(payee, µs) of the transfers that the theft consists of."""
    mine = plain.filter(
        (pl.col("payer") == theft.account.removeprefix("account:")) & (pl.col("ts").dt.epoch("us") >= theft.at)
    ).select("payee", pl.col("ts").dt.epoch("us").alias("t"), "amount_fen")
    left, out = theft.amount_fen, []
    for payee, t, fen in mine.iter_rows():
        if left <= 0:
            break
        left -= fen
        out.append((of[payee], t))
    return out


def _measured(
    answer: Callable[[list[tuple[int, int]], int], set[int]], questions: list[Question], want: list[set[int]]
) -> dict[str, Any]:
    seconds, agrees = [], True
    for (start, seeds, end), right in zip(questions, want, strict=True):
        begun = time.perf_counter()
        got = answer([s for s in seeds if s[1] <= end], end)
        seconds.append(time.perf_counter() - begun)
        agrees = agrees and got - {start} == right
    return {**quantiles(seconds), "questions": len(questions), "agrees": agrees}


def _polars(rows: pl.DataFrame, questions: list[Question], hubs: set[int], want: list[set[int]]) -> dict[str, Any]:
    def answer(seeds: list[tuple[int, int]], end: int) -> set[int]:
        reached: dict[int, int] = {}
        front = {a: t for a, t in reversed(seeds) if a not in hubs}
        window = rows.filter(pl.col("t") <= end)
        while front:
            reached |= front
            now = pl.DataFrame(
                {"a": list(front), "since": list(front.values())}, schema={"a": pl.Int32, "since": pl.Int64}
            )
            found = window.join(now, on="a").filter(pl.col("t") >= pl.col("since")).group_by("b").agg(pl.col("t").min())
            front = {
                b: t for b, t in found.iter_rows() if b not in hubs and (b not in reached or t < reached[b])
            }  # fmt: skip
        return set(reached)

    return _measured(answer, questions, want)


_RECURSIVE = """
WITH RECURSIVE reach(a, since) AS (
    SELECT * FROM (VALUES {seeds}) AS s(a, since)
  UNION
    SELECT m.b, m.t FROM reach r JOIN moves m ON m.a = r.a AND m.t >= r.since AND m.t <= {end}
    WHERE m.b NOT IN (SELECT a FROM hubs)
)
SELECT DISTINCT a FROM reach
"""


def _asked(seeds: list[tuple[int, int]], hubs: set[int], end: int) -> str | None:
    values = ", ".join(f"({a}, {t}::bigint)" for a, t in seeds if a not in hubs)
    return _RECURSIVE.format(seeds=values, end=end) if values else None


def _duckdb(rows: pl.DataFrame, questions: list[Question], hubs: set[int], want: list[set[int]]) -> dict[str, Any]:
    import duckdb

    with duckdb.connect() as db:
        db.register("given", rows.to_arrow())
        db.execute("CREATE TABLE moves AS SELECT * FROM given ORDER BY a, t")
        db.execute("CREATE TABLE hubs (a INTEGER)")
        for h in hubs:
            db.execute("INSERT INTO hubs VALUES (?)", [h])

        def answer(seeds: list[tuple[int, int]], end: int) -> set[int]:
            query = _asked(seeds, hubs, end)
            return {a for (a,) in db.execute(query).fetchall()} if query else set()

        return _measured(answer, questions, want)


def _postgresql(rows: pl.DataFrame, questions: list[Question], hubs: set[int], want: list[set[int]]) -> dict[str, Any]:
    from wuzha.store.embedded import Server

    with (
        tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder,
        Server(Path(folder) / "pg") as server,
        server.database("bench").connect("owner") as conn,
    ):
        Path(folder).chmod(0o711)
        conn.execute("CREATE SCHEMA bench")
        conn.execute("SET search_path = bench")
        conn.execute("CREATE TABLE moves (a integer, b integer, t bigint)")
        conn.execute("CREATE TABLE hubs (a integer)")
        for begin in range(0, rows.height, 1 << 20):
            text = io.BytesIO()
            rows.slice(begin, 1 << 20).write_csv(text, include_header=False)
            with conn.cursor().copy("COPY moves FROM STDIN (FORMAT csv)") as copy:
                copy.write(text.getvalue())
        conn.execute("CREATE INDEX ON moves (a, t) INCLUDE (b)")
        for h in hubs:
            conn.execute("INSERT INTO hubs VALUES (%s)", (h,))
        conn.execute("VACUUM ANALYZE moves")
        conn.execute("ANALYZE hubs")

        def answer(seeds: list[tuple[int, int]], end: int) -> set[int]:
            query = _asked(seeds, hubs, end)
            return {a for (a,) in conn.execute(query.encode()).fetchall()} if query else set()

        for _, seeds, end in questions[:5]:
            answer(seeds, end)
        return _measured(answer, questions, want)


def _networkx(table: pa.Table) -> dict[str, Any]:
    """On the first transfers: from the theft of each of some of them, everything until the last."""
    import networkx

    plain = pl.from_arrow(table)
    assert isinstance(plain, pl.DataFrame)
    rows, of = _numbered(plain)
    graph = networkx.MultiDiGraph()
    graph.add_edges_from((a, b, {"t": t}) for a, b, t in rows.iter_rows())
    end = int(rows["t"][-1])
    index = Index()
    index.take(table)
    tracer = Tracer(index)
    questions, want = [], []
    for name, at, fen in plain.select("payer", pl.col("ts").dt.epoch("us"), "amount_fen")[: _ASKED["networkx"]].rows():
        theft = Theft(account=f"account:{name}", at=at, amount_fen=fen)
        ours = tracer.follow([theft], policy="poison", follow_hubs=True)
        questions.append((of[name], _stolen(theft, plain, of), end))
        want.append({of[_bare(a["account"])] for a in ours.accounts} - {of[name]})

    def answer(seeds: list[tuple[int, int]], end: int) -> set[int]:
        reached: dict[int, int] = {}
        front = [(t, a) for a, t in seeds]
        while front:
            t, a = front.pop()
            if a in reached and reached[a] <= t:
                continue
            reached[a] = t
            front += [(d["t"], b) for _, b, d in graph.out_edges(a, data=True) if t <= d["t"] <= end]
        return set(reached)

    return {**_measured(answer, questions, want), "sample": table.num_rows}
