"""Decisions between the doors and the owners of the state: real sockets, real engines, owners that go away."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tests.apart import apart
from tests.eventlog import block
from tests.eventlog import city as small_log

from wuzha import detect
from wuzha.events import TABLES, clock
from wuzha.events.batch import conform
from wuzha.live import decision, decision_batch, decision_policy, results
from wuzha.live.asking import Asker, Heard, address, owner
from wuzha.live.deciding import Deciding
from wuzha.live.decision_words import Answer, ManyAnswered, Side

KNOWN = [f"62220000000000{i:02d}" for i in range(8)]


def fed(seed: int = 3) -> detect.Engine:
    engine = detect.Engine()
    engine.feed(block(small_log(seed, 600)))
    return engine


@pytest.fixture
def owners(tmp_path: Path) -> Iterator[list[Deciding]]:
    """Two partitions' owners, answering."""
    made = [Deciding(tmp_path, partition) for partition in range(2)]
    for partition, one in enumerate(made):
        one.open(fed(), epoch=7 + partition, position=40 + partition)
    yield made
    for one in made:
        one.stop()


def ask(home: Path, transfers: list[tuple[str, str, int]], seconds: float = 60.0, partitions: int = 2) -> list[Heard]:
    async def asking() -> list[Heard]:
        asker = Asker(home, partitions=partitions)
        asker.start()
        found = await asyncio.gather(
            *(asker.ask((10**15, p, q, fen, "bank", None, None, None, False), seconds) for p, q, fen in transfers)
        )
        await asker.stop()
        return list(found)

    return apart(lambda: asyncio.run(asking()))


def test_both_sides_owners_are_asked_and_each_answers_for_its_own(owners: list[Deciding], tmp_path: Path) -> None:
    transfers = [(p, q, 500_000) for p in KNOWN for q in KNOWN[:4] if p != q]
    heard = ask(tmp_path, transfers)
    seen = set()
    for (payer, payee, _), one in zip(transfers, heard, strict=True):
        assert one.missing == []
        for side, account in (("payer", payer), ("payee", payee)):
            answer = one.by[side]
            assert answer.partition == owner(account, 2)
            assert (answer.epoch, answer.position) == (7 + answer.partition, 40 + answer.partition)
            seen.add((side, answer.partition))
        assert [s is not None and s.known for s in one.sides()[:2]] == [True, True]
    assert len(seen) == 4, "accounts of one partition only prove nothing"


def test_an_owner_that_does_not_answer_is_named_and_the_other_still_counts(
    owners: list[Deciding], tmp_path: Path
) -> None:
    owners[1].stop()
    transfers = [(p, q, 500_000) for p in KNOWN for q in KNOWN if p != q]
    with socket.socket(socket.AF_UNIX) as frozen:  # it is there, and says nothing
        frozen.bind(str(address(tmp_path, 1)))
        frozen.listen()
        heard = ask(tmp_path, transfers, 0.5)
    for (payer, payee, _), one in zip(transfers, heard, strict=True):
        missing = [side for side, a in (("payer", payer), ("payee", payee)) if owner(a, 2) == 1]
        assert one.missing == missing
    assert {len(one.missing) for one in heard} == {0, 1, 2}


def test_for_an_owner_that_is_not_here_another_answers_and_says_who_it_is(
    owners: list[Deciding], tmp_path: Path
) -> None:
    owners[1].stop()
    transfers = [(p, q, 500_000) for p in KNOWN for q in KNOWN if p != q]
    assert {owner(account, 2) for account in KNOWN} == {0, 1}
    for one in ask(tmp_path, transfers):
        assert one.missing == [] and {a.partition for a in one.by.values()} == {0}

    async def many() -> dict[int, ManyAnswered]:
        asker = Asker(tmp_path, partitions=2)
        asker.start()
        rows = pa.table({"event_id": ["a"], "ts": [clock.now()], "payer": [KNOWN[0]], "payee": [KNOWN[1]],
                         "amount_fen": [5], "source": ["bank"]})  # fmt: skip
        heard = await asker.ask_many(decision_batch.plain(conform(TABLES["transfers"], rows)), 60)
        await asker.stop()
        return heard

    heard = apart(lambda: asyncio.run(many()))
    assert {partition: a.partition for partition, a in heard.items()} == {0: 0, 1: 0}


