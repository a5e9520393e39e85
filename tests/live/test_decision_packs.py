"""Records packed together come out as each would have stood alone."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.live import decision_packs
from wuzha.live.decision_packs import FIGURE

NAMES = {"old": ("a", "b"), "new": ("a", "b", "c")}
SIDES = ("payer", "payee", "payer_person", "payee_person")
figures = st.lists(
    st.dictionaries(st.sampled_from(["a", "b"]), st.floats(-1e9, 1e9).filter(bool), max_size=2), min_size=4, max_size=4
)


def packed(book: str, sides: list[dict[str, float]]) -> decision_packs.Told:
    names = NAMES[book]
    found = [(c * len(names) + names.index(n), v) for c, some in enumerate(sides) for n, v in some.items()]
    return names, np.array(found, FIGURE).tobytes()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(figures, figures, st.sampled_from(["old", "new", None]), st.sampled_from(["old", "new", None])),
        min_size=1, max_size=5,
    )
)  # fmt: skip
def test_each_side_has_what_its_own_owner_told(rows: list[tuple[list[dict[str, float]], ...]]) -> None:
    kept, wanted = {}, {}
    for place, (payer, payee, book, other) in enumerate(rows, 1):
        told = [None if b is None else packed(str(b), f) for b, f in ((book, payer), (other, payee))]
        there = [side for side, b in zip(SIDES, (book, other, book, other), strict=True) if b is not None]
        record = {"place": place, "sides": {side: {"known": True} for side in there}}
        kept[place] = json.dumps(record).encode(), (told[0], told[1])
        for side, of_owner in zip(SIDES, (payer, payee, payer, payee), strict=True):
            values = of_owner[SIDES.index(side)]
            if side in there and values:
                record["sides"][side]["figures"] = values  # type: ignore[index]
        wanted[place] = record
    pack = decision_packs.packed(kept)
    assert {place: decision_packs.record(place, pack, None, None)[0] for place in wanted} == wanted


def test_a_record_that_stands_in_its_row_is_as_it_is() -> None:
    assert decision_packs.record(3, None, {"n": 2}, b"rows") == ({"n": 2}, b"rows")
    assert decision_packs.record(None, None, {"question": {}}, None) == ({"question": {}}, None)
