"""The score's figures, on examples small enough to count by hand."""

from __future__ import annotations

import itertools
import random
import statistics
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wuzha.city import CityError
from wuzha.city.score import measure, score
from wuzha.events import TABLES

T0 = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
ALERTS = pa.schema(
    [("person", pa.string()), ("level", pa.string()), ("high_at", pa.timestamp("us", tz="UTC")),
     ("warnings", pa.list_(pa.string()))]
)  # fmt: skip


def label(minute: float, person: str | None, **given: object) -> dict[str, object]:
    row: dict[str, object] = {
        "source": "s", "event_id": f"e{minute}-{person}", "ts": T0 + timedelta(minutes=minute), "table": "calls",
        "scam_id": "S", "scam_type": "loan", "script": "loan", "stage": "approach", "step": "lure", "person": person,
        "look_alike": None,
    }  # fmt: skip
    return row | given


def truth(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=TABLES["labels"].schema)


def alert(person: str, level: str, minute: float | None, warnings: list[str] | None = None) -> dict[str, object]:
    high = None if minute is None else T0 + timedelta(minutes=minute)
    return {"person": f"person:{person}", "level": level, "high_at": high, "warnings": warnings}


def alerts(*rows: dict[str, object]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=ALERTS)


def loss(minute: float, person: str, **given: object) -> dict[str, object]:
    return label(minute, person, table="transfers", stage="pay", step="loss", **given)


def test_nothing_over_nothing_is_null() -> None:
    got = measure(truth(), alerts())
    assert got == {
        "victims": 0, "with_evidence": 0, "warned_before_first_loss": 0, "median_lead_minutes": None, "alerts": 0,
        "alerts_true": 0, "precision_urgent_high": None, "merge_precision": None, "merge_recall": None,
        "by_scam_type": {}, "by_look_alike": {},
    }  # fmt: skip


def test_victims_evidence_warned_and_lead() -> None:
    labels = truth(
        label(0, "a"), loss(60, "a"), loss(90, "a"),  # warned 30 minutes before
        label(0, "b"), loss(60, "b"),  # warned too late, but before the last loss
        loss(100, "b"),
        loss(50, "c"),  # nothing showed before
        label(0, "d"),  # no loss: no victim
        label(0, "e", scam_id=None, scam_type=None, look_alike="meeting"), loss(30, "e"),  # an innocent sign is none
    )  # fmt: skip
    got = measure(
        labels,
        alerts(
            alert("a", "high", 30),
            alert("b", "urgent", 80),
            alert("d", "high", 5),
            alert("c", "medium", None),
            alert("zz", "low", None),
        ),
    )
    assert (got["victims"], got["with_evidence"], got["warned_before_first_loss"]) == (4, 2, 1)
    assert got["median_lead_minutes"] == 30.0
    assert (got["alerts"], got["alerts_true"]) == (5, 2)
    assert got["precision_urgent_high"] == round(2 / 3, 6)
    assert got["by_look_alike"] == {"meeting": {"persons": 1, "alerts_urgent_high": 0}}


def test_an_alert_before_the_scam_begins_or_after_it_ends_is_not_true() -> None:
    labels = truth(label(10, "a"), loss(60, "a"))
    for minute, right, warned in ((9.9, 0, 1), (10, 1, 1), (60, 1, 0), (60.1, 0, 0)):
        got = measure(labels, alerts(alert("a", "high", minute)))
        assert (got["alerts_true"], got["warned_before_first_loss"]) == (right, warned), minute


def test_every_row_counts_and_the_earliest_high_warns() -> None:
    labels = truth(label(0, "a"), loss(60, "a"))
    got = measure(labels, alerts(alert("a", "high", 40), alert("a", "urgent", 20), alert("a", "high", None)))
    assert got["median_lead_minutes"] == 40.0
    assert (got["alerts"], got["alerts_true"], got["precision_urgent_high"]) == (3, 2, round(2 / 3, 6))


