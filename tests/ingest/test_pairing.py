"""Pairing is symmetric, one to one, across sides, inside the window, and independent of the order of rows."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.ingest import pair
from wuzha.ingest.pairing import WINDOW_S

_rows = st.lists(st.tuples(st.integers(1, 3), st.integers(0, 900), st.integers(-1, 1), st.integers(0, 2)), max_size=30)


@settings(max_examples=200, deadline=None)
@given(_rows, st.randoms(use_true_random=False))
def test_pairs_are_one_to_one_and_do_not_depend_on_order(rows: list[tuple[int, int, int, int]], random: object) -> None:
    def run(order: list[int]) -> dict[int, int]:
        group = np.array([rows[i][0] for i in order], np.uint64)
        ts = np.array([rows[i][1] * 1_000_000 for i in order], np.int64)
        side = np.array([rows[i][2] for i in order], np.int8)
        ref = np.array([rows[i][3] for i in order], np.uint64)
        tie = np.array(order, np.uint64)
        partner = pair(group, ts, side, ref=ref, tie=tie)
        return {order[i]: order[p] for i, p in enumerate(partner.tolist()) if p >= 0}

    straight = list(range(len(rows)))
    pairs = run(straight)
    for a, b in pairs.items():
        assert pairs[b] == a
        assert rows[a][0] == rows[b][0] and {rows[a][2], rows[b][2]} == {0, 1}
        assert abs(rows[a][1] - rows[b][1]) <= WINDOW_S
    shuffled = straight[:]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert run(shuffled) == pairs
    alone = [i for i in straight if i not in pairs]
    for a in alone:
        for b in alone:
            same = rows[a][0] == rows[b][0] and (rows[a][2], rows[b][2]) == (0, 1)
            assert not (same and abs(rows[a][1] - rows[b][1]) <= WINDOW_S), "two that could pair were left"
