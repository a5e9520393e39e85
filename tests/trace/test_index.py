"""The index: appended to it answers as if built at once, kept on disk, ordered by the transfers alone."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.trace.rows import T0, pay, table

from wuzha.trace import Index, Theft, Tracer

DAY = 86_400


def rows_of(r: random.Random, n: int, accounts: int) -> list[dict[str, Any]]:
    """Transfers with many of one time, some with balances, numbers, fees, late arrivals, reversals."""
    names = [f"{i:03d}" for i in range(accounts)]
    rows: list[dict[str, Any]] = []
    for i in range(n):
        payer, payee = r.sample(names, 2)
        more: dict[str, Any] = {}
        kind = r.random()
        if kind < 0.1:
            more = {"channel": "atm", "side": "payer"}
        elif kind < 0.2:
            more = {"fee_fen": r.randint(1, 9)}
        elif kind < 0.3:
            more = {"seq": r.randint(1, 5)}
        elif kind < 0.4:
            more = {"payer_balance_fen": r.randint(0, 500)}
        elif kind < 0.45:
            payee = None  # type: ignore[assignment]
        elif kind < 0.5 and rows:
            undone = r.choice(rows)
            rows.append({**undone, "event_id": f"e{i}", "payer": undone["payee"], "payee": undone["payer"],
                         "reverses": undone["event_id"], "ts": undone["ts"] + 1_000_000})  # fmt: skip
            continue
        elif kind < 0.6:
            more = {"bank_ref": f"R{r.randint(0, 3)}", "channel": r.choice([None, "third_party"])}
        rows.append(pay(r.randint(0, 12) * r.choice([1, 1, DAY // 4]), payer, payee, r.randint(1, 200),
                        event_id=f"e{i}", **more))  # fmt: skip
    return rows


def answers(index: Index, accounts: int) -> list[Any]:
    tracer = Tracer(index)
    out = []
    for v in range(accounts):
        for policy in ("fifo", "lifo", "haircut", "poison"):
            theft = Theft(account=f"account:{v:03d}", at=T0, amount_fen=300)
            result = tracer.follow([theft], policy=policy)  # type: ignore[arg-type]
            out.append({**result.as_json(), "edges": sorted(result.edges, key=lambda e: e["event_id"])})
    return out


@pytest.mark.parametrize("seed", range(6))
def test_appending_equals_building_and_the_order_of_files_does_not_matter(seed: int) -> None:
    r = random.Random(seed)
    for _ in range(4):
        rows = rows_of(r, r.choice([10, 60]), 5)
        want = answers(Index.of(table(rows)), 5)
        if r.random() < 0.5:
            r.shuffle(rows)
        else:
            rows.sort(key=lambda row: row["ts"])
        index = Index()
        at = 0
        while at < len(rows):
            n = r.randint(1, 12)
            index.append(table(rows[at : at + n]))
            at += n
            index.view()
        assert answers(index, 5) == want


def test_a_view_is_not_changed_by_what_comes_after_it() -> None:
    r = random.Random(5)
    rows = sorted(rows_of(r, 200, 5), key=lambda row: row["ts"])
    index = Index.of(table(rows[:100]))
    view = index.view()
    before = {name: np.array(column) for name, column in view.transfers._asdict().items()}
    ts = np.array(view.ts[1])
    for at in range(100, 200, 10):
        index.append(table(rows[at : at + 10]))
    assert np.array_equal(ts, view.ts[1])
    for name in ("outs", "ins", "tail_out", "tail_in"):
        assert np.array_equal(before[name], getattr(view.transfers, name)), name


def test_kept_on_disk_it_answers_the_same_and_can_be_appended_to(tmp_path: Path) -> None:
    r = random.Random(9)
    rows = rows_of(r, 120, 5)
    early = [row for row in rows if row["ts"] <= 6_000_000]
    later = [row for row in rows if row["ts"] > 6_000_000]
    index = Index.of(table(early))
    index.save(tmp_path / "index")
    again = Index.open(tmp_path / "index")
    assert answers(again, 5) == answers(Index.of(table(early)), 5)
    again.append(table(later))
    assert answers(again, 5) == answers(Index.of(table(rows)), 5)


def test_what_is_no_index_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="holds no index"):
        Index.open(tmp_path)
    index = Index.of(table([pay(1, "a", "b", 1)]))
    index.save(tmp_path)
    (tmp_path / "index.json").write_text((tmp_path / "index.json").read_text().replace('"layout": 1', '"layout": 0'))
    with pytest.raises(ValueError, match="build it anew"):
        Index.open(tmp_path)


def test_a_row_that_comes_twice_counts_once_and_is_told() -> None:
    rows = [pay(1, "v", "a", 100, event_id="x"), pay(1, "v", "a", 100, event_id="x"), pay(2, "a", "b", 100)]
    index = Index.of(table(rows))
    assert index.left_out == {"duplicate": 1}
    assert len(index) == 2


def test_a_row_that_comes_again_later_counts_once() -> None:
    index = Index.of(table([pay(1, "v", "a", 100, event_id="x")]))
    index.append(table([pay(1, "v", "a", 100, event_id="x"), pay(2, "a", "b", 100, event_id="y")]))
    assert index.left_out == {"duplicate": 1}
    (theft,) = [Theft(account="account:v", at=T0, amount_fen=200)]
    assert Tracer(index).follow([theft]).totals["stolen_fen"] == 100


def test_a_transfer_takes_forty_bytes_in_both_directions() -> None:
    rows = [pay(i, f"{i % 97}", f"{i % 89 + 100}", 5) for i in range(5_000)]
    assert Index.of(table(rows)).bytes_per_transfer()["edge"] <= 40.0


def test_a_tail_taken_into_the_base_answers_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from wuzha.trace import index as module

    monkeypatch.setattr(module, "_LEAST_TAIL", 8)
    for seed in range(6):
        r = random.Random(50 + seed)
        rows = sorted(rows_of(r, 90, 5), key=lambda row: row["ts"])
        index = Index()
        for at in range(0, len(rows), 5):
            index.append(table(rows[at : at + 5]))
        whole = Index.of(table(rows))
        assert index._base["ts"].shape[0] > 0
        assert answers(index, 5) == answers(whole, 5)


def test_two_threads_build_what_one_does(monkeypatch: pytest.MonkeyPatch) -> None:
    from wuzha.trace import entries, numbers, order
    from wuzha.trace import rows as reading

    for seed in range(4):
        r = random.Random(80 + seed)
        rows = rows_of(r, 150, 6)
        if seed % 2:
            rows.sort(key=lambda row: row["ts"])
        want = answers(Index.of(table(rows)), 6)
        with monkeypatch.context() as patch:
            patch.setattr(numbers, "_MANY", 1)
            patch.setattr(numbers, "_MANY_STEP", 7)
            for module in (entries, order, reading):
                patch.setattr(module, "_ALONE", 1)
            assert answers(Index.of(table(rows)), 6) == want