def test_median_over_an_even_number() -> None:
    labels = truth(loss(60, "a"), loss(60, "b"))
    got = measure(labels, alerts(alert("a", "high", 50), alert("b", "high", 30)))
    assert got["median_lead_minutes"] == 20.0


def test_merging_over_pairs_of_warnings() -> None:
    def warn(name: str, person: str, scam: str | None = "S") -> dict[str, object]:
        return label(1, person, table="warnings", event_id=name, scam_id=scam, look_alike=None if scam else "meeting")

    labels = truth(warn("w1", "a"), warn("w2", "a"), warn("w3", "a"), warn("w4", "b", None), warn("w5", "b", None))
    # joined: (1,2) right, (1,4) and (2,4) wrong; the same pair twice counts once. True pairs: 3 + 1.
    got = measure(
        labels, alerts(alert("a", "low", None, ["s/w1", "s/w2", "s/w4"]), alert("a", "low", None, ["s/w2", "s/w1"]))
    )
    assert got["merge_precision"] == round(1 / 3, 6)
    assert got["merge_recall"] == 0.25
    got = measure(labels, alerts(alert("a", "low", None, ["s/w1"]), alert("b", "low", None, None)))
    assert (got["merge_precision"], got["merge_recall"]) == (None, 0.0)


def test_by_scam_type() -> None:
    labels = truth(
        label(0, "a"), loss(60, "a"), label(0, "b", scam_type="authority"), loss(60, "b", scam_type="authority"),
        loss(60, "c", scam_type="authority"),
    )  # fmt: skip
    got = measure(labels, alerts(alert("b", "high", 15)))["by_scam_type"]
    assert got == {
        "authority": {
            "victims": 2,
            "with_evidence": 1,
            "warned_before_first_loss": 1,
            "median_lead_minutes": 45.0,
            "alerts_true": 1,
        },
        "loan": {
            "victims": 1,
            "with_evidence": 1,
            "warned_before_first_loss": 0,
            "median_lead_minutes": None,
            "alerts_true": 0,
        },
    }


