"""/verify: confirms what is surely so, says until when it knows, tells nothing about a citizen, and stops guessing."""

from __future__ import annotations

import re
import shutil
from datetime import timedelta

import pytest
from tests.public.conftest import Zones
from tests.web.test_words import Labels, patterns

from wuzha.events import clock
from wuzha.respond import outcome, rounds, sign
from wuzha.respond.file_number import file_number
from wuzha.store import exchange, zone_keys
from wuzha.web import catalogue, public


def test_a_code_is_confirmed_with_its_file_number_and_shows_no_more_than_was_said(zones: Zones) -> None:
    _, number, code = zones.signed(name="张小兰", line="+8613812341234")
    zones.pass_on(2)
    text = zones.ask(f"{number} {code}")
    assert "核验码有效" in text and "示例区反诈中心" in text and "欧阳警官" in text and "33**81" in text
    assert "欧阳娜娜" not in text and "330281" not in text
    assert "张" not in text and "1234" not in text.replace(number, "").replace("81", "")
    assert "96110" in text and "script" not in text.lower()
    for written in (f"{number}{code}", f"{number.replace(' ', '-')}　{code}", f"  {number} {code[:3]} {code[3:]} "):
        assert "核验码有效" in zones.ask(written)


def test_neither_alone_is_confirmed_and_nobody_learns_whether_a_file_exists(zones: Zones) -> None:
    alert, number, code = zones.signed()
    _, other, other_code = zones.signed(name="李强")
    zones.pass_on(2)
    assert zones.ask(code) == zones.ask("000000") and "还差一样" in zones.ask(code)
    assert zones.ask(number) == zones.ask(file_number(alert + 5000)) and "还差一样" in zones.ask(number)
    wrong = zones.ask(f"{number} {other_code}")
    assert "无法核实" in wrong and wrong == zones.ask(f"{file_number(alert + 5000)} {code}")
    assert "编号不对" in zones.ask(f"{(int(number[0]) + 1) % 10}{number[1:]} {code}")
    assert "看不懂" in zones.ask("请核实王警官") and "还没有填写" in zones.ask("  ")
    assert other != number


def test_a_code_ends_with_its_file_and_with_its_officer(zones: Zones) -> None:
    alert, number, code = zones.signed()
    mine, mine_number, mine_code = zones.signed(name="李强")
    zones.pass_on(2)
    assert "核验码有效" in zones.ask(number + code)
    li = zones.desk.officer("li", "李静", "dissuader")
    with zones.desk.scope(li) as conn:
        sign.take_over(conn, li, alert, version=2, key="take-over-1")
    with zones.desk.scope(zones.officer) as conn:
        outcome.outcome(conn, zones.officer, mine, code="false_alarm", version=2, key="outcome-key")
        outcome.close(conn, zones.officer, mine, version=3, key="close-key-1")
    zones.pass_on(2)
    assert "无法核实" in zones.ask(number + code)
    assert "无法核实" in zones.ask(mine_number + mine_code)
    with zones.desk.scope(li) as conn:
        row = conn.execute("SELECT code FROM officer_codes WHERE user_id = %s", (li.user_id,)).fetchone()
    assert row is not None and "李警官" in zones.ask(number + row[0])


def test_a_code_ends_with_its_officers_account(zones: Zones) -> None:
    _, number, code = zones.signed()
    zones.pass_on(2)
    zones.desk.web.execute("UPDATE users SET active = false WHERE user_id = %s", (zones.officer.user_id,))
    zones.pass_on(2)
    assert "无法核实" in zones.ask(number + code)


def test_the_public_database_holds_no_code_no_number_and_no_citizen(zones: Zones) -> None:
    _, number, code = zones.signed(name="张小兰", line="+8613812341234")
    zones.pass_on(2)
    tables = zones.there.execute(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = 'wuzha' AND c.relkind = 'r' AND has_table_privilege(c.oid, 'SELECT')"
    ).fetchall()
    whole = " ".join(str(zones.there.execute(f"SELECT * FROM wuzha.{t[0]}").fetchall()) for t in tables)  # type: ignore[arg-type]
    assert "示例区反诈中心" in whole
    for secret in (code, number, number.replace(" ", ""), "张小兰", "13812341234", "欧阳娜娜", "330281"):
        assert secret not in whole, secret


def test_a_cut_link_is_told_with_the_time_and_catches_up(zones: Zones) -> None:
    alert, number, code = zones.signed()
    zones.pass_on(3)
    assert "核验码有效" in zones.ask(number + code)
    # The folders are unmounted while the centre works on: a file is closed, another is signed for.
    for folder in zones.folders.values():
        folder.rename(folder.with_name(f"away-{folder.name}"))
    with zones.desk.scope(zones.officer) as conn:
        outcome.outcome(conn, zones.officer, alert, code="false_alarm", version=2, key="outcome-key")
        outcome.close(conn, zones.officer, alert, version=3, key="close-key-1")
    _, new_number, new_code = zones.signed(name="李强")
    zones.pass_on(3)
    row = zones.there.execute("SELECT current_until FROM exchange_peers").fetchone()
    assert row is not None
    zones.there.execute("UPDATE exchange_peers SET current_until = %s", (row[0] - timedelta(minutes=10),))
    said = zones.ask(number + code)
    assert "现在无法核实" in said and "核验码有效" not in said and "那时查得到这组编号" in said
    assert "欧阳" not in said and re.search(r"资料只到 \d\d:\d\d", said) and "96110" in said
    assert "那时没有这组编号" in zones.ask(new_number + new_code)
    # Nothing was lost: the folders are back.
    for folder in zones.folders.values():
        folder.with_name(f"away-{folder.name}").rename(folder)
    zones.pass_on(3, now=clock.now() + timedelta(seconds=40))
    assert "无法核实" in zones.ask(number + code) and "现在无法核实" not in zones.ask(number + code)
    assert "核验码有效" in zones.ask(new_number + new_code)


