"""A feature that is declared while the log goes on is null until rebuilt; then the state is one that always had it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from tests.detect import chronicle
from tests.detect.test_figures import book, differences, read, stream

from wuzha import detect
from wuzha.detect import declaring, drafts
from wuzha.detect.encode import Block
from wuzha.detect.files import Collected
from wuzha.detect.grafting import Graft, graft, missing
from wuzha.detect.layout import used
from wuzha.detect.rulebook import Feature, RuleBook
from wuzha.detect.tables import kept_of
from wuzha.events.datafile import DataFileError

HOURS_24 = 24 * 60
NAMES = ("line:+8613800000000", "account:6222000000000000", "person:p0", "person:p1")
QUICK = settings(
    max_examples=8, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow],
    phases=(Phase.explicit, Phase.generate),
)  # fmt: skip


def _short(whole: RuleBook) -> RuleBook:
    """Only figures of a day and less, and what an officer's word is kept by; no formulas over what is gone."""
    kept: dict[str, Feature] = {}
    for f in whole.features.values():
        there = f.program is None or set(f.program.features) <= set(kept)
        if there and (f.window_min + f.skip_min <= HOURS_24 or "_confirmed_" in f.name):
            kept[f.name] = f
    return replace(whole, features=kept)


def rebuilt(
    log: Block,
    cuts: tuple[int, int],
    short: RuleBook,
    whole: RuleBook,
    *,
    save: bool,
    cut: int,
    after: RuleBook | None = None,
) -> tuple[detect.Engine, Collected]:
    """An engine that knew ``short``, was told of ``whole`` at the first cut, and had it rebuilt at the second."""
    declared, ready = cuts
    before, wanted = kept_of(short.features.values()), kept_of(whole.features.values())
    waiting = declaring.awaiting(whole, declaring.lacking(whole, before))
    engine, told = detect.Engine(short), Collected(after or whole)

    def saved() -> None:
        nonlocal engine
        if save:
            engine = detect.Engine.restore(engine.snapshot(), engine.rules)

    for begin, end in itertools.pairwise([*range(0, declared, cut), declared]):
        engine.feed(log.slice(begin, end))
    saved()
    engine.use(waiting)
    for begin, end in itertools.pairwise([*range(declared, ready, cut), ready]):
        engine.feed(log.slice(begin, end))
        saved()
    assert all(
        value is None for s in NAMES for name, value in (engine.figures(s) or {}).items()
        if name in {f.name for f in waiting.kept}
    )  # fmt: skip
    beside = detect.Engine(replace(short, kept=tuple(whole.features.values())))
    beside.feed(log.slice(0, declared))
    part = Graft.of(missing(beside, before, wanted).arrays())
    assert graft(engine, part, 1) == 0 and graft(engine, part, 1) == 0, "all find their place, and once"
    engine.use(after or whole)
    saved()
    told.add(engine.feed(log.slice(ready, len(log))))
    return engine, told


def cells(engine: detect.Engine) -> dict[str, Any]:
    """Every subject's windows, those that no figure reaches left out."""
    state, out = engine._state, {}
    keep = kept_of((*engine.rules.features.values(), *engine.rules.kept))
    for i in range(used(state, "subjects")):
        s = state.subjects[i]
        mine = state.cells[s["cells"] : s["cells"] + s["n_cells"]] if s["cells"] >= 0 else state.cells[:0]
        reached = s["last_ts"] // 600_000_000 - mine["bucket"] < keep[mine["code"]]
        if reached.any():
            out[engine.subject(i)] = [c.tolist() for c in mine[reached]]
    return out


@QUICK
@given(
    seed=st.integers(0, 10**6),
    at=st.tuples(st.floats(0, 1), st.floats(0, 1)),
    save=st.booleans(),
    cut=st.sampled_from((30, 999)),
)
def test_a_rebuilt_feature_is_what_it_would_always_have_been(
    seed: int, at: tuple[float, float], save: bool, cut: int
) -> None:
    log, rows = stream(seed)
    declared, ready = sorted(int(share * len(log)) for share in at)
    engine, _ = rebuilt(log, (declared, ready), _short(book()), book(), save=save, cut=cut)
    assert differences(engine, read(rows)) == []
    always = detect.Engine(book())
    always.feed(log)
    assert cells(engine) == cells(always)


OWN = """[{name}]
subject = "{subject}"
op = "{op}"
of = {of}
window = "{window}"
unit = "count"
zh = "甲"
en = "a"
"""
RULE = """[by_{name}]
subject = "{subject}"
stage = "approach"
when = "{name} >= 1"
zh = "{{{name}}}"
en = "{{{name}}}"
cooldown = "10min"
opens = {opens}

[weights]
{weight}
"""


