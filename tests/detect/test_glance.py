"""What a column's bytes say: hashes as stored, looks, disguises and cities, whatever the column's nulls and cuts."""

import re

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.detect.columns import cities, disguised, hashes, is_one_of, texts, truths
from wuzha.detect.encode import subject_hash
from wuzha.detect.glance import FOREIGN, SERVICE, identities_into, subjects_into
from wuzha.events.hashing import combine, hash_text, text_hash

_HEADS = ["", "+", "+8", "+86", "+861", "+864", "+86400", "+86800", "+852", "00", "0", "1", "cn-short:", "alpha:", "al"]
_TAILS = [
    "",
    "1",
    "110",
    "12110",
    "96110",
    "12381",
    "12315",
    "95588",
    "9558",
    "10086",
    "1000",
    "13812345678",
    "é110",
    "x",
]
NUMBERS = st.one_of(
    st.none(), st.text(max_size=9), st.tuples(*map(st.sampled_from, (_HEADS, _TAILS, _TAILS))).map("".join)
)
SENT = re.compile(r"^(\+|00)[0-9]*(110|12110|96110|12381|12315|955[0-9][0-9]|100[0-9][0-9])\Z")


def cut(values, at):
    """The values as a column whose array begins in the middle of a longer one."""
    whole = pa.array(["before"] * at + values, pa.string())
    return pa.chunked_array([whole.slice(at)])


def looks_of(column):
    n = len(column)
    keys, kinds, looks = np.zeros((n, 4), np.uint64), np.zeros((n, 4), np.uint8), np.zeros(n, np.uint8)
    subjects_into(*texts(column), np.uint64(text_hash("wuzha.detect line")), 2, 1, keys, kinds, looks)
    return keys[:, 1], looks


@settings(max_examples=150, deadline=None)
@given(st.lists(NUMBERS, max_size=12), st.integers(0, 9))
def test_hashes_and_looks_are_those_of_the_text(values, at):
    column = cut(values, at)
    keys, looks = looks_of(column)
    assert keys.tolist() == subject_hash("line", column).tolist()
    assert hashes(column).tolist() == hash_text(column).tolist()
    for value, look in zip(values, looks.tolist(), strict=True):
        foreign = value is not None and value.startswith("+") and not value.startswith("+86")
        service = value is not None and value.startswith(("cn-short:", "alpha:", "+86400", "+86800"))
        assert look == (FOREIGN if foreign else SERVICE if service else 0)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.tuples(NUMBERS, NUMBERS), max_size=12), st.integers(0, 9))
def test_disguises_are_long_numbers_that_end_like_an_office_and_national_ones_from_abroad(pairs, at):
    raws, values = [raw for raw, _ in pairs], [value for _, value in pairs]
    _, looks = looks_of(cut(values, at))
    expected = [
        raw is not None and bool(SENT.match(raw) or (look & FOREIGN and not re.match(r"\+|00", raw)))
        for raw, look in zip(raws, looks.tolist(), strict=True)
    ]
    assert disguised(cut(raws, at), looks).astype(bool).tolist() == expected


def test_cities_and_words():
    column = cut(["350203", "35020", "3502", "350", None, "35a203", "", "城市中心"], 3)
    assert cities(column).tolist() == [3502, 3502, 3502, 0, 0, 0, 0, 0]
    coded = pa.chunked_array([pa.array(["a", None, "b", "a"]).dictionary_encode()])
    assert is_one_of(coded, "a", "c").tolist() == [1, 0, 0, 1]
    assert cities(coded).tolist() == [0, 0, 0, 0]
    assert truths(pa.chunked_array([pa.array([None, True, False, True]).slice(1)])).tolist() == [1, 0, 1]
    assert truths(pa.chunked_array([pa.nulls(2, pa.bool_())]), True).tolist() == [1, 1]


def test_an_identity_is_its_source_its_id_and_its_table():
    column = cut(["e1", None, "e2"], 2)
    sources = hash_text(pa.array(["s", "s", "t"]))
    out = np.empty(3, np.uint64)
    identities_into(*texts(column), sources, np.uint64(3), out)
    assert out.tolist() == combine(combine(sources, hash_text(column)), np.full(3, 3, np.uint64)).tolist()
