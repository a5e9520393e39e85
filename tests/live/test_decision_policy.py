"""The policy of decisions: nothing is restricted without basis, end and remedy; mistakes are shown where they stand."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.events.datafile import DataFileError
from wuzha.events.scam_types import scam_types
from wuzha.live import decision_policy
from wuzha.live.decision_policy import ACTIONS, FACTS, ends_at, read, shipped
from wuzha.live.server import CannotServe, serve
from wuzha.live.settings import Settings

NOW = datetime(2026, 11, 23, tzinfo=UTC)


def facts(**given: int) -> tuple[int, ...]:
    assert set(given) <= set(FACTS)
    return tuple(given.get(name, 0) for name in FACTS)


def action(amount_yuan: int = 5000, **given: int) -> str:
    step = shipped().step(facts(**given), amount_yuan * 100)
    return step.action if step else "allow"


def test_nothing_is_delayed_or_held_without_basis_end_and_remedy() -> None:
    policy = shipped()
    assert {s.action for s in policy.steps} == {"warn", "delay", "hold"}
    for step in policy.steps:
        if step.action in ("delay", "hold"):
            assert step.basis is not None and step.remedy is not None and step.hours
            assert step.basis.since <= policy.since and step.remedy.since <= policy.since
            until = ends_at(step, NOW)
            assert until is not None and until > NOW
        else:
            assert ends_at(step, NOW) is None


@pytest.mark.parametrize(
    ("line", "instead", "said"),
    [
        ('basis = "art18"', "", "a hold wants basis"),
        ('remedy = "art32"', "", "a hold wants remedy"),
        ("hours = 24", "", "ends after 1 to 72 hours"),
        ("hours = 24", "hours = 2400", "ends after 1 to 72 hours"),
        ('basis = "art18"', 'basis = "art19"', "there is no [basis.art19]"),
        ('action = "hold"', 'action = "seize"', "'seize' is none of"),
        ("payee_confirmed = 1 AND own = 0", "payee_confirmd = 1", "payee_confirmd"),
        ("from = 2022-12-01", "from = 2029-12-01", "in force from 2029-12-01 only"),
        ("96110", "110", "told of 96110"),
        ("请先停一下。", "请看 https://a.cn 。", "no link to a customer"),
        ("{hours}小时后到账", "{days}天后到账", "only {fanshi} and {hours}"),
        ("fanshi = [3]", "fanshi = [9]", "the eight 凡是 are 1 to 8"),
        ("[scam.other]", "[scam.elsewhere]", "no scam type 'elsewhere'"),
        ("deadline_ms = 500", "deadline_ms = 5", "20 to 5000 ms"),
    ],
)
def test_a_mistake_is_refused_where_it_stands(line: str, instead: str, said: str) -> None:
    text = shipped().text
    assert line in text
    with pytest.raises(DataFileError) as error:
        read(text.replace(line, instead, 1), "own.toml")
    assert said in str(error.value)
    assert str(error.value).startswith("own.toml:")


def test_every_scam_type_has_words_for_customer_and_clerk_in_both_languages() -> None:
    policy = shipped()
    for scam in [*(t for t in scam_types() if t != "none"), "unheard_of"]:
        for step in policy.steps:
            words = policy.words(step, scam)
            for language in ("zh", "en"):
                said = words["customer"][language]
                assert "96110" in said and "{" not in said and "http" not in said
                clerk = words["clerk"][language]
                assert clerk["why"] and clerk["do"] and len(clerk["ask"]) >= 2
            assert "凡是" in words["customer"]["zh"]
    assert policy.words(None, "loan") == {}


def test_what_the_policy_says_of_typical_transfers() -> None:
    assert action() == "allow"
    assert action(payee_confirmed=1) == "hold"
    assert action(payee_confirmed=1, own=1) == "allow"
    assert action(payer_level=4, payer_interdict=1, stranger=1) == "hold"
    assert action(payer_level=4, payer_interdict=1) == "allow", "a payee known for long is no stranger"
    assert action(payer_level=3, stranger=1) == "delay"
    assert action(payer_level=3, stranger=1, amount_yuan=200) == "warn"
    assert action(payer_level=4, payer_interdict=1, stranger=1, merchant=1) == "allow", (
        "bread is bought in an alert, too"
    )
    assert action(payee_suspect=1) == "delay"
    assert action(payee_suspect=1, amount_yuan=10) == "warn"
    assert action(payee_suspect=1, payee_cleared=1) == "allow"
    assert action(payer_suspect=1) == "delay"
    assert action(payer_missing=1, payee_missing=1) == "allow"
    assert action(payer_missing=1, payee_missing=1, amount_yuan=20_000) == "warn"


@settings(max_examples=200, deadline=None)
@given(st.lists(st.integers(0, 1), min_size=len(FACTS), max_size=len(FACTS)), st.integers(0, 4), st.integers(0, 10**8))
def test_the_strictest_step_that_holds_is_taken_and_more_money_is_never_milder(
    flags: list[int], level: int, fen: int
) -> None:
    policy = shipped()
    given_ = dict(zip(FACTS, flags, strict=True)) | {"payer_level": level}
    asked = facts(**given_)
    step = policy.step(asked, fen)
    rank = ACTIONS.index(step.action if step else "allow")
    values = dict(zip(FACTS, map(float, asked), strict=True))
    for other in policy.steps:
        if fen >= other.from_fen and decision_policy._holds(other.program, values):
            assert ACTIONS.index(other.action) <= rank
    more = policy.step(asked, fen + 10**8)
    assert ACTIONS.index(more.action if more else "allow") >= rank


def test_a_deployments_own_policy_stands_in_its_folder(tmp_path: Path) -> None:
    assert decision_policy.of(tmp_path) is shipped()
    own = tmp_path / "decisions.toml"
    own.write_text(shipped().text.replace('id = "2026-1"', 'id = "ours"'), "utf-8")
    assert decision_policy.of(tmp_path).id == "ours" and decision_policy.of(tmp_path).digest != shipped().digest
    own.write_text(shipped().text.replace("hours = 24", "hours = 240", 1), "utf-8")
    with pytest.raises(CannotServe, match=r"decisions.toml:\d+:\d+: a delay or a hold ends after 1 to 72 hours"):
        serve(Settings(home=tmp_path), "127.0.0.1", 0, say=lambda _: None)
