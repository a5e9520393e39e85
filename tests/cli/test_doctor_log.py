"""What the doctor and the start of a server say of a log's nodes that could lose what they acknowledge."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.loopback import nodes
from tests.served import free_port

from wuzha.cli import doctor_lines
from wuzha.live.server import CannotServe, say_log
from wuzha.store import Database, log
from wuzha.store.jetstream import LogAway, Place, Stream


def test_nodes_that_could_lose_something_fail(
    enterable_tmp: Path, db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nodes(enterable_tmp, 1, sync="1m") as one:
        one.stream("lonely", replicas=1).close()
        monkeypatch.setenv("WUZHA_LOG", f"{one.url}/lonely")
        unseen = list(doctor_lines.stream())
        assert [(f.name, f.state) for f in unseen] == [("log", "fail"), ("log nodes", "warn")]
        assert "1 replicas; 3 are needed" in unseen[0].words
        monkeypatch.setenv("WUZHA_LOG_NODES", one.monitors)
        (node,) = [f for f in doctor_lines.stream() if f.name == "log node"]
        assert node.state == "fail" and "sync_interval: always" in node.words
        with pytest.raises(CannotServe, match="1 replicas"):
            say_log(db, lambda _: None)
        log.stream_of(f"{one.url}/lonely").stream.close()
        log.stream_of.cache_clear()


def test_no_log_of_its_own_says_nothing_and_a_wrong_address_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WUZHA_LOG", raising=False)
    assert list(doctor_lines.stream()) == []
    monkeypatch.setenv("WUZHA_LOG", "kafka://x")
    (wrong,) = doctor_lines.stream()
    assert wrong.state == "fail" and "no address" in wrong.words


def test_the_word_by_which_one_enters_is_never_shown() -> None:
    place = Place.read("nats://wuzha:secret@h1:4222,wuzha:secret@h2:4222/x")
    assert place.servers == ("nats://wuzha:secret@h1:4222", "nats://wuzha:secret@h2:4222")
    assert place.shown == "h1:4222, h2:4222"
    with pytest.raises(LogAway) as told:
        Stream(Place.read(f"nats://wuzha:secret@127.0.0.1:{free_port()}/x")).state(patience_s=0.1)
    assert "secret" not in str(told.value)


def test_a_server_whose_log_stands_in_a_stream_does_not_start_without_it(
    db: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WUZHA_LOG", raising=False)
    say_log(db, lambda _: None)
    with db.connect("engine") as conn:
        conn.execute("UPDATE wuzha.log_head SET stream = 'calls'")
    with pytest.raises(CannotServe, match="the stream calls"):
        say_log(db, lambda _: None)
