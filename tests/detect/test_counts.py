"""What is left unjudged could not have held: counts and their short cuts change nothing, nor does reading ahead."""

import numpy as np
import pytest
from tests.detect.chronicle import book, chronicle
from tests.eventlog import block, city, rows

from wuzha import detect
from wuzha.detect.files import Collected
from wuzha.detect.pipeline import changes, guessed


def _all_judged(engine):
    """The engine without short cuts: no rule is ever ruled out, money at risk is always looked at again."""
    tables = engine._book
    engine._book = tables._replace(
        clause_n=np.zeros_like(tables.clause_n), must=np.zeros_like(tables.must), plans=np.full_like(tables.plans, -1),
        cap_n=np.zeros_like(tables.cap_n), still=np.zeros_like(tables.still),
    )  # fmt: skip
    return engine


def _outcome(engine, log, size=37):
    found = Collected(book())
    for begin in range(0, len(log), size):
        found.add(engine.feed(log.slice(begin, begin + size)))
    return [
        sorted(found.alerts.items(), key=lambda item: item[0]),
        sorted((at, sorted(map(repr, pieces))) for at, pieces in found.evidence.items() if at in found.alerts),
        sorted((at, sorted(joined)) for at, joined in found.warnings.items() if at in found.alerts),
        sorted(found.suspects.items(), key=lambda item: item[0]),
    ]


@pytest.mark.parametrize("seed", range(12))
def test_counts_change_nothing_where_persons_join_and_part(seed):
    log = chronicle(seed)
    assert _outcome(detect.Engine(book()), log) == _outcome(_all_judged(detect.Engine(book())), log)


@pytest.mark.parametrize("seed", range(3))
def test_counts_change_nothing_in_a_city(seed):
    log = block(city(seed))
    short = detect.Engine(book())
    assert _outcome(short, log) == _outcome(_all_judged(detect.Engine(book())), log)


def test_a_line_met_twice_has_no_person_and_no_counts_yet():
    calls = [
        {"at": 60 * k, "caller": "+8613800000001", "callee": f"+861390000000{k}", "duration_s": 30} for k in range(2)
    ]
    engine = detect.Engine()
    engine.feed(block({"calls": calls}))
    state = engine._state
    assert engine.n_subjects == 3
    assert (state.subjects["tally"][:3] == -1).all()
    assert (state.subjects["provisional"][:3] == -1).all()
    assert engine.figures("person:line:+8613800000001") is not None
    assert engine.figures("person:line:+8613800000009") is None


def test_two_cores_give_what_one_gives():
    tables = city(5)
    batches = [(name, rows(name, events), k + 1) for k, (name, events) in enumerate(sorted(tables.items()))]
    alone = detect.Engine()
    expected = [repr(alone.feed(detect.encode(*batch))) for batch in batches]
    assert [repr(one) for one in changes(detect.Engine(), batches)] == expected


@pytest.mark.parametrize("wrong", [-1, 0, 3, 2**31 - 1, -(2**31)])
def test_a_wrong_guess_of_a_subjects_number_changes_nothing(wrong):
    log = block(city(4))
    alone, guessing = detect.Engine(), detect.Engine()
    for begin in range(0, len(log), 50):
        part = log.slice(begin, begin + 50)
        numbers = guessed(guessing, part)
        numbers[::2] = wrong
        assert repr(guessing.feed(part, numbers)) == repr(alone.feed(part))
    assert guessing.subjects() == alone.subjects()


def test_touching_the_state_changes_nothing():
    log = block(city(2))
    engine = detect.Engine()
    engine.feed(log)
    before = engine.snapshot()
    engine.touch(log)
    after = engine.snapshot()
    for name in ("subjects", "members", "seen", "halves", "pairs", "n"):
        assert before[name].tobytes() == after[name].tobytes()


def test_an_error_of_the_second_thread_is_raised_in_the_first():
    with pytest.raises(ValueError, match="does not read"):
        list(changes(detect.Engine(), [("labels", None, 1)]))
