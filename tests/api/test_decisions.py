"""``/v1/decisions`` over a real database and an owner of the state in this process."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from fastapi.testclient import TestClient
from tests.eventlog import block
from tests.eventlog import city as small_log

from wuzha import detect
from wuzha.api import bank_door, decisions
from wuzha.api.doors import Doors
from wuzha.detect.decide import Decider, Transfer, pending
from wuzha.events import clock
from wuzha.live import lease
from wuzha.live.deciding import Deciding
from wuzha.live.settings import Settings
from wuzha.store import Connection, Database, keys, sources

PAYER, PAYEE = "6222000000000001", "6222000000000002"
QUESTION = {"payer": PAYER, "payee": PAYEE, "amount_fen": 500_000}


@pytest.fixture
def owner(engine: Connection, tmp_path: Path) -> Iterator[Deciding]:
    """The worker's part: it holds the lease and answers."""
    held = lease.take(engine, 0, lease.worker_name(), 600)
    assert held is not None
    log = small_log(3, 600)
    state = detect.Engine()
    state.feed(block(log))
    Decider().judge(state, pending([Transfer(0, "1", "2", 1, "warm")]), figures=True)  # kernels are loaded before
    answering = Deciding(tmp_path)
    answering.open(state, held.epoch, 17)
    yield answering
    answering.stop()


@pytest.fixture
def bank(sender: Callable[..., str]) -> str:
    return sender("bank-a", role="bank", tables=["transfers"], basis="holder_own")


def ask(client: TestClient, key: str, number: str, question: dict[str, Any] | None = None, **more: Any) -> Any:
    return client.post(
        "/v1/decisions/transfer", json=question or QUESTION, headers={"Authorization": key, "Idempotency-Key": number},
        **more,
    )  # fmt: skip


def test_an_answer_rests_on_a_record_that_explains_it(
    client: TestClient, bank: str, owner: Deciding, superuser: psycopg.Connection[Any]
) -> None:
    said = ask(client, bank, "t-1")
    assert said.status_code == 200, said.text
    told = said.json()
    assert told["action"] in ("allow", "warn", "delay", "hold") and told["missing"] == [] and not told["repeated"]
    assert {o["side"]: o["position"] for o in told["state"]["owners"]} == {"payer": 17, "payee": 17}
    why = client.get(f"/v1/decisions/{told['id']}", headers={"Authorization": bank}).json()
    assert why["question"]["payer"] == PAYER and why["key"] == "t-1"
    assert why["sides"]["payer"]["figures"]["out_fen_6h"] >= 500_000, "the figures are those with the transfer"
    assert len(why["sentences"]["zh"]) == len(why["sentences"]["en"]) >= 4
    assert any("日志第17批" in s for s in why["sentences"]["zh"])
    row = superuser.execute("SELECT rules, policy FROM wuzha.decisions").fetchone()
    assert row is not None
    kept = dict(superuser.execute("SELECT digest, content FROM wuzha.decision_books").fetchall())
    assert "payee_confirmed" in kept[row[1]]["text"]
    for side in why["sides"].values():
        for reason in side.get("reasons", []):
            assert kept[row[0]]["rules"][reason["rule"]]["version"] == reason["version"]
    assert superuser.execute("SELECT count(*) FROM wuzha.log").fetchone() == (0,), "asking is no event"


def test_a_key_stands_for_one_question_for_good(
    client: TestClient, bank: str, owner: Deciding, superuser: psycopg.Connection[Any]
) -> None:
    first = ask(client, bank, "t-1").json()
    owner.stop()
    again = ask(client, bank, "t-1").json()
    assert again.pop("repeated") and not first.pop("repeated") and again == first
    other = ask(client, bank, "t-1", {**QUESTION, "amount_fen": 1})
    assert other.status_code == 409 and other.json()["type"] == "urn:wuzha:key_used"
    assert superuser.execute("SELECT count(*) FROM wuzha.decisions").fetchone() == (1,)


