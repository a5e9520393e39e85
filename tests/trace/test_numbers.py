"""Numbers of things: dense, kept while the table grows, the same by one thread and by two."""

from __future__ import annotations

import numpy as np
import pytest

from wuzha.trace import numbers
from wuzha.trace.layout import NOBODY
from wuzha.trace.numbers import Numbers


@pytest.mark.parametrize("many", [1, 1 << 40], ids=["two threads", "one"])
def test_each_thing_has_one_number_and_keeps_it(many: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_MANY", many)
    monkeypatch.setattr(numbers, "_MANY_STEP", 700)
    r = np.random.default_rng(3)
    table = Numbers()
    known: dict[int, int] = {}
    for n in (1, 5_000, 60, 30_000):
        keys = r.integers(0, 9_000, n).astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        before = len(table)
        told, met = table.intern(keys)
        assert (told[keys == 0] == NOBODY).all()
        for key, number in zip(keys[keys != 0].tolist(), told[keys != 0].tolist(), strict=True):
            assert known.setdefault(key, number) == number
        assert sorted(known.values()) == list(range(len(table)))
        assert [known[key] for key in keys[met].tolist()] == list(range(before, len(table)))
        firsts = {key: place for place, key in reversed(list(enumerate(keys.tolist())))}
        assert [firsts[key] for key in keys[met].tolist()] == met.tolist()
    assert [table.find(key) for key in known] == list(known.values()) and table.find(12345) == -1


def test_what_runs_over_the_end_of_a_half_is_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numbers, "_MANY", 1)
    size = 1 << 12
    r = np.random.default_rng(4)
    keys = r.integers(1, 1 << 62, 1 << 22).astype(np.uint64)
    at = (keys * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(29)) & np.uint64(size - 1)
    # nothing but keys of the last slots of both halves
    keys = keys[(at % np.uint64(size // 2)) >= np.uint64(size // 2 - 3)]
    keys = keys[:2_000]
    table = Numbers()
    told, met = table.intern(np.concatenate([keys, keys[::-1]]))
    assert table.slots.shape[0] >= size and len(table) == 2_000 == met.shape[0]
    assert (told[:2_000] == told[:1_999:-1]).all()
    assert (table.has(keys)).all() and not table.has(keys + np.uint64(1)).any()
    again, new = table.intern(keys)
    assert (again == told[:2_000]).all() and not new.size
