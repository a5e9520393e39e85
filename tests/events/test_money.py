"""Money is whole fen, and text that is no amount says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wuzha.events.money import LIMIT_FEN, parse_yuan, yuan, yuan_short


@pytest.mark.parametrize(
    ("text", "fen"),
    [
        ("1,234.50", 123450),
        ("1，234.5元", 123450),
        ("￥３.８４万元", 3840000),
        ("1.2亿", 12_000_000_000),
        ("-20", -2000),
        ("¥-20.00", -2000),
        (" 0.01\t", 1),
        (".5", 50),
        ("100.000", 10000),
        ("'88.8", 8880),
    ],
)
def test_amounts_as_people_write_them(text, fen):
    assert parse_yuan(text) == fen


@pytest.mark.parametrize("text", ["", "元", "-", "1.005", "--1", "-¥-1", "1e5", "6.22E+18", "abc", "1.2.3", "NaN", "∞"])
def test_what_is_no_amount_is_refused(text):
    with pytest.raises(ValueError):
        parse_yuan(text)


def test_a_sum_beyond_any_account_is_refused():
    with pytest.raises(ValueError, match="beyond"):
        parse_yuan(str(LIMIT_FEN))


@given(st.integers(-(10**15), 10**15))
def test_exact_yuan_reads_back(fen):
    assert parse_yuan(yuan(fen)) == fen


@pytest.mark.parametrize(
    ("fen", "shown"),
    [
        (None, "—"),
        (0, "0元"),
        (99, "0.99元"),
        (56000, "560元"),
        (3840000, "3.84万元"),
        (12_000_000_000, "1.20亿元"),
        (-3840000, "-3.84万元"),
    ],
)
def test_short_money(fen, shown):
    assert yuan_short(fen) == shown