def test_the_same_key_at_the_same_time_is_decided_once(
    client: TestClient, bank: str, owner: Deciding, superuser: psycopg.Connection[Any]
) -> None:
    with ThreadPoolExecutor(8) as many:
        told = [a.json() for a in many.map(lambda i: ask(client, bank, f"t-{i % 3}"), range(24))]
    assert len({t["id"] for t in told}) == 3 and sum(not t["repeated"] for t in told) == 3
    assert superuser.execute("SELECT count(*) FROM wuzha.decisions").fetchone() == (3,)
    by_id = {t["id"]: t for t in told}
    for number, first in by_id.items():  # each record in a pack is its own decision's
        why = client.get(f"/v1/decisions/{number}", headers={"Authorization": bank}).json()
        assert why["answer"]["at"] == first["at"] and why["sides"]["payer"]["figures"]


def test_a_missing_answer_is_named_and_recorded(client: TestClient, bank: str) -> None:
    said = ask(client, bank, "t-1", {**QUESTION, "deadline_ms": 60, "amount_fen": 2_000_000}).json()
    assert said["missing"] == ["payer", "payee"] and said["action"] == "warn" and said["step"] == "not_answered"
    assert said["state"]["owners"] == [] and "96110" in said["customer"]["zh"]
    why = client.get(f"/v1/decisions/{said['id']}", headers={"Authorization": bank}).json()
    assert any("期限内没有答复" in s for s in why["sentences"]["zh"])


def test_an_owner_that_lost_its_lease_decides_nothing(
    client: TestClient, bank: str, owner: Deciding, engine: Connection
) -> None:
    engine.execute("UPDATE wuzha.partitions SET epoch = epoch + 1")
    said = ask(client, bank, "t-1").json()
    assert said["missing"] == ["payer", "payee"]


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"amount_fen": 0}, 422, "amount_fen"),
        ({"amount_fen": "5"}, 422, "amount_fen"),
        ({"payer": ""}, 422, "payer"),
        ({"payee": None}, 422, "payee"),
        ({"payer": " 62 "}, 422, "payer"),
        ({"payer": "6\u00002"}, 422, "payer"),
        ({"channel": "pigeon"}, 422, "channel"),
        ({"ts": "2026-11-23T10:00:00"}, 422, "ts"),
        ({"ts": "2020-11-23T10:00:00Z"}, 422, "ts"),
        ({"deadline_ms": 1}, 422, "deadline_ms"),
        ({"amount": 5}, 422, "amount"),
    ],
)
def test_a_wrong_question_is_refused_with_column_and_reason(
    client: TestClient, bank: str, change: dict[str, Any], status: int, said: str
) -> None:
    answer = ask(client, bank, "t-1", {**QUESTION, **change})
    assert answer.status_code == status and said in answer.json()["detail"], answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")


def test_who_may_ask_and_see(client: TestClient, sender: Callable[..., str], bank: str, db: Database) -> None:
    assert ask(client, "", "t-1").status_code == 401
    assert ask(client, "Bearer wz_0123456789ab_" + "x" * 43, "t-1").status_code == 401
    assert ask(client, sender("carrier-b"), "t-1").status_code == 403
    assert ask(client, bank, "").status_code == 422
    told = ask(client, bank, "t-1", {**QUESTION, "deadline_ms": 20}).json()
    other = sender("bank-b", role="bank", tables=["transfers"], basis="holder_own")
    assert client.get(f"/v1/decisions/{told['id']}", headers={"Authorization": other}).status_code == 404
    for name in ("0", "x", "1.9", "99999999999999999999", "1/2"):
        assert client.get(f"/v1/decisions/{name}", headers={"Authorization": other}).status_code == 404
    assert client.get("/v1/decisions/transfer", headers={"Authorization": bank}).status_code == 405
    with db.connect("web") as conn:
        number = sources.one(conn, name="bank-a")
        assert number is not None
        for key in keys.of_source(conn, number.source_id):
            keys.revoke(conn, key["key_id"])
    assert ask(client, bank, "t-2").status_code == 401, (
        "a revoked key is refused at once, however well it is remembered"
    )
    assert client.get(f"/v1/decisions/{told['id']}", headers={"Authorization": bank}).status_code == 401