@lru_cache(maxsize=1)
def declared() -> tuple[RuleBook, RuleBook, RuleBook]:
    """The chronicle's book, the same with own features, and the same with rules over these."""
    base = chronicle.book()
    own = [
        declaring.read(OWN.format(name=name, subject=subject, op=op, of=of, window=window), base)
        for name, subject, op, of, window in (
            ("calls_40d", "person", "count", '["call.in", "call.out"]', "40d"),
            ("money_60d", "person", "sum", '["transfer.out"]', "60d"),
            ("heard_30d", "line", "distinct", '["call.in"]', "30d"),
        )
    ]
    whole = declaring.with_features(base, own)
    rules = [
        drafts.read(RULE.format(name=n, subject=s, opens=o, weight=w), whole, number=2000 + i, file=n)
        for i, (n, s, o, w) in enumerate((
            ("calls_40d", "person", "true", ""), ("money_60d", "person", "false", "loan = 4"),
            ("heard_30d", "line", "false", "scam_line = 9"),
        ))
    ]  # fmt: skip
    return base, whole, drafts.laid(whole, rules)


@QUICK
@given(seed=st.integers(0, 10**6), at=st.tuples(st.floats(0, 1), st.floats(0, 1)), save=st.booleans())
def test_rules_over_a_rebuilt_feature_give_what_they_would_have_given(
    seed: int, at: tuple[float, float], save: bool
) -> None:
    """Alerts, evidence with its events, and suspects: as where the feature stood from the log's beginning."""
    log = chronicle.chronicle(seed)
    base, whole, ruled = declared()
    cuts = sorted(int(share * len(log)) for share in at)
    _, told = rebuilt(log, (cuts[0], cuts[1]), base, whole, save=save, cut=50, after=ruled)
    always, wanted = detect.Engine(whole), Collected(ruled)
    always.feed(log.slice(0, cuts[1]))
    always.use(ruled)
    wanted.add(always.feed(log.slice(cuts[1], len(log))))
    assert vars(told) == vars(wanted) and told.book is wanted.book


def test_the_rules_over_rebuilt_features_do_give_evidence() -> None:
    log = chronicle.chronicle(3)
    base, whole, ruled = declared()
    half = len(log) // 2
    _, told = rebuilt(log, (half // 2, half), base, whole, save=False, cut=50, after=ruled)
    assert {"by_calls_40d", "by_money_60d"} <= {e.rule for pieces in told.evidence.values() for e in pieces}


def test_no_rule_holds_over_a_feature_that_waits_whatever_it_makes_of_null() -> None:
    _, whole, ruled = declared()
    text = 'subject = "person"\nunit = "count"\nzh = "乙"\nen = "b"\n'
    over = declaring.read(f'[over]\nformula = "COALESCE(calls_40d, 7) + 1"\n{text}', whole)
    more = declaring.with_features(ruled, [over])
    rule = drafts.read(RULE.format(name="over", subject="person", opens="true", weight=""), more, number=2010)
    waiting = declaring.awaiting(drafts.laid(more, [rule]), declaring.readers(more, ["calls_40d"]))
    assert [f.name for f in waiting.kept] == ["calls_40d", "over"]
    log = chronicle.chronicle(3)
    engine, told = detect.Engine(waiting), Collected(waiting)
    told.add(engine.feed(log))
    fired = {e.rule for pieces in told.evidence.values() for e in pieces}
    assert "by_money_60d" in fired and not {"by_over", "by_calls_40d"} & fired
    assert all((engine.figures(s) or {}).get("over") is None for s in engine.subjects() if s)


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("[a]\nversion = 1", 2, "version"),
        (OWN.format(name="a", subject="person", op="count", of='"call.in"', window="181d"), 5, "180d"),
        (OWN.format(name="a", subject="person", op="count", of='"calls"', window="1d"), 4, "calls"),
        (OWN.format(name="warnings_7d", subject="line", op="count", of='"call.in"', window="1d"), 2, "person"),
        ('[a]\nsubject = "person"\nformula = "warnings_7d + nothing"\nunit = "a"\nzh = "a"\nen = "a"', 3, "nothing"),
        ("[a]\nb = 1\n[c]\nd = 1", 3, "one feature"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_declaration_is_said_at_its_place(text: str, line: int, what: str) -> None:
    with pytest.raises(DataFileError, match=what) as said:
        declaring.read(text, detect.shipped())
    assert said.value.line == line


def test_every_shipped_feature_reads_as_its_own_text() -> None:
    book = detect.shipped()
    for f in book.features.values():
        again = declaring.read(declaring.text_of(f), book, version=f.version)
        assert again == f


def test_units_have_words_and_money_at_risk_is_not_declared() -> None:
    book = detect.shipped()
    assert {f.unit for f in book.features.values()} <= set(declaring.UNITS)
    text = OWN.format(name="a", subject="person", op="sum", of='"transfer.out"', window="1d")
    for wrong, what in ((text.replace("count", "apples"), "apples"), (text + "risk = true\n", "money at risk")):
        with pytest.raises(DataFileError, match=what):
            declaring.read(wrong, book)


def test_windows_are_kept_whole_or_told_apart() -> None:
    short, whole = _short(book()), book()
    names = declaring.lacking(whole, kept_of(short.features.values()))
    assert "talk_days" in names and not set(names) & set(short.features)
    assert declaring.lacking(whole, kept_of(whole.features.values())) == ()
    assert np.all(kept_of(whole.features.values()) >= kept_of(short.features.values()))
