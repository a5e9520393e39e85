"""Every declared figure equals its plain definition: on ties, late and repeated events, any cut, saved and restored."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import random
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.detect.plain import SUSPECT, Reading
from tests.eventlog import T0, rows

from wuzha import detect
from wuzha.detect.encode import Block
from wuzha.detect.figures import spread
from wuzha.detect.files import citing, figures_table, read_folder, replayed
from wuzha.detect.rulebook import RuleBook, build, shipped
from wuzha.events import TABLES
from wuzha.events.datafile import parse

NAMES = {"line": "line", "account": "account", "domain": "site", "app": "app"}
#: Operations that no shipped figure uses.
MORE = """
[talk_days]
subject = "person"
op = "days"
of = "call.in"
window = "7d"
unit = "days"
zh = "通话日数"
en = "days with calls"
version = 1
"""


@lru_cache(maxsize=1)
def book() -> RuleBook:
    """The shipped figures; a subject is a suspect from an officer's confirmation on, and nothing else is judged."""
    text = (files("wuzha.detect") / "features.toml").read_text("utf-8") + MORE
    rules = "".join(
        f'[{kind}]\nnumber = {i}\nversion = 1\nsubject = "{kind}"\nstage = "approach"\ncooldown = "0min"\n'
        f'when = "{name}_confirmed_30d >= 1"\nzh = "a"\nen = "a"\n'
        for i, (kind, name) in enumerate(NAMES.items(), 1)
    )
    typologies = [
        parse(
            f'[typology]\nid = "{SUSPECT[kind]}"\nsubject = "{kind}"\nzh = "a"\nen = "a"\nhalflife = "30d"\nlow = 1\n'
            f"medium = 2\nhigh = 3\nurgent = 4\ninterdict = 4\n[weights]\n{kind} = 2\n",
            f"{kind}.toml",
        )
        for kind in NAMES
    ]
    return build(parse(text, "features.toml"), [parse(rules, "rules.toml")], typologies)