def batch(rows: list[dict[str, Any]]) -> bytes:
    return "".join(json.dumps(r) + "\n" for r in rows).encode()


def test_a_batch_is_decided_row_by_row_as_alone(client: TestClient, bank: str, owner: Deciding) -> None:
    accounts = [f"62220000000000{i:02d}" for i in range(10)] + ["6222999900000001"]
    ts = clock.now().isoformat()
    rows = [
        {"event_id": f"r{i}", "ts": ts, "payer": accounts[i % 11], "payee": accounts[(i * 3 + 1) % 11],
         "amount_fen": 500_000 + i}
        for i in range(80)
    ]  # fmt: skip
    rows[7]["payee"] = None
    rows[11]["amount_fen"] = -4
    headers = {"Authorization": bank, "Idempotency-Key": "b-1", "Content-Type": "application/x-ndjson"}
    said = client.post("/v1/decisions/transfers", content=batch(rows), headers=headers)
    assert said.status_code == 200, said.text
    told = said.json()
    assert told["n"] == 78 and told["rejected"] == 2 and sum(told["counts"].values()) == 78
    assert [(r["row"], r["column"]) for r in told["rejects"]] == [(7, "payee"), (11, "amount_fen")]
    by_id = {d["event_id"]: d for d in told["decisions"]}
    kept = [r for i, r in enumerate(rows) if i not in (7, 11)]
    for i in range(0, 78, 13):
        row = kept[i]
        alone = ask(client, bank, f"alone-{i}", {k: row[k] for k in ("payer", "payee", "amount_fen", "ts")}).json()
        in_batch = by_id.get(row["event_id"], {"action": "allow"})
        assert in_batch["action"] == alone["action"], row
        why = client.get(f"/v1/decisions/{told['id']}.{i}", headers={"Authorization": bank}).json()
        single = client.get(f"/v1/decisions/{alone['id']}", headers={"Authorization": bank}).json()
        assert why["facts"] == single["facts"] and why["question"]["amount_fen"] == row["amount_fen"]
        assert why["answer"]["action"] == alone["action"] and why["sentences"]["en"]
    assert client.get(f"/v1/decisions/{told['id']}.78", headers={"Authorization": bank}).status_code == 404
    again = client.post("/v1/decisions/transfers", content=batch(rows), headers=headers).json()
    assert again["repeated"] and again["id"] == told["id"] and again["counts"] == told["counts"]
    assert again["decisions"] == told["decisions"]
    changed = client.post("/v1/decisions/transfers", content=batch(rows[:3]), headers=headers)
    assert changed.status_code == 409
    arrow = client.post(
        "/v1/decisions/transfers", content=batch(rows),
        headers={**headers, "Accept": "application/vnd.apache.arrow.stream"},
    )  # fmt: skip
    with pa.ipc.open_stream(arrow.content) as reader:
        table = reader.read_all()
    assert table.num_rows == 78 and set(table.column("action").to_pylist()) <= {"allow", "warn", "delay", "hold"}


def test_a_batch_without_owners_names_both_sides(client: TestClient, bank: str) -> None:
    rows = [{"event_id": "r", "ts": clock.now().isoformat(), "payer": "1", "payee": "2", "amount_fen": 2_000_000}]
    headers = {"Authorization": bank, "Idempotency-Key": "b-1", "Content-Type": "application/x-ndjson"}
    told = client.post("/v1/decisions/transfers", content=batch(rows), headers=headers).json()
    assert told["missing"] == ["payer", "payee"] and told["decisions"][0]["step"] == "not_answered"
    for content, status in ((b"", 422), (b"{", 422), (b"\x00\x01", 422)):
        headers["Idempotency-Key"] += "x"
        assert client.post("/v1/decisions/transfers", content=content, headers=headers).status_code == status
    headers["Content-Type"] = "image/png"
    assert client.post("/v1/decisions/transfers", content=b"x", headers=headers).status_code == 415


