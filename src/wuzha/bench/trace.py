"""``wuzha bench trace``: stolen money followed through millions of transfers, beside databases.

The transfers are random: most accounts deal with a few others, some with very many; a theft's money runs through a
planted tree of six to eight levels whose mules serve several thefts, with circles, hubs and cash at its ends.

Indexed are rows with texts for accounts (``index_edges_per_s``); beside it stands what a file's rows take, which are
known by their identity and looked through for reversals and references (``checked_edges_per_s``, two million of them).

Ours answers in full: to the fen, who holds what, under ``fifo``, and the same as records of names and times
(``told_*``). The rivals answer what they can say: which accounts can have been reached within the hours, in order of
time, hubs not entered; ours answers that too (``reach_*``, policy ``poison``), and ``agrees`` says that the sets are
equal. PostgreSQL has a covering index and runs a recursive query, as DuckDB does; Polars joins level by level; NetworkX
is asked on a sample, since it holds every transfer as an object. A rival that is not installed is left out and said.
"""

from __future__ import annotations

import io
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc

from wuzha.cli.output import say
from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.trace import Index, Theft, Tracer, layout
from wuzha.trace.warm import warm

from .machine import machine

Ints = npt.NDArray[np.int64]
Narrow = npt.NDArray[np.int32]
T0 = 1_750_000_000_000_000
_HOUR_US = 3_600_000_000
_DAYS = 30
HOURS = 24
_HUBS, _HUB_ROWS = 20, 130_000
_SAMPLE = 200_000
#: At most so many accounts can be reached by a question that the rivals are asked, to bound their time.
_RIVALS_ASKED = 40


