"""The quick look at a column never lets pass, change or refuse what the close look would not."""

from __future__ import annotations

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.events.table import TEXT, Column
from wuzha.ingest import validation

_PIECES = st.sampled_from(
    [
        "+",
        "8613800138000",
        "13800138000",
        "6222020200010001",
        "6E18",
        "6.22E+18",
        "12.0",
        "a.cn",
        "A",
        "é",
        "-",
        " ",
        "１",
    ]
)
_TEXTS = st.lists(st.none() | st.lists(_PIECES, min_size=1, max_size=4).map("".join), max_size=6)


@given(_TEXTS, _TEXTS, st.sampled_from(sorted(validation._SURE)), st.integers(0, 3))
def test_the_quick_look_agrees_with_the_close_one(
    first: list[str | None], second: list[str | None], kind: str, skipped: int
) -> None:
    chunks = [pa.array(["++", "9", *t], TEXT).slice(min(skipped, 2)) for t in (first, second)]
    column = Column(name="x", type=TEXT, zh="某", en="x", subject=kind)
    whole = pa.chunked_array(chunks, TEXT)
    if validation._surely(whole, kind):
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(validation, "_SURE", {})
            close, rejects = validation.in_form(whole, column)
        assert close.equals(whole) and not rejects


@pytest.mark.parametrize(("kind", "texts"), [
    ("line", ["+8613800138000", None, "+85251234567"]), ("account", ["6222020200010001", None]),
    ("domain", ["a-b.example", None]), ("device", ["86012345", None]), ("sim", ["46000", None]),
])  # fmt: skip
def test_ordinary_columns_need_no_close_look(kind: str, texts: list[str | None]) -> None:
    assert validation._surely(pa.chunked_array([pa.array(texts)]), kind)


def test_rules_hold_in_columns_that_are_ordinary_but_for_one_row() -> None:
    rows = pa.table(
        {
            "source": ["s"] * 5, "event_id": ["1", "2", "3", "4", ""],
            "ts": pa.array([1_772_000_000_000_000] * 5, pa.timestamp("us", "UTC")),
            "caller": ["+8613800138000", "", "+8613800138001", "6E18", "+8613800138000"],
            "callee": ["+8613800138000"] * 5, "duration_s": pa.array([1, 2, -3, 4, 5], pa.int64()),
            "caller_raw": ["", "x\x00", None, "y", "z"],
        }
    )  # fmt: skip
    accepted, rejects, _ = validation.validate(TABLES["calls"], rows)
    assert accepted.num_rows == 1 and accepted.column("caller_raw").to_pylist() == [None]
    assert [(r.row, r.column, r.reason) for r in rejects] == [
        (1, "caller_raw", "nul_byte"), (2, "duration_s", "below_minimum"), (3, "caller", "digits_lost"),
        (4, "event_id", "missing"),
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no column"):
        conform(TABLES["calls"], pa.table({"colour": ["red"]}))
