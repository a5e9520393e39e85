"""A pending transfer: judged as feeding it would have it, and the state is as if nobody had asked."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.eventlog import rows

from wuzha import detect
from wuzha.detect.changes import moment
from wuzha.detect.decide import CUT, SIDES, Decider, Pending, Transfer, pending, pending_of
from wuzha.detect.encode import key_hash
from wuzha.detect.windows import find

from .chronicle import _ACCOUNTS, book, chronicle

DECIDER = Decider()
SOME = settings(max_examples=25, deadline=None, database=None, suppress_health_check=list(HealthCheck))


def alike(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Names of arrays and fields that differ."""
    out = []
    for name, was in before.items():
        now = after[name]
        if was.shape != now.shape:
            out.append(name)
        elif was.dtype.names:
            out += [
                f"{name}.{f}"
                for f in was.dtype.names
                if not np.array_equal(was[f], now[f], equal_nan=was[f].dtype.kind == "f")
            ]
        elif not np.array_equal(was, now):
            out.append(name)
    return out


def asked(chance: random.Random, end_us: int, n: int) -> list[Transfer]:
    """Transfers between accounts that are known, half known and unknown; some as the log has them already."""
    accounts = [a.partition(":")[2] for a in _ACCOUNTS] + ["6222999900000001", "6222999900000002"]
    out = []
    for _ in range(n):
        payer, payee = chance.choice(accounts), chance.choice(accounts)
        out.append(
            Transfer(
                ts_us=end_us + chance.choice((-3_600_000_000, 0, 1, 60_000_000, 86_400_000_000)), payer=payer,
                payee=payee,
                amount_fen=chance.choice((500, 20_000, 500_000, 3_000_000)), source=chance.choice(("s", "t")),
                device=chance.choice((None, "861234567890123")),
                channel=chance.choice((None, "mobile", "qr", "crypto")),
                payer_balance_fen=chance.choice((None, 0, 10**7)), merchant=chance.random() < 0.1,
            )
        )  # fmt: skip
    return out


def event(t: Transfer, number: int) -> detect.Block:
    """The same transfer as it would come in."""
    row = {
        "event_id": f"asked-{number}", "ts": moment(t.ts_us), "payer": t.payer, "payee": t.payee,
        "amount_fen": t.amount_fen, "source": t.source,
        "device": t.device, "channel": t.channel, "payer_balance_fen": t.payer_balance_fen,
        "merchant_id": "m" if t.merchant else None, "side": "payer",
    }  # fmt: skip
    return detect.encode("transfers", rows("transfers", [row]), 900_000 + number)


def subject(engine: detect.Engine, key: str) -> int:
    state = engine._state
    slot = state.slots[find(state.slots, np.uint64(key_hash(key)))]
    return int(slot["id"]) if slot["key"] else -1


@SOME
@given(st.integers(0, 10**6), st.floats(0.2, 1.0))
def test_asking_changes_nothing(seed: int, share: float) -> None:
    log, chance = chronicle(seed), random.Random(seed)
    log = log.slice(0, max(1, int(len(log) * share)))
    engine = detect.Engine(book())
    engine.feed(log)
    before = engine.snapshot()
    DECIDER.judge(engine, pending(asked(chance, int(log.ts.max()), 40)), figures=chance.random() < 0.5)
    assert alike(before, engine.snapshot()) == []
    again = detect.Engine(book())
    again.feed(log)
    more = event(asked(chance, int(log.ts.max()), 1)[0], 0)
    changed, plain = engine.feed(more), again.feed(more)
    assert changed == plain
    assert alike(again.snapshot(), engine.snapshot()) == []


