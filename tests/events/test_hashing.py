"""A stored hash never changes: not with the batch cut, the encoding of the column, or the release."""

import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st

from wuzha.events import hashing

texts = st.lists(st.one_of(st.none(), st.text(max_size=12)), max_size=30)


def test_known_values_stay():
    assert hashing.text_hash("b") == 7955382828454826704
    assert hashing.text_hash("+8613800138000") == 12848686380392760270


@given(texts, st.integers(0, 30), st.integers(0, 30))
def test_slices_chunks_and_dictionaries_hash_alike(values, a, b):
    array = pa.array(values, pa.string())
    whole = hashing.hash_text(array).tolist()
    lo, hi = sorted((min(a, len(values)), min(b, len(values))))
    assert hashing.hash_text(array[lo:hi]).tolist() == whole[lo:hi]
    assert hashing.hash_text(pa.chunked_array([array[:lo], array[lo:]])).tolist() == whole
    assert hashing.hash_text(array.dictionary_encode()).tolist() == whole
    assert whole == [0 if v is None else hashing.text_hash(v) for v in values]
    assert 0 not in [h for h, v in zip(whole, values, strict=True) if v is not None]


def test_a_pair_is_not_its_reverse():
    a, b = hashing.hash_text(pa.array(["x"])), hashing.hash_text(pa.array(["y"]))
    assert hashing.combine(a, b)[0] != hashing.combine(b, a)[0]
