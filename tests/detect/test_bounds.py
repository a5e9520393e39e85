"""What a rule needs at least, against the rule itself; and counts of events that are never too low."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.detect import Engine, shipped
from wuzha.detect.bounds import Needs
from wuzha.detect.figures import run
from wuzha.detect.layout import N_OWN, N_PLANS, N_SIGNALS
from wuzha.detect.predicate import compile_text
from wuzha.detect.rulebook import Feature
from wuzha.detect.tables import tables

BOOK = shipped()
FEATURES = list(BOOK.features.values())
INDEX = {f.name: i for i, f in enumerate(FEATURES)}
READS: dict[int, set[int]] = {}
for _i, _f in enumerate(FEATURES):
    inner = () if _f.program is None else _f.program.features
    READS[_i] = {_i} if _f.program is None else set().union(*(READS[INDEX[n]] for n in inner))
NEEDS = Needs(FEATURES, INDEX, READS)


def _spread(n: int) -> float:
    return 300.0 if n >= 64 else float(np.rint(-64.0 * np.log(1.0 - n / 64.0)))


def _figure(draw: st.DrawFn, feature: Feature, n: int) -> float:
    """Any figure that ``n`` events of the feature may give."""
    if feature.op in ("count", "days"):
        return float(n)
    if feature.op == "distinct":
        return _spread(draw(st.integers(min(n, 1), n)))
    if feature.op == "sum":
        return float(draw(st.sampled_from([1, 200, 70_000, 9_000_000]))) if n else 0.0
    if feature.op == "register":
        return draw(st.sampled_from([math.nan, 0.0, 1.0, 2.0, 5.0, 10_000.0]))
    return math.nan if n == 0 else float(draw(st.sampled_from([0, 1, 400, 9_000_000])))


@settings(max_examples=400, deadline=None)
@given(st.data())
def test_a_rule_that_holds_has_what_it_needs(data: st.DataObject) -> None:
    book = tables(BOOK)
    r = data.draw(st.integers(0, len(BOOK.rules) - 1))
    rule = list(BOOK.rules.values())[r]
    named = {i for name in rule.program.features for i in READS[INDEX[name]]}
    values, counts, stack = np.full(len(FEATURES), np.nan), {}, np.zeros(64)
    for i in sorted(named):
        counts[i] = data.draw(st.sampled_from([0, 1, 2, 3, 5, 30, 100]), FEATURES[i].name)
        values[i] = _figure(data.draw, FEATURES[i], counts[i])
    for i, f in enumerate(FEATURES):
        if f.program is not None:
            values[i] = run(book.code_op, book.code_arg, book.formula_at[i], book.formula_n[i], values, stack)
    holds = run(book.code_op, book.code_arg, book.when_at[r], book.when_n[r], values, stack) == 1.0
    if holds:
        for clause in NEEDS.of(rule.program):
            assert any(counts[f] >= k for f, k in clause), (rule.id, clause)
        assert all(counts[f] <= most for f, most in NEEDS.at_most(rule.program)), rule.id
        plan = next((values[f] for f in named if FEATURES[f].attribute == "plan"), math.nan)
        if math.isnan(plan) or 1 <= plan < N_PLANS:
            assert NEEDS.plans(rule.program) >> (0 if math.isnan(plan) else int(plan)) & 1, rule.id


@pytest.mark.parametrize(
    ("text", "needs"),
    [
        ("share_2h >= 1", [("share_2h", 1)]),
        ("stranger_message_72h > 5", [("stranger_message_72h", 6)]),
        ("line_callees_24h >= 30", [("line_callees_24h", 24)]),
        ("2 <= share_2h", [("share_2h", 2)]),
        ("share_ago <= 60", [("share_ago", 1)]),
        ("NOT share_2h < 1", [("share_2h", 1)]),
        ("line_in_72h <= 1", []),
        ("share_2h = 0", []),
        ("share_ago IS NULL", []),
        ("COALESCE(share_ago, 5) <= 60", []),
        ("share_2h - remote_2h < 1", []),
    ],
)
def test_needs_of_one_condition(text: str, needs: list[tuple[str, int]]) -> None:
    program = compile_text(text, set(INDEX), predicate=True)
    assert [(FEATURES[f].name, k) for clause in NEEDS.of(program) for f, k in clause] == needs


def test_what_a_rule_has_at_most_and_which_plans_it_speaks_of() -> None:
    program = compile_text("line_in_72h <= 1 AND line_plan IN (2, 3) AND line_out_24h >= 5", set(INDEX), predicate=True)
    assert [(FEATURES[f].name, k) for f, k in NEEDS.at_most(program)] == [("line_in_72h", 1)]
    assert NEEDS.plans(program) == 1 << 2 | 1 << 3
    unknown = compile_text("COALESCE(line_plan, 1) IN (1, 7)", set(INDEX), predicate=True)
    assert NEEDS.plans(unknown) == 1 << 0 | 1 << 1 | 1 << 7


def test_shipped_rules_have_room_for_all_that_they_ask() -> None:
    engine = Engine()
    persons, others = engine._book.span_at.reshape(2, -1)[:, -1]
    assert persons <= N_SIGNALS and others <= N_OWN
    asked = sum(len(NEEDS.of(rule.program)) for rule in BOOK.rules.values())
    assert int(engine._book.clause_n.sum()) == asked
