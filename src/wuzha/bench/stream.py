"""``wuzha bench stream``: what a province says in strings, to alerts, on one core and on two.

The people of a generated city, many times over, until there are a million subjects: their registers and two of their
days are read first; then a third day of calls, messages, transfers and visits is timed, from Arrow rows as they come in
to alerts, judged by sixty of the shipped rules. Batches hold rows of one table; each quarter of the day is read in
batches of another size, the rate is that of the best, and ``p50_ms`` and ``p99_ms`` are of batches of 1,000.

``ns_by_phase``: of an event in batches of the best size: its ``texts`` to numbers, its ``subjects`` looked up, ``room``
made (tables grow), ``events`` read and judged, what has changed ``told``.

``events_per_s_2core``: the next batch becomes numbers on the second core while this one is judged; the results are the
same. ``curve``: what an event costs where ever more subjects call each other at random, each as seldom as in a small
crowd, so that all points do the same work. ``memory_limit_ns`` is what it takes only to look up the subjects and touch,
in the order of the events, the state's lines that they read, when others have been read since; ``memory_limit_ratio``
is how often that goes into an event's time. Rivals: `rivals`, beside ours restricted to the same figures.

Kept true here: no compiler runs and no library loads while anything is timed; ours and rivals alike have done the same
work once before, on a few rows.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from .crowd import REGISTERS, STREAMED, Crowd, batches
from .detect import child
from .machine import machine

#: Batch sizes, each of a quarter of the timed day.
SIZES = (1_000, 1 << 14, 1 << 16, 1 << 18)
_RULES = 60
_SELF = "wuzha.bench.stream"


def run(*, subjects: int, curve: int, seed: int, quick: bool) -> dict[str, Any]:
    """Generate a city, repeat it to about ``subjects`` subjects, measure; the curve goes up to ``curve`` subjects.

    Returns ``{events, events_per_s_1core, events_per_s_2core, batch, by_batch, events_per_s_at_1000, p50_ms, p99_ms,
    ns_by_phase, subjects, bytes_per_subject, features, rules, alerts, curve, memory_limit_ns, memory_limit_ratio,
    rivals, ...}``.
    """
    people, days = (1_000, 2) if quick else (3_000, 3)
    # a resident brings about ten subjects: lines, accounts, devices, persons, people and shops that they deal with
    copies = max(1, round(subjects / (people * 10)))
    with tempfile.TemporaryDirectory(prefix="wuzha-bench-") as folder:
        city = Path(folder) / "city"
        made = [
            sys.executable, "-m", "wuzha", "city", "generate", "--people", str(people), "--days", str(days),
            "--seed", str(seed), "--out", str(city), "--json",
        ]  # fmt: skip
        subprocess.run(made, check=True, capture_output=True)
        child(["wuzha.bench.detect", "compile"])
        one = child([_SELF, "one", str(city), str(copies), str(days)])
        two = child([_SELF, "two", str(city), str(copies), str(days)], cores=2)
        points = [n for n in (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000) if n <= curve]
        costs = [child([_SELF, "point", str(n)]) for n in points]
        beside = child([_SELF, "rivals", str(city), str(1 if quick else 6), str(days)])
    return {
        **{name: value for name, value in one.items() if name != "cpu_seconds"},
        "events_per_s_2core": two["events_per_s_2core"],
        "curve": [{name: c[name] for name in ("subjects", "ns_per_event", "bytes_per_subject")} for c in costs],
        **{name: beside[name] for name in ("rivals_events", "ours_events_per_s", "rivals", "agree", "left_out")},
        "machine": machine(),
    }


# ---------------------------------------------------------------- in a process with one core or two


def book() -> Any:
    """Sixty of the shipped rules that read what these tables bring, those first that need the fewest figures more."""
    from wuzha.detect.rulebook import RuleBook, shipped

    whole = shipped()

    def figures(names: tuple[str, ...]) -> set[str]:
        out: set[str] = set()
        todo = list(names)
        while todo:
            feature = whole.features[todo.pop()]
            out.add(feature.name)
            todo += [n for n in (feature.program.features if feature.program else ()) if n not in out]
        return out

    brought = {"call", "message", "chat", "visit", "transfer", "met_call", "met_message", "met_visit", "met_paid"}
    need = {rule.id: figures(rule.program.features) for rule in whole.rules.values()}
    here = [r for r in need if any(o.partition(".")[0] in brought for f in need[r] for o in whole.features[f].of)]
    taken: list[str] = []
    known: set[str] = set()
    while len(taken) < _RULES:
        rule = min((r for r in here if r not in taken), key=lambda r: len(need[r] - known))
        taken.append(rule)
        known |= need[rule]
    rules = {
        name: replace(rule, args=tuple(a for a in rule.args if a in known))
        for name, rule in whole.rules.items()
        if name in taken
    }
    typologies = {
        t.id: replace(t, weights={r: w for r, w in t.weights.items() if r in rules}) for t in whole.typologies.values()
    }
    return RuleBook({n: f for n, f in whole.features.items() if n in known}, rules, typologies)


def _begun(crowd: Crowd, copies: int, days: int) -> Any:
    """An engine that has read the registers and all days but the last."""
    from wuzha.detect import Engine, encode

    engine = Engine(book())
    position = 0
    for name in REGISTERS:
        for first in range(0, copies, 8):
            rows = crowd.table(name, range(first, min(first + 8, copies)))
            position += 1
            engine.feed(encode(name, rows, position))
    for day in range(days - 1):
        for name, rows in batches(_tables(crowd, copies, day, day + 1), 1 << 16):
            position += 1
            engine.feed(encode(name, rows, position))
    return engine


def _tables(crowd: Crowd, copies: int, begin: float, end: float) -> dict[str, Any]:
    return {name: crowd.table(name, range(copies), begin, end) for name in STREAMED}


def _quarters(crowd: Crowd, copies: int, days: int) -> Iterator[tuple[int, list[tuple[str, Any]]]]:
    for k, size in enumerate(SIZES):
        begin = days - 1 + k / len(SIZES)
        yield size, batches(_tables(crowd, copies, begin, begin + 1 / len(SIZES)), size)


def _one(city: Path, copies: int, days: int) -> dict[str, Any]:
    from wuzha.detect import Block, encode

    crowd = Crowd(city)
    engine = _begun(crowd, copies, days)
    position = 1 << 20
    alerts: set[tuple[str, int]] = set()
    by_batch: dict[int, float] = {}
    events, spent, encoding = 0, 0.0, 0.0
    took: list[float] = []
    last: list[Block] = []
    phases: dict[int, dict[str, int]] = {}
    for size, work in _quarters(crowd, copies, days):
        n = sum(rows.num_rows for _, rows in work)
        seconds = []
        texts, before = encoding, dict(engine.spent)
        for name, rows in work:
            position += 1
            begun = time.perf_counter()
            block = encode(name, rows, position)
            encoded = time.perf_counter()
            changes = engine.feed(block)
            seconds.append(time.perf_counter() - begun)
            encoding += encoded - begun
            alerts |= {(a.person, a.episode) for a in changes.alerts}
            if size == SIZES[-1]:
                last.append(block)
        by_batch[size] = n / sum(seconds)
        phases[size] = {phase: round((engine.spent[phase] - was) / n * 1e9) for phase, was in before.items()}
        phases[size] = {"texts": round((encoding - texts) / n * 1e9), **phases[size]}
        events, spent = events + n, spent + sum(seconds)
        if size == SIZES[0]:
            took = sorted(seconds)
    best = max(by_batch, key=lambda size: by_batch[size])
    subjects, rules = engine.n_subjects, book()
    engine.touch(last[-1].slice(0, 1))  # compiles or loads what touches
    begun = time.perf_counter()
    for block in last:
        engine.touch(block)
    limit = (time.perf_counter() - begun) / sum(map(len, last)) * 1e9
    return {
        "events": events,
        "events_per_s_1core": round(by_batch[best]),
        "events_per_s_2core": 0,
        "batch": best,
        "events_per_s_at_1000": round(by_batch[SIZES[0]]),
        "p50_ms": round(took[len(took) // 2] * 1e3, 2),
        "p99_ms": round(took[min(len(took) * 99 // 100, len(took) - 1)] * 1e3, 2),
        "by_batch": {str(size): round(rate) for size, rate in by_batch.items()},
        "ns_by_phase": phases[best],
        "encoding_share": round(encoding / spent, 2),
        "subjects": subjects,
        "bytes_per_subject": round(sum(engine.sizes().values()) / subjects),
        "features": len(rules.features),
        "rules": len(rules.rules),
        "alerts": len(alerts),
        "memory_limit_ns": round(limit),
        "memory_limit_ratio": round(1e9 / by_batch[best] / limit, 2),
    }


def _two(city: Path, copies: int, days: int) -> dict[str, Any]:
    """The same day in batches of the second largest size, on two cores; a little of the day before warms both."""
    from wuzha.detect import pipeline

    crowd = Crowd(city)
    engine = _begun(crowd, copies, days)
    few = batches(_tables(crowd, 1, days - 1.01, days - 1), SIZES[0])
    work = batches(_tables(crowd, copies, days - 1, days), SIZES[-2])
    for _ in pipeline.changes(engine, ((name, rows, (1 << 19) + k) for k, (name, rows) in enumerate(few))):
        pass
    begun = time.perf_counter()
    for _ in pipeline.changes(engine, ((name, rows, (1 << 20) + k) for k, (name, rows) in enumerate(work))):
        pass
    return {"events_per_s_2core": round(sum(rows.num_rows for _, rows in work) / (time.perf_counter() - begun))}


#: Events of a point of the curve that are timed at least, and events of a batch there.
_TIMED, _SIZE = 1 << 18, 1 << 12
_BEGIN_US = 1_780_000_000_000_000


def calls(callers: Any, callees: Any, first: int, step_us: int) -> Any:
    """Calls of 70 seconds between numbered lines, one every so many microseconds."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    from wuzha.events import TABLES
    from wuzha.events.batch import conform

    n = len(callers)
    at = first + np.arange(n, dtype=np.int64)

    def line(numbers: Any) -> Any:
        return pc.binary_join_element_wise("+861", pa.array(numbers + 3_000_000_000).cast(pa.string()), "")

    rows = {
        "source": pa.array(["carrier"]).take(pa.array(np.zeros(n, np.int64))),
        "event_id": pa.array(at).cast(pa.string()),
        "ts": pa.array(_BEGIN_US + at * step_us).cast(pa.timestamp("us", tz="UTC")),
        "caller": line(callers),
        "callee": line(callees),
        "duration_s": pa.array(np.full(n, 70, np.int64)),
    }
    return conform(TABLES["calls"], pa.table(rows))


