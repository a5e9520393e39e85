"""One thing has one key, and a mask never gives the whole of it away."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wuzha.events import subjects


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("13800138000", "+8613800138000"),
        ("+86 138-0013-8000", "+8613800138000"),
        ("8613800138000", "+8613800138000"),
        ("0086 13800138000", "+8613800138000"),
        ("１３８００１３８０００", "+8613800138000"),
        ("'13800138000\t", "+8613800138000"),
        ("0571-88889999", "+8657188889999"),
        ("(010) 62221234", "+861062221234"),
        ("00852 2123 4567", "+85221234567"),
        ("96110", "cn-short:96110"),
        ("110", "cn-short:110"),
        ("ICBC", "alpha:ICBC"),
        ("国家反诈中心", "alpha:国家反诈中心"),
        ("cn-short:96110", "cn-short:96110"),
        ("", None),
        ("1", None),
        ("+", None),
        ("+8613800138000138001380", None),
        ("=cmd()", None),
    ],
)
def test_a_line_has_one_value(raw, value):
    assert subjects.line_value(raw) == value


@given(st.text(max_size=30))
def test_a_line_value_is_stable(raw):
    value = subjects.line_value(raw)
    if value is not None:
        assert subjects.line_value(value) == value


def test_keys_split_back():
    assert subjects.split_key(subjects.key("line", "cn-short:96110")) == ("line", "cn-short:96110")
    assert subjects.key("person", subjects.provisional_person("line:+8613800138000")) == "person:line:+8613800138000"


@pytest.mark.parametrize("bad", ["", "line", "line:", "phone:1", ":x"])
def test_what_is_no_key_is_refused(bad):
    with pytest.raises(ValueError, match="subject key"):
        subjects.split_key(bad)


@pytest.mark.parametrize(
    ("subject", "shown"),
    [
        ("line:+8613812341234", "138****1234"),
        ("line:+85221234567", "+85****4567"),
        ("line:cn-short:96110", "96110"),
        ("account:6222000011110001", "6222****0001"),
        ("account:12345", "12****"),
        ("person:line:+8613812341234", "138****1234"),
        ("device:860000000000001", "8600****01"),
        ("domain:example.top", "example.top"),
    ],
)
def test_masks(subject, shown):
    assert subjects.mask(subject) == shown


@pytest.mark.parametrize(
    ("name", "shown"),
    [("张", "*"), ("张三", "张*"), ("张秀兰", "张*兰"), ("欧阳娜娜", "欧*娜"), ("示例五金商行", "示*商行")],
)
def test_names_are_masked(name, shown):
    assert subjects.mask_name(name) == shown


@given(st.text(alphabet="0123456789X", min_size=15, max_size=18))
def test_an_identity_number_keeps_eight_characters_at_most(number):
    assert subjects.mask_id(number).count("*") >= len(number) - 8