def stream(seed: int, n: int = 260) -> tuple[Block, list[tuple[str, dict[str, Any]]]]:
    """A random log in the order of its coming: late, tied, repeated. The block, and the same rows as plain records."""
    rng = random.Random(seed)
    lines = [f"+86138000000{i:02d}" for i in range(7)] + ["+85261234567", "+864001112222", "cn-short:96110"]
    accounts = [f"62220000000000{i:02d}" for i in range(6)]
    tables: dict[str, list[dict[str, Any]]] = {}
    order: list[tuple[str, int]] = []
    minutes = 0.0

    def put(table: str, **row: Any) -> None:
        mine = tables.setdefault(table, [])
        ts = T0 + dt.timedelta(minutes=row.pop("at", minutes))
        order.append((table, len(mine)))
        mine.append({"source": "s", "event_id": f"{table}-{len(mine)}", "ts": ts, **row})

    def when(days: float) -> dt.datetime:
        return T0 + dt.timedelta(days=days)

    for i, a in enumerate(lines[:6]):
        put("lines", line=a, plan=rng.choice((None, "mobile", "iot")), opened=when(-rng.randrange(900)), place="350200")
        if rng.random() < 0.8:
            put("relations", subject=f"line:{a}", other=f"person:p{i // 2}", role=rng.choice(("user", "registrant")))
        if rng.random() < 0.5:  # a second word: another's line, or the same person's once more
            half = when(rng.choice((None, 1.0, 2.0)) or -900)
            put(
                "relations", subject=f"line:{a}", other=f"person:p{rng.randrange(4)}", role="user", valid_from=half,
                valid_to=rng.choice((None, when(3.0))), confidence=rng.choice((None, 0.5)),
            )  # fmt: skip
    for i, a in enumerate(accounts):
        kind = rng.choice(("personal", "corporate", "merchant", "loan"))
        put("accounts", account=a, kind=kind, opened=when(-rng.choice((5, 400))), last_active=when(-200))
        if rng.random() < 0.7:
            put("relations", subject=f"account:{a}", other=f"person:p{i // 2}", role="holder")
    put("persons", person="p0", place="350200")
    late = [0.0] * 6 + [rng.uniform(0, 300), rng.uniform(0, 3000)]
    for _ in range(n):
        minutes += rng.choice((0, 0, 3, 10, 60, 90))
        at = max(minutes - rng.choice(late), 0)
        a, b = rng.sample(lines, 2)
        p, q = rng.sample(accounts, 2)
        table = rng.choice(
            ("calls", "calls", "calls", "messages", "visits", "app_events", "transfers", "transfers", "cash",
             "purchases", "shipments", "lodging", "warnings", "identifiers", "findings")
        )  # fmt: skip
        if table == "calls":
            row = {
                "at": at, "caller": a, "callee": b, "duration_s": rng.choice((0, 2, 10, 70, 400)),
                "imei": rng.choice((None, f"86{rng.randrange(4):013d}")),
                "place": rng.choice((None, "350200", "110100")),
                "forwarded_to": rng.choice((None, None, lines[0])), "line_type": rng.choice((None, "mobile", "voip")),
                "caller_raw": rng.choice((None, "008613800110", "02112345")),
            }  # fmt: skip
            put(table, **row)
            if rng.random() < 0.2:
                put(table, **{**row, "source": "t", "at": at + rng.choice((0, 1, 4, 6)), "imei": "860000000000001"})
        elif table == "messages":
            fanshi = rng.choice(([], [3], None))
            put(
                table,
                at=at,
                sender=a,
                recipient=b,
                channel=("sms", "im")[len(order) % 2],
                fanshi=fanshi,
                text_p_scam=rng.choice((None, 0.9)),
            )
        elif table == "visits":
            put(table, at=at, line=b, host=f"site{rng.randrange(4)}.cn", bytes=10)
        elif table == "app_events":
            action = rng.choice(
                ("install", "open", "screen_share", "remote_control", "meeting_join", "nfc_relay", "install")
            )
            put(
                table, at=at, line=rng.choice((a, None)), device=f"86{rng.randrange(4):013d}", app="会议",
                package=rng.choice((None, f"p{rng.randrange(3)}")), action=action,
            )  # fmt: skip
        elif table == "transfers":
            row = {
                "at": at, "payer": p, "payee": q, "amount_fen": rng.choice((500, 200_000, 3_000_000)), "side": "payer",
                "payer_balance_fen": rng.choice((None, 0, 10**7)), "channel": rng.choice((None, "mobile", "pos")),
                "ok": rng.choice((None, True, True, False)), "device": rng.choice((None, f"86{rng.randrange(4):013d}")),
            }  # fmt: skip
            put(table, **row)
            if rng.random() < 0.2:
                put(table, **{**row, "side": "payee", "at": at + 2})
        elif table == "cash":
            put(table, at=at, account=p, kind="withdrawal", amount_fen=rng.choice((10**5, 10**7)))
        elif table == "purchases":
            put(table, at=at, line=a, goods=rng.choice(("黄金", "手机", None)), amount_fen=5 * 10**5)
        elif table == "shipments":
            put(table, at=at, sender=a, recipient=b, kind=rng.choice(("courier", "ride")))
        elif table == "lodging":
            put(table, at=at, line=a, hotel="h", nights=1, place=rng.choice((None, "350200", "110100")))
        elif table == "warnings":
            put(
                table, at=at, victim_line=a, level_upstream=rng.choice((None, "low", "medium", "high", "urgent")),
                stage=rng.choice((None, "trust", "pay")), suspect_line=rng.choice((None, b)),
                suspect_app=rng.choice((None, "p1")),
                suspect_account=rng.choice((None, p)),
            )  # fmt: skip
        elif table == "identifiers":
            report = f"r{rng.randrange(12)}"
            kind, value = rng.choice((("line", a), ("account", p), ("domain", "site1.cn"), ("app", "p2")))
            put(table, at=at, report=report, kind=kind, value=value, role=rng.choice(("victim", "suspect", "payee")))
            if rng.random() < 0.6:
                ts = T0 + dt.timedelta(minutes=at + 30)
                put("reports", report=report, person=rng.choice((None, "p0", "p1")), loss_fen=5, reported_at=ts)
        elif table == "findings" and rng.random() < 0.5:
            subject = rng.choice((f"line:{a}", f"account:{p}", f"domain:site{rng.randrange(4)}.cn", "app:p1"))
            known = T0 + dt.timedelta(minutes=minutes)
            put(table, subject=subject, kind="suspect_confirmed", known_at=known)
    order += rng.sample(order, 10)  # sent again
    plain = {name: rows(name, events).to_pylist() for name, events in tables.items()}
    log = []
    for name, i in order:
        row = dict(plain[name][i])
        log.append((name, {k: _us(v) if isinstance(v, dt.datetime) else v for k, v in row.items()}))
    merged = detect.merge(
        [detect.encode(name, rows(name, events), k + 1) for k, (name, events) in enumerate(tables.items())]
    )
    names = list(tables)
    place = {(names[int(part)], int(row)): i for i, (part, row) in enumerate(zip(merged.part, merged.row, strict=True))}
    return merged.pick(np.array([place[item] for item in order])), log