def test_records_are_never_changed_and_seen_by_their_source_alone(
    client: TestClient, bank: str, db: Database, owner: Deciding
) -> None:
    ask(client, bank, "t-1")
    with db.connect("web") as conn:
        assert conn.execute("SELECT count(*) FROM wuzha.decisions").fetchone() == (0,)
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("UPDATE wuzha.decisions SET action = 'allow'")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            conn.execute("DELETE FROM wuzha.decisions")
    with db.connect("engine") as conn, pytest.raises(psycopg.errors.InsufficientPrivilege):
        conn.execute("SELECT * FROM wuzha.decisions")


def test_the_banks_own_door_answers_as_the_other_does_and_nothing_else(
    client: TestClient, db: Database, tmp_path: Path, bank: str, owner: Deciding
) -> None:
    shared = Doors(db=db, settings=Settings(home=tmp_path, role="centre"), process="bank door").open(taking=False)
    try:
        own = TestClient(bank_door.compose(shared), client=("127.0.0.1", 5000))
        first = ask(own, bank, "t-1").json()
        assert first["missing"] == [] and not first.pop("repeated")
        again = ask(client, bank, "t-1").json()
        assert again.pop("repeated") and again == first, "a key stands for one question at both doors"
        why = [c.get(f"/v1/decisions/{first['id']}", headers={"Authorization": bank}).json() for c in (own, client)]
        assert why[0] == why[1] and why[0]["sides"]["payer"]["figures"]
        for address in ("/v1/events/transfers", "/v1/alerts", "/v1/openapi.json", "/desk"):
            assert own.post(address, headers={"Authorization": bank}).status_code == 404
        assert own.get("/v1/ready").status_code == 200
        assert 'wuzha_memory_bytes{process="bank door"}' in own.get("/metrics").text
    finally:
        shared.close()


def test_beyond_what_can_be_in_work_a_bank_is_told_to_come_again(
    client: TestClient, bank: str, owner: Deciding, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as full:
        full.setattr(decisions, "_MOST_OPEN", 0)
        said = ask(client, bank, "t-1")
    assert said.status_code == 429 and said.headers["retry-after"] == "1" and said.json()["type"] == "urn:wuzha:busy"
    assert not ask(client, bank, "t-1").json()["repeated"], "nothing was decided then"


def test_what_cannot_stand_keeps_nothing_else_of_its_group_from_standing(
    db: Database, client: TestClient, bank: str, owner: Deciding, sender: Callable[..., str]
) -> None:
    """One group of three: a key that stands already, one that is used twice, a new one of another bank."""
    other = sender("bank-b", role="bank", tables=["transfers"], basis="holder_own")
    ask(client, bank, "old")
    groups = client.app.state.decisions.recorder  # type: ignore[attr-defined]
    taken = groups._take

    def patient() -> Any:
        group = more = taken()
        while more and len(group) < 4:
            more = taken()
            group += more
        return group

    groups._take = patient
    with ThreadPoolExecutor(4) as many:
        asked = [(bank, "old"), (bank, "twice"), (bank, "twice"), (other, "new")]
        # one more wakes the recorder, which waits in its own `_take` until then
        ask(client, bank, "first")
        told = [a.json() for a in many.map(lambda w: ask(client, *w), asked)]
    assert [t["repeated"] for t in told[::3]] == [True, False]
    assert sorted(t["repeated"] for t in told[1:3]) == [False, True] and told[1]["id"] == told[2]["id"]
    for (key, name), t in zip(asked, told, strict=True):
        why = client.get(f"/v1/decisions/{t['id']}", headers={"Authorization": key}).json()
        assert why["key"] == name and why["sides"]["payer"]["figures"]
