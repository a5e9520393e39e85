"""Masks never give a number or a name in full."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.web.masks import MASKED, Sight, mask_text


@given(st.text(max_size=20), st.text("0123456789", min_size=7, max_size=22), st.text(max_size=20))
@settings(max_examples=60, deadline=None)
def test_no_long_number_passes_through_a_masked_text(before: str, number: str, after: str) -> None:
    assert number not in mask_text(f"{before} {number} {after}")


def test_numbers_written_with_gaps_and_names_in_texts_are_masked() -> None:
    text = Sight(names=("张小兰",)).text("张小兰 138-1234-1234，卡6222 0212 3456 7890 128，+8613812341234")
    assert text == "张*兰 138****1234，卡6222****0128，138****1234"
    assert Sight(open=True, names=("张小兰",)).text("张小兰") == "张小兰"


_LOCAL = st.from_regex(r"[A-Za-z0-9_][A-Za-z0-9._%+-]{3,20}", fullmatch=True)


@given(
    st.sampled_from(["", "写信给", "mail: ", "（", "，"]), _LOCAL, st.sampled_from("@＠"),
    st.sampled_from(["qq.com", "mail.example.com.cn", "例子.中国"]), st.sampled_from(["", "的邮箱", "，", " or"]),
)  # fmt: skip
@settings(max_examples=80, deadline=None)
def test_no_address_for_mail_passes_through_a_masked_text(
    before: str, local: str, at: str, host: str, after: str
) -> None:
    shown = mask_text(f"{before}{local}{at}{host}{after}")
    assert shown == f"{before}{local[0]}***{at}{host}{after}"


def test_words_that_are_no_address_stay_and_an_open_file_shows_the_address() -> None:
    for text in ("@某人 请回话", "单价 5@20", "a@b", "www.example.com"):
        assert mask_text(text) == text
    assert Sight(names=("张小兰",)).text("张小兰的 zhang.xl@qq.com") == "张*兰的 z***@qq.com"
    assert Sight(open=True).text("zhang.xl@qq.com") == "zhang.xl@qq.com"


def test_a_provisional_person_is_masked_as_the_number_it_is() -> None:
    assert MASKED.subject("person", "line:+8613812341234") == "138****1234"
    assert MASKED.subject("person", "account:6222021234567890128") == "6222****0128"
    assert MASKED.line("cn-short:96110") == "96110"
    assert MASKED.name(None) == "" and MASKED.line(None) == ""
