"""Rules written by themselves: whole, or a mistake at its place; laid over a book they change that rule alone; and what
a rule would have done on a log that is over."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.detect.chronicle import book, chronicle
from tests.eventlog import block, run

from wuzha import detect
from wuzha.detect import drafts
from wuzha.detect.backtest import Truth, backtest
from wuzha.detect.firings import Firing, fired
from wuzha.detect.rulebook import RuleBook, Snooze, shipped
from wuzha.events.datafile import DataFileError

TEXT = """[mine]
subject = "person"
stage = "approach"
when = "talk_stranger_2h >= 1 AND warnings_7d < 9"
zh = "{talk_stranger_2h} 次"
en = "{talk_stranger_2h} times"

[weights]
loan = 12
"""


@pytest.mark.parametrize("name", list(shipped().rules))
def test_a_rule_of_the_book_reads_back_as_it_stands(name: str) -> None:
    book = shipped()
    draft = drafts.read(drafts.text_of(book, name), book, number=book.rules[name].number)
    stood = book.rules[name]
    assert (draft.rule.program, draft.rule.args, draft.rule.zh, draft.rule.en, draft.rule.cooldown_min) == (
        stood.program, stood.args, stood.zh, stood.en, stood.cooldown_min,
    )  # fmt: skip
    assert draft.weights == {t.id: t.weights[name] for t in book.typologies.values() if name in t.weights}


@pytest.mark.parametrize(
    ("old", "new", "place", "what"),
    [
        ("talk_stranger_2h >= 1", "talk_stranger >= 1", (4, 9), "unknown feature 'talk_stranger'; did you mean"),
        ("AND warnings_7d < 9", "AND warn < 9", (4, 35), "unknown feature 'warn'"),
        ('"approach"', '"night"', (3, 10), "none of approach"),
        ("loan = 12", "loen = 12", (9, 8), "no typology of a person"),
        ("loan = 12", "loan = 120", (9, 8), "from -100 to 100"),
        ("loan = 12", "", (8, 1), "weighs nothing"),
        ("[mine]", "[Mine]", (1, 1), "is no name"),
        ("[mine]", "[mine]\nnumber = 7", (2, 10), "given by the deployment"),
        ("[mine]", "[mine]\nnight = 7", (2, 9), "knows no 'night'"),
        ("[mine]", "[other]\na = 1\n[mine]", (3, 1), "write one rule"),
        ("{talk_stranger_2h} 次", "{line_in_24h} 次", (5, 7), "no feature of a person"),
        ('zh = "{talk_stranger_2h} 次"', 'zh = "', (5, 7), "end of|llegal|nterminated"),
    ],
)
def test_a_mistake_is_said_at_its_line_and_column(old: str, new: str, place: tuple[int, int], what: str) -> None:
    with pytest.raises(DataFileError, match=what) as raised:
        drafts.read(TEXT.replace(old, new), shipped())
    assert (raised.value.line, raised.value.column) == place


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=60), st.integers(0, len(TEXT)))
def test_whatever_is_typed_is_a_rule_or_a_mistake_with_a_place(typed: str, at: int) -> None:
    try:
        drafts.read(TEXT[:at] + typed + TEXT[at:], shipped())
    except DataFileError as error:
        assert error.line >= 1 and error.column >= 1 and error.what


def test_the_subject_of_a_rule_is_kept() -> None:
    with pytest.raises(DataFileError, match="another subject is another rule"):
        drafts.read(TEXT.replace("[mine]", "[mule_fan]"), shipped())


def test_a_book_that_nothing_is_laid_over_judges_as_before() -> None:
    log = chronicle(5)
    assert run(log, book=drafts.laid(book(), []))[0].equals(run(log, book=book())[0])


def test_a_rule_that_is_out_gives_nothing_more_and_what_it_gave_stays() -> None:
    log, whole = chronicle(7), book()
    half = len(log) // 2
    engine = detect.Engine(whole)
    engine.feed(log.slice(0, half))
    before = fired(engine)[0]
    assert any(f.number == 4001 for f in before)
    engine.use(drafts.laid(whole, [], out={"told"}))
    engine.feed(log.slice(half, len(log)))
    after, _ = fired(engine)
    assert [f for f in after if f.number == 4001] == [f for f in before if f.number == 4001]
    assert drafts.never(engine.rules.rules["told"]) and not drafts.never(engine.rules.rules["warned"])


@pytest.mark.parametrize("seed", [2, 3])
def test_a_snooze_is_the_same_however_the_log_is_cut(seed: int) -> None:
    log, whole = chronicle(seed), book()
    engine = detect.Engine(whole)
    engine.feed(log)
    firings, _ = fired(engine)
    until = int(np.quantile(log.due, 0.9))
    snoozes = tuple(
        Snooze(rule="told", subject=who, until=until) for who in {f.subject for f in firings if f.number == 4001}
    )
    kept = RuleBook(whole.features, whole.rules, whole.typologies, snoozes=snoozes)

    def told(cuts: list[int]) -> list[Firing]:
        one, begin = detect.Engine(kept), 0
        for end in [*cuts, len(log)]:
            one.feed(log.slice(begin, end))
            one, begin = detect.Engine.restore(one.snapshot(), kept), end
        return fired(one)[0]

    still = told([])
    assert still == told([len(log) // 3, len(log) // 2])
    assert [f for f in still if f.number != 4001] == [f for f in firings if f.number != 4001]
    assert sum(f.number == 4001 for f in still) < sum(f.number == 4001 for f in firings)


def test_what_a_rule_would_have_done() -> None:
    calls = [
        {"at": day * 1440 + 60 * i, "caller": f"+8520000{day}{i:02d}1", "callee": f"+86138000000{i:02d}",
         "duration_s": 400}
        for day in range(3) for i in range(4)
    ]  # fmt: skip
    log = block({"calls": calls})
    before = shipped()
    text = TEXT.replace("AND warnings_7d < 9", "").replace("loan = 12", "loan = 40")
    after = drafts.laid(before, [drafts.read(text, before)])
    truth = Truth()
    truth.settled = {"person:line:+8613800000000": True, "person:line:+8613800000001": False}
    truth.reported = {"person:line:+8613800000002"}
    found = backtest([log.slice(0, 5), log.slice(5, len(log))], before, after, "mine", truth, days=1.5, minutes=30)
    # a stranger is one only from the second day on, and only the last day and a half counts
    assert found["subjects"] == 4
    assert found["alerts"]["new"] == 4 and found["alerts"]["before"] == 0
    assert found["precision"] | {} == {
        "settled": 2, "right": 1, "share": 0.5, "new_alerts_right": 1, "new_alerts_wrong": 1, "reported_a_loss": 1,
    }  # fmt: skip
    assert found["hours_a_day"] == pytest.approx(4 * 30 / 60 / found["days"], abs=0.01)
    assert {one["subject"] for one in found["on_whom"]} == {f"person:line:+861380000000{i}" for i in range(4)}
    assert all(one["level_before"] is None and one["level_after"] == "medium" for one in found["on_whom"])


def test_a_share_of_nothing_is_null() -> None:
    log = block({"calls": [{"at": 0, "caller": "+8613800000001", "callee": "+8613800000002", "duration_s": 1}]})
    before = shipped()
    after = drafts.laid(before, [drafts.read(TEXT, before)])
    found = backtest([log], before, after, "mine", Truth())
    assert found["subjects"] == 0 and found["precision"]["share"] is None
    assert found["overlap"]["subjects_share"] is None and found["on_whom"] == []
    assert backtest([], before, after, "mine", Truth())["events"] == 0
