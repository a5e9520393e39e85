"""Hash tables that grow where they stand, against what was put into them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wuzha.detect.layout import HALF, PAIR, SEEN, longer, room
from wuzha.detect.windows import find, lasting, spread_out, spread_since

_ALL = (1 << 64) - 1
#: With it a mixed key becomes its key again: so the tests choose where an entry belongs.
_UNMIX = pow(0x9E3779B97F4A7C15, -1, 1 << 64)
#: Anywhere; all at a table's begin; all at its end, where a search goes on at the begin.
_MIXED = st.one_of(st.integers(1, _ALL), st.integers(1, 1 << 58), st.integers(_ALL - (1 << 58), _ALL))


def _filled(dtype: np.dtype[Any], mixed: list[int]) -> Any:
    """A table two thirds full; of ``HALF`` several may have one key."""
    size = len(mixed) * 3 // 2 + 1
    table, names = room(size, dtype), dtype.names or ()
    for number, m in enumerate(mixed):
        key = np.uint64(m * _UNMIX & _ALL)
        at = int(find(table, key))
        while table[at]["key"] != 0:
            at = (at + 1) % size
        table[at]["key"] = key
        table[at][names[1]] = number
        if "came" in names:
            table[at]["came"] = number % 4
            table[at]["done"] = number % 7 == 6
    return table


def _entries(table: Any) -> list[tuple[Any, ...]]:
    return sorted(entry.item() for entry in table[table["key"] != 0])


def _reached(table: Any) -> list[tuple[Any, ...]]:
    """Entries that a search for their key comes upon."""
    out = set()
    for key in np.unique(table["key"][table["key"] != 0]):
        at = int(find(table, key))
        while table[at]["key"] != 0:
            if table[at]["key"] == key:
                out.add(table[at].item())
            at = (at + 1) % len(table)
    return sorted(out)


@settings(max_examples=60, deadline=None)
@given(mixed=st.lists(_MIXED, min_size=1, max_size=120, unique=True), more=st.integers(0, 200))
@example(mixed=[_ALL - k for k in range(100)], more=60)
@pytest.mark.parametrize("dtype", [PAIR, SEEN, HALF], ids=["pairs", "seen", "halves"])
def test_what_was_in_a_table_is_found_after_it_grew_where_it_stands(
    dtype: np.dtype[Any], mixed: list[int], more: int
) -> None:
    if dtype is HALF:
        mixed = [mixed[i // 3] for i in range(len(mixed))]
    table = _filled(dtype, mixed)
    before, was = _entries(table), len(table)
    table = longer(table, was, was + more)

    assert spread_out(table, was, np.zeros(1, dtype)) == len(mixed)

    assert _entries(table) == _reached(table) == before


@settings(max_examples=60, deadline=None)
@given(mixed=st.lists(_MIXED, min_size=1, max_size=120), more=st.integers(0, 200), since=st.integers(0, 4))
def test_what_is_done_with_or_came_too_long_ago_is_forgotten(mixed: list[int], more: int, since: int) -> None:
    table = _filled(HALF, mixed)
    names = HALF.names
    assert names is not None
    came, done = names.index("came"), names.index("done")
    stay = [e for e in _entries(table) if e[came] >= since and not e[done]]
    was = len(table)
    assert lasting(table, since) == len(stay)
    table = longer(table, was, was + more)

    assert spread_since(table, was, np.zeros(1, HALF), since) == len(stay)

    assert _entries(table) == _reached(table) == stay


def test_a_large_table_grows_without_a_second_one() -> None:
    table = room(1 << 19, PAIR)
    grown = longer(table, len(table), len(table) * 3 // 2)
    assert grown.ctypes.data == table.ctypes.data