def _us(moment: dt.datetime) -> int:
    return (moment - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)) // dt.timedelta(microseconds=1)


def read(log: list[tuple[str, dict[str, Any]]]) -> Reading:
    """The plain reading of a log."""
    reading = Reading()
    for table, row in log:
        reading.read(table, row)
    return reading


def fed(block: Block, cuts: list[int], *, save: bool) -> detect.Engine:
    """An engine that has read the block in pieces, saved and restored at each cut."""
    engine = detect.Engine(book())
    for begin, end in itertools.pairwise([0, *sorted(cuts), len(block)]):
        engine.feed(block.slice(begin, end))
        if save:
            engine = detect.Engine.restore(engine.snapshot(), book())
    return engine


def subjects(reading: Reading) -> list[str]:
    """Everybody in the log, provisional persons of lines and accounts too."""
    named = [
        s for s in reading.things if s.partition(":")[0] in ("line", "account", "device", "domain", "app", "person")
    ]
    return named + [f"person:{s}" for s in named if s.startswith(("line:", "account:"))]


def differences(engine: detect.Engine, reading: Reading) -> list[tuple[str, str, Any, Any]]:
    """(subject, figure, engine's, plain) wherever the two differ."""
    out = []
    for subject in subjects(reading):
        mine = engine.figures(subject)
        if mine is None:
            continue  # a provisional person whom nothing has called into being
        plain = reading.figures(subject, book())
        out += [(subject, name, mine[name], v) for name, v in plain.items() if not _same(mine[name], v)]
    return out


def _same(a: float | None, b: float | None) -> bool:
    return (a is None) == (b is None) and (a is None or b is None or math.isclose(a, b, rel_tol=1e-12))


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10**6), cuts=st.lists(st.integers(1, 250), max_size=4, unique=True), save=st.booleans())
def test_figures_equal_their_plain_definition(seed: int, cuts: list[int], save: bool) -> None:
    block, log = stream(seed)
    assert differences(fed(block, cuts, save=save), read(log)) == []


@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10**6), share=st.floats(0, 1), cuts=st.lists(st.integers(1, 250), max_size=4, unique=True),
    save=st.booleans(),
)  # fmt: skip
def test_stream_replay_and_plain_definition_agree_at_any_time(
    seed: int, share: float, cuts: list[int], save: bool
) -> None:
    """What is asked of is what has become known by then, however late it came; the three read it in the same order."""
    block, log = stream(seed)
    until = int(np.quantile(block.due, share))
    known = np.flatnonzero(block.due <= until)
    plain = read([log[i] for i in known])
    streamed = fed(block.pick(known), [c for c in cuts if c < len(known)], save=save)
    again = replayed(block, until, book())
    assert differences(streamed, plain) == [] and differences(again, plain) == []


