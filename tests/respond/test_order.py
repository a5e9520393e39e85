"""The order of work: its formula, its index, and the deployment's own table of clocks."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from tests.desks import Centre

from wuzha.cli import doctor
from wuzha.command.public import Actor, machine
from wuzha.respond import contact, queue, sign, tiers, undo
from wuzha.store import Connection, transaction

NOW = datetime(2026, 3, 2, 6, 0, tzinfo=UTC)


def order(house: Centre, actor: Actor, now: datetime = NOW) -> list[int]:
    with house.scope(actor, now=now) as conn:
        return [row["alert_id"] for row in queue.rows(conn, actor, queue.Filters(), now=now)[0]]


def rank(house: Centre, alert: int) -> datetime:
    row = house.engine.execute("SELECT rank_at FROM alerts WHERE alert_id = %s", (alert,)).fetchone()
    assert row is not None
    return row[0]


def test_money_brings_an_alert_forward_by_half_its_time_at_most(house: Centre, wang: Actor) -> None:
    poor = house.alert(level="medium", now=NOW, ago=timedelta(0))
    rich = house.alert(level="medium", now=NOW, ago=timedelta(0), amount_fen=100_000_000)
    richest = house.alert(level="medium", now=NOW, ago=timedelta(0), amount_fen=10**15)
    assert rank(house, poor) == NOW + timedelta(seconds=1800)
    assert abs(rank(house, rich) - (NOW + timedelta(seconds=900))) < timedelta(seconds=1)
    assert rank(house, richest) == NOW + timedelta(seconds=900)
    assert order(house, wang) == [rich, richest, poor], "the formula tops out, then the older goes first"


def test_no_money_and_no_time_left_lifts_an_alert_over_a_worse_danger(house: Centre, wang: Actor) -> None:
    low = house.alert(level="low", now=NOW, ago=timedelta(days=9), amount_fen=10**12)
    urgent = house.alert(level="urgent", now=NOW, ago=timedelta(0))
    assert order(house, wang) == [urgent, low]


def test_a_try_without_a_word_lets_others_of_the_level_come_first_and_an_undo_takes_that_back(
    house: Centre, wang: Actor
) -> None:
    one = house.alert(level="high", now=NOW, ago=timedelta(seconds=30))
    two = house.alert(level="high", now=NOW, ago=timedelta(seconds=20))
    with house.scope(wang, now=NOW) as conn:
        for alert in (one, two):
            sign.sign(conn, wang, alert, version=1, key=f"sign-{alert}-click", now=NOW)
    assert order(house, wang) == [one, two]
    with house.scope(wang, now=NOW) as conn:
        contact.contact(conn, wang, one, channel="call", result="busy", version=2, key="busy-click", now=NOW)
    assert order(house, wang) == [one, two], "an engaged line is danger, not a reason to wait"
    with house.scope(wang, now=NOW) as conn:
        silent = contact.contact(
            conn, wang, one, channel="call", result="no_answer", version=3, key="silent-click", now=NOW
        )
    assert order(house, wang) == [two, one]
    with house.scope(wang, now=NOW) as conn:
        undo.undo(conn, wang, one, contact_id=silent.contact_id, key="undo-click", now=NOW)
    assert order(house, wang) == [one, two]


def test_a_warnings_own_deadline_ranks_and_its_leaving_ranks_again(house: Centre, wang: Actor) -> None:
    plain = house.alert(level="low", now=NOW, ago=timedelta(minutes=1))
    told = house.alert(level="low", now=NOW, ago=timedelta(0))
    house.warning(told, sign_by=NOW + timedelta(minutes=9), ts=NOW)
    assert order(house, wang) == [told, plain]
    house.engine.execute("UPDATE alert_warnings SET alert_id = %s", (plain,))
    assert rank(house, told) == NOW + timedelta(hours=4)
    assert rank(house, plain) == NOW + timedelta(minutes=9)


def test_the_page_is_one_walk_of_the_index(house: Centre, wang: Actor, superuser: Connection) -> None:
    fill(superuser, house, 20_000, open_share=5)
    with house.scope(wang, now=NOW) as conn:
        where, values = queue._where(wang, queue.Filters(), NOW)
        plan = "\n".join(
            row[0]
            for row in conn.execute(
                f"EXPLAIN SELECT a.alert_id FROM wuzha.alerts a WHERE {where} AND ({queue._ORDER}) > (1, %s, 5)"
                f" ORDER BY {queue._ORDER} LIMIT 101",
                [*values, NOW],
            )
        )
    assert "alerts_queue" in plan and "Sort" not in plan and "Index Cond: (ROW(" in plan, plan


def fill(superuser: Connection, house: Centre, n: int, *, open_share: int) -> None:
    """``n`` alerts of which one in ``open_share`` is open, written past the policies for speed."""
    superuser.execute(
        "INSERT INTO wuzha.subjects (kind, value) SELECT 'person', 'bulk-' || i FROM generate_series(1, %s) i", (n,)
    )
    superuser.execute(
        "INSERT INTO wuzha.alerts (person_id, episode, unit_id, raised_at, last_evidence_at, committed_at, level_at,"
        " level, level_rank, scam_type, stage, score, typology, amount_fen, log_position, state, closed_at)"
        " SELECT s.subject_id, 1, (%s::bigint[])[1 + i %% 3], t, t, t, t,"
        " (ARRAY['low','medium','high','urgent'])[1 + i %% 4], i %% 4, 'loan', 'act', 50, 'loan', i * 1000, 1,"
        " CASE WHEN i %% %s = 0 THEN 'new' ELSE 'closed' END, CASE WHEN i %% %s = 0 THEN NULL ELSE t END"
        " FROM (SELECT subject_id, row_number() OVER () AS i FROM wuzha.subjects WHERE value LIKE 'bulk-%%') s,"
        " LATERAL (SELECT %s::timestamptz - i * interval '7 s' AS t) x",
        (list(house.units.values()), open_share, open_share, NOW),
    )
    superuser.execute("ANALYZE wuzha.alerts")


OWN = """
[[tier]]
from = 2020-01-01
undo_s = 10
reveal_s = 14400
code_s = 86400
calls_per_hour = 10
unit_after = 0.5
[tier.urgent]
sign_s = 30
contact_s = 90
meet_s = 3600
[tier.high]
sign_s = 300
contact_s = 600
meet_s = 7200
[tier.medium]
sign_s = 1800
contact_s = 7200
meet_s = 86400
[tier.low]
sign_s = 14400
contact_s = 86400
meet_s = 259200
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("WUZHA_HOME", str(tmp_path))
    return tmp_path / "tiers.toml"


