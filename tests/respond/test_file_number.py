"""File numbers: one a file, right in themselves, sayable."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wuzha.respond.file_number import alert_of, file_number

IDS = st.one_of(st.integers(1, 10**7 - 1), st.integers(10**7, 10**9 - 1))


@given(IDS, st.sampled_from([" ", "-", "", "　", "·", ". "]))
def test_a_number_leads_back_to_its_file_however_it_is_written(alert: int, between: str) -> None:
    number = file_number(alert)
    assert alert_of(number) == alert
    assert alert_of(number.replace(" ", between)) == alert
    assert alert_of("".join(chr(ord(c) + 0xFEE0) if c.isdigit() else c for c in number)) == alert


@given(IDS, st.integers(0, 9), st.integers(0, 9))
def test_a_wrong_digit_or_two_changed_about_is_never_another_file(alert: int, place: int, digit: int) -> None:
    whole = file_number(alert).replace(" ", "")
    place %= len(whole) - 1
    one = whole[:place] + str(digit) + whole[place + 1 :]
    two = whole[:place] + whole[place + 1] + whole[place] + whole[place + 2 :]
    for wrong in (one, two):
        assert wrong == whole or alert_of(wrong) is None


@given(IDS, IDS)
def test_two_files_never_share_a_number(a: int, b: int) -> None:
    assert (a == b) == (file_number(a) == file_number(b))


@pytest.mark.parametrize("text", ["", "abc", "1234567", "00000000000", "张小兰", "1234 567x", "٣٤٨٢٩١٠٦"])
def test_other_texts_are_no_file_number(text: str) -> None:
    assert alert_of(text) is None
