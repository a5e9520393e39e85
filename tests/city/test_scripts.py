"""Scripts are read strictly: what breaks the format is refused with file, line and key."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha import city
from wuzha.city.scripts import ScriptError, load, parse

GOOD = """title = "试"
scam_type = "loan"
weight = 1.0
hours = "9-12, 14-17"

[money]
depth = [2, 3]

[[step]]
stage = "approach"
do = "call"
seconds = [60, 300]

[[step]]
stage = "pay"
do = "pay"
times = [1, 2]
yuan = [1000, 5000]
warned = { bank = 0.2 }

[texts]
lure = [
  "加{qq}",
]
"""


def test_shipped_scripts_cover_what_they_must() -> None:
    scripts = load()
    assert {s.name for s in scripts} >= {
        "task_rebate", "investment", "pig_butchering", "loan", "customer_service", "authority", "boss",
    }  # fmt: skip
    assert {k for s in scripts for k in s.crew.lines} == {"own", "hotel", "watch", "goip"}
    assert {k for s in scripts for k in s.money.exits} == {"cash", "crypto", "merchant"}
    assert all(0.05 <= s.silent <= 0.3 for s in scripts)


def test_the_other_scripts_are_other() -> None:
    ours = {s.name: s for s in load()}
    theirs = {s.name: s for s in load(Path(__file__).parent / "other_scripts")}
    assert ours.keys() == theirs.keys()
    assert all(ours[k] != theirs[k] for k in ours)


def test_a_good_script_is_read() -> None:
    script = parse("mine.toml", GOOD)
    assert script.name == "mine"
    assert script.hours[9:12] == (1.0, 1.0, 1.0)
    assert script.hours[12] == 0.0
    assert script.steps[1].warned == {"bank": 0.2}


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("weight = 1.0", "wieght = 1.0", 3, "wieght: unknown key"),
        ("weight = 1.0", "weight = -1", 3, "weight: want a number"),
        ('scam_type = "loan"', 'scam_type = "laon"', 2, "unknown scam type"),
        ('hours = "9-12, 14-17"', 'hours = "9-9"', 4, "no span of hours"),
        ('hours = "9-12, 14-17"', "hours = [1, 2]", 4, "24 weights"),
        ("depth = [2, 3]", "depth = [3, 2]", 7, "money.depth"),
        ("depth = [2, 3]", "depth = [2.5, 3]", 7, "whole numbers"),
        ("depth = [2, 3]", "exits = { gold = 1 }", 7, "unknown 'gold'"),
        ("[money]", "[mony]", 6, "mony: unknown key"),
        ('do = "call"', 'do = "phone"', 11, "step.1.do: unknown 'phone'"),
        ("seconds = [60, 300]", "second = [60, 300]", 12, "step.1.second: unknown key"),
        ("seconds = [60, 300]", 'texts = "lures"', 12, "no [texts] called 'lures'"),
        ("warned = { bank = 0.2 }", "warned = { bank = 2 }", 19, "shares from 0 to 1"),
        ("warned = { bank = 0.2 }", "warned = { police = 0.2 }", 19, "unknown 'police'"),
        ('"加{qq}"', '"加{wechat}"', 22, "unknown slot {wechat}"),
        ('do = "pay"', 'do = "loan"', None, "nobody would lose anything"),
        ('stage = "pay"\n', "", 14, "step.2: stage is missing"),
        ('title = "试"', "title = 试", None, "line 1"),
        ('title = "试"\n', "", 1, "title is missing"),
    ],
)
def test_a_bad_script_is_refused_with_its_line(old: str, new: str, line: int | None, words: str) -> None:
    assert old in GOOD
    with pytest.raises(ScriptError) as error:
        parse("mine.toml", GOOD.replace(old, new))
    assert "mine.toml" in str(error.value)
    assert words in str(error.value)
    if line is not None:
        assert f"line {line}:" in str(error.value)


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=60), st.integers(0, len(GOOD)))
def test_no_text_breaks_the_reader(junk: str, at: int) -> None:
    try:
        parse("mine.toml", GOOD[:at] + junk + GOOD[at:])
    except ScriptError as error:
        assert "mine.toml" in str(error)


def test_a_folder_replaces_by_name_and_adds(tmp_path: Path) -> None:
    (tmp_path / "loan.toml").write_text(GOOD, "utf-8")
    (tmp_path / "mine.toml").write_text(GOOD.replace("weight = 1.0", "weight = 2"), "utf-8")
    scripts = {s.name: s for s in load(tmp_path)}
    assert len(scripts) == len(load()) + 1
    assert scripts["loan"].title == "试"
    assert scripts["mine"].weight == 2.0


def test_folders_that_hold_no_scripts_are_refused(tmp_path: Path) -> None:
    for bad in (tmp_path, tmp_path / "nowhere"):
        with pytest.raises(ScriptError):
            load(bad)
    (tmp_path / "x.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(ScriptError, match=r"x\.toml.*UTF-8"):
        load(tmp_path)


def test_weight_nought_switches_a_script_off(tmp_path: Path) -> None:
    (tmp_path / "loan.toml").write_text(GOOD.replace("weight = 1.0", "weight = 0"), "utf-8")
    made = city.generate(600, 2, 1, scripts=tmp_path)
    assert "loan" not in made["labels"]["script"].to_pylist()