def _point(subjects: int) -> dict[str, Any]:
    """Every line calls or is called once; then lines call each other at random, which is timed: at most half as many
    calls as there are lines. Of few lines the same is done again and again, until enough calls have been timed."""
    spent, timed, once = 0.0, 0, 0.0
    again = min(_TIMED, subjects // 2)
    _pointed(2 * _SIZE, _SIZE)
    while timed < _TIMED:
        seconds, once = _pointed(subjects, again)
        spent, timed = spent + seconds, timed + again
    return {"subjects": subjects, "ns_per_event": round(spent / timed * 1e9), "bytes_per_subject": round(once)}


def _pointed(subjects: int, again: int) -> tuple[float, float]:
    """Seconds that ``again`` calls at random take after all have called or been called; bytes a subject before them."""
    import numpy as np

    from wuzha.detect import Engine, encode

    engine = Engine(book())
    half, size, position = subjects // 2, 1 << 16, 0
    step = 86_400_000_000 // (half + _TIMED)
    for at in range(0, half, size):
        position += 1
        numbers = np.arange(at, min(at + size, half), dtype=np.int64)
        engine.feed(encode("calls", calls(numbers, numbers + half, at, step), position))
    once = sum(engine.sizes().values()) / engine.n_subjects
    rng = np.random.default_rng(7)
    spent = 0.0
    for at in range(0, again, _SIZE):
        position += 1
        n = min(_SIZE, again - at)
        rows = calls(rng.integers(0, subjects, n), rng.integers(0, subjects, n), half + at, step)
        begun = time.perf_counter()
        engine.feed(encode("calls", rows, position))
        spent += time.perf_counter() - begun
    return spent, once


#: Rows of each stream on which everybody warms up.
_FEW = 1_000


def _rivals(city: Path, copies: int, days: int) -> dict[str, Any]:
    """The rivals' figures beside ours, of one day. snapml's are counts of transfers only."""
    from . import rivals

    work = rivals.streams(_tables(Crowd(city), copies, days - 1, days))
    few = [stream._replace(rows=stream.rows.slice(0, _FEW)) for stream in work]
    rivals.ours(few)
    rows = sum(stream.rows.num_rows for stream in work)
    seconds, expected = rivals.ours(work)
    out: dict[str, Any] = {"rivals_events": rows, "ours_events_per_s": round(rows / seconds)}
    told: dict[str, int] = {}
    agree: dict[str, bool] = {}
    left_out: dict[str, str] = {}
    for name, rival in rivals.RIVALS.items():
        try:
            rival(few)
            took, got, n = rival(work)
        except ImportError as error:
            left_out[name] = str(error)
            continue
        told[name], agree[name] = round(n / took), rivals.same(got, expected)
    return {**out, "rivals": told, "agree": agree, "left_out": left_out}


def main(arguments: list[str]) -> dict[str, Any]:
    """One measurement in this process."""
    what, *rest = arguments
    if what == "point":
        return _point(int(rest[0]))
    measure = {"one": _one, "two": _two, "rivals": _rivals}[what]
    return measure(Path(rest[0]), int(rest[1]), int(rest[2]))


if __name__ == "__main__":
    json.dump(main(sys.argv[1:]), sys.stdout)