def test_a_replayed_folder_gives_every_subject_its_figures(tmp_path: Path) -> None:
    """As ``wuzha features DIR --at TIME``: tables in files, read as one log in the order of time."""
    _, log = stream(5)
    tables: dict[str, list[dict[str, Any]]] = {}
    for name, row in log:
        if row["event_id"] not in {r["event_id"] for r in tables.setdefault(name, [])}:
            tables[name].append({k: _moment(name, k, v) for k, v in row.items()})
    for name, events in tables.items():
        pq.write_table(rows(name, events), tmp_path / f"{name}.parquet")
    merged, refused = read_folder(tmp_path)
    assert refused == 0
    until = int(np.median(merged.due))
    table = figures_table(replayed(merged, until, book()))
    cite = citing(merged)
    by_name = {f"{row['source']}/{row['event_id']}": (name, row) for name, row in log}
    plain = read([by_name[cite(int(ref))] for ref in merged.ref[merged.due <= until]])
    found = {row.pop("subject"): row for row in table.to_pylist()}
    assert len(found) > 20
    for subject, mine in found.items():
        wanted = plain.figures(subject, book())
        assert {name: mine[name] for name in wanted if not _same(mine[name], wanted[name])} == {}, subject
        assert all(value is None for name, value in mine.items() if name not in wanted)


def _moment(table: str, column: str, value: Any) -> Any:
    if pa.types.is_timestamp(TABLES[table].column(column).type) and value is not None:
        return dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=value)
    return value


@lru_cache(maxsize=1)
def _seen() -> list[tuple[dict[str, float | None], dict[str, float | None]]]:
    """(engine's figures, plain ones) of every subject of six streams, each stopped at three places."""
    out = []
    for seed in range(6):
        block, log = stream(seed)
        reading, engine, at = Reading(), detect.Engine(book()), 0
        for stop in (len(log) // 3, 2 * len(log) // 3, len(log)):
            engine.feed(block.slice(at, stop))
            for table, row in log[at:stop]:
                reading.read(table, row)
            at = stop
            for subject in subjects(reading):
                mine = engine.figures(subject)
                if mine is not None:
                    out.append((mine, reading.figures(subject, book())))
    return out


@pytest.mark.parametrize("name", [*shipped().features, "talk_days"])
def test_the_figure_equals_its_plain_definition(name: str) -> None:
    pairs = [(mine[name], plain[name]) for mine, plain in _seen() if name in plain]
    assert [(mine, plain) for mine, plain in pairs if not _same(mine, plain)] == []


def test_the_streams_bring_most_figures_above_nothing() -> None:
    """What is rare or new needs more uses than a short stream has; those figures are nothing in both readings."""
    names = {*shipped().features, "talk_days"}
    above = {name for _, plain in _seen() for name, value in plain.items() if value}
    assert len(above) >= 0.8 * len(names), sorted(names - above)


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(300))
def test_figures_of_many_streams(seed: int) -> None:
    block, log = stream(20_000 + seed)
    cuts = random.Random(seed).sample(range(1, 250), seed % 5)
    assert differences(fed(block, cuts, save=seed % 2 == 0), read(log)) == []


def test_an_earlier_owner_s_figures_fade_as_the_line_goes_on() -> None:
    block, log = stream(27_863)
    assert differences(fed(block, [], save=False), read(log)) == []


@pytest.mark.parametrize("n", [1, 2, 3, 5, 10, 20, 40, 80, 120])
def test_a_sketch_is_close(n: int) -> None:
    """Linear counting over 64 bits: over 300 random sets as good as its theory says."""
    rng = np.random.default_rng(n)
    estimates = []
    for _ in range(300):
        bits = np.uint64(0)
        for b in rng.integers(0, 64, n):
            bits |= np.uint64(1) << np.uint64(b)
        estimates.append(spread(bits))
    load = n / 64
    deviation = math.sqrt(64 * (math.exp(load) - load - 1))
    assert abs(np.mean(estimates) - n) <= 0.04 * n + 3 * deviation / math.sqrt(300) + 0.1
    assert np.std(estimates) <= 1.5 * deviation + 0.6


@pytest.mark.parametrize("save", [False, True])
def test_cells_that_no_window_reaches_are_dropped_unseen(save: bool) -> None:
    """A month of one line's calls: its figures are those of the last days, however often it was saved."""
    calls = [
        {"at": 37 * i, "caller": "+8613800000001", "callee": f"+86139000{i % 97:05d}", "duration_s": i % 400}
        for i in range(1200)
    ]
    table = rows("calls", calls)
    block = detect.encode("calls", table, 1)
    log = [
        ("calls", {k: _us(v) if isinstance(v, dt.datetime) else v for k, v in row.items()}) for row in table.to_pylist()
    ]
    assert differences(fed(block, [100, 500, 900], save=save), read(log)) == []
