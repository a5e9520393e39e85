"""/refund outside: a victim follows their refund by a code, and nothing of anybody's is there to be found."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from tests.public.conftest import Zones
from tests.refunds import Refunding, frozen
from tests.web.test_words import Labels, patterns

from wuzha import store
from wuzha.cases import rounds
from wuzha.cases.refund import hearing
from wuzha.events import clock
from wuzha.respond import progress
from wuzha.web import catalogue


def pass_on(zones: Zones) -> None:
    """The rounds of the centre's cases, then two seconds of both zones."""
    rounds.go_round(zones.desk.web)
    zones.pass_on(2)


@pytest.fixture
def going(zones: Zones) -> Iterator[Refunding]:
    """A refund at the centre whose victims have applied."""
    made = frozen(zones.desk, zones.officer)
    made.start()
    for report in made.victims():
        made.apply(report)
    pass_on(zones)
    yield made


def ask(zones: Zones, code: str, **headers: str) -> str:
    answer = zones.page.post("/refund", data={"code": code}, headers=headers)
    assert answer.status_code == 200
    return str(answer.text)


def test_a_victim_follows_every_step_by_their_code(zones: Zones, going: Refunding) -> None:
    code = next(iter(going.codes.values()))
    text = ask(zones, code)
    assert "已算出返还方案" in text and "示例区反诈中心" in text and "按比例返还" in text
    assert "返还不收取任何费用，可拨96110核实" in text and "<script" not in text
    for written in (code.lower(), code.replace("-", ""), f" {code.replace('-', ' ')} "):
        assert "已收到您的申请" in ask(zones, written)
    going.notice()
    going.later(days=32)
    going.ask()
    going.answer()
    going.decide()
    going.send()
    pass_on(zones)
    assert "已通知银行" in ask(zones, code)
    for payment in going.read()["payments"]:
        going.receipt(payment)
    pass_on(zones)
    text = ask(zones, code)
    assert "银行已返还" in text and "已作出返还决定" in text and "answer good" in text


def test_the_public_database_holds_no_code_no_name_no_account_no_amount(zones: Zones, going: Refunding) -> None:
    tables = zones.there.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'wuzha' AND c.relkind = 'r' AND has_table_privilege(c.oid, 'SELECT')"
    ).fetchall()
    whole = " ".join(str(zones.there.execute(f"SELECT * FROM wuzha.{t[0]}").fetchall()) for t in tables)  # type: ignore[arg-type]
    assert "示例区反诈中心" in whole and "planned" in whole
    r = going.read()
    secrets: list[Any] = [*going.codes.values(), *(c.replace("-", "") for c in going.codes.values())]
    secrets += [v["name"] for v in r["victims"]] + [r["account"], r["holder"], r["case_no"], "13812341234"]
    secrets += [s["original"] for s in r["shares"]] + ["1800000", "18000", "350203"]
    for secret in secrets:
        assert str(secret) not in whole, secret
    kept = going.house.web.execute("SELECT code_hash FROM wuzha.refund_applications").fetchall()
    assert kept == []  # out of an officer's scope nothing is seen, and within it only a hash
    with going.scope(going.wang) as conn:
        hashes = {bytes(row[0]) for row in conn.execute("SELECT code_hash FROM refund_applications")}
    assert hashes == {progress.code_hash(c) for c in going.codes.values()}


def test_a_wrong_code_learns_nothing_and_guessing_is_stopped(zones: Zones, going: Refunding) -> None:
    wrong = progress.make_code()
    assert "没有查到" in ask(zones, wrong) and "查询码看不懂" in ask(zones, "123") and "还没有填写" in ask(zones, " ")
    code = next(iter(going.codes.values()))
    assert code not in zones.page.get(f"/refund?code={code}").text
    client = zones.opened(verify_tries=2)
    for _ in range(2):
        assert client.post("/refund", data={"code": wrong}).status_code == 200
    answer = client.post("/refund", data={"code": code})
    assert answer.status_code == 429 and "查询次数太多" in answer.text and "已收到" not in answer.text


def test_a_new_code_ends_the_old_one(zones: Zones, going: Refunding) -> None:
    old = next(iter(going.codes.values()))
    application = going.read()["applications"][0]["application_id"]
    with going.scope(going.wang) as conn:
        made = hearing.recode(conn, going.wang, application, key=going.key(), now=going.now)
    pass_on(zones)
    assert made.code and "没有查到" in ask(zones, old) and "已收到您的申请" in ask(zones, made.code)


def test_old_knowledge_says_until_when(zones: Zones, going: Refunding) -> None:
    code = next(iter(going.codes.values()))
    zones.there.execute("UPDATE exchange_peers SET current_until = current_until - interval '2 hours'")
    assert "资料只到" in ask(zones, code)
    zones.there.execute("UPDATE exchange_peers SET current_until = NULL")
    assert "现在无法查询" in ask(zones, code)


def test_a_late_letter_never_undoes_a_newer_one(zones: Zones, going: Refunding) -> None:
    """The page's database takes what is newer, in whatever order letters of two databases come."""
    hashed, now = progress.code_hash(progress.make_code()), clock.now()
    for at, code in ((now, "decided"), (now - timedelta(hours=1), "asked")):
        told = {
            "unit": "x",
            "way": "single",
            "round": 1,
            "share": True,
            "steps": [{"code": code, "at": at.isoformat()}],
        }
        with store.transaction(zones.desk.web, unit=going.house.units["city"], user=None, now=now):
            assert progress.tell(
                zones.desk.web, hashed, matter="refund", ref="9", told=told, until=now + timedelta(days=1), now=at
            ) == 1  # fmt: skip
    pass_on(zones)
    rows = zones.there.execute("SELECT told->'steps'->0->>'code' FROM wuzha.public_progress").fetchall()
    assert ("decided",) in rows and ("asked",) not in rows


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_word_is_in_the_catalogue(zones: Zones, going: Refunding, language: str) -> None:
    plain, filled = patterns(language)
    for text in (*going.codes.values(), "x", "", progress.make_code()):
        labels = Labels()
        labels.feed(ask(zones, text, **{"accept-language": language}))
        strange = [
            w for _, w in labels.found
            if w not in plain and not filled.fullmatch(w) and re.search("[a-z一-龥]", w)
        ]  # fmt: skip
        assert strange == []
        assert [w for w in catalogue.forbidden() if w in " ".join(labels.texts)] == []
