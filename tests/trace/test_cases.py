"""What statements are like: circles, ties, reversals, fees, late arrivals, gaps, hubs, payment firms."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from tests.trace.rows import T0, pay, table

from wuzha.events import TABLES
from wuzha.events.batch import conform
from wuzha.trace import Index, Result, Theft, Tracer
from wuzha.trace.clocks import aligned

DAY = 86_400


def trace(rows: list[dict[str, Any]] | pa.Table, victim: str = "v", fen: int = 100, **more: Any) -> Result:
    index = Index.of(rows if isinstance(rows, pa.Table) else table(rows))
    return Tracer(index).follow([Theft(account=f"account:{victim}", at=T0, amount_fen=fen)], **more)


def held(result: Result) -> dict[str, int]:
    return {a["account"].removeprefix("account:"): a["held_fen"] for a in result.accounts if a["held_fen"]}


def exits(result: Result) -> dict[tuple[str, str], int]:
    return {(e["kind"], e["account"].removeprefix("account:")): e["amount_fen"] for e in result.exits}


def test_money_that_comes_back_in_a_circle_is_counted_once() -> None:
    result = trace([pay(1, "v", "a", 100), pay(2, "a", "b", 100), pay(3, "b", "a", 100), pay(4, "a", "c", 60)])
    assert held(result) == {"a": 40, "c": 60}
    assert result.totals == {"stolen_fen": 100, "held_fen": 100, "exited_fen": 0, "unknown_fen": 0}
    assert {a["account"]: a["level"] for a in result.accounts} == {
        "account:v": 0, "account:a": 1, "account:b": 2, "account:c": 2,
    }  # fmt: skip


def test_money_that_comes_back_to_the_victim_is_held_there() -> None:
    assert held(trace([pay(1, "v", "a", 100), pay(2, "a", "v", 30)])) == {"a": 70, "v": 30}


def test_clean_money_is_told_from_stolen_by_each_policy() -> None:
    rows = [pay(0, "x", "a", 100), pay(1, "v", "a", 100), pay(2, "a", "b", 50)]
    assert held(trace(rows, policy="fifo")) == {"a": 100}
    assert held(trace(rows, policy="lifo")) == {"a": 50, "b": 50}
    assert held(trace(rows, policy="haircut")) == {"a": 75, "b": 25}


def test_an_unknown_opening_gives_a_range_and_a_known_one_does_not() -> None:
    rows = [pay(1, "v", "a", 100), pay(2, "a", "b", 70)]
    (a,) = [x for x in trace(rows).accounts if x["account"] == "account:a"]
    assert (a["held_low_fen"], a["held_fen"], a["held_high_fen"]) == (30, 30, 100)
    rows = [pay(1, "v", "a", 100, payee_balance_fen=1_100), pay(2, "a", "b", 70, payer_balance_fen=1_030)]
    (a,) = [x for x in trace(rows).accounts if x["account"] == "account:a"]
    assert (a["held_low_fen"], a["held_fen"], a["held_high_fen"]) == (100, 100, 100)


def test_one_second_is_ordered_by_balances() -> None:
    # by rule the money would come in first; the balances say that the account paid before
    rows = [
        pay(1, "a", "b", 50, payer_balance_fen=0), pay(1, "v", "a", 100, payee_balance_fen=100),
        pay(2, "a", "c", 100, payer_balance_fen=0),
    ]  # fmt: skip
    result = trace(rows)
    assert held(result) == {"c": 100}
    assert {e["event_id"]: e.get("order_by") for e in result.edges} == {"e1": "balance", "e2": None}
    assert "balance" in result.notes[0]


def test_one_second_is_ordered_by_rule_where_no_balance_is_given() -> None:
    for flip in (1, -1):
        rows = [pay(1, "v", "a", 100), pay(1, "a", "b", 100), pay(1, "b", "c", 100)][::flip]
        result = trace(rows)
        assert held(result) == {"c": 100}
        assert {e["order_by"] for e in result.edges} == {"rule"}


def test_one_second_is_ordered_by_the_statements_numbers() -> None:
    rows = [pay(1, "a", "b", 50, seq=1), pay(1, "v", "a", 100, seq=2), pay(2, "a", "c", 60)]
    result = trace(rows)
    assert held(result) == {"a": 40, "c": 60}
    assert result.edges[0]["order_by"] == "seq"


def test_a_circle_within_one_second_is_opened_and_said() -> None:
    rows = [pay(0, "v", "a", 100), pay(1, "a", "b", 100), pay(1, "b", "a", 100)]
    result = trace(rows)
    assert result.totals["held_fen"] == 100
    assert "circle" in {e.get("order_by") for e in result.edges}


def test_failed_and_reversed_transfers_move_nothing() -> None:
    rows = [
        pay(1, "v", "x", 100, ok=False), pay(2, "v", "a", 100), pay(3, "a", "b", 100, event_id="gone"),
        pay(4, "b", "a", 100, reverses="gone"), pay(5, "a", "c", 40),
    ]  # fmt: skip
    assert held(trace(rows)) == {"a": 60, "c": 40}


def test_balances_that_show_a_reversal_are_no_gap() -> None:
    rows = [
        pay(2, "v", "a", 100, payee_balance_fen=100),
        pay(3, "a", "b", 100, event_id="gone", payer_balance_fen=0, payee_balance_fen=100),
        pay(4, "b", "a", 100, reverses="gone", payer_balance_fen=0, payee_balance_fen=100),
        pay(5, "a", "c", 40, payer_balance_fen=60),
    ]  # fmt: skip
    assert held(trace(rows)) == {"a": 60, "c": 40}


def test_a_reversal_of_what_is_not_there_is_a_transfer() -> None:
    assert held(trace([pay(1, "v", "a", 100), pay(2, "a", "v", 100, reverses="elsewhere")])) == {"v": 100}


def test_fees_are_an_exit() -> None:
    result = trace([pay(1, "v", "a", 100), pay(2, "a", "b", 90, fee_fen=10)])
    assert held(result) == {"b": 90}
    assert exits(result) == {("fee", "a"): 10}


def test_exits_are_told_by_kind() -> None:
    rows = [
        pay(1, "v", "a", 100), pay(2, "a", None, 20, cash=True), pay(3, "a", "shop", 20, merchant_id="m1"),
        pay(4, "a", "firm", 20, channel="third_party"), pay(5, "a", "coin", 20, channel="crypto"),
    ]  # fmt: skip
    result = trace(rows)
    assert exits(result) == {("cash", "a"): 20, ("merchant", "shop"): 20, ("third_party", "firm"): 20,
                             ("crypto", "coin"): 20}  # fmt: skip
    assert held(result) == {"a": 20}
    assert result.totals["exited_fen"] == 80


def test_a_payment_firms_file_names_the_true_payee() -> None:
    rows = [
        pay(1, "v", "a", 100), pay(2, "a", "firm", 100, channel="third_party", bank_ref="R1"),
        pay(3, "firm", "b", 100, bank_ref="R1", source="firm"), pay(4, "b", "c", 60),
    ]  # fmt: skip
    result = trace(rows)
    assert held(result) == {"b": 40, "c": 60}
    assert exits(result) == {}


def test_a_transfer_at_a_machine_arrives_a_day_later() -> None:
    rows = [
        pay(1, "v", "a", 100), pay(2, "a", "b", 100, channel="atm", side="payer"), pay(3, "x", "b", 50),
        pay(DAY - 10, "b", "c", 50),
    ]  # fmt: skip
    result = trace(rows)
    assert held(result) == {"b": 100}, "on its way, and what b paid meanwhile was its own"
    later = trace([*rows, pay(DAY + 10, "b", "d", 100)])
    assert held(later) == {"d": 100}
    told = next(a for a in later.accounts if a["account"] == "account:b")
    assert told["first_at"] == "2025-06-16T23:06:42+08:00"


def test_money_that_a_gap_in_the_statement_swallows_is_unknown() -> None:
    rows = [
        pay(1, "v", "a", 100, payee_balance_fen=100), pay(3 * DAY, "y", "a", 10, payee_balance_fen=40),
        pay(4 * DAY, "a", "c", 40, payer_balance_fen=0),
    ]  # fmt: skip
    result = trace(rows)
    assert exits(result) == {("unknown", "a"): 70}
    assert result.totals == {"stolen_fen": 100, "held_fen": 30, "exited_fen": 0, "unknown_fen": 70}


def test_money_that_a_gap_brings_in_is_clean() -> None:
    rows = [
        pay(1, "v", "a", 100, payee_balance_fen=100), pay(3, "y", "a", 10, payee_balance_fen=160),
        pay(4, "a", "c", 120, payer_balance_fen=40),
    ]  # fmt: skip
    assert held(trace(rows)) == {"c": 100}


def test_an_overdraft_is_paid_first() -> None:
    rows = [
        pay(0, "a", "x", 100, payer_balance_fen=-100), pay(1, "v", "a", 150, payee_balance_fen=50),
        pay(2, "a", "c", 50, payer_balance_fen=0),
    ]  # fmt: skip
    result = trace(rows, fen=150)
    assert held(result) == {"c": 50}
    assert exits(result) == {("unknown", "a"): 100}


def test_a_transfer_to_itself_moves_nothing_but_its_fee() -> None:
    assert held(trace([pay(1, "v", "a", 100), pay(2, "a", "a", 50), pay(3, "a", "b", 30)])) == {"a": 70, "b": 30}
    result = trace([pay(1, "v", "a", 100), pay(2, "a", "a", 50, fee_fen=5), pay(3, "a", "b", 30)])
    assert exits(result) == {("fee", "a"): 5}
    assert held(result) == {"a": 65, "b": 30}


def test_a_hub_stops_the_walk_until_it_is_asked() -> None:
    crowd = [pay(i, f"p{i}", "hub", 1) for i in range(40)]
    rows = [*crowd, pay(100, "v", "a", 100), pay(101, "a", "hub", 100), pay(102, "hub", "b", 140)]
    result = trace(rows, hub_neighbours=40)
    assert exits(result) == {("hub", "hub"): 100}
    assert held(trace(rows, hub_neighbours=40, follow_hubs=True)) == {"b": 100}
    assert held(trace(rows, hub_neighbours=50)) == {"b": 100}


def test_up_to_the_amount_is_stolen_and_no_more() -> None:
    result = trace([pay(1, "v", "a", 60), pay(2, "v", "b", 60), pay(3, "v", "c", 60)])
    assert held(result) == {"a": 60, "b": 40}
    short = trace([pay(1, "v", "a", 60)])
    assert short.totals["stolen_fen"] == 60
    assert short.thefts[0]["found_fen"] == 60 and "only 60" in short.notes[0]


def test_into_an_account_counts_as_received() -> None:
    index = Index.of(table([pay(5, "a", "b", 70)]))
    result = Tracer(index).follow([Theft(account="account:a", at=T0, amount_fen=100, into=True)])
    assert held(result) == {"a": 30, "b": 70}
    assert {a["account"]: a["level"] for a in result.accounts} == {"account:a": 1, "account:b": 2}
    unseen = Tracer(index).follow([Theft(account="account:zz", at=T0, amount_fen=100, into=True)])
    assert held(unseen) == {"zz": 100}


def test_only_what_leads_to_an_account() -> None:
    rows = [pay(1, "v", "a", 100), pay(2, "a", "b", 40), pay(3, "a", "c", 60), pay(4, "b", "d", 40)]
    result = trace(rows, to="account:d")
    assert [a["account"] for a in result.accounts] == ["account:v", "account:a", "account:b", "account:d"]
    assert [e["event_id"] for e in result.edges] == ["e0", "e1", "e3"]
    assert result.totals["held_fen"] == 100


def test_beyond_levels_and_hours_money_lies() -> None:
    rows = [pay(1, "v", "a", 100), pay(2, "a", "b", 100), pay(7200, "b", "c", 100)]
    assert held(trace(rows, levels=1)) == {"a": 100}
    assert held(trace(rows, levels=2)) == {"b": 100}
    assert held(trace(rows, hours=1)) == {"b": 100}
    assert held(trace(rows, until=T0 + 1_500_000)) == {"a": 100}


def test_victims_share_what_they_share() -> None:
    rows = [pay(1, "v", "a", 100), pay(2, "w", "a", 100), pay(3, "a", "b", 150)]
    thefts = [Theft(account=f"account:{v}", at=T0, amount_fen=100) for v in ("v", "w")]
    result = Tracer(Index.of(table(rows))).follow(thefts)
    assert held(result) == {"a": 50, "b": 150}
    assert result.totals["stolen_fen"] == 200


def test_amounts_that_cannot_be_are_refused() -> None:
    index = Index.of(table([pay(1, "v", "a", 100)]))
    for fen in (0, -5, 10**17):
        with pytest.raises(ValueError, match="cannot have been stolen"):
            Tracer(index).follow([Theft(account="account:v", at=T0, amount_fen=fen)])


def test_an_empty_table_is_followed_nowhere() -> None:
    result = trace(table([]))
    assert result.totals == {"stolen_fen": 0, "held_fen": 0, "exited_fen": 0, "unknown_fen": 0}
    assert result.notes


def test_a_hub_of_a_hundred_thousand_is_stopped_at_listed_and_followed_when_asked() -> None:
    n = 100_000
    crowd = pa.table(
        {
            "source": ["bank"] * n, "event_id": [f"c{i}" for i in range(n)],
            "ts": pa.array([T0] * n).cast(pa.timestamp("us")).cast(pa.timestamp("us", "UTC")),
            "payer": [f"p{i}" for i in range(n)], "payee": ["hub"] * n, "amount_fen": pa.array([1] * n, pa.int64()),
        }
    )  # fmt: skip
    few = table([pay(100, "v", "a", 100), pay(101, "a", "hub", 100), pay(102, "hub", "b", n + 100)])
    index = Index.of(pa.concat_tables([conform(TABLES["transfers"], crowd), few]))
    theft = Theft(account="account:v", at=T0, amount_fen=100)
    stopped = Tracer(index).follow([theft])
    assert exits(stopped) == {("hub", "hub"): 100}
    assert held(stopped) == {}
    assert held(Tracer(index).follow([theft], follow_hubs=True)) == {"b": 100}


def test_lines_of_one_bank_written_in_another_order_tell_the_same() -> None:
    rows = [pay(i % 7, f"{i % 5}", f"{(i * 3 + 1) % 5}", 10 + i) for i in range(40) if i % 5 != (i * 3 + 1) % 5]
    rows = [{**row, "event_id": f"e{i}"} for i, row in enumerate(rows)]
    want = trace(rows, victim="0", fen=50).as_json()
    got = trace(rows[::-1], victim="0", fen=50).as_json()
    assert {**got, "edges": sorted(got["edges"], key=str)} == {**want, "edges": sorted(want["edges"], key=str)}


def followed(rows: list[dict[str, Any]], at: int = 0) -> Result:
    moved, retimed = aligned(table(rows))
    thefts = [Theft(account="account:v", at=T0 + at * 1_000_000, amount_fen=100)]
    return retimed.told(Tracer(Index.of(moved)).follow([retimed.theft(t) for t in thefts]), thefts)


#: The payer's bank is two minutes ahead of the payee's: by the clocks a paid 95 before the 100 came in.
APART = [
    pay(-600, "z", "a", 10, payee_balance_fen=10), pay(0, "v", "a", 100, payer_balance_fen=0, payee_balance_fen=110),
    pay(-120, "a", "b", 95, payer_balance_fen=15),
]  # fmt: skip


def test_clocks_minutes_apart_are_put_right_by_balances_and_it_is_said() -> None:
    assert held(trace(APART)) == {"a": 100}, "by the clocks alone a still holds all of it"
    for rows in (APART, APART[::-1]):
        result = followed([{**row, "event_id": str(row["amount_fen"])} for row in rows])
        assert held(result) == {"a": 15, "b": 85}
        (edge,) = [e for e in result.edges if e["payee"] == "account:a"]
        assert (edge["order_by"], edge["ts"]) == ("clocks", "2025-06-15T23:06:40+08:00")
        assert any("clocks differ: 1" in note for note in result.notes)
        assert result.thefts[0]["at"] == "2025-06-15T23:06:40+08:00"


def test_several_receipts_are_put_before_what_was_paid_of_them() -> None:
    rows = [
        pay(-600, "z", "a", 10, payee_balance_fen=10), pay(30, "v", "a", 60, payee_balance_fen=70),
        pay(60, "v", "a", 40, payee_balance_fen=110), pay(0, "a", "b", 110, payer_balance_fen=0),
    ]  # fmt: skip
    assert held(followed(rows)) == {"b": 100}


def test_without_balances_that_prove_it_nothing_is_moved() -> None:
    bare = [{k: v for k, v in row.items() if "balance" not in k} for row in APART]
    assert aligned(table(bare))[1].files == {}
    far = [APART[0], pay(400, "v", "a", 100, payee_balance_fen=110), APART[2]]
    assert aligned(table(far))[1].files == {}
    other = [APART[0], pay(0, "v", "a", 100, payee_balance_fen=111), APART[2]]
    assert aligned(table(other))[1].files == {}
    failed = [APART[0], {**APART[1], "ok": False}, APART[2]]
    assert aligned(table(failed))[1].files == {}