@SOME
@given(st.integers(0, 10**6))
def test_the_answer_is_what_feeding_the_event_gives(seed: int) -> None:
    log, chance = chronicle(seed, 220), random.Random(seed)
    engine = detect.Engine(book())
    engine.feed(log)
    saved = engine.snapshot()
    questions = asked(chance, int(log.ts.max()), 4)
    found = DECIDER.judge(engine, pending(questions), figures=True)
    names = list(book().features)
    for i, question in enumerate(questions):
        told = detect.Engine.restore({k: v.copy() for k, v in saved.items()}, book())
        told.feed(event(question, i))
        assert not found.flags[i] & CUT
        for c, side in enumerate(SIDES):
            verdict = found.sides[i, c]
            account = subject(told, "account:" + (question.payer if c % 2 == 0 else question.payee))
            s = account
            if side.endswith("person"):
                state = told._state
                p = _owner(told, account, question.ts_us)
                s = -1 if p < 0 else int(state.subjects[p]["root"])
            if int(verdict["subject"]) < 0:
                assert s < 0
                continue
            record = told._state.subjects[s]
            assert (verdict["suspect"], verdict["marks"] & 6) == (record["suspect"], record["marks"] & 6), side
            d = int(record["dossier"])
            level = int(told._state.dossiers[d]["level"]) if d >= 0 and told._state.dossiers[d]["open"] else -1
            assert int(verdict["level"]) == level, (side, question)
            if level >= 0:
                y = told._state.dossiers[d]
                for name in ("score", "amount", "typology", "stage", "episode"):
                    assert verdict[name] == y[name], (side, name)
            fired = sum(
                int(told._state.evidence[e]["dossier"]) == d
                for e in range(int(saved["n"][5]), int(told._state.n[5]))
            ) if d >= 0 else 0  # fmt: skip
            assert int(verdict["fired"]) == fired, side
            figures = told.figures(told.subject(s))
            assert figures is not None
            for n, name in enumerate(names):
                if name in figures:
                    value = found.values[i, c, n]
                    assert (None if np.isnan(value) else value) == figures[name], (side, name)


def _owner(engine: detect.Engine, account: int, ts: int) -> int:
    """The person whose word on the account decides at ``ts``, else its provisional one, as `owners.word_at` says."""
    state = engine._state
    held = []
    m = int(state.subjects[account]["owner"])
    while m >= 0:
        word = state.members[m]
        if word["begin"] <= ts < word["end"]:
            held.append((int(word["rank"]), int(word["confidence"]), int(word["begin"]), m))
        m = int(word["next_of_subject"])
    if not held:
        return int(state.subjects[account]["provisional"])
    return int(state.members[max(held)[3]]["person"])


@SOME
@given(st.integers(0, 10**6))
def test_a_question_is_encoded_as_the_event_would_be(seed: int) -> None:
    questions = asked(random.Random(seed), 1_772_409_600_000_000, 12)
    mine = pending(questions)
    for i, question in enumerate(questions):
        theirs = pending_of(event(question, i))
        for name in ("ts", "keys", "value", "flags", "source"):
            assert (getattr(mine, name)[i] == getattr(theirs, name)[0]).all(), (name, question)


def test_a_batch_answers_each_row_as_alone() -> None:
    log, chance = chronicle(5, 300), random.Random(5)
    engine = detect.Engine(book())
    engine.feed(log)
    rows_ = pending(asked(chance, int(log.ts.max()), 300))
    whole = DECIDER.judge(engine, rows_, figures=True)
    assert (whole.sides["level"] >= 0).any() and (whole.sides["fired"] > 0).any(), "a calm log proves nothing"
    for i in range(0, 300, 37):
        alone = DECIDER.judge(engine, Pending(*(a[i : i + 1] for a in rows_)), figures=True)
        assert alone.sides[0].tolist() == whole.sides[i].tolist()
        assert alone.flags[0] == whole.flags[i]
        for c, side in enumerate(SIDES):
            kind = "person" if side.endswith("person") else "account"
            mine_ = [n for n, f in enumerate(book().features.values()) if f.subject == kind]
            if whole.sides[i, c]["subject"] >= 0:
                np.testing.assert_array_equal(alone.values[0, c, mine_], whole.values[i, c, mine_])
        mine, theirs = alone.pieces, whole.pieces[whole.pieces["row"] == i]
        assert [p["rule"] for p in mine] == [p["rule"] for p in theirs]


@pytest.mark.parametrize("n", [0, 1])
def test_an_empty_state_answers_too(n: int) -> None:
    engine = detect.Engine()
    before = engine.snapshot()
    found = DECIDER.judge(engine, pending([Transfer(10**15, "1", "2", 10**6, "s")] * n), figures=True)
    assert found.sides.shape == (n, 4) and not found.sides["known"].any() and (found.sides["level"] == -1).all()
    assert alike(before, engine.snapshot()) == []
