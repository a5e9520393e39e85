"""Lateness is a pure function of the log, whatever the batch cuts."""

from __future__ import annotations

import itertools
from datetime import timedelta

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from wuzha.live.late import Watermarks, allowance_s, stamp

from .rows import START, table

HOURS = st.lists(st.integers(0, 400), min_size=1, max_size=40)


def call_rows(hours: list[int]):  # type: ignore[no-untyped-def]
    rows = [
        {"event_id": str(i), "ts": START + timedelta(hours=h), "caller": "+8613800000001", "callee": "+8613800000002"}
        for i, h in enumerate(hours)
    ]
    return stamp(table("calls", rows), 48 * 3600)


@given(HOURS, st.lists(st.integers(0, 40), max_size=4))
def test_batch_cuts_do_not_change_what_is_late(hours: list[int], cuts: list[int]) -> None:
    whole = Watermarks().late("calls", "x", call_rows(hours))
    marks, parts = Watermarks(), []
    edges = sorted({0, len(hours), *(c for c in cuts if c < len(hours))})
    for begin, end in itertools.pairwise(edges):
        # A snapshot in between changes nothing either.
        marks = Watermarks(marks.state())
        parts.append(marks.late("calls", "x", call_rows(hours).slice(begin, end - begin)))
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@given(HOURS)
def test_late_is_what_comes_after_its_allowance(hours: list[int]) -> None:
    got = Watermarks().late("calls", "x", call_rows(hours))
    plain = [h < max(hours[: i + 1]) - 48 for i, h in enumerate(hours)]
    assert got.tolist() == plain


def test_another_source_and_another_table_have_marks_of_their_own() -> None:
    marks = Watermarks()
    marks.late("calls", "x", call_rows([400]))
    assert not marks.late("calls", "y", call_rows([0])).any()
    assert marks.late("calls", "x", call_rows([0])).all()


def test_a_sources_own_allowance_goes_before_the_tables() -> None:
    assert allowance_s("calls", {"calls": 60}) == 60
    assert allowance_s("calls", {"visits": 60}) == 3 * 86400