def test_a_link_that_was_never_there_confirms_nothing(zones: Zones) -> None:
    _, number, code = zones.signed()
    assert "现在无法核实" in zones.ask(number + code)
    shutil.rmtree(zones.homes["public"] / "exchange")
    assert "现在无法核实" in zones.ask(number + code)


def test_late_letters_confirm_nothing_before_they_are_here(zones: Zones) -> None:
    zones.signed()
    zones.pass_on(2)
    _, late_number, late_code = zones.signed(name="李强")
    rounds_at = clock.now()
    rounds.go_round(zones.desk.web, now=rounds_at)
    zone = zone_keys.load(zones.homes["centre"])
    assert zone is not None
    exchange.carry(zones.desk.web, zone, {}, now=rounds_at)
    held = [p for p in zones.folders["public"].iterdir() if p.name != "beat.wzx"]
    assert len(held) == 1
    held[0].rename(zones.folders["public"].parent / "held")
    zones.pass_on()
    assert "无法核实" in zones.ask(late_number + late_code)
    row = zones.there.execute("SELECT current_until < their_at FROM exchange_peers").fetchone()
    assert row == (True,)  # the beat tells of a letter that is not here: the page does not count as current
    (zones.folders["public"].parent / "held").rename(held[0])
    zones.pass_on()
    assert "核验码有效" in zones.ask(late_number + late_code)


def test_guessing_is_stopped_by_address_and_altogether() -> None:
    ticks = [0.0]
    tries = public.Tries(3, 5, clock=lambda: ticks[0])
    assert [tries.wait("a") for _ in range(4)] == [0, 0, 0, 600]
    assert tries.wait("b") == 0
    for _ in range(5):
        tries.missed()
    assert tries.wait("c") == 60
    ticks[0] = 61
    assert tries.wait("c") == 0
    ticks[0] = 601
    assert tries.wait("a") == 0


def test_an_address_that_tries_too_often_is_told_to_call(zones: Zones) -> None:
    client = zones.opened(verify_tries=2)
    for _ in range(2):
        assert client.post("/verify", data={"code": "1"}).status_code == 200
    answer = client.post("/verify", data={"code": "1"})
    assert answer.status_code == 429 and "核验次数太多" in answer.text and "96110" in answer.text
    many = zones.opened(verify_tries=100, verify_wrong=2)
    _, number, _ = zones.signed()
    zones.pass_on(2)
    for guess in ("111111", "222222"):
        assert "无法核实" in many.post("/verify", data={"code": number + guess}).text
    assert many.post("/verify", data={"code": number + "333333"}).status_code == 429


@pytest.mark.parametrize(
    ("client", "forwarded", "whose"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody may name himself
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.2.3.4, 198.51.100.1", "198.51.100.1"),  # what the caller wrote in front is not believed
        ("10.0.0.1", "", "10.0.0.1"),
        ("2001:db8::1", "", "2001:db8::/64"),
        ("2001:db8::ffff:1", "", "2001:db8::/64"),
        ("::ffff:203.0.113.9", "", "203.0.113.9"),
        ("testclient", "", "?"),
    ],
)
def test_tries_are_counted_by_network(client: str, forwarded: str, whose: str) -> None:
    assert public.network_of(client, forwarded, frozenset({"10.0.0.1"})) == whose


def test_the_page_takes_no_code_from_an_address_and_every_odd_request_gets_the_page(zones: Zones) -> None:
    _, number, code = zones.signed()
    zones.pass_on(2)
    text = zones.page.get(f"/verify?code={number}{code}").text
    assert "核验码有效" not in text and code not in text
    assert zones.page.get("/", follow_redirects=False).headers["location"] == "/verify"
    for path in ("/desk", "/login", "/alerts/1", "/v1/alerts", "/v1/openapi.json"):
        answer = zones.page.get(path)
        assert answer.status_code == 404 and "96110" in answer.text
    answer = zones.page.post("/verify", content=b"\xff\xfe" * 5000)
    assert answer.status_code == 200 and "还没有填写" in answer.text
    assert "no-store" in zones.page.get("/verify").headers["cache-control"]
    assert "frame-ancestors 'none'" in zones.page.get("/verify").headers["content-security-policy"]


@pytest.mark.parametrize("language", ["zh", "en"])
def test_every_word_is_in_the_catalogue(zones: Zones, language: str) -> None:
    _, number, code = zones.signed()
    zones.pass_on(2)
    plain, filled = patterns(language)
    header = {"accept-language": language}
    for text in (number + code, number, "x", "", "123", "99999999 123456", number + "000000"):
        labels = Labels()
        labels.feed(zones.ask(text, **header))
        strange = [
            w for _, w in labels.found if w not in plain and not filled.fullmatch(w) and re.search("[a-z一-龥]", w)
        ]
        assert strange == []
        assert [w for w in catalogue.forbidden() if w in " ".join(labels.texts)] == []