def test_a_deployments_own_table_stands_in_and_the_queue_is_ranked_by_it(house: Centre, wang: Actor, own: Path) -> None:
    alert = house.alert(level="urgent", now=NOW, ago=timedelta(0))
    machine_ = machine(wang.unit_id, "clocks")
    with transaction(house.web, unit=wang.unit_id, now=NOW) as conn:
        tiers.put_in_force(conn, machine_, NOW)
    assert rank(house, alert) == NOW + timedelta(seconds=60)
    own.write_text(OWN, "utf-8")
    with transaction(house.web, unit=wang.unit_id, now=NOW) as conn:
        assert tiers.put_in_force(conn, machine_, NOW) == 2  # one clock, one alert
        assert tiers.put_in_force(conn, machine_, NOW) == 0
    with house.scope(wang, now=NOW) as conn:
        row = queue.one(conn, wang, alert, now=NOW)
    assert row is not None and row["due"] == rank(house, alert) == NOW + timedelta(seconds=30)


def test_a_mistake_in_it_keeps_the_last_good_one_and_doctor_names_the_line(own: Path) -> None:
    own.write_text(OWN, "utf-8")
    assert tiers.tiers(NOW).levels["urgent"].sign_s == 30
    own.write_text(OWN.replace("contact_s = 90", "contact_s = soon"), "utf-8")
    assert tiers.tiers(NOW).levels["urgent"].sign_s == 30
    os.utime(own, (1, 1))
    own.write_text(OWN.replace("contact_s = 90", "contact_s = '90'"), "utf-8")
    assert tiers.tiers(NOW).levels["urgent"].sign_s == 30
    [found] = [f for f in doctor.findings(None) if f.name == "tiers"]
    assert found.state == "fail"
    assert "tiers.toml:11: [tier.urgent] contact_s is missing or no whole number" in found.words
    own.unlink()
    assert tiers.tiers(NOW).levels["urgent"].sign_s == 60
    [found] = [f for f in doctor.findings(None) if f.name == "tiers"]
    assert found.state == "ok"


@pytest.mark.parametrize(
    ("was", "now", "said"),
    [
        ("undo_s = 10\n", "undo_s = 0\n", ":4: undo_s is not between"),
        ("unit_after = 0.5", "unit_after = 0.5\nnonsense = 1", ":9: nonsense is no column"),
        ("sign_s = 300\n", "sign_s = 601\n", ":14: [tier.high] sign_s want"),
        ("[tier.low]\nsign_s = 14400\ncontact_s = 86400\nmeet_s = 259200\n", "", ":2: [tier.low] is missing"),
        ("from = 2020-01-01", "from = 'today'", ":3: from is a day"),
        ("[[tier]]", "[[tiers]]", "no such table tiers"),
    ],
)
def test_every_mistake_is_said_with_its_line(was: str, now: str, said: str) -> None:
    with pytest.raises(tiers.TiersError) as caught:
        tiers.read(OWN.replace(was, now, 1))
    assert said in str(caught.value)