def test_files_that_cannot_be_scored_say_why(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(CityError, match="no city"):
        score(tmp_path, tmp_path / "alerts.parquet")
    with pytest.raises(CityError, match="no file"):
        score(folder, tmp_path / "alerts.parquet")
    (tmp_path / "broken.parquet").write_bytes(b"PAR1 nonsense")
    with pytest.raises(CityError, match="cannot be read"):
        score(folder, tmp_path / "broken.parquet")
    pq.write_table(pa.table({"person": ["a"]}), tmp_path / "thin.parquet")
    with pytest.raises(CityError, match="no column level, high_at, warnings"):
        score(folder, tmp_path / "thin.parquet")


def test_perfect_alerts_score_perfectly(folder: Path, tmp_path: Path) -> None:
    labels = pq.read_table(folder / "labels.parquet").to_pylist()
    first: dict[str, datetime] = {}
    lost: dict[str, datetime] = {}
    for r in labels:
        if r["scam_id"] and r["person"]:
            first[r["person"]] = min(r["ts"], first.get(r["person"], r["ts"]))
            if r["step"] == "loss":
                lost[r["person"]] = min(r["ts"], lost.get(r["person"], r["ts"]))
    refs: dict[str, list[str]] = {}
    for r in labels:
        if r["table"] == "warnings":
            refs.setdefault(r["person"], []).append(f"{r['source']}/{r['event_id']}")
    rows = [{"person": f"person:{p}", "level": "high", "high_at": first[p], "warnings": refs.get(p)} for p in lost]
    rows += [
        {"person": f"person:{p}", "level": "low", "high_at": None, "warnings": w}
        for p, w in refs.items()
        if p not in lost
    ]
    pq.write_table(pa.Table.from_pylist(rows, schema=ALERTS), tmp_path / "alerts.parquet")
    got = score(folder, tmp_path / "alerts.parquet")
    assert got["victims"] == len(lost)
    assert got["warned_before_first_loss"] == got["with_evidence"] == sum(first[p] < lost[p] for p in lost)
    assert (got["precision_urgent_high"], got["merge_precision"], got["merge_recall"]) == (1.0, 1.0, 1.0)


def _plainly(labels: list[dict[str, Any]], rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The figures as their definitions read, with nothing but lists and loops."""
    scam = [r for r in labels if r["scam_id"] is not None and r["person"] is not None]
    losses = {p: sorted(r["ts"] for r in scam if r["step"] == "loss" and r["person"] == p) for p in
              {r["person"] for r in scam if r["step"] == "loss"}}  # fmt: skip
    events = {p: [r["ts"] for r in scam if r["person"] == p] for p in losses}
    highs = {p: [a["high_at"] for a in rows if a["person"] == f"person:{p}" and a["high_at"] is not None]
             for p in losses}  # fmt: skip
    leads = [losses[p][0] - min(h) for p, h in highs.items() if h and min(h) < losses[p][0]]
    strong = [a for a in rows if a["level"] in ("urgent", "high")]
    true = 0
    for a in strong:
        p = a["person"].removeprefix("person:")
        true += p in losses and a["high_at"] is not None and min(events[p]) <= a["high_at"] <= losses[p][-1]
    means = {f"{r['source']}/{r['event_id']}": r["person"] for r in labels if r["table"] == "warnings"}
    joined = {frozenset(c) for a in rows for c in itertools.combinations(set(a["warnings"] or ()), 2)}
    same = {frozenset(c) for c in itertools.combinations(means, 2) if means[c[0]] == means[c[1]]}
    return {
        "victims": len(losses),
        "with_evidence": sum(any(t < losses[p][0] for t in events[p]) for p in losses),
        "warned_before_first_loss": len(leads),
        "median_lead_minutes": round(statistics.median(x.total_seconds() for x in leads) / 60, 3) if leads else None,
        "alerts": len(rows),
        "alerts_true": true,
        "precision_urgent_high": round(true / len(strong), 6) if strong else None,
        "merge_precision": round(len(joined & same) / len(joined), 6) if joined else None,
        "merge_recall": round(len(joined & same) / len(same), 6) if same else None,
    }


@pytest.fixture(scope="module")
def small_truth(small: dict[str, pa.Table]) -> list[dict[str, Any]]:
    """Labels of a city: a dozen victims with all that was labelled of them, and some of the rest."""
    rows = small["labels"].to_pylist()
    victims = set(sorted({r["person"] for r in rows if r["step"] == "loss"})[:12])
    return [r for i, r in enumerate(rows) if r["person"] in victims or (i % 97 == 0 and r["step"] != "loss")]


@settings(max_examples=15, deadline=None)
@given(st.randoms(use_true_random=False), st.integers(0, 120))
def test_scores_are_their_definitions(small_truth: list[dict[str, Any]], rng: random.Random, n: int) -> None:
    victims = sorted({r["person"] for r in small_truth if r["step"] == "loss"})
    others = sorted({r["person"] for r in small_truth if r["person"]} - set(victims))[:50]
    moments = [r["ts"] for r in small_truth if r["person"] in set(victims)]
    refs = [f"{r['source']}/{r['event_id']}" for r in small_truth if r["table"] == "warnings"]
    rows = []
    for _ in range(n):
        level = rng.choice(("urgent", "high", "medium", "low"))
        # On the very moment of an event as often as between two; a high level without a time should not be, and counts.
        high = rng.choice(moments) + timedelta(microseconds=rng.choice((-1, 0, 0, 1)))
        joined = rng.sample(refs, rng.randrange(0, 6)) if rng.random() < 0.7 else None
        whom = rng.choice(victims if rng.random() < 0.8 else others)
        kept = high if level in ("urgent", "high") and rng.random() < 0.95 else None
        rows.append({"person": f"person:{whom}", "level": level, "high_at": kept, "warnings": joined})
    got = measure(truth(*small_truth), alerts(*rows))
    want = _plainly(small_truth, rows)
    assert {k: got[k] for k in want} == want