def test_a_question_whose_owner_dies_is_answered_by_another(owners: list[Deciding], tmp_path: Path) -> None:
    theirs = [account for account in KNOWN if owner(account, 2) == 1]
    owners[1].stop()

    async def asking() -> Heard:
        with socket.socket(socket.AF_UNIX) as dying:
            dying.bind(str(address(tmp_path, 1)))
            dying.listen()
            asker = Asker(tmp_path, partitions=2)
            asker.start()
            future = asker.ask((10**15, theirs[0], theirs[1], 5, "bank", None, None, None, False), 60)
            await asyncio.sleep(0.1)  # it has been asked
            address(tmp_path, 1).unlink()
        heard = await future
        await asker.stop()
        return heard

    assert {a.partition for a in apart(lambda: asyncio.run(asking())).by.values()} == {0}


def test_a_question_is_asked_again_of_the_owner_that_comes_back(owners: list[Deciding], tmp_path: Path) -> None:
    async def asking() -> Heard:
        asker = Asker(tmp_path, partitions=2)
        asker.start()
        owners[0].stop()
        owners[1].stop()
        future = asker.ask((10**15, KNOWN[0], KNOWN[1], 5, "bank", None, None, None, False), 20)
        await asyncio.sleep(0.2)
        for partition in range(2):
            again = Deciding(tmp_path, partition)
            again.open(fed(), epoch=50, position=60)
            owners.append(again)
        heard = await future
        await asker.stop()
        return heard

    assert {a.epoch for a in apart(lambda: asyncio.run(asking())).by.values()} == {50}


def test_nonsense_on_the_socket_ends_that_connection_alone(owners: list[Deciding], tmp_path: Path) -> None:
    async def noise() -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(address(tmp_path, 0)))
        writer.write(b"\x00\x00\x00\x05hello")
        return await reader.read()

    assert apart(lambda: asyncio.run(noise())) == b""
    assert address(tmp_path, 0).stat().st_mode & 0o077 == 0
    assert ask(tmp_path, [(KNOWN[0], KNOWN[1], 5)])[0].missing == []


def test_events_in_slices_change_what_they_change_at_once(tmp_path: Path) -> None:
    log = block(small_log(9, 900))
    whole, parts = detect.Engine(), detect.Engine()
    at_once, sliced = results.Found(), results.Found()
    at_once.add(whole.feed(log))
    one = Deciding(tmp_path)
    one.turns.rows = lambda: 64  # type: ignore[method-assign]
    sliced.add(one.feed(parts, log))
    assert at_once.alerts
    assert (at_once.alerts, at_once.suspects, at_once.moves) == (sliced.alerts, sliced.suspects, sliced.moves)
    assert (at_once.withdrawn, at_once.restated) == (sliced.withdrawn, sliced.restated)
    for name in ("evidence", "warnings"):  # of one alert in the same order; alerts themselves may take turns
        one_by_one = [sorted(getattr(f, name), key=lambda e: (e.person, e.episode)) for f in (at_once, sliced)]
        assert one_by_one[0] == one_by_one[1]


def test_the_same_state_and_question_give_the_same_record() -> None:
    policy = decision_policy.shipped()
    from datetime import UTC, datetime

    now = datetime(2026, 11, 23, tzinfo=UTC)
    question = decision.Question(payer="1", payee="2", amount_fen=600_000, ts=now)
    person = Side(subject="person:p1", known=True, level=4, was_level=3, interdict=True, score=80.0,
                  scam_type="authority", typology="authority", stage="pay", fired=1)  # fmt: skip
    answer = Answer(
        number=1, partition=0, epoch=3, position=12, rows=0, book="a" * 64, stranger=True, own=False, merchant=False,
        sides=[Side(known=True), Side(), person, Side()],
    )  # fmt: skip
    heard = Heard(by={"payer": answer, "payee": answer})
    told, record = decision.decide(policy, question, heard, now)
    assert decision.decide(policy, question, heard, now) == (told, record)
    assert told["action"] == "hold" and told["step"] == "victim_pays_now" and told["ends_at"] > now
    assert told["basis"]["id"] == "art18" and told["remedy"]["id"] == "art32" and told["missing"] == []
    assert "凡是自称公检法" in told["customer"]["zh"] and "96110" in told["customer"]["en"]
    assert told["state"]["owners"][0]["position"] == 12