def planted(rows: int, thefts: int, seed: int) -> tuple[pa.Table, list[tuple[str, int, int]], str]:
    """Transfers (ts, payer, payee as texts, amount_fen), the thefts (account, µs, fen), and a hub."""
    r = np.random.default_rng(seed)
    accounts = max(rows // 4, 2_000)
    hubs = min(_HUBS, max(rows // (4 * _HUB_ROWS), 1))
    a: list[Narrow] = []
    b: list[Narrow] = []
    seconds: list[Narrow] = []
    fen: list[Narrow] = []

    def more(payer: Any, payee: Any, at: Any, amount: Any) -> None:
        # narrow numbers, since a hundred million of them should fit; statements know whole seconds
        a.append(np.asarray(payer, np.int32))
        b.append(np.asarray(payee, np.int32))
        seconds.append((np.asarray(at, np.int64) // 1_000_000).astype(np.int32))
        fen.append(np.asarray(amount, np.int32))

    for hub in range(hubs):
        n = min(_HUB_ROWS, rows // 8)
        others = r.choice(np.arange(hubs, accounts), n, replace=n > accounts - hubs)
        inward = r.random(n) < 0.6
        more(np.where(inward, others, hub), np.where(inward, hub, others), r.integers(0, _DAYS * 24 * _HOUR_US, n),
             r.integers(100, 50_000, n))  # fmt: skip
    mules = r.choice(np.arange(hubs, accounts), min(3_000, accounts // 4), replace=False)
    victims = r.choice(np.setdiff1d(np.arange(hubs, accounts), mules), thefts, replace=False)
    asked = []
    for victim in victims.tolist():
        begin = int(r.integers(_HOUR_US, (_DAYS - 2) * 24 * _HOUR_US))
        amount = int(r.integers(50_000_00, 800_000_00))
        asked.append((victim, T0 + begin, amount))
        layer = [(int(victim), begin, amount)]
        for _ in range(int(r.integers(6, 9))):
            following = []
            for holder, at, has in layer:
                parts = int(r.integers(1, 4)) if len(layer) < 24 else 1
                for k in range(parts):
                    share = has // parts - int(r.integers(0, 500)) * (k == 0)
                    if share <= 100:
                        continue
                    kind = r.random()
                    to = int(mules[r.integers(mules.shape[0])])
                    if kind < 0.04:
                        to = int(r.integers(hubs))
                    elif kind < 0.08:
                        to = layer[int(r.integers(len(layer)))][0]
                    if to == holder:
                        continue
                    when = at + int(r.integers(30_000_000, 40 * 60_000_000))
                    more([holder], [to], [when], [share])
                    following.append((to, when, share))
            layer = following
    left = max(rows - sum(x.shape[0] for x in a), 0)
    weight = r.pareto(1.6, accounts - hubs) + 0.3
    weight = np.cumsum(np.minimum(weight, 60.0))
    for begin in range(0, left, 1 << 22):
        n = min(1 << 22, left - begin)
        payer = np.searchsorted(weight, r.random(n) * weight[-1]) + hubs
        payee = r.integers(hubs, accounts, n)
        payee = np.where(payee == payer, (payee + 1 - hubs) % (accounts - hubs) + hubs, payee)
        more(payer, payee, r.integers(0, _DAYS * 24 * _HOUR_US, n), r.integers(100, 2_000_000, n))
    order = np.argsort(np.concatenate(seconds), kind="stable")

    def in_order(parts: list[Narrow]) -> Narrow:
        whole = np.concatenate(parts)
        parts.clear()
        return whole[order]

    moments = in_order(seconds).astype(np.int64) * 1_000_000 + T0
    digits = pa.array(np.arange(accounts) * 2654435761 % 10**17).cast(pa.string())
    names = pc.binary_join_element_wise("62", pc.utf8_lpad(digits, 17, "0"), "")
    table = pa.table(
        {
            "ts": pa.array(moments).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            "payer": names.take(pa.array(in_order(a))), "payee": names.take(pa.array(in_order(b))),
            "amount_fen": pa.array(in_order(fen).astype(np.int64)),
        }
    )  # fmt: skip
    return table, [(str(names[v]), at, f) for v, at, f in asked], str(names[0])


@nb.njit(cache=True, nogil=True)
def _read(out_at, in_at, outs, ins, accounts):  # type: ignore[no-untyped-def]
    total = np.int64(0)
    for a in accounts:
        for i in range(out_at[a], out_at[a + 1]):
            total += outs[i].amount + outs[i].rank
        for i in range(in_at[a], in_at[a + 1]):
            total += ins[i].amount + ins[i].rank
    return total


def _quantiles(seconds: list[float]) -> dict[str, float]:
    return {
        "p50_ms": round(float(np.quantile(seconds, 0.5)) * 1e3, 3),
        "p95_ms": round(float(np.quantile(seconds, 0.95)) * 1e3, 3),
    }


def run(*, rows: int, queries: int, seed: int, rivals: bool = True) -> dict[str, Any]:
    """Build, append, ask. Returns the figures of the module's docstring with the machine."""
    say(f"making {rows:,} transfers")
    table, thefts, crowded = planted(rows, queries, seed)
    warm()
    tried = Index()
    tried.take(table.slice(0, 1_000_000))
    tried.take(table.slice(1_000_000, 10_000))
    del tried
    say("building the index")
    begun = time.perf_counter()
    index = Index()
    index.take(table)
    view = index.view()
    build_s = time.perf_counter() - begun
    tracer = Tracer(index)
    no_hubs = index.hubs(10_000)
    asked = [Theft(account=f"account:{name}", at=at, amount_fen=fen) for name, at, fen in thefts]

    def claims(theft: Theft) -> tuple[layout.Claims, int]:
        made, _, _ = tracer._claims([theft], view)
        return made, 2 * view.rank_at(theft.at + HOURS * _HOUR_US + 1)

    def ask(theft: Theft, policy: Any, hub: npt.NDArray[np.uint8] = no_hubs) -> layout.Scratch:
        made, end = claims(theft)
        return tracer.walk(made, view, policy=policy, until=2 * index.entries, end=end, hub=hub)

    for theft in asked[:20]:
        for policy in ("fifo", "haircut", "poison"):
            ask(theft, policy)
    say(f"asking {len(asked)} questions")
    figures: dict[str, Any] = {}
    times: list[float] = []
    touched: list[Ints] = []
    for theft in asked:
        begun = time.perf_counter()
        z = ask(theft, "fifo")
        times.append(time.perf_counter() - begun)
        touched.append(z.slots["account"][: z.n[layout.N_SLOTS]].astype(np.int64))
    figures |= _quantiles(times)
    for name, policy in (("haircut", "haircut"), ("reach", "poison")):
        seconds = []
        for theft in asked:
            begun = time.perf_counter()
            ask(theft, policy)
            seconds.append(time.perf_counter() - begun)
        figures |= {f"{name}_{k}": v for k, v in _quantiles(seconds).items()}
    seconds = []
    for theft in asked:
        begun = time.perf_counter()
        tracer.follow([theft], policy="fifo", hours=HOURS)
        seconds.append(time.perf_counter() - begun)
    figures |= {f"told_{k}": v for k, v in _quantiles(seconds).items()}
    t = view.transfers
    _read(t.out_at, t.in_at, t.outs, t.ins, touched[0])
    read = []
    for accounts in touched:
        begun = time.perf_counter()
        _read(t.out_at, t.in_at, t.outs, t.ins, accounts)
        read.append(time.perf_counter() - begun)
    figures["times_reading_touched_rows"] = round(sum(times) / max(sum(read), 1e-9), 1)
    figures["accounts_touched_p50"] = int(np.median([x.shape[0] for x in touched]))
    figures["hub_ms"] = _hub_ms(index, tracer, view, crowded)
    if rivals:
        figures["rivals"] = _rivals(table, index, asked, ask, no_hubs)
    append = _appended(index, table, seed)
    checked = _checked(table)
    return {
        "rows": table.num_rows, "accounts": view.accounts, "index_s": round(build_s, 2),
        "index_edges_per_s": round(table.num_rows / build_s), "bytes_per_edge": index.bytes_per_transfer()["edge"],
        "side_bytes": {k: v for k, v in index.bytes_per_transfer().items() if k != "edge"},
        "checked_edges_per_s": checked, "append_edges_per_s": append, "queries": len(asked), "hours": HOURS, **figures,
        "machine": machine(),
    }  # fmt: skip


def _hub_ms(index: Index, tracer: Tracer, view: Any, hub: str) -> float:
    """A question that goes through an account with 100,000 others."""
    none = np.zeros(0, np.uint8)
    at = T0 + 12 * 24 * _HOUR_US
    made, _, _ = tracer._claims([Theft(account=f"account:{hub}", at=at, amount_fen=500_000, into=True)], view)
    end = 2 * view.rank_at(at + 2 * _HOUR_US)
    best = []
    for _ in range(5):
        begun = time.perf_counter()
        tracer.walk(made, view, policy="fifo", until=2 * index.entries, end=end, hub=none)
        best.append(time.perf_counter() - begun)
    return round(float(np.median(best)) * 1e3, 2)


def _appended(index: Index, table: pa.Table, seed: int) -> int:
    """Transfers a second appended in time order, from texts, in batches of 10,000, a view after each."""
    n = min(2_000_000, table.num_rows // 4)
    r = np.random.default_rng(seed)
    last = int(table.column("ts").cast(pa.int64())[-1].as_py())
    at = last + 1_000_000 + np.sort(r.integers(0, n // 1000 + 1, n)) * 1_000_000
    names = pa.concat_arrays(table.column("payer").chunks[:1])
    more = pa.table(
        {
            "ts": pa.array(at).cast(pa.timestamp("us")).cast(pa.timestamp("us", tz="UTC")),
            "payer": names.take(pa.array(r.integers(0, len(names), n))),
            "payee": names.take(pa.array(r.integers(0, len(names), n))),
            "amount_fen": pa.array(r.integers(100, 10**6, n)),
        }
    )  # fmt: skip
    begun = time.perf_counter()
    for begin in range(0, n, 10_000):
        index.take(more.slice(begin, 10_000))
        index.view()
    return int(n / (time.perf_counter() - begun))


def _checked(table: pa.Table) -> int:
    """Transfers a second indexed as files' rows are: each known by its identity, reversals and references sought."""
    n = min(2_000_000, table.num_rows)
    some = table.slice(0, n)
    ids = pc.binary_join_element_wise("T", pa.array(np.arange(n)).cast(pa.string()), "")
    rows = conform(
        TABLES["transfers"],
        some.append_column("event_id", ids).append_column("source", pa.array(["bench"] * n, pa.string())),
    )
    Index.of(rows.slice(0, 20_000))
    begun = time.perf_counter()
    Index.of(rows).view()
    return int(n / (time.perf_counter() - begun))


# ---------------------------------------------------------------- rivals


def _rivals(
    table: pa.Table, index: Index, asked: list[Theft], ask: Callable[..., layout.Scratch], hubs: npt.NDArray[np.uint8]
) -> dict[str, Any]:
    """Each rival's times for the question of reach, and whether its answers are ours."""
    some = asked[:_RIVALS_ASKED]
    plain = pl.from_arrow(table)
    assert isinstance(plain, pl.DataFrame)
    names = pl.concat([plain["payer"], plain["payee"]]).unique()
    number = pl.DataFrame({"name": names, "id": pl.Series(range(len(names)), dtype=pl.Int32)})
    rows = (
        plain.with_columns(t=pl.col("ts").dt.epoch("us"))
        .join(number.rename({"name": "payer", "id": "a"}), on="payer")
        .join(number.rename({"name": "payee", "id": "b"}), on="payee")
        .select("a", "b", "t").sort("t")
    )  # fmt: skip
    of = dict(zip(number["name"].to_list(), number["id"].to_list(), strict=True))
    hub_ids = {of[n.removeprefix("account:")] for n in index.names(np.flatnonzero(hubs).tolist())}
    want = []
    for theft in some:
        z = ask(theft, "poison")
        reached = index.names(z.slots["account"][: z.n[layout.N_SLOTS]].tolist())
        want.append({of[n.removeprefix("account:")] for n in reached} - {of[theft.account.removeprefix("account:")]})
    questions = []
    for theft in some:
        first = rows.filter(
            (pl.col("a") == of[theft.account.removeprefix("account:")]) & (pl.col("t") >= theft.at)
        )  # fmt: skip
        questions.append((first, theft.at + HOURS * _HOUR_US))
    seeds = [_stolen(theft, plain, of) for theft in some]
    out: dict[str, Any] = {}
    for name, make in (("polars", _polars), ("duckdb", _duckdb), ("postgresql", _postgresql), ("networkx", _networkx)):
        say(f"asking {name}")
        try:
            out[name] = make(rows, [(s, q[1]) for s, q in zip(seeds, questions, strict=True)], hub_ids, want)
        except ImportError as error:
            say(f"{name} is left out: {error}")
    return out


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


Question = tuple[list[tuple[int, int]], int]


def _measured(
    answer: Callable[[list[tuple[int, int]], int], set[int]], questions: list[Question], want: list[set[int]]
) -> dict[str, Any]:
    seconds, agrees = [], True
    for (seeds, end), right in zip(questions, want, strict=True):
        begun = time.perf_counter()
        got = answer([s for s in seeds if s[1] <= end], end)
        seconds.append(time.perf_counter() - begun)
        agrees = agrees and got == right
    return {**_quantiles(seconds), "questions": len(questions), "agrees": agrees}


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

    return _measured(answer, questions[:5], want[:5])


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

        return _measured(answer, questions[:10], want[:10])


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

        for seeds, end in questions[:5]:
            answer(seeds, end)
        return _measured(answer, questions, want)


def _networkx(rows: pl.DataFrame, questions: list[Question], hubs: set[int], want: list[set[int]]) -> dict[str, Any]:
    import networkx

    sample = rows.slice(0, _SAMPLE)
    graph = networkx.MultiDiGraph()
    graph.add_edges_from((a, b, {"t": t}) for a, b, t in sample.iter_rows())
    last = int(sample["t"][-1])
    asked, right = [], []
    from collections import defaultdict

    by: dict[int, list[tuple[int, int]]] = defaultdict(list)
    for a, b, t in sample.iter_rows():
        by[a].append((t, b))

    def plain(seeds: list[tuple[int, int]], end: int, of: Callable[[int], Any]) -> set[int]:
        reached: dict[int, int] = {}
        front = [(t, a) for a, t in seeds if a not in hubs]
        while front:
            t, a = front.pop()
            if a in reached and reached[a] <= t:
                continue
            reached[a] = t
            front += [(u, b) for u, b in of(a) if t <= u <= end and b not in hubs]
        return set(reached)

    for a, _, t in sample.slice(0, 200).iter_rows():
        asked.append(([(a, t)], last))
        right.append(plain([(a, t)], last, lambda x: by[x]))
    told = _measured(
        lambda seeds, end: plain(
            seeds, end, lambda x: ((d["t"], b) for _, b, d in graph.out_edges(x, data=True)) if x in graph else ()
        ),
        asked, right,
    )  # fmt: skip
    return {**told, "sample": sample.height}
