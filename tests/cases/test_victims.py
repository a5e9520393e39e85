"""Possible victims: who paid and has not reported, with the reasons against; warned once; a later report joins."""

from __future__ import annotations

import pytest
from tests.money import FIRST, VICTIM, Chase

from wuzha.cases import victims
from wuzha.command.public import Actor, Refused
from wuzha.store import log

SECOND = "6217001234560002"
DAY = 24 * 60


def seen(chase: Chase, sun: Actor) -> list[victims.Payer]:
    chase.report()
    chase.seal(sun)
    chase.answer(chase.order("query", FIRST), [
        chase.moved(VICTIM, FIRST, 5_000_000, 0),
        chase.moved("6222000000000011", FIRST, 300_000, -90), chase.moved("6222000000000011", FIRST, 900_000, -30),
        chase.moved("6222000000000012", FIRST, 2_000_000, -60, memo="货款"),
        *(chase.moved("6222000000000013", FIRST, 900_000, m, seq=i) for i, m in enumerate((-40 * DAY, -9 * DAY, -20))),
        chase.moved("6222000000000014", FIRST, 4_000_000, -2, payer_name="陈某"),
        chase.moved("6222000000000015", FIRST, 800_000, -9 * DAY),
        chase.moved(FIRST, SECOND, 3_000_000, 3), chase.moved(SECOND, FIRST, 100_000, 5),
        chase.moved(FIRST, "6222000000000011", 5_000, -80),  # a rebate that baits
    ])  # fmt: skip
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        return victims.payers(conn, chase.officer, chase.case_id, now=chase.now)


def test_payers_who_have_not_reported_are_ranked_with_the_reasons_against(chase: Chase, sun: Actor) -> None:
    found = {p.account: p for p in seen(chase, sun)}
    # Neither who reported, nor an account that stolen money went through, nor who paid long before.
    assert set(found) == {f"622200000000001{n}" for n in (1, 2, 3, 4)}
    assert {a: p.against for a, p in found.items()} == {
        "6222000000000011": (), "6222000000000012": ("seller",), "6222000000000013": ("friend",),
        "6222000000000014": ("own",),
    }  # fmt: skip
    assert next(iter(found)) == "6222000000000011" and found["6222000000000011"].paid_fen == 1_200_000


def test_whoever_is_warned_is_warned_once_and_by_the_log(chase: Chase, sun: Actor) -> None:
    first = seen(chase, sun)[0]
    house, her = chase.house, chase.officer
    with house.scope(her, now=chase.now) as conn:
        victims.warn_one(conn, her, chase.case_id, first.account_id, key="warn-the-first", now=chase.now)
    with house.scope(her, now=chase.now) as conn:
        assert victims.warn_one(
            conn, her, chase.case_id, first.account_id, key="warn-the-first", now=chase.now
        ).repeated
    with pytest.raises(Refused, match="victim_warned"), house.scope(her, now=chase.now) as conn:
        victims.warn_one(conn, her, chase.case_id, first.account_id, key="warn-again-1", now=chase.now)
    rows = [batch.rows.to_pylist() for batch in log.read(house.engine, 0)]
    assert [(r["victim_account"], r["suspect_account"], r["amount_fen"]) for batch in rows for r in batch] == [
        (first.account, FIRST, 1_200_000)
    ]


def test_whoever_reports_later_joins_the_case_and_is_no_longer_listed(chase: Chase, sun: Actor) -> None:
    first = seen(chase, sun)[0]
    taken = chase.report(
        account=first.account, amount_fen=900_000, minutes=-30, name="另一人", id_no="", line="13900000009"
    )
    assert taken.joined and taken.case_id == chase.case_id
    with chase.house.scope(chase.officer, now=chase.now) as conn:
        left = victims.payers(conn, chase.officer, chase.case_id, now=chase.now)
    assert first.account not in {p.account for p in left}
