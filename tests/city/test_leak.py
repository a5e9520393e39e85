"""Nothing but behaviour tells scams from innocents."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from wuzha.city import generator, leak
from wuzha.city.scripts import load


@pytest.fixture(scope="module")
def findings() -> dict[str, leak.Finding]:
    # Many small crews, so that there are enough lines, accounts, sites and apps to learn from.
    scripts = [dataclasses.replace(s, crew=dataclasses.replace(s.crew, victims=(1, 2))) for s in load()]
    made = generator.make(6000, 4, 7, scripts, scam_rate=0.12)
    return leak.measure(made)


def test_every_question_was_asked(findings: dict[str, leak.Finding]) -> None:
    assert set(findings) == {
        "event calls", "event messages", "event visits", "event app_events", "event transfers", "event warnings",
        "subject lines", "subject accounts", "subject domains", "subject apps", "subject persons",
    }  # fmt: skip


def test_no_classifier_gets_beyond_the_limit(findings: dict[str, leak.Finding]) -> None:
    for question, f in findings.items():
        # With few positives an area wanders by chance; the limit itself holds for those with a thousand and more.
        slack = 0.0 if f.positives >= 1000 else 0.6 / np.sqrt(f.positives)
        assert f.worst <= leak.LIMIT + slack, (question, f)


def test_the_measure_finds_a_leak_that_is_there() -> None:
    rng = np.random.default_rng(1)
    bad = rng.random(3000) < 0.2
    texts = [f"+86{170 if b else 138}{k:08d}" for b, k in zip(bad, rng.integers(0, 10**8, 3000), strict=True)]
    found = leak._judge(rng, bad, lambda at: leak._subject_view(texts, [], at))
    assert found is not None
    assert found.worst > 0.95
